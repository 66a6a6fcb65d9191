"""Policies and customers for tests of decisions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.store.tables.entities import ValueScore
from fivefold.store.tables.events import Decision
from fivefold.usecases.decisions.decide import DecisionMade, decide
from fivefold.usecases.decisions.policies import PolicyLine, approve_policy, propose_policy
from fivefold.usecases.levels.read import Freshness
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank

ACTIONS = ["allow", "note", "review", "block"]
Data = dict[str, Any]

CASH_OF_HIGH: Data = {
    "id": "cash-of-high",
    "when": {
        "all": [
            {"level": "in_force", "at_least": "high"},
            {"transaction": "operation", "equals": "cash"},
            {"transaction": "amount", "above": 1000},
        ]
    },
    "action": "block",
}
CASH: Data = {
    "id": "cash",
    "when": {"all": [{"transaction": "operation", "equals": "cash"}, {"transaction": "amount", "above": 10_000}]},
    "action": "block",
}
WORTH: Data = {"id": "worth", "when": {"value": "score", "at_least": 4}, "action": "note"}


def document(rules: Sequence[Data], name: str = "payments", **parts: Any) -> str:
    """A policy of some rules."""
    named = [{"id": f"r{at}", "title": f"R{at}", "rationale": "So.", **rule} for at, rule in enumerate(rules)]
    whole = {
        "policy": name,
        "entity_type": "customer",
        "fields": {"country": "country"},
        "transaction_fields": platforms.TRANSACTION_FIELDS,
        "levels": platforms.LEVELS,
        "actions": ACTIONS,
        "wins": "first",
        "rationale": "Because.",
        "rules": named,
        "otherwise": "allow",
        **parts,
    }
    return json.dumps(whole, indent=1)


def cash(amount: float = -1200.0, **changed: Any) -> Data:
    """A transaction at hand: cash withdrawn."""
    given = {"transaction_amount": amount, "transaction_currency": "EUR", "operation": "cash"}
    return {name: value for name, value in {**given, **changed}.items() if value is not None}


@dataclass
class Desk:
    """A bank that decides: `ada` is high, `bo` low, and of `cy` nothing was ever assessed."""

    bank: Bank

    @property
    def ana(self) -> Actor:
        """Who writes policies."""
        return Actor(self.bank.of, "member:1")

    @property
    def ben(self) -> Actor:
        """Who approves them."""
        return Actor(self.bank.of, "member:2")

    def publish(self, *rules: Data, name: str = "payments", **parts: Any) -> PolicyLine:
        made = propose_policy(
            Context(self.bank.engine, self.ana).at(self.bank.now),
            document(rules, name, **parts),
            "Why not.",
            "It is a test.",
        )
        return approve_policy(Context(self.bank.engine, self.ben).at(self.bank.now), name, made.number, "Fine.")

    def decide(
        self, name: str = "ada", given: Data | None = None, policy: str = "payments", **more: Any
    ) -> DecisionMade:
        """Decide as the level stands, unless another freshness is asked for."""
        asked = {"freshness": Freshness.STORED, "valuer": self.bank.valuer, **more}
        actor = asked.pop("actor", Actor(self.bank.of, "token:1"))
        transaction = cash() if given is None else given
        return decide(
            Context(self.bank.engine, actor, lambda: self.bank.now), policy, "customer", name, transaction, **asked
        )

    def rows(self) -> list[Decision]:
        with Session(self.bank.engine) as session:
            return list(session.scalars(select(Decision).order_by(Decision.id)))

    def value(self, name: str, score: float | None, days_ago: int = 0, segment: str = "high") -> None:
        """Let the value model have said something; None for that there is no value from then on."""
        with Session(self.bank.engine) as session, session.begin():
            session.add(
                ValueScore(
                    entity_id=self.bank.id_of(name),
                    as_of_us=self.bank.now - days_ago * 86_400_000_000,
                    score=score,
                    segment=None if score is None else segment,
                    expected_value=None if score is None else score * 10,
                    currency="EUR",
                    model="value",
                    model_version=7,
                    fingerprint="f" * 64,
                )
            )


def opened(engine: Engine, name: str = "bank") -> Desk:
    bank = Bank(engine, name)
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("ada", country="IR")
    bank.put("bo", country="NO")
    bank.settle()
    bank.put("cy", country="IR")
    return Desk(bank)


def answer_of(made: Any) -> Any:
    """Give the answer of a decision, which is there."""
    assert made.answer is not None
    return made.answer
