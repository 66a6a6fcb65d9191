"""The scoring endpoint: which error comes first, and that only a 200 costs anything."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from time import time_ns
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from fivefold.domain import clock
from fivefold.domain.clock import DAY_US, SECOND_US, from_microseconds, now_microseconds, parse_moment
from fivefold.domain.errors import UnknownOutcomeError
from fivefold.domain.settings import Limits
from fivefold.features.catalogue.own import OwnIndicators
from fivefold.serving.authentication import Authenticator
from fivefold.serving.champion.loader import ServedModel
from fivefold.serving.quota import QuotaCharger
from fivefold.serving.responses import NOT_COMPUTED
from fivefold.serving.v4 import endpoint as scoring
from fivefold.store.accounts.tokens import Charge
from fivefold.store.sql.clocks import DatabaseClock, clock_of
from fivefold.store.sql.database import MAY_BE_DONE, open_database
from fivefold.store.tables.accounts import Token
from fivefold.usecases.accounts.credentials import month_of, seconds_to_next_month
from fivefold.usecases.accounts.organisations import actor_in_new, add_member
from fivefold.usecases.accounts.tokens import list_tokens, revoke_token
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from tests.models.making import model_of_own
from tests.serving.inprocess import AS_OF, GONE, LIMITS, SCORING, Place, client, now_text, rows_of, run, started

NOW = parse_moment("2026-11-20T12:00:00Z")


FAULTS = {
    401: "Could not validate credentials",
    405: "User type not allowed",
    413: "Request Entity Too Large",
    422: "Unprocessable Entity",
    400: "Data not valid",
    406: "the number of observations in the payload exceed the available quote",
    429: "The maximum monthly number of calls or predictions for your account has been exceeded",
}


"""By precedence."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with started(tmp_path) as place:
        yield place


def body_with(faults: set[int]) -> bytes:
    rows = rows_of(*"a" * (5 if 406 in faults else 2))
    if 413 in faults:
        rows = rows * LIMITS.rows
    if 400 in faults:
        rows[0]["user_category"] = "APP"
    if 422 in faults:
        del rows[-1]["user_balance"]
    return json.dumps(rows).encode()


def test_the_first_of_several_faults_is_the_answer(place: Place) -> None:
    """Every combination of six, of a token that is used up; and none of them costs anything."""
    others = [status for status in FAULTS if status != 429]
    token = place.token("used_up")
    assert place.post(rows_of("a"), token).status_code == 200
    before = place.usage()

    async def ask_all() -> None:
        async with client(place.edge) as asking:
            for chosen in product([False, True], repeat=len(others)):
                faults = {status for status, wrong in zip(others, chosen, strict=True) if wrong} | {429}
                answer = await asking.post(
                    SCORING,
                    content=body_with(faults),
                    headers={} if 401 in faults else {"token": token},
                    params={"as_of": AS_OF, **({"user_type": "COMPANY"} if 405 in faults else {})},
                )
                expected = next(status for status in FAULTS if status in faults)
                assert answer.status_code == expected, faults
                assert answer.json()[0]["detail"] == FAULTS[expected]
                assert ("errors" in answer.json()[0]) is (expected in {400, 413, 422})

    asyncio.run(ask_all())
    assert place.usage() == before == (1, 1)


@pytest.mark.parametrize("token", [None, "", "unknown", "x" * 5_000, "né"])
def test_no_token_or_an_unknown_one_is_401(place: Place, token: str | None) -> None:
    answer = place.post(b"not JSON", None, {} if token is None else {b"token": token.encode("latin-1")})  # type: ignore[dict-item]  # as bytes come
    assert (answer.status_code, answer.json()) == (401, [{"detail": FAULTS[401]}])


def test_a_token_whose_plan_is_not_there_any_more_is_403_before_anything_else(place: Place) -> None:
    token = place.token(GONE)
    for rows in (rows_of("a"), b"not JSON"):
        answer = place.post(rows, token, user_type="COMPANY")
        assert (answer.status_code, list(answer.json()[0])) == (403, ["detail"])
        assert "There is no plan gone any more" in answer.json()[0]["detail"]


