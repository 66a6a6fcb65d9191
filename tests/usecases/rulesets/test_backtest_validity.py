"""A backtest counts while it is of those who are there, at what decides on them, and not old."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ActionRefused
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import Standing
from fivefold.store.tables.rulesets import Activation, Backtest
from fivefold.usecases.changes.asks import switch_family
from fivefold.usecases.changes.backtests import report_of, request_backtest, run_next_backtest
from fivefold.usecases.changes.proposals import approve_proposal, list_proposals, request_proposal_backtests
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.rulesets.activate import activate
from fivefold.usecases.rulesets.backtest_validity import MOST_DAYS
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.store.filling import filled_once
from tests.usecases.at_once import order_families, put_list_version
from tests.usecases.changes.test_two_people import LENIENT, decide, work
from tests.usecases.governed import DAY, NOW, SECOND, add_entities, document, founded, rows_of

People = tuple[Actor, Actor, Actor]


@dataclass(frozen=True)
class Change:
    """A change that would let customers fall: how it is prepared, backtested again, and done."""

    prepare: Callable[[Engine, People], object]
    request: Callable[[Engine, People, int], object]
    decide: Callable[[Engine, People, int], object]

    def backtest(self, engine: Engine, three: People, now_us: int) -> None:
        self.request(engine, three, now_us)
        while run_next_backtest(engine, now_us):
            pass


def _commit_lenient(engine: Engine, three: People) -> None:
    save_draft(engine, three[0], LENIENT.replace("ruleset: lenient", "ruleset: retail"))
    assert commit(engine, three[0], "retail", 2, "as it is", now_us=NOW).number == 2


CHANGES = {
    "activation": Change(
        _commit_lenient,
        lambda engine, three, now: request_backtest(engine, three[0], "retail", 2, now),
        lambda engine, three, now: activate(engine, three[2], "retail", 2, "as agreed", 1000, now),
    ),
    "proposal": Change(
        lambda engine, three: switch_family(engine, three[0], "retail", False, "unused", now_us=NOW),
        lambda engine, three, now: request_proposal_backtests(engine, three[0], _number(engine, three), now),
        lambda engine, three, now: approve_proposal(engine, three[2], _number(engine, three), "seen", now_us=now),
    ),
}


def _number(engine: Engine, three: People) -> int:
    return list_proposals(engine, three[0])[0].id


@pytest.fixture(params=CHANGES.values(), ids=CHANGES)
def change(request: pytest.FixtureRequest) -> Change:
    made: Change = request.param
    return made


@pytest.fixture
@filled_once
def strict(engine: Engine) -> People:
    """Nine customers at high by the strict ruleset."""
    three = founded(engine)
    put_list_version(engine, three[0], "watched", 0, ["IR"], "Watched", "our own", NOW)
    add_customers(engine, three, 0, 9)
    decide(engine, three, document(), "retail")
    work(engine, NOW + SECOND)
    assert levels(engine) == [3] * 9
    return three


@pytest.fixture
def three(engine: Engine, strict: People, change: Change) -> People:
    """The change is prepared, and backtested on the nine."""
    change.prepare(engine, strict)
    change.backtest(engine, strict, NOW + SECOND)
    return strict


def add_customers(engine: Engine, three: People, first: int, count: int) -> None:
    rows = [EntityRow(f"c{one}", {"country": "KP", "income": 5.0}) for one in range(first, first + count)]
    put_entities(engine, three[0], "customer", rows, NOW)


def levels(engine: Engine) -> list[int]:
    return [row["level"] for row in rows_of(engine, Standing)]


def refused_until_tested_again(
    engine: Engine, three: People, change: Change, why: str, now_us: int = NOW + DAY
) -> None:
    before = rows_of(engine, Activation)
    with pytest.raises(ActionRefused, match=why + ".*; request another one"):
        change.decide(engine, three, now_us)
    assert rows_of(engine, Activation) == before
    change.backtest(engine, three, now_us)
    change.decide(engine, three, now_us)
    assert len(rows_of(engine, Activation)) == len(before) + 1


def test_a_backtest_of_few_says_nothing_about_the_many_who_came_since(
    engine: Engine, three: People, change: Change
) -> None:
    """Sixty fell after a backtest on one: the others had come since."""
    add_customers(engine, three, 9, 51)
    why = "looked at 9 of the 60 entities of type customer that there are now, and at least 90 % are needed"
    refused_until_tested_again(engine, three, change, why)


def test_a_portfolio_that_grows_by_a_tenth_needs_no_other_backtest(
    engine: Engine, three: People, change: Change
) -> None:
    add_customers(engine, three, 9, 1)
    change.decide(engine, three, NOW + DAY)


def test_whoever_came_in_place_of_those_who_were_erased_was_not_looked_at(
    engine: Engine, three: People, change: Change
) -> None:
    with Session(engine) as session, session.begin():
        session.execute(update(Entity).where(Entity.external_id.in_(["c0", "c1", "c2"])).values(erased_us=NOW))
    add_customers(engine, three, 9, 3)
    refused_until_tested_again(engine, three, change, "looked at 6 of the 9 entities")


def test_who_came_late_with_a_low_number_was_not_looked_at(engine: Engine, three: People, change: Change) -> None:
    """Numbers are given before rows are stored: a long import may end after a backtest that began later."""
    with Session(engine) as session, session.begin():
        for row in session.query(Backtest).filter(Backtest.report.is_not(None)):
            report = json.loads(row.report or "")
            row.report = json.dumps(report | {"customers": 5})
    refused_until_tested_again(engine, three, change, "looked at 5 of the 9 entities")


def test_a_backtest_by_another_list_does_not_count(engine: Engine, three: People, change: Change) -> None:
    put_list_version(engine, three[0], "watched", NOW + 2 * SECOND, ["IR", "RU"], "W", "us", NOW + 2 * SECOND)
    refused_until_tested_again(engine, three, change, "what decides on customer has changed since the backtest of")


def test_a_list_that_no_ruleset_reads_outdates_nothing(engine: Engine, three: People, change: Change) -> None:
    put_list_version(engine, three[0], "unread", NOW + 2 * SECOND, ["X"], "W", "us", NOW + 2 * SECOND)
    change.decide(engine, three, NOW + DAY)


def test_a_list_that_was_to_come_into_force_and_did_so_outdates_a_backtest(
    engine: Engine, strict: People, change: Change
) -> None:
    put_list_version(engine, strict[0], "watched", NOW + 3 * DAY, ["IR", "RU"], "W", "us", NOW)
    change.prepare(engine, strict)
    change.backtest(engine, strict, NOW + SECOND)
    why = "a version of the list watched came into force since the backtest of"
    refused_until_tested_again(engine, strict, change, why, NOW + 3 * DAY)


def test_a_list_that_comes_into_force_after_the_change_outdates_nothing(
    engine: Engine, strict: People, change: Change
) -> None:
    put_list_version(engine, strict[0], "watched", NOW + 3 * DAY, ["IR", "RU"], "W", "us", NOW)
    change.prepare(engine, strict)
    change.backtest(engine, strict, NOW + SECOND)
    change.decide(engine, strict, NOW + 3 * DAY - 1)


def test_a_backtest_from_before_another_ruleset_decides_does_not_count(
    engine: Engine, three: People, change: Change
) -> None:
    decide(engine, three, LENIENT, "lenient", NOW + 2 * SECOND)
    refused_until_tested_again(engine, three, change, "what decides on customer has changed since the backtest of")


def test_a_backtest_by_another_order_of_rulesets_does_not_count(engine: Engine, strict: People, change: Change) -> None:
    decide(engine, strict, LENIENT, "lenient")
    change.prepare(engine, strict)
    change.backtest(engine, strict, NOW + SECOND)
    order_families(engine, strict[0], "customer", ["lenient", "retail"], "why", 1000, NOW + 2 * SECOND)
    refused_until_tested_again(engine, strict, change, "what decides on customer has changed since the backtest of")


def test_a_ruleset_that_was_put_in_another_place_before_it_ever_decided_is_tested_again(
    engine: Engine, strict: People
) -> None:
    """Nothing that decides has changed; but whom the new ruleset would reach has."""
    save_draft(engine, strict[0], LENIENT)
    version = commit(engine, strict[0], "lenient", 1, "as it is", now_us=NOW).number
    request_backtest(engine, strict[0], "lenient", version, NOW)
    assert run_next_backtest(engine, NOW)
    order_families(engine, strict[0], "customer", ["lenient", "retail"], "why", 1000, NOW + SECOND)
    with pytest.raises(ActionRefused, match="what decides on customer has changed since"):
        activate(engine, strict[2], "lenient", version, "as agreed", 1000, NOW + DAY)


@pytest.mark.parametrize("late_us", [0, 1])
def test_a_backtest_counts_for_thirty_days(engine: Engine, three: People, change: Change, late_us: int) -> None:
    now = NOW + SECOND + MOST_DAYS * DAY + late_us
    if late_us:
        why = "is as of 2026-11-20, and a backtest counts for 30 days"
        refused_until_tested_again(engine, three, change, why, now)
    else:
        change.decide(engine, three, now)


def test_a_backtest_by_a_clock_that_was_far_ahead_does_not_count_until_then(
    engine: Engine, three: People, change: Change
) -> None:
    change.backtest(engine, three, NOW + 36 * 365 * DAY)
    refused_until_tested_again(engine, three, change, "is as of 2062-11-11, and a backtest counts for 30 days")


def test_a_backtest_that_does_not_say_what_it_looked_at_does_not_count(
    engine: Engine, three: People, change: Change
) -> None:
    """As those of before the version that began to keep it."""
    with Session(engine) as session, session.begin():
        for row in session.query(Backtest).filter(Backtest.report.is_not(None)):
            report = json.loads(row.report or "")
            del report["validity"]
            row.report = json.dumps(report)
    refused_until_tested_again(engine, three, change, "what decides on customer has changed since the backtest of")


def test_where_nobody_is_reached_an_old_backtest_is_enough(engine: Engine, three: People, change: Change) -> None:
    with Session(engine) as session, session.begin():
        session.execute(update(Entity).values(erased_us=NOW))
    change.decide(engine, three, NOW + 400 * DAY)


def test_entities_of_another_type_do_not_count(engine: Engine, three: People, change: Change) -> None:
    other = founded(engine, "other")
    add_entities(engine, other[0], [f"x{one}" for one in range(50)])
    change.decide(engine, three, NOW + DAY)


def test_the_report_shows_no_numbers_of_the_database(engine: Engine, three: People, change: Change) -> None:
    number = rows_of(engine, Backtest)[-1]["id"]
    assert "validity" not in report_of(engine, three[0], number)
