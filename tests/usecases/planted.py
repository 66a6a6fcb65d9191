"""A history that is written down at once, as the worker and people would have left it; and a slow way to look back."""

import random
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.store.tables.entities import Entity, EntityType, Ownership, Record
from fivefold.store.tables.levels import Assessment, OverrideRow, Standing, Transition
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.usecases import platforms

START = platforms.NOW - 200 * DAY_US
"""Day 0 of every planted history."""


def day(number: float) -> int:
    return START + int(number * DAY_US)


@dataclass
class Step:
    """An assessment."""

    as_of_us: int
    version: int | None
    level: int | None
    rules_level: int | None
    score: str = "0"
    status: str = "assessed"


@dataclass
class Given:
    """A case or an alert."""

    kind: str
    entity: int
    opened_us: int
    closed_us: int | None = None
    outcome: str | None = None


@dataclass
class Planted:
    """Everything of one organisation, in this process and in its database.

    Attributes:
        versions: numbers of the rows of versions 1, 2 and so on of the ruleset retail.
        steps: the assessments of each entity, in order.
        owner: of accounts, which no ruleset is for.
    """

    engine: Engine
    actor: Actor
    type_id: int
    account_type_id: int
    versions: list[int]
    steps: dict[int, list[Step]] = field(default_factory=dict)
    owner: dict[int, int] = field(default_factory=dict)
    records: list[Given] = field(default_factory=list)

    @property
    def context(self) -> Context:
        return Context(self.engine, self.actor)

    def add(self, *steps: Step, name: str = "") -> int:
        """A customer with its assessments; gives its number."""
        return self.add_all([list(steps)], name)[0]

    def add_all(self, many: list[list[Step]], name: str = "") -> list[int]:
        of = self.actor.organisation_id
        with Session(self.engine) as session, session.begin():
            made = [
                Entity(
                    organisation_id=of,
                    type_id=self.type_id,
                    external_id=name or f"c{len(self.steps) + n}",
                    created_us=START,
                )
                for n in range(len(many))
            ]
            session.add_all(made)
            session.flush()
            ids = [entity.id for entity in made]
            rows, standings, transitions = [], [], []
            for entity, steps in zip(ids, many, strict=True):
                self.steps[entity] = steps
                before = None
                for number, step in enumerate(steps, 1):
                    rows.append(self._assessment(entity, number, step))
                    if step.level != before:
                        transitions.append(self._transition(entity, number, step, before))
                    before = step.level
                if steps:
                    standings.append(self._standing(entity, len(steps), steps[-1]))
            for table, made_rows in ((Assessment, rows), (Standing, standings), (Transition, transitions)):
                if made_rows:
                    session.execute(insert(table), made_rows)
        return ids

    def _assessment(self, entity: int, number: int, step: Step) -> dict[str, Any]:
        return {
            "entity_id": entity,
            "number": number,
            "organisation_id": self.actor.organisation_id,
            "as_of_us": step.as_of_us,
            "version_id": step.version,
            "source": "rules",
            "status": step.status,
            "level": step.level,
            "rules_level": step.rules_level,
            "floor": 0,
            "score": step.score,
            "engine": "1",
            "breakdown": None,
        }

    def _standing(self, entity: int, number: int, step: Step) -> dict[str, Any]:
        return {
            "entity_id": entity,
            "organisation_id": self.actor.organisation_id,
            "type_id": self.type_id,
            "number": number,
            "assessed_us": step.as_of_us,
            "version_id": step.version,
            "status": step.status,
            "source": "rules",
            "level": step.level,
            "rules_level": step.rules_level,
            "hard_floor": 0,
            "level_since_us": step.as_of_us,
        }

    def _transition(self, entity: int, number: int, step: Step, before: int | None) -> dict[str, Any]:
        return {
            "entity_id": entity,
            "number": number,
            "organisation_id": self.actor.organisation_id,
            "at_us": step.as_of_us,
            "from_level": before,
            "to_level": step.level,
            "source": "rules",
        }

    def add_account(self, owner: int) -> int:
        """Something that a customer owns."""
        with Session(self.engine) as session, session.begin():
            made = Entity(
                organisation_id=self.actor.organisation_id,
                type_id=self.account_type_id,
                external_id=f"account of {owner}, {len(self.owner)}",
                created_us=START,
            )
            session.add(made)
            session.flush()
            session.add(Ownership(entity_id=made.id, owner_id=owner))
            self.owner[made.id] = owner
            return made.id

    def record(self, *records: Given) -> None:
        """Cases and alerts, as they are known now."""
        rows = [
            {
                "organisation_id": self.actor.organisation_id,
                "kind": given.kind,
                "external_id": f"{given.kind} {len(self.records) + n}",
                "entity_id": given.entity,
                "opened_us": given.opened_us,
                "closed_us": given.closed_us,
                "outcome": given.outcome,
            }
            for n, given in enumerate(records)
        ]
        self.records += records
        with Session(self.engine) as session, session.begin():
            session.execute(insert(Record), rows)

    def override(self, entity: int, level: int, requested_us: int, **values: Any) -> int:
        """An override, asked for by one and decided by another; approved at once unless something else is said."""
        decided = {"state": "approved", "decided_by": "member:2", "decided_us": requested_us} | values
        with Session(self.engine) as session, session.begin():
            made = OverrideRow(
                organisation_id=self.actor.organisation_id,
                entity_id=entity,
                level=level,
                reason="Wolfgang Amadeus is known to us.",
                requested_by="member:1",
                requested_us=requested_us,
                **decided,
            )
            session.add(made)
            session.flush()
            return made.id


