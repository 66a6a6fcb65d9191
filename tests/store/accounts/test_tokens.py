"""Queries about organisations, tokens and usage; above all, that nobody ever uses up more than is allowed."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, column, func, insert, select, table
from sqlalchemy.orm import Session

from fivefold.store.accounts import tokens as accounts
from fivefold.store.accounts.tokens import Allowance, Charge
from fivefold.store.sql.fast_statements import PreparedStatements
from fivefold.store.tables.accounts import Organisation, Token, Usage
from tests.depth import SHARED_FIXTURES, examples

MONTH = "2026-11"
THREADS = 16
PLENTY = Allowance(calls=1_000_000, users=1_000_000)
numbers = count()


def add_token(engine: Engine, **fields: object) -> int:
    with Session(engine) as session, session.begin():
        organisation = accounts.organisation_named(session, "anyone", 1)
        values = {"sha256": f"{next(numbers):064}", "label": "", "role": "app", "plan": "trial", "created_us": 1}
        values |= {"organisation_id": organisation.id, **fields}
        columns = table("tokens", column("id"), *map(column, values))  # without those that migrations add
        return session.scalars(insert(columns).values(values).returning(columns.c.id)).one()


def charge(engine: Engine, cost: Charge) -> bool:
    statements = PreparedStatements(engine)
    with statements.transaction():
        return accounts.charge(statements, cost)


def used(engine: Engine, token_id: int, month: str = MONTH) -> tuple[int, int]:
    with Session(engine) as session:
        found = accounts.usage_in(session, month).get(token_id)
        return (found.calls, found.users) if found else (0, 0)


def rows_of_usage(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.count()).select_from(Usage)) or 0


def at_once(times: int, what: Callable[[], bool]) -> list[bool]:
    """Do something many times from 16 threads, which begin together."""
    together = threading.Barrier(THREADS)

    def several(_: int) -> list[bool]:
        together.wait()
        return [what() for _ in range(times // THREADS)]

    with ThreadPoolExecutor(THREADS) as pool:
        return [found for part in pool.map(several, range(THREADS)) for found in part]


def test_an_organisation_is_made_once_and_found_again(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        first = accounts.organisation_named(session, "one", 1)
        assert (first.name, first.created_us) == ("one", 1)
        assert accounts.organisation_named(session, "one", 2) is first
        assert accounts.organisation_named(session, "two", 2).id != first.id
    with Session(engine) as session:
        assert accounts.organisation_named(session, "one", 3).created_us == 1
        assert session.scalar(select(func.count()).select_from(Organisation)) == 2


def test_a_token_is_found_by_its_hash_whatever_its_state(engine: Engine) -> None:
    number = add_token(engine, sha256="a" * 64, revoked_us=2, expires_us=1)
    with Session(engine) as session:
        found = accounts.token_by_hash(session, "a" * 64)
        assert found is not None
        assert found.id == number
        assert accounts.token_by_hash(session, "b" * 64) is None


def test_tokens_are_listed_oldest_first_with_their_organisations(engine: Engine) -> None:
    made = [add_token(engine) for _ in range(3)]
    with Session(engine) as session:
        listed = [(token.id, *names) for token, *names in accounts.tokens(session)]
        assert listed == [(number, "anyone", "") for number in made]


def test_a_charge_opens_the_month_and_adds_up(engine: Engine) -> None:
    token = add_token(engine)
    assert used(engine, token) == (0, 0)
    cost = Charge(token_id=token, month=MONTH, users=3, allowance=PLENTY, at_us=1)
    assert charge(engine, cost)
    assert charge(engine, cost._replace(users=4))
    assert used(engine, token) == (2, 7)
    assert rows_of_usage(engine) == 1


def test_the_last_of_the_allowance_can_be_used_and_not_one_more(engine: Engine) -> None:
    token = add_token(engine)
    cost = Charge(token_id=token, month=MONTH, users=5, allowance=Allowance(calls=3, users=12), at_us=1)
    assert [charge(engine, cost), charge(engine, cost)] == [True, True]
    assert not charge(engine, cost), "five users are more than the two that are left"
    assert used(engine, token) == (2, 10), "and nothing of them was taken"
    assert charge(engine, cost._replace(users=2))
    assert not charge(engine, cost._replace(users=0)), "calls are used up"
    assert used(engine, token) == (3, 12)


def test_a_first_request_beyond_the_allowance_uses_nothing_up(engine: Engine) -> None:
    token = add_token(engine)
    assert not charge(
        engine, Charge(token_id=token, month=MONTH, users=13, allowance=Allowance(calls=3, users=12), at_us=1)
    )
    assert used(engine, token) == (0, 0)
    assert charge(
        engine, Charge(token_id=token, month=MONTH, users=12, allowance=Allowance(calls=3, users=12), at_us=1)
    )


def test_a_new_month_begins_with_nothing_used(engine: Engine) -> None:
    token = add_token(engine)
    once = Charge(token_id=token, month="2026-12", users=1, allowance=Allowance(calls=1, users=1), at_us=1)
    assert [charge(engine, once), charge(engine, once)] == [True, False]
    assert [charge(engine, once._replace(month="2027-01")), charge(engine, once)] == [True, False]
    assert used(engine, token, "2026-12") == used(engine, token, "2027-01") == (1, 1)
    assert rows_of_usage(engine) == 2


def test_tokens_do_not_share_an_allowance(engine: Engine) -> None:
    first, second = add_token(engine), add_token(engine)
    once = Charge(token_id=first, month=MONTH, users=1, allowance=Allowance(calls=1, users=1), at_us=1)
    assert [charge(engine, once), charge(engine, once._replace(token_id=second)), charge(engine, once)] == [
        True,
        True,
        False,
    ]


def test_a_larger_plan_takes_effect_in_the_same_month(engine: Engine) -> None:
    token = add_token(engine)
    cost = Charge(token_id=token, month=MONTH, users=1, allowance=Allowance(calls=1, users=1), at_us=1)
    assert [charge(engine, cost), charge(engine, cost)] == [True, False]
    assert charge(engine, cost._replace(allowance=PLENTY))


def test_limits_may_be_as_large_as_the_database_counts(engine: Engine) -> None:
    token = add_token(engine)
    assert charge(
        engine, Charge(token_id=token, month=MONTH, users=10**15, allowance=Allowance(10**15, 10**15), at_us=1)
    )
    assert used(engine, token) == (1, 10**15)


def test_calls_are_exact_when_all_call_at_once(engine: Engine) -> None:
    """Also the first ones of a month, which open it together."""
    token = add_token(engine)
    cost = Charge(token_id=token, month=MONTH, users=2, allowance=Allowance(calls=100, users=1_000_000), at_us=1)
    assert sum(at_once(160, lambda: charge(engine, cost))) == 100
    assert used(engine, token) == (100, 200)
    assert rows_of_usage(engine) == 1


def test_users_are_exact_when_all_call_at_once(engine: Engine) -> None:
    token = add_token(engine)
    cost = Charge(token_id=token, month=MONTH, users=7, allowance=Allowance(calls=1_000_000, users=500), at_us=1)
    assert sum(at_once(96, lambda: charge(engine, cost))) == 71
    assert used(engine, token) == (71, 497)
    assert rows_of_usage(engine) == 1


def test_nobody_is_refused_while_there_is_allowance_left(engine: Engine) -> None:
    token = add_token(engine)
    cost = Charge(token_id=token, month=MONTH, users=1, allowance=Allowance(calls=THREADS, users=THREADS), at_us=1)
    assert all(at_once(THREADS, lambda: charge(engine, cost)))


requests = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["2026-11", "2026-12"]), st.integers(0, 12)))


@settings(max_examples=examples(25), suppress_health_check=SHARED_FIXTURES)
@given(requests=requests, calls=st.integers(1, 6), users=st.integers(1, 30))
def test_any_run_of_requests_is_counted_as_on_paper(
    engine: Engine, requests: list[tuple[int, str, int]], calls: int, users: int
) -> None:
    tokens = [add_token(engine), add_token(engine)]
    paper: dict[tuple[int, str], tuple[int, int]] = {}
    for of, month, asked in requests:
        calls_before, users_before = paper.get((of, month), (0, 0))
        within = calls_before + 1 <= calls and users_before + asked <= users
        assert (
            charge(
                engine,
                Charge(token_id=tokens[of], month=month, users=asked, allowance=Allowance(calls, users), at_us=1),
            )
            is within
        )
        if within:
            paper[of, month] = (calls_before + 1, users_before + asked)
    for of, month in ((of, month) for of in (0, 1) for month in ("2026-11", "2026-12")):
        assert used(engine, tokens[of], month) == paper.get((of, month), (0, 0))


def test_a_live_token_is_noted_as_used(engine: Engine) -> None:
    token = add_token(engine, expires_us=100)
    statements = PreparedStatements(engine)
    with statements.transaction():
        assert accounts.record_use(statements, token, 99)
    with Session(engine) as session:
        assert session.get_one(Token, token).last_used_us == 99


def test_a_token_that_ended_is_neither_live_nor_noted_as_used(engine: Engine) -> None:
    ended = [add_token(engine, expires_us=100), add_token(engine, revoked_us=1), 999_999]
    statements = PreparedStatements(engine)
    with statements.transaction():
        assert [accounts.record_use(statements, token, 100) for token in ended] == [False, False, False]
    with Session(engine) as session:
        assert [session.get_one(Token, token).last_used_us for token in ended[:2]] == [None, None]
