"""The routes: what they answer, what their document promises, and that the one holds what the other says."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from fivefold.features.catalogue_page import empty_text
from fivefold.features.indicator_matrix import catalogue
from fivefold.serving.champion.loader import ServedModel
from fivefold.serving.v4.app import ERRORS
from tests.models.making import model_of_amounts
from tests.serving.inprocess import GONE, INDICATORS, SCORING, Place, client, now_text, rows_of, started

STATUSES = {200, 400, 401, 403, 405, 406, 413, 422, 429, 500, 503, 504}
MARK = "MARKED-7f3a9"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with started(tmp_path) as place:
        yield place


@pytest.fixture
def document(place: Place) -> dict[str, Any]:
    return dict(place.ask("GET", "/openapi.json").json())


def schema_of(document: dict[str, Any], path: str, method: str, status: int) -> dict[str, Any]:
    """The schema of an answer, with everything that it refers to."""
    answer = document["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
    return {**answer, "components": document["components"]}


def holds(document: dict[str, Any], answer: httpx.Response, path: str = SCORING, method: str = "post") -> None:
    jsonschema.validate(answer.json(), schema_of(document, path, method, answer.status_code))


def requests(place: Place) -> list[dict[str, Any]]:
    """Requests of every kind, to be asked on a service without a past."""
    token, few = {"token": place.token()}, {"token": place.token("used_up")}
    valid, as_of = json.dumps(rows_of("b", "a", "b")).encode(), {"as_of": "2024-06-30"}
    return [
        {"content": valid, "headers": token, "params": as_of},
        {"content": valid, "headers": token, "params": {**as_of, "explain": "true", "user_type": "PERSON"}},
        {"content": json.dumps(rows_of("a", transaction_date=now_text())).encode(), "headers": token},
        {"content": json.dumps(rows_of("a", user_category="APP")).encode(), "headers": token},
        {"content": b"[]", "headers": token},
        {"content": b"[]", "headers": token, "params": {"as_of": "tomorrow"}},
        {"content": valid},
        {"content": valid, "headers": {"token": "unknown"}},
        {"content": valid, "headers": token, "params": {"user_type": "COMPANY"}},
        {"content": b" " * 30_000, "headers": token},
        {"content": json.dumps(rows_of(*map(str, range(25)))).encode(), "headers": token},
        {"content": valid, "headers": {"token": place.token(GONE)}},
        {"content": b"{}", "headers": token},
        {"content": b"not JSON", "headers": token},
        {"content": json.dumps([{}]).encode(), "headers": token},
        {"content": json.dumps(rows_of(*"aaaa")).encode(), "headers": few, "params": as_of},
        {"content": valid, "headers": few, "params": as_of},
        {"content": valid, "headers": few, "params": as_of},
    ]


def test_the_route_is_documented_once(place: Place) -> None:
    (route,) = [route for route in place.app.routes if getattr(route, "path", "") == SCORING]
    assert route.include_in_schema  # type: ignore[attr-defined]  # FastAPI's own kind of route


def test_both_routes_give_the_same_answers(tmp_path: Path) -> None:
    """The one in front that answers, and the one that FastAPI documents."""
    answers: list[list[httpx.Response]] = []
    usage = []
    for number, name in enumerate(("plain", "documented")):
        (tmp_path / name).mkdir()
        with started(tmp_path / name) as place:
            if number:
                place.in_front = False

            async def ask_all(place: Place = place) -> list[httpx.Response]:
                async with client(place.edge) as asking:
                    return [await asking.post(SCORING, **request) for request in requests(place)]

            answers.append(asyncio.run(ask_all()))
            usage.append(place.usage())
    assert {answer.status_code for answer in answers[0]} == STATUSES - {500, 503, 504}
    for plain, documented in zip(*answers, strict=True):
        assert (plain.status_code, plain.content) == (documented.status_code, documented.content)
        varying = {"x-request-id", "retry-after"}
        assert {name: value for name, value in plain.headers.items() if name not in varying} == {
            name: value for name, value in documented.headers.items() if name not in varying
        }
    assert usage[0] == usage[1] == (4, 7)


def test_what_fastapi_refuses_is_an_array_too(place: Place) -> None:
    """Only the documented route checks its query in this way, and only where it is asked."""
    place.in_front = False
    answer = place.post(rows_of("a"), place.token(), explain="maybe")
    assert (answer.status_code, answer.json()) == (422, [{"detail": "Unprocessable Entity"}])


def test_the_document_names_every_status(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert {path: set(methods) for path, methods in document["paths"].items()} == {
        SCORING: {"post"},
        INDICATORS: {"get"},
    }
    responses = document["paths"][SCORING]["post"]["responses"]
    assert set(responses) == {str(status) for status in STATUSES}
    assert {int(status): found["description"] for status, found in responses.items() if status != "200"} == {
        status: found["description"] for status, found in ERRORS.items()
    }


def test_the_document_describes_what_may_be_asked(document: dict[str, Any]) -> None:
    asked = document["paths"][SCORING]["post"]
    parameters = {found["name"]: found for found in asked["parameters"]}
    assert {name: found["in"] for name, found in parameters.items()} == {
        "token": "header",
        "user_type": "query",
        "as_of": "query",
        "explain": "query",
    }
    assert not any(found["required"] for found in parameters.values())
    body = asked["requestBody"]
    assert body["required"] is True
    rows = body["content"]["application/json"]["schema"]
    assert (rows["type"], rows["minItems"]) == ("array", 1)
    row = rows["items"]
    assert set(row["required"]) == {"user_id", "transaction_amount", "transaction_date"}, "what every model needs"
    for field in ("user_balance", "transaction_currency", "user_category", "user_created"):
        assert row["properties"][field]["description"].endswith("Required where the served model was trained with it")
    assert "a model whose training data lacked one reads rows without it" in row["description"]
    assert row["properties"]["user_category"]["enum"] == ["API", "WEB"]
    assert row["properties"]["transaction_state"]["description"].endswith("a row without one is settled")
    jsonschema.validate(rows_of("a", "b", another="field"), rows)
    least = {name: value for name, value in rows_of("a")[0].items() if name in row["required"]}
    jsonschema.validate([least], rows)


def test_every_answer_is_as_the_document_says(place: Place, document: dict[str, Any]) -> None:
    seen = set()
    for request in requests(place):
        answer = place.ask("POST", SCORING, **request)
        holds(document, answer)
        seen.add(answer.status_code)
    place.loader.current = None
    none_ready = place.post(rows_of("a"), place.token())
    with place.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE tokens RENAME TO others")
    down = place.post(rows_of("a"), "another token")
    for answer in (none_ready, down):
        holds(document, answer)
        seen.add(answer.status_code)
    assert seen == STATUSES - {504}


def test_a_plain_answer_is_byte_for_byte_the_contracts(place: Place) -> None:
    answer = place.post(rows_of("user_123"), place.token())
    element = answer.json()[0]
    assert answer.content == (
        b'[{"user_id":"user_123","score":%s,"category":"%s"}]'
        % (json.dumps(element["score"]).encode(), element["category"].encode())
    )
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["x-model-version"] == "7"
    assert len(answer.headers["x-request-id"]) == 16


def test_an_explained_answer_names_its_model(place: Place, document: dict[str, Any]) -> None:
    answer = place.post(rows_of("a"), place.token(), explain="true")
    holds(document, answer)
    assert answer.json()[0]["model"] == {
        "name": "value",
        "version": 7,
        "fingerprint": catalogue().fingerprint,
        "rates_date": "2024-06-30",
    }


def test_the_catalogue_is_described_to_everyone(place: Place, document: dict[str, Any]) -> None:
    misspelt = place.ask("GET", f"{INDICATORS}?as_off=1")
    assert (misspelt.status_code, misspelt.json()[0]["errors"][0]["field"]) == (400, "as_off")
    holds(document, misspelt, INDICATORS, "get")
    answer = place.ask("GET", INDICATORS)
    assert answer.status_code == 200
    holds(document, answer, INDICATORS, "get")
    assert answer.json()["fingerprint"] == catalogue().fingerprint
    assert answer.json()["indicators"] == [
        {
            "indicator": made.name,
            "family": made.family,
            "unit": made.unit,
            "meaning": made.meaning,
            "window_days": made.window_days,
            "empty": empty_text(made),
        }
        for made in catalogue().indicators
    ]
    assert answer.headers["x-model-version"] == "7"


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 404, None),
        ("GET", "/v4", 404, None),
        ("GET", "/docs", 404, None),
        ("POST", "/v4/scoring/more", 404, None),
        ("GET", "/v3/scoring", 404, None),
        ("GET", "/%00", 404, None),
        ("GET", SCORING, 405, "POST"),
        ("DELETE", SCORING, 405, "POST"),
        ("OPTIONS", SCORING, 405, "POST"),
        ("POST", INDICATORS, 405, "GET"),
        ("PUT", "/openapi.json", 405, "GET"),
    ],
)
def test_everything_else_is_an_array_with_detail(
    place: Place, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = place.ask(method, path)
    words = {404: "Not Found", 405: "Method Not Allowed"}
    assert (answer.status_code, answer.json()) == (status, [{"detail": words[status]}])
    assert allow in {None, *answer.headers.get("allow", "").split(", ")}
    assert answer.headers["content-type"] == "application/json"
    assert {"x-request-id", "x-model-version"} <= set(answer.headers)


def test_nothing_of_a_request_is_kept_or_said(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Marked values, through every kind of answer; then a search through files, metrics and everything printed."""
    token, marked = place.token(), {"transaction_id": MARK, "another": MARK}
    sound = rows_of(f"{MARK}-user", user_balance=7654321.25, transaction_amount=8765432.75, **marked)
    headers = {"x-other": MARK, "user-agent": MARK}
    bodies: list[Any] = [
        sound,
        rows_of(f"{MARK}-bad", user_category=MARK, transaction_date=MARK),
        rows_of(f"{MARK}-type", user_balance=MARK),
        f"{MARK} is not JSON".encode(),
        rows_of(*[f"{MARK}-{number}" for number in range(30)]),
    ]
    statuses = [place.post(body, token, headers, explain="true").status_code for body in bodies]
    statuses += [place.post(sound, MARK, headers).status_code, place.post(sound, token, user_type=MARK).status_code]
    statuses += [place.post(sound, token, as_of=MARK).status_code, place.ask("GET", f"/{MARK}").status_code]

    def crash(*_: object, **__: object) -> None:
        message = f"{MARK} is in the message"
        raise ValueError(message)

    monkeypatch.setattr("fivefold.serving.v4.endpoint.check_rows", crash)
    crashed = place.post(sound, token, headers)
    statuses.append(crashed.status_code)
    assert statuses == [200, 400, 422, 422, 413, 401, 405, 400, 404, 500]
    assert crashed.json() == [{"detail": "Internal Server Error"}]
    place.endpoint.counter.store()
    place.engine.dispose()
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    printed = "".join(capfd.readouterr())
    assert "ValueError" in printed, "that it crashed is said"
    for trace in (MARK, "7654321", "8765432"):
        assert trace.encode() not in kept
        assert trace not in printed
    assert MARK not in repr([status for _, status in place.watching.seen])
    assert b"counted" in kept


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", f"{SCORING}/", 404), ("BREW", SCORING, 405), ("GET", f"{INDICATORS}/", 404)]
)
def test_another_path_or_method_is_an_array(place: Place, method: str, path: str, status: int) -> None:
    answer = place.ask(method, path, content=b"[]")
    assert answer.status_code == status
    assert [*answer.json()[0]] == ["detail"]