def planted(engine: Engine, name: str = "bank", versions: int = 2, levels: list[str] | None = None) -> Planted:
    """An organisation with levels low, medium and high, and versions of one ruleset; nobody in it yet."""
    of = platforms.organisation(engine, name, levels)
    with Session(engine) as session, session.begin():
        kind = session.query(EntityType).filter_by(organisation_id=of).one()
        account = EntityType(
            organisation_id=of, name="account", fields={}, transaction_fields={}, case_fields={}, created_us=START
        )
        family = Family(organisation_id=of, type_id=kind.id, name="retail", position=1, enabled=True, created_us=START)
        session.add_all([account, family])
        session.flush()
        made = [
            RulesetVersion(
                organisation_id=of,
                family_id=family.id,
                number=number,
                document="{}",
                canonical="{}",
                content_hash=f"{number}" * 64,
                tests={},
                editors=[],
                committed_by="member:1",
                committed_us=START,
            )
            for number in range(1, versions + 1)
        ]
        session.add_all(made)
        session.flush()
        return Planted(engine, platforms.actor(of), kind.id, account.id, [version.id for version in made])


def fill(bank: Planted, seed: int, size: int = 500) -> None:
    """Customers, cases and alerts drawn at random over 100 days; the riskier the score, the likelier a case."""
    draw = random.Random(seed)
    first, second = bank.versions[:2]
    many = []
    for _ in range(size):
        days = sorted(draw.sample(range(-50, 120), draw.randint(0, 6)))
        risk = draw.random()
        many.append([_step(draw, at, risk, first if at + draw.randint(-60, 40) < 10 else second) for at in days])
    ids = bank.add_all(many)
    accounts = [bank.add_account(draw.choice(ids)) for _ in range(size // 10)]
    records = []
    for _ in range(size * 3):
        opened = draw.randint(-30, 110)
        closed = None if draw.random() < 0.15 else opened + draw.randint(0, 40)
        outcome = None if closed is None or draw.random() < 0.1 else draw.choice(["confirmed", "cleared"])
        about = draw.choice(accounts if draw.random() < 0.1 else ids)
        kind = "case" if draw.random() < 0.4 else "alert"
        records.append(Given(kind, about, day(opened), None if closed is None else day(closed), outcome))
    bank.record(*records)


def _step(draw: random.Random, at: int, risk: float, version: int) -> Step:
    status = "failed" if draw.random() < 0.05 else "assessed"
    if draw.random() < 0.05:
        return Step(day(at), None, None, None, "", "not applicable")
    rules_level = None if draw.random() < 0.03 else 1 + int(min(2, max(0, risk * 3 + draw.gauss(0, 0.6))))
    level = draw.randint(1, 3) if draw.random() < 0.1 else rules_level
    return Step(day(at), version, level, rules_level, f"{max(0.0, risk * 100 + draw.gauss(0, 30)):.2f}", status)
