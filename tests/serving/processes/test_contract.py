"""The contract of /v4/scoring, byte for byte, from a real service on both databases."""

import gzip
import itertools
import json
import socket
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.serving.conftest import LIMITS
from tests.serving.processes.service import Service, sample_rows

NOT_VALID = "Data not valid"
NO_CREDENTIALS = b'[{"detail":"Could not validate credentials"}]'
USER_TYPE = b'[{"detail":"User type not allowed"}]'
TOO_MANY_ROWS = b'[{"detail":"the number of observations in the payload exceed the available quote"}]'
USED_UP = b'[{"detail":"The maximum monthly number of calls or predictions for your account has been exceeded"}]'
AMOUNT = "a finite number of at most 1e+15 either way"
TIME = (
    "an ISO 8601 date or time such as 2024-06-30, 2024-06-30T12:00:00 or 2024-06-30T12:00:00+02:00, years 1900 to 9999"
)
STATES = "SUCCEEDED, COMPLETED, PENDING, FAILED, REJECTED, CANCELLED, EXPIRED, REVERSED (any case) or nothing"


@pytest.fixture
def free(service: Service) -> Iterator[str]:
    """A token whose use must not be charged: nothing in such a test is answered 200."""
    token = service.token()
    before = service.usage()
    yield token
    assert service.usage() == before
    assert service.usage_of(token) == (0, 0)


def changed(row: int = 1, **values: Any) -> list[dict[str, Any]]:
    """The README's rows with other values in one of them; a missing field where a value is `...`."""
    rows = sample_rows()
    rows[row] = {name: value for name, value in {**rows[row], **values}.items() if value is not ...}
    return rows


def written(field: str, text: str) -> bytes:
    """The README's rows with a value that Python's JSON would not write, in the second row."""
    rows = changed(**{field: "\x00marked"})
    return json.dumps(rows).replace('"\\u0000marked"', text).encode()


def problems(status_detail: str, *found: tuple[int, str, str, str]) -> bytes:
    listed = [dict(zip(("row", "field", "problem", "allowed"), one, strict=True)) for one in found]
    return json.dumps([{"detail": status_detail, "errors": listed}], separators=(",", ":"), ensure_ascii=False).encode()


