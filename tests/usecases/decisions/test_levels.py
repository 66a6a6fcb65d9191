"""The level that a decision takes: as it stands, refreshed or of now, and set by hand."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.tables.levels import Standing
from fivefold.usecases.decisions.read import replay_decision
from fivefold.usecases.levels.read import Freshness, read_level
from tests.usecases import banks
from tests.usecases.decisions.deciding import CASH_OF_HIGH, Desk, answer_of


def test_a_level_that_was_never_computed_is_computed_for_it(desk: Desk) -> None:
    desk.publish(CASH_OF_HIGH)
    stored = desk.decide("cy")
    assert (stored.action, answer_of(stored)["level"]["status"]) == ("allow", "never assessed")
    assert answer_of(stored)["rules"][0]["missing"] == ["level"]
    assert answer_of(stored)["line"] == "Allow, as no rule gives an action; not known: R0"
    made = desk.decide("cy", freshness=Freshness.REFRESH)
    assert (made.action, answer_of(made)["level"]["level"]) == ("block", "high")
    assert desk.rows()[-1].assessment_number == 1


def test_a_level_that_stands_is_refreshed_behind_the_answer(desk: Desk) -> None:
    desk.publish(CASH_OF_HIGH)
    assert desk.bank.settle() == 1, "cy"
    desk.decide()
    assert desk.bank.settle() == 0, "as it stands"
    made = desk.decide(freshness=Freshness.REFRESH)
    assert Reason.VIEW in Reason(desk.bank.mark_of("ada").reasons)
    assert answer_of(made)["level"]["refreshing"] is False
    assert answer_of(desk.decide())["level"]["refreshing"] is False, "nothing happened since"
    assert desk.bank.settle() == 1


def test_where_a_level_cannot_be_computed_it_is_unknown_and_the_decision_is_made(desk: Desk) -> None:
    desk.bank.activate(banks.document({"listed": banks.LISTED}))
    desk.publish({**CASH_OF_HIGH, "on_unknown": "review"})
    made = desk.decide("cy", freshness=Freshness.NOW)
    assert (made.action, answer_of(made)["level"]["status"]) == ("review", "never assessed")
    assert desk.bank.mark_of("cy").error
    kept = desk.decide("ada", freshness=Freshness.NOW)
    assert (kept.action, answer_of(kept)["level"]["level"]) == ("block", "high"), "as it stood"


def test_a_level_that_could_not_be_computed_for_the_answer_says_so(desk: Desk) -> None:
    """A clock was ahead, and a worker that could not assess the customer either tries again only later."""
    desk.publish(CASH_OF_HIGH)
    desk.bank.settle()
    ahead = now_microseconds() + 2 * DAY_US
    with Session(desk.bank.engine) as session, session.begin():
        session.execute(update(Standing).where(Standing.entity_id == desk.bank.id_of("bo")).values(assessed_us=ahead))
    desk.bank.wait(1)
    desk.bank.put("bo", country="IR")
    assert desk.bank.run().failed == 1
    made = desk.decide("bo", freshness=Freshness.NOW)
    level = answer_of(made)["level"]
    assert (made.action, level["level"], level["status"], level["refreshing"]) == ("allow", "low", "failed", True)
    shown = read_level(desk.bank.context, "customer", "bo", Freshness.NOW)
    assert (shown.level, shown.status, shown.refreshing) == ("low", "failed", True)
    assert replay_decision(desk.bank.context, made.number).same


def test_it_may_ask_for_a_level_of_now(desk: Desk) -> None:
    desk.publish(CASH_OF_HIGH)
    desk.bank.wait(1)
    desk.bank.put("bo", country="KP")
    assert desk.decide("bo").action == "allow"
    assert desk.decide("bo", freshness=Freshness.NOW).action == "block"


def test_the_age_of_a_level_counts_in_days(desk: Desk) -> None:
    old = {"id": "old", "when": {"level": "age_days", "above": 7}, "action": "review"}
    desk.publish(old)
    desk.bank.wait(7)
    assert desk.decide().action == "allow"
    desk.bank.wait(microseconds=1)
    made = desk.decide()
    assert made.action == "review"
    assert "age of the level in days is 7.00000000001" in answer_of(made)["rules"][0]["seen"]
    desk.bank.now -= 100 * DAY_US
    assert "age of the level in days is 0" in answer_of(desk.decide())["rules"][0]["seen"], "another clock was ahead"


def test_an_override_is_the_level_in_force(desk: Desk) -> None:
    when = {"all": [{"level": "rules", "equals": "low"}, {"level": "in_force", "equals": "high"}]}
    desk.publish({"when": when, "action": "block"})
    desk.bank.override("bo", 3)
    desk.bank.settle()
    made = desk.decide("bo")
    assert made.action == "block"
    assert answer_of(made)["level"]["source"] == "override"
    assert answer_of(made)["level"]["override"] == 1


def test_an_override_decides_from_its_approval_on_and_as_long_as_it_lives(desk: Desk) -> None:
    desk.publish({"when": {"level": "source", "equals": "override"}, "action": "review"})
    assert desk.decide("bo").action == "allow"
    number = desk.bank.override("bo", 3)
    stands = desk.decide("bo")
    assert (stands.action, answer_of(stands)["level"]["refreshing"]) == ("allow", True)
    made = desk.decide("bo", freshness=Freshness.REFRESH)
    assert (made.action, answer_of(made)["level"]["level"], answer_of(made)["level"]["refreshing"]) == (
        "review",
        "high",
        False,
    )
    desk.bank.put("bo", country="RU")
    desk.bank.settle()
    assert desk.bank.assessments("bo")[-1].source == "rules"
    assert desk.decide("bo").action == "review", "it was assessed again, and the override lives"
    desk.bank.wait(1)
    desk.bank.override("bo", 1)
    desk.bank.revoke("bo", number)
    assert answer_of(desk.decide("bo", freshness=Freshness.REFRESH))["level"]["level"] == "low"


def test_an_override_that_ended_decides_nothing_where_the_rules_came_to_its_level(desk: Desk) -> None:
    desk.publish({"when": {"level": "source", "equals": "override"}, "action": "review"})
    desk.bank.override("bo", 3, until_us=desk.bank.now + DAY_US)
    desk.bank.settle()
    desk.bank.put("bo", country="IR")
    desk.bank.settle()
    assert desk.decide("bo").action == "review"
    desk.bank.wait(2)
    desk.bank.settle()
    made = desk.decide("bo")
    assert (made.action, answer_of(made)["level"]["level"], answer_of(made)["level"]["source"]) == (
        "allow",
        "high",
        "rules",
    )
