"""Which backtest counts for a change: one that looked at those whom the change reaches, with what decides now."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import Standing
from fivefold.store.tables.rulesets import Activation, Backtest
from fivefold.usecases.changes.asks import switch_family
from fivefold.usecases.changes.backtests import BACKTESTS, report_of, request_backtest
from fivefold.usecases.changes.proposals import approve_proposal, list_proposals, request_proposal_backtests
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.rulesets.activate import activate
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import save_draft
from fivefold.usecases.rulesets.run_backtest import MOST_DAYS
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from fivefold.usecases.shared.jobs import run_next_job
from tests.store.filling import filled_once
from tests.usecases.at_once import order_families, put_list_version
from tests.usecases.changes.two_people_stories import LENIENT, decide, work
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
        while run_next_job(engine, BACKTESTS, now_us):
            pass


def _commit_lenient(engine: Engine, three: People) -> None:
    save_draft(Context(engine, three[0]), LENIENT.replace("ruleset: lenient", "ruleset: retail"))
    assert commit(Context(engine, three[0]).at(NOW), "retail", 2, "as it is").number == 2


CHANGES = {
    "activation": Change(
        _commit_lenient,
        lambda engine, three, now: request_backtest(Context(engine, three[0]).at(now), "retail", 2),
        lambda engine, three, now: activate(Context(engine, three[2]).at(now), "retail", 2, "as agreed", 1000),
    ),
    "proposal": Change(
        lambda engine, three: switch_family(Context(engine, three[0]).at(NOW), "retail", False, "unused"),
        lambda engine, three, now: request_proposal_backtests(
            Context(engine, three[0]).at(now), _number(engine, three)
        ),
        lambda engine, three, now: approve_proposal(Context(engine, three[2]).at(now), _number(engine, three), "seen"),
    ),
}


def _number(engine: Engine, three: People) -> int:
    return list_proposals(Context(engine, three[0]))[0].id


@pytest.fixture(params=CHANGES.values(), ids=CHANGES)
def change(request: pytest.FixtureRequest) -> Change:
    made: Change = request.param
    return made


@pytest.fixture
@filled_once
def strict(engine: Engine) -> People:
    """Nine customers at high by the strict ruleset."""
    three = founded(engine)
    put_list_version(Context(engine, three[0]).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
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
    put_entities(Context(engine, three[0]).at(NOW), "customer", rows)


def levels(engine: Engine) -> list[int]:
    return [row["level"] for row in rows_of(engine, Standing)]


def refused_until_tested_again(
    engine: Engine, three: People, change: Change, why: str, now_us: int = NOW + DAY
) -> None:
    before = rows_of(engine, Activation)
    with pytest.raises(ConflictError, match=why + ".*; request another one"):
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
    put_list_version(
        Context(engine, three[0]).at(NOW + 2 * SECOND), "watched", NOW + 2 * SECOND, ["IR", "RU"], "W", "us"
    )
    refused_until_tested_again(engine, three, change, "what decides on customer has changed since the backtest of")


def test_a_list_that_no_ruleset_reads_outdates_nothing(engine: Engine, three: People, change: Change) -> None:
    put_list_version(Context(engine, three[0]).at(NOW + 2 * SECOND), "unread", NOW + 2 * SECOND, ["X"], "W", "us")
    change.decide(engine, three, NOW + DAY)


def backtest_before_a_list_begins(engine: Engine, people: People, change: Change, begins_us: int) -> None:
    put_list_version(Context(engine, people[0]).at(NOW), "watched", begins_us, ["IR", "RU"], "W", "us")
    change.prepare(engine, people)
    change.backtest(engine, people, NOW + SECOND)


def test_a_list_that_was_to_come_into_force_and_did_so_outdates_a_backtest(
    engine: Engine, strict: People, change: Change
) -> None:
    backtest_before_a_list_begins(engine, strict, change, NOW + 3 * DAY)
    why = "a version of the list watched came into force since the backtest of"
    refused_until_tested_again(engine, strict, change, why, NOW + 3 * DAY)


def test_a_list_that_comes_into_force_after_the_change_outdates_nothing(
    engine: Engine, strict: People, change: Change
) -> None:
    backtest_before_a_list_begins(engine, strict, change, NOW + 3 * DAY)
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
    order_families(Context(engine, strict[0]).at(NOW + 2 * SECOND), "customer", ["lenient", "retail"], "why", 1000)
    refused_until_tested_again(engine, strict, change, "what decides on customer has changed since the backtest of")


def test_a_ruleset_that_was_put_in_another_place_before_it_ever_decided_is_tested_again(
    engine: Engine, strict: People
) -> None:
    """Nothing that decides has changed; but whom the new ruleset would reach has."""
    save_draft(Context(engine, strict[0]), LENIENT)
    version = commit(Context(engine, strict[0]).at(NOW), "lenient", 1, "as it is").number
    request_backtest(Context(engine, strict[0]).at(NOW), "lenient", version)
    assert run_next_job(engine, BACKTESTS, NOW)
    order_families(Context(engine, strict[0]).at(NOW + SECOND), "customer", ["lenient", "retail"], "why", 1000)
    with pytest.raises(ConflictError, match="what decides on customer has changed since"):
        activate(Context(engine, strict[2]).at(NOW + DAY), "lenient", version, "as agreed", 1000)


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
    assert "validity" not in report_of(Context(engine, three[0]), number)