def test_the_sample_of_the_readme_is_answered(service: Service) -> None:
    token = service.token()
    answer = service.post(sample_rows(), token)
    assert answer.status_code == 200
    (element,) = answer.json()
    assert answer.content == json.dumps([element], separators=(",", ":")).encode()
    assert list(element) == ["user_id", "score", "category"]
    assert element["user_id"] == "user_123"
    assert 1 <= element["score"] <= 5
    assert element["score"] == round(element["score"], 2)
    assert element["category"] in {"low", "medium", "high", "top"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-model-version"] == str(service.version)
    assert len(answer.headers["x-request-id"]) == 16
    assert service.usage_of(token) == (1, 1)


def test_the_sample_is_explained(service: Service) -> None:
    answer = service.post(sample_rows(), service.token(), "?as_of=2024-07-01&explain=true")
    (element,) = answer.json()
    (plain,) = service.post(sample_rows(), service.token()).json()
    assert {name: element[name] for name in plain} == plain
    score = 1 + 4 * element["percentile"]
    assert abs(element["base"] + sum(part["points"] for part in element["contributions"]) - score) < 1e-9
    assert abs(sum(element["families"].values()) + element["base"] - score) < 1e-9
    sizes = [abs(part["points"]) for part in element["contributions"]]
    assert sizes == sorted(sizes, reverse=True)
    catalogue = service.get("/v4/indicators").json()
    assert {part["indicator"] for part in element["contributions"]} == {
        described["indicator"] for described in catalogue["indicators"]
    }
    assert set(element["contributions"][0]) == {"indicator", "family", "value", "unit", "points", "sentence"}
    assert element["currency"] == "EUR"
    assert element["horizon_days"] == 90
    assert element["expected_value"] > 0
    assert element["model"] == {
        "name": service.settings.model_name,
        "version": int(answer.headers["x-model-version"]),
        "fingerprint": catalogue["fingerprint"],
        "rates_date": "2024-06-30",
    }


def test_customers_come_back_in_order_of_first_appearance(service: Service) -> None:
    ids = ["z", "a", "é", "10", "9"]
    rows = [row for user_id in ids for row in sample_rows(user_id)]
    shuffled = [rows[number] for number in (9, 0, 8, 3, 5, 6, 1, 2, 4, 7)]
    token = service.token()
    answer = service.post(shuffled, token)
    assert [element["user_id"] for element in answer.json()] == ["9", "z", "a", "é", "10"]
    assert len({(element["score"], element["category"]) for element in answer.json()}) == 1
    assert service.usage_of(token) == (1, 5)


def test_unknown_fields_and_missing_optional_ones_are_taken(service: Service) -> None:
    rows = [{**row, "note": {"any": ["thing"]}, "transaction_id": None} for row in sample_rows()]
    bare = [{name: value for name, value in row.items() if name != "transaction_state"} for row in sample_rows()]
    token = service.token()
    found = [service.post(body, token).content for body in (rows, bare, sample_rows())]
    assert len(set(found)) == 1


BAD_VALUES = {
    "category": (changed(user_category="APP"), (1, "user_category", "is 'APP'", "API, WEB")),
    "state": (changed(transaction_state="LOST"), (1, "transaction_state", "is 'LOST'", STATES)),
    "date": (changed(transaction_date="30/06/2024"), (1, "transaction_date", "is '30/06/2024'", TIME)),
    "NaN": (written("transaction_amount", "NaN"), (1, "transaction_amount", "is nan", AMOUNT)),
    "Infinity": (written("user_balance", "Infinity"), (1, "user_balance", "is inf", AMOUNT)),
    "overflow": (written("user_balance", "-1e999"), (1, "user_balance", "is -inf", AMOUNT)),
    "out of bounds": (changed(user_balance=2e15), (1, "user_balance", "is 2000000000000000.0", AMOUNT)),
    "created": (
        changed(row=0, user_created="2024-07-01T12:30:00.000001"),
        (0, "user_created", "is after the user's first transaction", "a time before it"),
    ),
    "empty": ([], (0, "body", "is an empty array", "at least one row")),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_bad_values_are_400_and_say_where(service: Service, free: str, case: str) -> None:
    rows, found = BAD_VALUES[case]
    answer = service.post(rows, free)
    assert (answer.status_code, answer.content) == (400, problems(NOT_VALID, found))


def test_an_unknown_currency_is_400_and_tells_the_known_ones(service: Service, free: str) -> None:
    answer = service.post(changed(transaction_currency="XYZ"), free)
    found = (1, "transaction_currency", "is 'XYZ'", "CZK, EUR, GBP, PLN, SEK, USD")
    assert (answer.status_code, answer.content) == (400, problems(NOT_VALID, found))


def test_more_than_a_day_ahead_is_400_without_as_of_and_a_day_is_now(service: Service) -> None:
    now = datetime.now(UTC)
    ahead = changed(transaction_date=(now + timedelta(hours=24, minutes=5)).isoformat())
    answer = service.post(ahead, service.token(), "")
    assert answer.status_code == 400
    (error,) = answer.json()[0]["errors"]
    assert (error["row"], error["field"], error["problem"]) == (1, "transaction_date", "is in the future")
    answer = service.post(
        changed(transaction_date=(now + timedelta(hours=23)).isoformat()), service.token("one_call"), ""
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?as_of=yesterday", (0, "as_of", "is not an ISO 8601 time", "a time such as 2024-07-01T12:00:00Z")),
        ("?as_of=2924-07-01", (0, "as_of", "is more than 24 hours ahead", "a time up to 24 hours from now")),
        ("?explain=perhaps", (0, "explain", "is not true or false", "true or false")),
        (
            "?as_of=2024-06-30",
            (0, "transaction_date", "is after as_of 2024-06-30 in every row of this user", "at least one row by as_of"),
        ),
    ],
)
def test_a_bad_query_is_400(service: Service, free: str, query: str, found: tuple[int, str, str, str]) -> None:
    answer = service.post(sample_rows(), free, query)
    assert (answer.status_code, answer.content) == (400, problems(NOT_VALID, found))


def not_json(place: str) -> tuple[int, str, str, str]:
    return 0, "body", f"is not JSON{place}", "a JSON array of objects, in UTF-8 and not compressed"


NOT_ROWS = {
    "nothing": (b"", not_json("")),
    "not JSON": (b"[{", not_json(" at line 1, column 2")),
    "not UTF-8": (b'[{"user_id":"\xff"}]', not_json(" at line 1, column 14")),
    "half a surrogate": (b'["\\ud800"]', not_json(" at line 1, column 9")),
    "gzipped": (gzip.compress(b"[]"), not_json(" at line 1, column 1")),
    "deep": (
        b"[" * 100_000,
        (0, "body", "is nested too deeply", "a JSON array of objects, in UTF-8 and not compressed"),
    ),
    "an object": (b"{}", (0, "body", "is {}", "a JSON array of objects")),
    "null": (b"null", (0, "body", "is null", "a JSON array of objects")),
    "an array of numbers": (b"[1]", (0, "row", "is 1", "an object with the fields of a transaction")),
    "a missing field": (changed(user_balance=...), (1, "user_balance", "is missing", "a number")),
    "a number as text": (changed(user_balance="12.5"), (1, "user_balance", "is '12.5'", "a number")),
    "a truth value": (changed(transaction_amount=True), (1, "transaction_amount", "is true", "a number")),
    "null where it may not be": (changed(user_id=None), (1, "user_id", "is null", "text")),
    "a number for text": (changed(transaction_date=1719744000), (1, "transaction_date", "is 1719744000", "text")),
}


@pytest.mark.parametrize("case", NOT_ROWS)
def test_what_is_no_array_of_rows_is_422_and_says_where(service: Service, free: str, case: str) -> None:
    body, found = NOT_ROWS[case]
    answer = service.post(body, free)
    assert (answer.status_code, answer.content) == (422, problems("Unprocessable Entity", found))


@pytest.mark.parametrize(("status", "field"), [(400, "user_category"), (422, "user_balance")])
def test_up_to_a_hundred_problems_are_listed(service: Service, free: str, status: int, field: str) -> None:
    answer = service.post([{**row, field: "no"} for row in sample_rows() * 80], free)
    assert answer.status_code == status
    errors = answer.json()[0]["errors"]
    assert [(error["row"], error["field"]) for error in errors] == [(row, field) for row in range(100)]


def test_whoever_may_not_ask_is_401(service: Service, free: str) -> None:
    from fivefold.usecases.accounts.credentials import find_credential
    from fivefold.usecases.accounts.tokens import revoke_token

    revoked, removed = service.token(), service.token()
    expired = service.token(expires_days=1)
    with service.engine.begin() as connection:
        from sqlalchemy import text

        number = find_credential(service.engine, expired).token_id  # type: ignore[union-attr]  # it was just made
        connection.execute(text(f"UPDATE tokens SET expires_us = 1 WHERE id = {number}"))
        number = find_credential(service.engine, removed).token_id  # type: ignore[union-attr]  # as above
        connection.execute(text(f"UPDATE tokens SET plan = 'no longer sold' WHERE id = {number}"))
    assert service.post(b"[", revoked).status_code == 422  # and so it is remembered
    revoke_token(service.engine, find_credential(service.engine, revoked).token_id)  # type: ignore[union-attr]  # as above
    asked = [service.post(sample_rows(), token) for token in (None, "", "unknown", free + "x", revoked, expired)]
    assert {(answer.status_code, answer.content) for answer in asked} == {(401, NO_CREDENTIALS)}
    # A plan that was taken out gives no right, and 403 comes before everything but 401.
    assert service.post(b"[", removed).status_code == 403


@pytest.mark.parametrize("user_type", ["COMPANY", "person", ""])
def test_other_kinds_of_users_are_405(service: Service, free: str, user_type: str) -> None:
    answer = service.post(sample_rows(), free, f"?user_type={user_type}")
    assert (answer.status_code, answer.content) == (405, USER_TYPE)


def test_persons_are_named_by_default(service: Service) -> None:
    token = service.token()
    assert service.post(sample_rows(), token, "?user_type=PERSON&as_of=2024-07-01").status_code == 200


def test_more_rows_than_the_plan_has_are_406(service: Service) -> None:
    token = service.token("few_rows")
    answer = service.post(sample_rows() * 2, token)
    assert (answer.status_code, answer.content) == (406, TOO_MANY_ROWS)
    assert service.usage_of(token) == (0, 0)
    assert service.post(changed()[:1] * 3, token).status_code == 200


def test_a_used_up_plan_is_429_and_says_until_when(service: Service) -> None:
    token = service.token("one_call")
    assert service.post(sample_rows(), token).status_code == 200
    answer = service.post(sample_rows(), token)
    assert (answer.status_code, answer.content) == (429, USED_UP)
    now = datetime.now(UTC)
    following = (now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=1)
    assert abs(int(answer.headers["retry-after"]) - (following - now).total_seconds()) < 60
    assert service.usage_of(token) == (1, 1)


def test_a_request_over_what_is_left_is_refused_whole(service: Service) -> None:
    token = service.token("hundred_users")
    rows = [sample_rows(f"user {number}")[0] for number in range(60)]
    assert service.post(rows, token).status_code == 200
    assert service.post(rows, token).status_code == 429
    assert service.usage_of(token) == (1, 60)
    assert service.post(rows[:40], token).status_code == 200
    assert service.usage_of(token) == (2, 100)


class Violations:
    """A request that breaks several rules at once; what it breaks first, by the contract's order, answers it."""

    ORDER = (401, 405, 413, 422, 400, 406, 429)

    def __init__(self, service: Service) -> None:
        self.used_up, self.token = service.token("one_call"), service.token("few_rows")
        assert service.post(sample_rows(), self.used_up).status_code == 200

    def ask(self, service: Service, client: httpx.Client, broken: tuple[int, ...]) -> httpx.Response:
        rows = deepcopy(sample_rows())
        if 406 in broken:
            rows *= 2
        if 400 in broken:
            rows[0]["transaction_currency"] = "XYZ"
        if 422 in broken:
            del rows[1]["user_balance"]
        body = json.dumps(rows).encode()
        if 413 in broken:
            body += b" " * int(LIMITS["FIVEFOLD_LIMIT_BYTES"])
        headers = {} if 401 in broken else {"token": self.used_up if 429 in broken else self.token}
        query = "?as_of=2024-07-01" + ("&user_type=COMPANY" if 405 in broken else "")
        return client.post(f"/v4/scoring{query}", content=body, headers=headers)


def test_the_first_broken_rule_answers(service: Service) -> None:
    violations = Violations(service)
    before = service.usage()
    with service.client() as client:
        for count in range(1, len(Violations.ORDER) + 1):
            for broken in itertools.combinations(Violations.ORDER, count):
                assert violations.ask(service, client, broken).status_code == broken[0], broken
    assert service.usage() == before


def too_large(problem: str, allowed: str, row: int = 0) -> bytes:
    return problems("Request Entity Too Large", (row, "body", problem, allowed))


def test_more_bytes_than_the_server_takes_are_413(service: Service, free: str) -> None:
    body = json.dumps(sample_rows()).encode() + b" " * 3_000_000
    expected = (413, too_large("is too large", "3,000,000 bytes"))
    answer = service.post(body, free)
    assert (answer.status_code, answer.content) == expected

    def in_parts() -> Iterator[bytes]:
        for begin in range(0, len(body), 100_000):
            yield body[begin : begin + 100_000]

    url = f"{service.url}/v4/scoring"
    answer = httpx.post(url, content=in_parts(), headers={"token": free}, timeout=60, trust_env=False)
    assert (answer.status_code, answer.content) == expected


def test_a_body_that_is_announced_too_large_is_not_waited_for(service: Service, free: str) -> None:
    head = f"POST /v4/scoring HTTP/1.1\r\nHost: x\r\ntoken: {free}\r\nContent-Length: 3000001\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_more_rows_or_users_than_the_server_takes_are_413(service: Service, free: str) -> None:
    answer = service.post(b"[" + b",".join([b"{}"] * 10_001) + b"]", free)
    assert (answer.status_code, answer.content) == (413, too_large("has 10,001 rows", "10,000 rows", 10_000))
    rows = [sample_rows(f"user {number}")[0] for number in range(501)]
    answer = service.post(rows, free)
    assert (answer.status_code, answer.content) == (413, too_large("has 501 users", "500 users"))


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/v4/scoring", 405, "POST"),
        ("HEAD", "/v4/scoring", 405, "POST"),
        ("OPTIONS", "/v4/scoring", 405, "POST"),
        ("DELETE", "/v4/scoring", 405, "POST"),
        ("POST", "/v4/indicators", 405, "GET"),
        ("OPTIONS", "/v4/indicators", 405, "GET"),
        ("POST", "/readyz", 405, "GET, HEAD"),
        ("POST", "/metrics", 405, "GET, HEAD"),
        ("POST", "/livez", 405, "GET, HEAD"),
        ("GET", "/v4", 404, None),
        ("POST", "/v5/scoring", 404, None),
        ("GET", "/favicon.ico", 404, None),
        ("GET", "/v4/scoring%00", 404, None),
        ("GET", "//v4/scoring", 404, None),
    ],
)
def test_other_paths_and_methods_are_arrays_too(
    service: Service, method: str, path: str, status: int, allow: str | None
) -> None:
    with service.client() as client:
        answer = client.request(method, service.url + path)
        body = {404: b'[{"detail":"Not Found"}]', 405: b'[{"detail":"Method Not Allowed"}]'}[status]
        assert (answer.status_code, answer.content) == (status, b"" if method == "HEAD" else body)
        assert answer.headers.get("content-type") == "application/json"
        found = answer.headers.get("allow")
        assert (found and sorted(found.split(", "))) == (allow and allow.split(", "))
        assert answer.headers["x-model-version"] == str(service.version)
        assert answer.headers["x-request-id"]
        # The connection is still good for a next request.
        assert client.get("/livez").status_code == 200


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/readyz/v1", "/healthz", "/metrics", "/v4/indicators", "/openapi.json"]
)
def test_what_is_there_for_everybody_is_200(service: Service, path: str) -> None:
    answer = service.get(path)
    assert answer.status_code == 200
    assert answer.headers["x-model-version"] == str(service.version)


def test_every_answer_has_its_own_id(service: Service) -> None:
    paths = ["/livez", "/nowhere", "/v4/scoring", "/readyz"]
    ids = [service.get(path).headers["x-request-id"] for path in paths * 3]
    assert len(set(ids)) == len(ids)


def test_the_trailing_element_of_an_error_is_nothing_else(service: Service) -> None:
    answer = service.post(sample_rows(), None)
    assert "x-fivefold-array" not in answer.headers
    assert set(answer.json()[0]) == {"detail"}