@pytest.mark.parametrize("role", list(Role))
def test_programs_and_admins_may_score_and_explain(place: Place, role: Role) -> None:
    member = "" if role is Role.APP else "ana"
    if member:
        add_member(Context(place.engine, actor_in_new(place.engine, "default", "cli:test")), member, [role])
    answer = place.post(rows_of("a"), place.token(role=role, member=member), explain="true")
    if role in {Role.APP, Role.ADMIN}:
        assert answer.status_code == 200
        assert "contributions" in answer.json()[0]
    else:
        refusal = [{"detail": f"Not for the role {role}; for: app, admin"}]
        assert (answer.status_code, answer.json()) == (403, refusal)
        assert "www-authenticate" not in answer.headers, "the token is valid"


def test_an_admins_token_that_is_older_than_members_goes_on_scoring(place: Place) -> None:
    token = place.token()
    with Session(place.engine) as session, session.begin():
        session.execute(update(Token).values(role="admin"))
    assert place.post(rows_of("a"), token).status_code == 200


def test_a_token_revoked_while_the_request_was_answered_is_401_and_costs_nothing(place: Place) -> None:
    token = place.token()
    assert place.post(rows_of("a"), token).status_code == 200
    revoke_token(place.engine, 1)
    answer = place.post(rows_of("a"), token)
    assert (answer.status_code, answer.json()) == (401, [{"detail": FAULTS[401]}])
    assert place.usage() == (1, 1)


@pytest.mark.parametrize("user_type", ["", "person", "COMPANY", "PERSON ", "0"])
def test_only_persons_are_scored(place: Place, user_type: str) -> None:
    answer = place.post(rows_of("a"), place.token(), user_type=user_type)
    assert (answer.status_code, answer.json()) == (405, [{"detail": FAULTS[405]}])
    assert place.post(rows_of("a"), place.token(), user_type="PERSON").status_code == 200


def test_as_many_rows_as_the_plan_allows_are_taken(place: Place) -> None:
    token = place.token("three_rows")
    assert place.post(rows_of(*"aaa"), token).status_code == 200
    assert place.post(rows_of(*"aaaa"), token).status_code == 406
    assert place.usage() == (1, 1)


def test_calls_are_used_up_exactly(place: Place) -> None:
    token, other = place.token("two_calls"), place.token("two_calls")
    assert [place.post(rows_of("a", "b"), token).status_code for _ in range(3)] == [200, 200, 429]
    assert place.usage() == (2, 4)
    assert place.post(rows_of("a"), other).status_code == 200


def test_users_are_used_up_exactly_and_never_in_part(place: Place) -> None:
    token = place.token("five_users")
    asked = [rows_of(*"abc"), rows_of(*"abc"), rows_of(*"aabb"), rows_of("a")]
    assert [place.post(rows, token).status_code for rows in asked] == [200, 429, 200, 429]
    assert place.usage() == (2, 5)


@pytest.mark.parametrize("is_large", [True, False])
def test_a_request_for_more_than_is_left_says_what_is_left(
    place: Place, is_large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "ROWS_IN_LOOP", 0 if is_large else 10)
    token = place.token("five_users")
    assert place.post(rows_of("a", "b"), token).status_code == 200
    answers = [place.post(rows_of(*names), token) for names in ("abcd", "abcd", "abcdef")]
    whole = "The request is for 4 customers, and 3 are left of the 5 a month of your plan"
    never = "The request is for 6 customers, more than the 5 a month of your plan, so it never fits"
    for answer, words in zip(answers, (whole, whole, never), strict=True):
        left = (answer.headers["X-Quota-Calls-Left"], answer.headers["X-Quota-Users-Left"])
        assert (answer.status_code, answer.json()[0]["detail"].partition(":")[0], left[1]) == (429, words, "3")
        assert int(left[0]) > 0
        assert ("Retry-After" in answer.headers) is (words is whole)
    assert place.post(rows_of(*"abc"), token).status_code == 200
    answer = place.post(rows_of("a"), token)
    assert (answer.json(), answer.headers["X-Quota-Users-Left"]) == ([{"detail": FAULTS[429]}], "0")


def test_429_says_when_the_month_ends(place: Place) -> None:
    token = place.token("used_up")
    place.post(rows_of("a"), token)
    before = seconds_to_next_month(now_microseconds())
    answer = place.post(rows_of("a"), token)
    after = seconds_to_next_month(now_microseconds())
    assert after <= int(answer.headers["retry-after"]) <= before


