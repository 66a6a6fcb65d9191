"""A bank for tests: its rulesets, its customers, and a clock that the tests drive."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.risk.language.reading import read_ruleset
from fivefold.store.ingest.entities import subject_of
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.events import OutboxEvent
from fivefold.store.tables.levels import Assessment, AssessmentInputs, DueMark, OverrideRow, Standing, Transition
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.usecases.ingest.entities import RowCounts, put_entities
from fivefold.usecases.ingest.transactions import TransactionCounts, add_transactions
from fivefold.usecases.levels.content.breakdowns import breakdown_text
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.levels.worker import BatchResult, run_batch
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context, record
from fivefold.usecases.shared.entity_checks import EntityRow, OwnerGiven
from tests.usecases import platforms

COUNTRY = {
    "input": {"field": "country"},
    "cases": [
        {"when": {"in": ["IR", "KP"]}, "points": 70},
        {"when": {"equals": "RU"}, "points": 40},
        {"when": {"equals": "NO"}, "points": 5},
    ],
}
CASH = {
    "input": {"sum": "amount", "over": "180 days", "where": {"field": "operation", "equals": "cash"}},
    "cases": [{"when": {"at_least": 1000}, "points": 40}],
}
WATCH = {"cases": [{"when": {"tag": "watch", "is": "present"}, "points": 10, "floor": "high"}]}
SCREENED = {
    "cases": [{"when": {"screening": "sanctions", "is": "present"}, "points": 1, "floor": "high"}],
    "on_unknown": {"points": 35},
}
CONFIRMED = {
    "input": {"count": "cases", "where": {"field": "outcome", "equals": "confirmed"}},
    "cases": [{"when": {"at_least": 1}, "points": 35}],
}
ALERTS = {"input": {"count": "alerts"}, "cases": [{"when": {"at_least": 1}, "points": 35}]}
FADING = {
    "input": {"count": "alerts", "over": "720 days"},
    "decay": {"half_life": "90 days"},
    "cases": [{"when": {"at_least": 1}, "points": 64}],
}
LISTED = {"input": {"field": "country"}, "cases": [{"when": {"in_list": "hot"}, "points": 50}]}
INCOME = {"input": {"field": "income"}, "cases": [{"when": {"at_least": 100}, "points": 40}]}

Rules = Mapping[str, Mapping[str, Any]]


def document(rules: Rules, name: str = "retail", **changed: Any) -> str:
    """A ruleset of some rules: medium from 31, high from 61; a cooldown of 10 days, assessed again after 30."""
    return json.dumps(
        {
            "ruleset": name,
            "entity_type": "customer",
            "fields": platforms.FIELDS,
            "transaction_fields": platforms.TRANSACTION_FIELDS,
            "levels": platforms.LEVELS,
            "score": {"points": {"thresholds": [31, 61]}},
            "max_recompute_interval": "30 days",
            "cooldown": "10 days",
            "rules": [
                {"id": key, "title": key.title(), "category": "other", "rationale": "Because.", **rule}
                for key, rule in rules.items()
            ],
            **changed,
        }
    )


class Bank:
    """One organisation in a database, at `now`."""

    def __init__(self, engine: Engine, name: str = "bank") -> None:
        self.engine = engine
        self.of = platforms.organisation(engine, name)
        self.actor: Actor = platforms.actor(self.of)
        self.now = platforms.NOW
        self.valuer: EntityScorer | None = None

    @property
    def context(self) -> Context:
        """The bank's own actor, at `now`."""
        return Context(self.engine, self.actor, lambda: self.now)

    @property
    def day(self) -> str:
        """The present moment, as transactions are dated."""
        return from_microseconds(self.now).replace(tzinfo=None).isoformat()

    def wait(self, days: float = 0, microseconds: int = 0) -> None:
        self.now += int(days * DAY_US) + microseconds

    def put(
        self,
        name: str,
        owner: tuple[str, str] | None = None,
        kind: str = "customer",
        owners: Sequence[OwnerGiven] | None = None,
        **attributes: Any,
    ) -> RowCounts:
        row = EntityRow(name, attributes, owner, owners)
        return put_entities(Context(self.engine, self.actor).at(self.now), kind, [row])

    def pay(self, number: int, user: str = "a", kind: str = "customer", **changed: Any) -> TransactionCounts:
        """A deposit in cash of 2,000, now; each number is another one."""
        given = {"operation": "cash", "transaction_amount": 2000.0, "transaction_date": self.day, **changed}
        row = platforms.transaction(number, user, **given)
        return add_transactions(self.context, [row], kind)

    def add_type(self, name: str, fields: Mapping[str, Any], transaction_fields: Mapping[str, Any]) -> None:
        with Session(self.engine) as session, session.begin():
            session.add(
                EntityType(
                    organisation_id=self.of,
                    name=name,
                    fields=fields,
                    transaction_fields=transaction_fields,
                    case_fields={},
                    created_us=self.now,
                )
            )

    def activate(self, document: str, position: int = 1, *, enabled: bool = True) -> int:
        """Let a ruleset decide from now on; nobody becomes due by that. Gives the number of its row."""
        ruleset = read_ruleset(document)
        with Session(self.engine) as session, session.begin():
            kind = session.scalars(
                select(EntityType.id).where(
                    EntityType.organisation_id == self.of, EntityType.name == ruleset.entity_type
                )
            ).one()
            of = (Family.organisation_id == self.of, Family.name == ruleset.name)
            family = session.scalar(select(Family).where(*of))
            if family is None:
                family = Family(organisation_id=self.of, type_id=kind, name=ruleset.name, created_us=self.now)
            family.position, family.enabled = position, enabled
            session.add(family)
            session.flush()
            last = select(func.max(RulesetVersion.number)).where(RulesetVersion.family_id == family.id)
            version = RulesetVersion(
                organisation_id=self.of,
                family_id=family.id,
                number=(session.scalar(last) or 0) + 1,
                document=document,
                canonical=ruleset.canonical,
                content_hash=ruleset.content_hash,
                tests={},
                editors=[],
                committed_by="member:1",
                committed_us=self.now,
            )
            session.add(version)
            session.flush()
            family.active_version_id = version.id
            return version.id

    def override(self, name: str, level: int, until_us: int | None = None, reason: str = "We know them.") -> int:
        """Let an approved override hold; the entity is due."""
        with Session(self.engine) as session, session.begin():
            entity = self._entity(session, name)
            made = OverrideRow(
                organisation_id=self.of,
                entity_id=entity.id,
                level=level,
                reason=reason,
                until_us=until_us,
                state="approved",
                requested_by="member:1",
                requested_us=self.now,
                decided_by="member:2",
                decided_us=self.now,
            )
            session.add(made)
            session.flush()
            due.mark(session, [subject_of(entity)], Reason.OVERRIDE, self.now)
            for action, actor, after in (
                ("override.requested", "member:1", {"reason": reason, "at_us": self.now}),
                ("override.approved", "member:2", {"reason": None, "at_us": self.now}),
            ):
                details = {"entity_id": entity.id, "level": level, "until_us": until_us, "replaced": []}
                about = ("override", made.id)
                record(session, Actor(self.of, actor), action, about, after=after, details=details)
            return made.id

    def revoke(self, name: str, override_id: int) -> None:
        with Session(self.engine) as session, session.begin():
            session.get_one(OverrideRow, override_id).state = "revoked"
            due.mark(session, [subject_of(self._entity(session, name))], Reason.OVERRIDE, self.now)

    def mark(self, name: str, reason: Reason = Reason.ATTRIBUTE) -> None:
        with Session(self.engine) as session, session.begin():
            due.mark(session, [subject_of(self._entity(session, name))], reason, self.now)

    def run(self, most: int = 1000) -> BatchResult | None:
        """One batch of the worker."""
        return run_batch(self.engine, clock=lambda: self.now, most=most, valuer=self.valuer)

    def settle(self) -> int:
        """Let the worker do all there is to do now; how many assessments were stored."""
        assessed = 0
        while (done := self.run()) is not None:
            assert not done.without_result
            assessed += len(done.levels)
        return assessed

    def id_of(self, name: str) -> int:
        with Session(self.engine) as session:
            return self._entity(session, name).id

    def standing(self, name: str = "a") -> Standing:
        with Session(self.engine) as session:
            return session.get_one(Standing, self._entity(session, name).id)

    def level(self, name: str = "a") -> int | None:
        return self.standing(name).level

    def mark_of(self, name: str = "a") -> DueMark:
        with Session(self.engine) as session:
            return session.get_one(DueMark, self._entity(session, name).id)

    def next_us(self, name: str = "a") -> int | None:
        """When the worker looks again."""
        return self.mark_of(name).due_us

    def assessments(self, name: str = "a") -> list[Assessment]:
        """Its whole history, the first one first."""
        return self._rows(Assessment, name, Assessment.number)

    def breakdown(self, name: str = "a", number: int = -1) -> str:
        """What people read of one of its assessments, canonical JSON."""
        with Session(self.engine) as session:
            return breakdown_text(session, self.assessments(name)[number]) or ""

    def inputs(self, name: str = "a") -> list[AssessmentInputs]:
        return self._rows(AssessmentInputs, name, AssessmentInputs.number)

    def transitions(self, name: str = "a") -> list[tuple[int | None, int | None]]:
        """Which levels were left and reached, in order."""
        return [(one.from_level, one.to_level) for one in self._rows(Transition, name, Transition.number)]

    def events(self, name: str = "a") -> list[dict[str, Any]]:
        """What others are told of it, in order."""
        return [json.loads(event.body or "") for event in self._rows(OutboxEvent, name, OutboxEvent.id)]

    def _rows(self, table: Any, name: str, order: Any) -> list[Any]:
        with Session(self.engine) as session:
            of = self._entity(session, name).id
            return list(session.scalars(select(table).where(table.entity_id == of).order_by(order)))

    def _entity(self, session: Session, name: str) -> Entity:
        of = (Entity.organisation_id == self.of, Entity.external_id == name)
        return session.scalars(select(Entity).where(*of)).one()
