"""Steps of stories about what holds a level up."""

from typing import Any

from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.store.tables.rulesets import Activation, RulesetVersion
from fivefold.usecases.changes import facts
from fivefold.usecases.changes.proposals import ChangeOutcome
from fivefold.usecases.ingest.facts import RecordGiven
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.usecases import banks
from tests.usecases.banks import Bank

LOW, MEDIUM, HIGH = 1, 2, 3
CONFIRMED = {
    "input": {"count": "cases", "where": {"field": "outcome", "equals": "confirmed"}},
    "cases": [{"when": {"at_least": 1}, "points": 0, "floor": "high"}],
}
RULES = {"watch": banks.WATCH, "sanctions": banks.SCREENED, "cases": CONFIRMED}
WHY = "it is not the same person"


def decided(bank: Bank, version: int) -> None:
    """Let two people have decided on it."""
    with Session(bank.engine) as session, session.begin():
        family = session.get_one(RulesetVersion, version).family_id
        made = Activation(
            organisation_id=bank.of,
            family_id=family,
            version_id=version,
            kind="activation",
            reason=WHY,
            actor="member:2",
            at_us=bank.now,
            per_second=100,
            reached_id=0,
            reached_us=bank.now,
            finished_us=bank.now,
        )
        session.add(made)


def tag(bank: Bank, who: Actor | None = None, **changed: Any) -> ChangeOutcome:
    return facts.request_tag(Context(bank.engine, who or bank.actor).at(bank.now), "customer", "a", "watch", **changed)


def untag(bank: Bank, who: Actor | None = None, reason: str = WHY) -> ChangeOutcome:
    return facts.request_tag_end(
        Context(bank.engine, who or bank.actor).at(bank.now), "customer", "a", "watch", reason=reason
    )


def screen(bank: Bank, found: bool, who: Actor | None = None, name: str = "a") -> ChangeOutcome:
    whose = (Context(bank.engine, who or bank.actor).at(bank.now), "customer", name)
    return facts.request_screening(*whose, "sanctions", has_match=found, reason=WHY)


def case(bank: Bank, outcome: str, who: Actor | None = None) -> ChangeOutcome:
    given = RecordGiven(external_id="7", opened_us=bank.now - 3 * DAY_US, closed_us=bank.now, outcome=outcome)
    whose = (Context(bank.engine, who or bank.actor).at(bank.now), "customer", "a")
    return facts.request_record(*whose, "case", given, reason=WHY)


def raise_beside(bank: Bank) -> Context:
    """Let a match hold the customer up beside the tag, so that one person ends the tag; returns their context."""
    screen(bank, True)
    bank.settle()
    return Context(bank.engine, Actor(bank.of, "member:3")).at(bank.now)


def proposed_end(bank: Bank) -> int:
    tag(bank, reason="first")
    bank.settle()
    bank.wait(days=1)
    asked = untag(bank).proposal
    assert asked is not None
    return asked.id