BARE = [
    {"user_id": "a", "transaction_date": "2024-05-01", "transaction_amount": 90.0},
    {"user_id": "a", "transaction_date": "2024-06-01", "transaction_amount": -40.0},
]


def test_a_model_of_amounts_is_asked_with_customer_date_and_amount_alone(
    place: Place, document: dict[str, Any]
) -> None:
    place.loader.current = ServedModel(model_of_amounts(), 8, "value")
    token = place.token()
    answer = place.post(BARE, token)
    assert answer.status_code == 200
    holds(document, answer)
    more = {"transaction_currency": "EUR", "user_balance": 7.0, "user_created": "2020-01-01", "user_category": "API"}
    assert place.post([{**row, **more} for row in BARE], token).content == answer.content
    assert (
        place.post([{**row, "user_balance": "much", "user_created": 5} for row in BARE], token).json() == answer.json()
    )
    mixed = [BARE[0], {**BARE[1], "transaction_currency": "EUR"}]
    assert place.post(mixed, token).content == answer.content
    explained = place.post(BARE, token, explain="true")
    holds(document, explained)
    (told,) = explained.json()
    assert [part["indicator"] for part in told["contributions"] if "balance" in part["indicator"]] == []
    listed = place.ask("GET", INDICATORS).json()
    assert told["model"]["fingerprint"] == listed["fingerprint"] == model_of_amounts().fingerprint
    assert {one["indicator"] for one in listed["indicators"]} == {part["indicator"] for part in told["contributions"]}


def test_what_a_model_of_amounts_reads_must_be_there_and_right(place: Place) -> None:
    place.loader.current = ServedModel(model_of_amounts(), 8, "value")
    token = place.token()
    answer = place.post([{**BARE[0], "transaction_amount": None}, {"user_id": "a"}], token)
    assert answer.status_code == 422
    assert [(found["row"], found["field"]) for found in answer.json()[0]["errors"]] == [
        (0, "transaction_amount"),
        (1, "transaction_amount"),
        (1, "transaction_date"),
    ]
    answer = place.post([{**BARE[0], "transaction_currency": "XXX"}], token)
    assert (answer.status_code, answer.json()[0]["errors"][0]["field"]) == (400, "transaction_currency")


def test_a_model_that_reads_balances_is_asked_with_them(place: Place) -> None:
    answer = place.post(BARE, place.token())
    assert answer.status_code == 422
    wanted = {"row": 0, "field": "user_balance", "problem": "is missing", "allowed": "a number"}
    assert wanted in answer.json()[0]["errors"]
