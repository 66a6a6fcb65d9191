"""An organisation with levels, a type, rulesets and customers, as the tests of rulesets and overrides need it."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.rulesets.activations import count_of_type
from fivefold.store.rulesets.rulesets import family_named, version_numbered
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.entities import Entity, EntityType, Record
from fivefold.store.tables.levels import DueMark, Standing
from fivefold.store.tables.rulesets import Backtest, Draft
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.settings import choose_levels
from fivefold.usecases.changes.backtests import BACKTESTS
from fivefold.usecases.changes.proposals import ChangeOutcome, ProposalLine, approve_proposal
from fivefold.usecases.rulesets.deciding import reached_by
from fivefold.usecases.rulesets.run_backtest import validity
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import run_next_job
from tests.store import databases

NOW = 1_795_176_000_000_000  # 2026-11-20T12:00Z
SECOND, DAY = 1_000_000, 86_400_000_000
LEVELS = ("low", "medium", "high")

RULESET = """\
# {remark}
ruleset: {name}
entity_type: customer
fields:
  country: country
  income: number
levels: [low, medium, high]
score:
  points: {{thresholds: [{medium}, 60]}}
max_recompute_interval: 180 days
cooldown: 30 days
rationale: As our appetite statement has it.
rules:
  - id: country
    title: Country of residence
    category: geography
    rationale: Where they live.
    input: {{field: country}}
    cases:
      - {{when: {{in_list: watched}}, points: 30}}
      - {{when: {{equals: KP}}, points: 10, floor: high}}
  - id: income
    title: Income
    category: customer features
    rationale: How much comes in.
    input: {{field: income}}
    cases:
      - {{when: {{at_least: 100000}}, points: 40}}
examples:
  - {{name: watched, given: {{country: IR, income: 5}}, expect: {{level: medium}}}}
  - {{name: north, given: {{country: KP, income: 200000}}, expect: {{level: high, floor_by: country, total: 50}}}}
