"""Calls charged to tokens: exactly, together, and by the month."""

import threading
from calendar import monthrange
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US, now_microseconds, to_microseconds
from fivefold.store.accounts.tokens import Allowance, Charge
from fivefold.store.sql.database import open_database
from fivefold.store.sql.fast_statements import PreparedStatements
from fivefold.usecases.accounts import tokens
from fivefold.usecases.accounts.credentials import (
    charge_all,
    month_of,
    seconds_to_next_month,
)
from fivefold.usecases.accounts.tokens import list_tokens, revoke_token
from tests.depth import SHARED_FIXTURES, examples
from tests.store import databases
from tests.usecases.accounts.test_tokens import MONTH, PLENTY, add, used


def test_a_token_that_ended_is_not_charged(engine: Engine, now: list[int]) -> None:
    revoked, expired = add(engine)[0], add(engine, expires_days=1)[0]
    revoke_token(engine, revoked)
    costs = [
        Charge(token_id=token, month=MONTH, users=1, allowance=PLENTY, at_us=now[0] + DAY_US)
        for token in (revoked, expired, 999_999)
    ]
    assert charge_all(PreparedStatements(engine), costs) == [None, None, None]
    assert [used(engine, token) for token in (revoked, expired)] == [(0, 0), (0, 0)]
    assert [line.last_used_us for line in list_tokens(engine, MONTH)] == [None, None]


def test_nothing_to_charge_is_nothing(engine: Engine) -> None:
    assert charge_all(PreparedStatements(engine), []) == []


def test_charging_together_is_charging_one_after_the_other(engine: Engine, now: list[int]) -> None:
    allowance = Allowance(calls=5, users=20)

    def costs(first: int, second: int, ended: int) -> list[Charge]:
        asked = [(first, 7), (second, 20), (ended, 1), (first, 7), (first, 7), (second, 1), (first, 6), (first, 1)]
        return [
            Charge(token_id=token, month=MONTH, users=users, allowance=allowance, at_us=now[0])
            for token, users in asked
        ]

    together, alone = ([add(engine)[0] for _ in range(3)] for _ in range(2))
    for made in (together, alone):
        revoke_token(engine, made[2])
    expected = [True, True, None, True, False, False, True, False]
    assert charge_all(PreparedStatements(engine), costs(*together)) == expected
    assert [charge_all(PreparedStatements(engine), [cost])[0] for cost in costs(*alone)] == expected
    assert [used(engine, token) for token in together] == [used(engine, token) for token in alone]
    assert [used(engine, token) for token in together] == [(3, 20), (1, 20), (0, 0)]


asked = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["2026-11", "2026-12"]), st.integers(0, 6), st.sampled_from([3, 4])),
    max_size=12,
)


@settings(max_examples=examples(40), suppress_health_check=SHARED_FIXTURES)
@given(asked=asked, users=st.integers(1, 20))
def test_any_group_is_charged_as_its_requests_are_one_after_the_other(
    engine: Engine, asked: list[tuple[int, str, int, int]], users: int
) -> None:
    """In any mixture of tokens (the third is revoked), months and plans."""
    now = now_microseconds()
    together, alone = ([add(engine)[0] for _ in range(3)] for _ in range(2))
    for made in (together, alone):
        revoke_token(engine, made[2])

    def costs(made: list[int]) -> list[Charge]:
        return [
            Charge(token_id=made[of], month=month, users=some, allowance=Allowance(calls, users), at_us=now)
            for of, month, some, calls in asked
        ]

    assert charge_all(PreparedStatements(engine), costs(together)) == [
        charge_all(PreparedStatements(engine), [cost])[0] for cost in costs(alone)
    ]
    for month in ("2026-11", "2026-12"):
        assert [used(engine, token, month) for token in together] == [used(engine, token, month) for token in alone]


def test_charges_that_fail_together_cost_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = add(engine)[0], add(engine)[0]
    real = tokens.accounts.charge

    def fails_at_the_second(statements: PreparedStatements, cost: Charge, *_: object) -> bool:
        charged = real(statements, cost)
        if cost.token_id == second:
            raise ConnectionError
        return charged

    monkeypatch.setattr(tokens.accounts, "charge", fails_at_the_second)
    with pytest.raises(ConnectionError):
        charge_all(
            PreparedStatements(engine),
            [
                Charge(token_id=token, month=MONTH, users=1, allowance=PLENTY, at_us=now_microseconds())
                for token in (first, second)
            ],
        )
    assert used(engine, first) == used(engine, second) == (0, 0)


def test_groups_of_charges_are_exact_when_processes_charge_at_once(kind: str, tmp_path: Path) -> None:
    """Each thread has connections of its own, as a process has, and charges several tokens in one commit."""
    url = databases.new_url(kind, tmp_path)
    with databases.opened(url) as engine:
        made = [add(engine)[0] for _ in range(6)]
        groups, writers = 12, 4
        allowance = Allowance(calls=30, users=10**6)
        at = now_microseconds()
        together = threading.Barrier(writers)

        def write(number: int) -> int:
            own = open_database(url)
            order = made[number % 6 :] + made[: number % 6]  # each begins with another token, or backwards
            costs = [
                Charge(token_id=token, month=MONTH, users=2, allowance=allowance, at_us=at)
                for token in (order if number % 2 else order[::-1])
            ]
            together.wait()
            charged = sum(charge_all(PreparedStatements(own), costs).count(True) for _ in range(groups))
            own.dispose()
            return charged

        with ThreadPoolExecutor(writers) as pool:
            assert sum(pool.map(write, range(writers))) == 6 * 30
        assert [used(engine, token) for token in made] == [(30, 60)] * 6


def test_the_allowance_returns_at_the_first_of_the_month() -> None:
    def seconds(*moment: int) -> int:
        return seconds_to_next_month(to_microseconds(datetime(*moment, tzinfo=UTC)))  # type: ignore[misc, arg-type]  # plain numbers

    day = 86_400
    assert seconds(2026, 12, 31, 23, 59, 59) == 1
    assert seconds(2026, 12, 31, 23, 59, 59, 999_999) == 1, "rounded up: never too early"
    assert seconds(2026, 12, 1) == 31 * day
    assert seconds(2024, 2, 28) == 2 * day
    assert seconds(2024, 2, 29) == day
    assert seconds(2026, 2, 28) == day
    assert seconds(2100, 2, 28) == day, "no leap year"
    assert month_of(to_microseconds(datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))) == "2026-12"


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 (Hypothesis adds the zone)
def test_waiting_that_long_ends_in_the_next_month_and_one_second_less_does_not(moment: datetime) -> None:
    seconds = seconds_to_next_month(to_microseconds(moment))
    assert 1 <= seconds <= 86_400 * monthrange(moment.year, moment.month)[1]
    after = moment + timedelta(seconds=seconds)
    assert (after.month, after.day, after.hour) == (moment.month % 12 + 1, 1, 0)
    assert month_of(to_microseconds(after)) != month_of(to_microseconds(moment))
    assert month_of(to_microseconds(after - timedelta(seconds=1))) == month_of(to_microseconds(moment))
