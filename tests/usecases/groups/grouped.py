"""Groups for tests: a bank whose groups one person writes and another approves."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE
from fivefold.store.tables.entities import ValueScore
from fivefold.store.tables.events import OutboxEvent
from fivefold.usecases.groups.members import GroupNow, groups_now, list_members
from fivefold.usecases.groups.versions import GroupLine, approve_group, propose_group, retire_group
from fivefold.usecases.rulesets.activate import advance_markings
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank

Data = dict[str, Any]

HIGH: Data = {"level": "in_force", "at_least": "high"}
WORTH: Data = {"value": "score", "at_least": 4}
MOVES_MUCH: Data = {"sum": "amount", "over": "30 days", "at_least": 3000}


def document(when: Data, name: str = "watched", **parts: Any) -> str:
    """A group of a condition."""
    whole = {
        "group": name,
        "title": "Whom we watch",
        "entity_type": "customer",
        "rationale": "Because.",
        "fields": {"country": "country"},
        "transaction_fields": platforms.TRANSACTION_FIELDS,
        "levels": platforms.LEVELS,
        "when": when,
        **parts,
    }
    return json.dumps(whole, indent=1)


@dataclass
class Circle:
    """A bank with groups: `ada` is high, `bo` low."""

    bank: Bank

    def context(self, number: int = 1) -> Context:
        return Context(self.bank.engine, Actor(self.bank.of, f"member:{number}"), lambda: self.bank.now)

    def propose(self, when: Data, name: str = "watched", **parts: Any) -> GroupLine:
        return propose_group(self.context(), document(when, name, **parts), "Why not.", "It is a test.")

    def publish(self, when: Data, name: str = "watched", **parts: Any) -> GroupLine:
        made = self.propose(when, name, **parts)
        return approve_group(self.context(2), name, made.number, "Fine.")

    def retire(self, name: str = "watched", number: int = 1) -> GroupLine:
        return retire_group(self.context(), name, number, "No longer.")

    def settle(self) -> None:
        while advance_markings(self.bank.engine, self.bank.now):
            pass
        self.bank.settle()

    def members(self, name: str = "watched") -> set[str]:
        return {each.external_id for each in list_members(self.context(), name, WHOLE, with_aml=True)}

    def now(self, name: str = "watched") -> GroupNow:
        return next(each for each in groups_now(self.context(), with_aml=True) if each.name == name)

    def events(self, name: str = "watched") -> list[tuple[str, str]]:
        """Who entered and who left, in order."""
        with Session(self.bank.engine) as session:
            rows = session.scalars(select(OutboxEvent).where(OutboxEvent.kind.like("group.%")).order_by(OutboxEvent.id))
            told = [(row.kind, json.loads(row.body or "{}")) for row in rows]
        return [(kind.removeprefix("group."), body["external_id"]) for kind, body in told if body["group"] == name]

    def value(self, name: str, score: float | None) -> None:
        """Let the value model have said something now; None for that there is no value any more."""
        with Session(self.bank.engine) as session, session.begin():
            session.merge(
                ValueScore(
                    entity_id=self.bank.id_of(name),
                    as_of_us=self.bank.now,
                    score=score,
                    segment=None if score is None else "high",
                    expected_value=None if score is None else score * 10,
                    currency="EUR",
                    model="value",
                    model_version=7,
                    fingerprint="f" * 64,
                )
            )
        self.bank.mark(name)


def opened(engine: Engine, name: str = "bank") -> Circle:
    bank = Bank(engine, name)
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("ada", country="IR")
    bank.put("bo", country="NO")
    bank.settle()
    return Circle(bank)