"""


def document(name: str = "retail", medium: int = 30, remark: str = "first") -> str:
    """A ruleset that can be committed, while the list `watched` has IR."""
    return RULESET.format(name=name, medium=medium, remark=remark)


def organisation(engine: Engine, name: str = "acme") -> int:
    with Session(engine) as session, session.begin():
        made = Organisation(name=name, created_us=NOW)
        session.add(made)
        session.flush()
        return made.id


def people(organisation_id: int) -> tuple[Actor, Actor, Actor]:
    """Three who are not each other."""
    return tuple(Actor(organisation_id, f"member:{number}") for number in (1, 2, 3))  # type: ignore[return-value]  # three


def founded(engine: Engine, name: str = "acme") -> tuple[Actor, Actor, Actor]:
    """An organisation with levels and a type; three of its people."""
    ana, ben, cyd = people(organisation(engine, name))
    choose_levels(Context(engine, ana), LEVELS)
    define_type(Context(engine, ana).at(NOW), "customer", {"country": "country", "income": "number"})
    return ana, ben, cyd


def add_entities(engine: Engine, actor: Actor, names: Sequence[str], type_name: str = "customer") -> list[int]:
    """Entities, with nothing that would make them due."""
    with Session(engine) as session, session.begin():
        type_id = session.scalars(
            select(EntityType.id).where(
                EntityType.organisation_id == actor.organisation_id, EntityType.name == type_name
            )
        ).one()
        made = [
            Entity(organisation_id=actor.organisation_id, type_id=type_id, external_id=name, created_us=NOW)
            for name in names
        ]
        session.add_all(made)
        session.flush()
        return [entity.id for entity in made]


def closed(
    engine: Engine, actor: Actor, names: Sequence[str], at_us: int, outcome: str = "confirmed", kind: str = "case"
) -> None:
    """Let a case, or an alert, have ended about each of them."""
    with Session(engine) as session, session.begin():
        ids = {entity.external_id: entity.id for entity in session.scalars(select(Entity))}
        of = {"organisation_id": actor.organisation_id, "kind": kind, "outcome": outcome}
        for name in names:
            number = f"of {name} at {at_us}"
            moments = {"opened_us": at_us - DAY, "closed_us": at_us}
            session.add(Record(**of, **moments, external_id=number, entity_id=ids[name]))


def drafts(engine: Engine) -> list[Draft]:
    """All drafts of rulesets that there are."""
    with Session(engine) as session:
        return list(session.scalars(select(Draft)))


def stand(engine: Engine, entity_id: int, rules_level: int | None, **others: Any) -> None:
    """Let an entity stand somewhere, as the worker would have written."""
    with Session(engine) as session, session.begin():
        entity = session.get_one(Entity, entity_id)
        values: dict[str, Any] = {
            "organisation_id": entity.organisation_id,
            "type_id": entity.type_id,
            "number": 1,
            "assessed_us": NOW,
            "version_id": None,
            "status": "assessed",
            "source": "rules",
            "level": rules_level,
            "rules_level": rules_level,
            "hard_floor": 0,
            "entered_us": None if rules_level is None else NOW - 100 * DAY,
        } | others
        if session.get(Standing, entity_id) is None:
            values = {"level_since_us": 0} | values
        session.merge(Standing(entity_id=entity_id, **values))


def store_backtest(engine: Engine, organisation_id: int, name: str, number: int, now_us: int) -> None:
    """Store a backtest of a version that counts now, as a worker would have written it."""
    with Session(engine) as session, session.begin():
        family = family_named(session, organisation_id, name)
        version = version_numbered(session, family, number)
        until_id = session.scalar(select(func.max(Entity.id))) or 0
        report = {
            "basis": "customers",
            "as_of_us": now_us,
            "customers": count_of_type(session, family.type_id),
            "validity": validity(reached_by(session, family, version.canonical), until_id),
            "backtest": {"movers": [], "draft": {"failures": []}, "present": None},
        }
        session.add(
            Backtest(
                organisation_id=organisation_id,
                family_id=family.id,
                type_id=family.type_id,
                content_hash=version.content_hash,
                canonical=version.canonical,
                state="done",
                requested_by="member:1",
                requested_us=now_us,
                done=1,
                total=1,
                report=json.dumps(report),
            )
        )


def agreed(engine: Engine, checker: Actor, outcome: ChangeOutcome, now_us: int | None = None) -> ProposalLine:
    """Let workers run what a proposal needs, and another person approve it."""
    assert outcome.proposal is not None, "it was done at once"
    while run_next_job(engine, BACKTESTS, now_us):
        pass
    context = Context(engine, checker)
    return approve_proposal(context if now_us is None else context.at(now_us), outcome.proposal.id, "agreed")


def due_reasons(engine: Engine) -> dict[int, Reason]:
    """Who is due, and why."""
    with Session(engine) as session:
        rows = session.execute(select(DueMark.entity_id, DueMark.reasons).where(DueMark.due_us.is_not(None)))
        return {entity_id: Reason(reasons) for entity_id, reasons in rows}


def rows_of(engine: Engine, table: type) -> list[dict[str, Any]]:
    """All rows of a table, in the order of its key."""
    with engine.connect() as connection:
        made: Any = table.__table__  # type: ignore[attr-defined]  # every mapped class has one
        return [dict(row) for row in connection.execute(select(made).order_by(*made.primary_key)).mappings()]


def audited(engine: Engine) -> list[tuple[str, str, str | None, dict[str, Any]]]:
    """What the audit log says: actor, action, subject's number and details."""
    from fivefold.store.tables.audit import AuditEntry

    return [
        (row["actor"], row["action"], row["subject_id"], json.loads(row["details"]))
        for row in rows_of(engine, AuditEntry)
    ]


def together(
    kind: str, folder: Path, prepare: Callable[[Engine], Any], *work: Callable[[Engine, Any], Any]
) -> list[Any]:
    """Do several things at the same moment, each with connections of its own; give what came of each, or its error."""
    url = databases.new_url(kind, folder)
    with databases.opened(url) as engine:
        prepared = prepare(engine)
    barrier = Barrier(len(work))

    def run(one: Callable[[Engine, Any], Any]) -> Any:
        with databases.opened(url) as own:
            with own.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
            barrier.wait()
            try:
                return one(own, prepared)
            except Exception as error:  # noqa: BLE001 (the test looks at it)
                return error

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(run, work))