def test_a_charge_is_for_the_month_and_the_moment_of_the_request(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    token = place.token("used_up")
    for moment, status in ((NOW, 200), (NOW + DAY_US, 429), (NOW + 11 * DAY_US, 200)):
        monkeypatch.setattr(DatabaseClock, "now_us", lambda _, moment=moment: moment)
        assert place.post(rows_of("a"), token).status_code == status
    assert month_of(NOW + 11 * DAY_US) == "2026-12"
    assert [line.calls for line in list_tokens(place.engine, "2026-12")] == [1]
    assert list_tokens(place.engine, "2026-11")[0].last_used_us == NOW + 11 * DAY_US


def test_a_token_ends_by_the_clock_of_the_database(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    token, ahead_us = place.token(expires_days=1), 40 * DAY_US
    monkeypatch.setattr(clock, "time_ns", lambda: time_ns() + 1_000 * ahead_us)
    clock_of(place.engine).ahead_us = ahead_us
    assert place.post(rows_of("a"), token).status_code == 200
    (line,) = list_tokens(place.engine, month_of(now_microseconds() - ahead_us))
    assert (line.calls, line.last_used_us) == (1, pytest.approx(now_microseconds() - ahead_us, abs=60 * SECOND_US))


def test_without_a_model_it_is_503_but_who_may_not_ask_does_not_learn_that(place: Place) -> None:
    place.loader.current = None
    answer = place.post(rows_of("a"), place.token())
    assert (answer.status_code, answer.json()) == (503, [{"detail": "Service Unavailable"}])
    assert answer.headers["retry-after"] == "10"
    assert answer.headers["x-model-version"] == "none"
    assert place.post(rows_of("a"), None).status_code == 401
    assert place.usage() == (0, 0)


def test_a_database_out_of_reach_is_503_for_now(tmp_path: Path) -> None:
    with started(tmp_path) as place:
        token = place.token()
        away = open_database("postgresql://nobody@127.0.0.1:1/nothing")
        place.endpoint = replace(place.endpoint, authenticator=Authenticator(away))
        answer = place.post(rows_of("a"), token)
        assert (answer.status_code, answer.json()) == (503, [{"detail": "Service Unavailable"}])
        assert int(answer.headers["retry-after"]) > 0
        assert place.watching.causes[-1] == "the database cannot be reached"
        place.endpoint = replace(place.endpoint, authenticator=Authenticator(place.engine), charger=QuotaCharger(away))
        place.endpoint.charger.start()
        answer = place.post(rows_of("a"), token)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
        place.endpoint.charger.stop()


def test_a_charge_of_which_nobody_knows_whether_it_is_stored_is_504(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> list[bool | None]:
        raise UnknownOutcomeError(MAY_BE_DONE)

    monkeypatch.setattr("fivefold.serving.quota.charge_all", lost)
    answer = place.post(rows_of("a"), place.token())
    assert (answer.status_code, answer.json()) == (504, [{"detail": "Gateway Timeout"}])
    assert "retry-after" not in answer.headers


def test_a_locked_database_is_504_in_time_and_costs_nothing(tmp_path: Path) -> None:
    with started(tmp_path, replace(LIMITS, seconds=1)) as place:
        token = place.token()
        with place.engine.connect() as other:
            other.exec_driver_sql("BEGIN IMMEDIATE")
            answer = place.post(rows_of("a"), token)
            other.rollback()
        assert (answer.status_code, answer.json()) == (504, [{"detail": "Gateway Timeout"}])
        assert place.post(rows_of("a"), token).status_code == 200
        assert place.usage() == (1, 1)


def test_the_database_down_is_500_without_a_word_of_it(place: Place) -> None:
    token = place.token()
    with place.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE tokens")
    answer = place.post(rows_of("a"), token)
    assert (answer.status_code, answer.json()) == (500, [{"detail": "Internal Server Error"}])


@pytest.mark.parametrize("explain", ["true", "True", "1", "yes", "false", "0", "no", ""])
def test_explain_is_true_or_false(place: Place, explain: str) -> None:
    (element,) = place.post(rows_of("a"), place.token(), explain=explain).json()
    assert ("base" in element) is (explain.lower() in {"true", "1", "yes"})


@pytest.mark.parametrize("rows", [scoring.EXPLAINED_IN_LOOP, scoring.EXPLAINED_IN_LOOP + 1])
@pytest.mark.parametrize("explain", ["true", "false"])
def test_a_large_request_in_a_thread_is_answered_in_the_same_way(
    rows: int, explain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "ROWS_IN_LOOP", scoring.EXPLAINED_IN_LOOP)
    used: list[str] = []
    real = scoring.score_checked

    def noted(*given: Any, **more: Any) -> Any:
        used.append(threading.current_thread().name)
        return real(*given, **more)

    monkeypatch.setattr(scoring, "score_checked", noted)
    with started(tmp_path, Limits()) as place:
        token = place.token()
        answer = place.post(rows_of(*[str(number % 3) for number in range(rows)]), token, explain=explain)
        assert [element["user_id"] for element in answer.json()] == ["0", "1", "2"]
        assert used[0].startswith("large") is (rows > scoring.EXPLAINED_IN_LOOP)
        bad = rows_of(*"a" * rows, user_category="APP")
        assert place.post(bad, token, explain=explain).status_code == 400


OWN = """
from fivefold.features.own_indicators import indicator

@indicator('twelve', label='Twelve', unit='flag', empty=0.0, family='volume')
def twelve(amount):
    'Twelve.'
    for i in range(len(amount)):
        if amount[i] == 12345.0:
            raise ValueError('twelve')
    return 0.0
"""


@pytest.mark.parametrize("explain", ["true", "false"])
def test_of_whom_an_own_indicator_fails_the_answer_is_422_by_row_and_indicator_and_nothing_is_charged(
    explain: str, place: Place
) -> None:
    place.loader.current = ServedModel(model_of_own(OwnIndicators("bank.py", OWN)), 7, "value")
    rows = [*rows_of("a", "b", "b", "c", transaction_amount=12345.0), *rows_of("a", "d")]
    rows[3]["transaction_amount"] = 5.0
    with capture_logs() as logs:
        answer = place.post(rows, place.token(), explain=explain)
    fault = "bank.py: indicator twelve ended with ValueError"
    allowed = "customers of whom every indicator of the model can be computed"
    assert (answer.status_code, answer.json()) == (
        422,
        [
            {
                "detail": NOT_COMPUTED,
                "errors": [
                    {"row": row, "field": "user_id", "problem": f"is '{user}': {fault}", "allowed": allowed}
                    for row, user in ((0, "a"), (1, "b"))
                ],
            }
        ],
    )
    assert [line["why"] for line in logs if line["event"] == "own indicator failed"] == [fault]
    assert place.usage() == (0, 0)
    assert place.post(rows_of("c", "d"), place.token(), explain=explain).status_code == 200


def test_now_is_the_default_and_a_row_a_day_ahead_is_taken(place: Place) -> None:
    token = place.token()
    run_in_short_pool = (from_microseconds(now_microseconds()) + timedelta(hours=23)).isoformat()
    late = (from_microseconds(now_microseconds()) + timedelta(hours=25)).isoformat()
    for moment, status in ((now_text(), 200), (run_in_short_pool, 200), (late, 400)):
        rows = rows_of("a", transaction_date=moment)
        assert place.post(rows, token, as_of="now").status_code == status
    assert place.post(rows_of("a", transaction_date=late), token).json()[0]["errors"] == [
        {
            "row": 0,
            "field": "transaction_date",
            "problem": "is after as_of 2024-06-30 in every row of this user",
            "allowed": "at least one row by as_of",
        }
    ]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400", "1" + "0" * 400, "1" * 5_000])
def test_what_is_no_finite_number_is_400_and_named(place: Place, value: str) -> None:
    body = json.dumps(rows_of("a", "b", user_balance=777)).replace("777", "1", 1).replace("777", value)
    answer = place.post(body.encode(), place.token())
    (error,) = answer.json()[0]["errors"]
    assert (answer.status_code, error["row"], error["field"]) == (400, 1, "user_balance")
    assert error["allowed"] == "a finite number of at most 1e+15 either way"


def test_an_empty_array_is_400(place: Place) -> None:
    answer = place.post([], place.token())
    assert answer.status_code == 400
    assert answer.json() == [
        {
            "detail": "Data not valid",
            "errors": [{"row": 0, "field": "body", "problem": "is an empty array", "allowed": "at least one row"}],
        }
    ]


def test_the_limit_of_bytes_holds_over_http_with_and_without_a_length(place: Place) -> None:
    token = place.token()

    async def in_parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * (LIMITS.body_bytes // 2)

    async def ask() -> list[Any]:
        return [
            await place.asked("POST", SCORING, content=content, headers={"token": token})
            for content in (b" " * (LIMITS.body_bytes + 1), in_parts())
        ]

    for answer in run(ask):
        assert (answer.status_code, answer.json()[0]["detail"]) == (413, "Request Entity Too Large")


def test_a_request_takes_one_model_and_keeps_it_to_its_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The champion changes while a request waits for its charge."""
    token, charger = place.token(), place.endpoint.charger
    old, real = place.loader.current, charger.charge
    assert old is not None

    async def swapped(cost: Charge) -> bool | None:
        place.loader.current = replace(old, version=8)
        return await real(cost)

    monkeypatch.setattr(charger, "charge", swapped)
    first = place.post(rows_of("a"), token, explain="true")
    second = place.post(rows_of("a"), token, explain="true")
    for answer, version in ((first, 7), (second, 8)):
        assert answer.headers["x-model-version"] == str(version)
        assert answer.json()[0]["model"]["version"] == version


def test_a_bearer_token_does_as_well(place: Place) -> None:
    token = place.token()
    for headers in ({"Authorization": f"Bearer {token}"}, {"authorization": f"bearer  {token}"}):
        assert place.post(rows_of("a"), None, headers).status_code == 200
    for headers in ({"Authorization": token}, {"Authorization": f"Basic {token}"}, {"Authorization": "Bearer"}):
        assert place.post(rows_of("a"), None, headers).status_code == 401


def test_a_misspelt_parameter_is_named_and_costs_nothing(place: Place) -> None:
    answer = place.post(rows_of("a"), place.token(), asof="2020-01-01")
    assert answer.status_code == 400
    assert answer.json()[0]["errors"] == [
        {
            "row": 0,
            "field": "asof",
            "problem": "is not a parameter of this route",
            "allowed": "as_of, explain, user_type",
        }
    ]
    assert place.usage() == (0, 0)


def test_a_repeated_parameter_is_named_and_costs_nothing(place: Place) -> None:
    body, sent = json.dumps(rows_of("a")), {"token": place.token()}
    answer = place.ask("POST", f"{SCORING}?as_of=2026-06-01&as_of=2020-01-01", content=body, headers=sent)
    assert answer.status_code == 400
    assert answer.json()[0]["errors"] == [
        {"row": 0, "field": "as_of", "problem": "is given more than once", "allowed": "one value"}
    ]
    assert place.usage() == (0, 0)


def test_a_plus_of_a_query_that_is_not_escaped_is_named(place: Place) -> None:
    body, sent = json.dumps(rows_of("a")), {"token": place.token()}
    answer = place.ask("POST", f"{SCORING}?as_of=2024-07-01T00:00:00+02:00", content=body, headers=sent)
    allowed = "a time such as 2024-07-01T12:00:00Z; in a query + is written %2B"
    assert answer.status_code == 400
    assert answer.json()[0]["errors"] == [
        {"row": 0, "field": "as_of", "problem": "is not an ISO 8601 time", "allowed": allowed}
    ]


def test_an_answer_says_what_is_left_of_the_quota(place: Place) -> None:
    token = place.token("five_users")
    left = [place.post(rows_of("a", "b"), token).headers for _ in range(2)]
    assert [headers["x-quota-users-left"] for headers in left] == ["3", "1"]
    assert [int(headers["x-quota-calls-left"]) for headers in left] == [10**9 - 1, 10**9 - 2]
    assert place.post(rows_of("a", "b"), token).headers["x-quota-users-left"] == "1"


@pytest.mark.parametrize("rows", [3, 150])
def test_a_plan_is_looked_at_before_the_work(place: Place, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Eight explained requests of a trial token once kept another token from any answer."""
    worked: list[int] = []
    real = scoring.score_checked

    def noted(*given: Any, **more: Any) -> Any:
        worked.append(1)
        return real(*given, **more)

    monkeypatch.setattr(scoring, "score_checked", noted)
    monkeypatch.setattr(scoring, "EXPLAINED_IN_LOOP", 2)
    few = rows_of(*"abc")
    assert place.post(rows_of(*"abcd"), place.token("three_rows"), explain="true").status_code == 406
    assert worked == []
    token = place.token("used_up")
    assert [place.post(few, token, explain="true").status_code for _ in range(3)] == [200, 429, 429]
    assert worked == [1]
