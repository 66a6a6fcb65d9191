"""Validations of levels: the history that they read, the attached figures of peers, and the jobs of workers.

The history is as of its moments: current levels are not read. Nothing here begins or ends a transaction.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import polars as pl
from sqlalchemy import ColumnElement, column, func, or_, select, table, true
from sqlalchemy.orm import Session, aliased

from fivefold.domain.errors import NotFoundError
from fivefold.store.levels.bulk_reads import read_rows
from fivefold.store.sql.arrays import among
from fivefold.store.sql.jobs import OPEN
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import Entity, Ownership, Record
from fivefold.store.tables.events import PeerFile, ValidationJob
from fivefold.store.tables.levels import Assessment, OverrideRow, Standing, Transition
from fivefold.store.tables.rulesets import Family, RulesetVersion

CONFIRMED_OUTCOME = "confirmed"
"""The outcome of a confirmed case or alert, unless other outcomes are given."""
ENTITIES_AT_ONCE = 10_000
"""The number of entities that are read together: few enough for memory, enough to make a statement worthwhile."""

ASSESSMENTS: Mapping[str, Any] = {
    "entity": pl.Int64,
    "number": pl.Int64,
    "as_of_us": pl.Int64,
    "version_id": pl.Int64,
    "status": pl.String,
    "level": pl.Int64,
    "rules_level": pl.Int64,
    "score": pl.String,
    "late": pl.Boolean,
}
"""The columns of assessments; `late` is true for one made long after its moment, as in `late_batches`."""
_READ: Mapping[str, Any] = {name: kind for name, kind in ASSESSMENTS.items() if name != "late"} | {"batch": pl.Int64}
NO_ASSESSMENTS = pl.DataFrame(schema=dict(ASSESSMENTS))
"""An empty frame of assessments."""
RECORDS: Mapping[str, Any] = {
    "id": pl.Int64,
    "kind": pl.String,
    "about": pl.Int64,
    "entity": pl.Int64,
    "opened_us": pl.Int64,
    "closed_us": pl.Int64,
    "outcome": pl.String,
    "number": pl.Int64,
    "version_id": pl.Int64,
    "level": pl.Int64,
    "rules_level": pl.Int64,
}
"""The columns of records; a case about the entity `about`, such as an account, counts for `entity`."""
OVERRIDES: Mapping[str, Any] = {
    "entity": pl.Int64,
    "level": pl.Int64,
    "state": pl.String,
    "until_us": pl.Int64,
    "requested_us": pl.Int64,
    "decided_by": pl.String,
    "decided_us": pl.Int64,
    "revoked_us": pl.Int64,
}


_STOOD = (
    "WITH first AS MATERIALIZED (SELECT s.entity_id, coalesce((SELECT b.number FROM assessments b"
    " WHERE b.entity_id = s.entity_id AND b.as_of_us <= :from_us AND :in_time"
    " ORDER BY b.number DESC LIMIT 1), 0) AS number"
    " FROM standings s WHERE s.entity_id IN :ids)"
    " SELECT a.entity_id, a.number, a.as_of_us, a.version_id, a.status, a.level, a.rules_level, a.score, a.batch"
    " FROM first JOIN assessments a ON a.entity_id = first.entity_id AND a.number >= first.number"
    " WHERE a.as_of_us <= :until_us ORDER BY a.entity_id, a.number"
)


def late_batches(session: Session, organisation_id: int, until_us: int, late_us: int) -> list[int]:
    """Return the batches of assessments as of moments until *until_us* that were made over *late_us* later.

    The audit log has the time of each call; a batch without an entry counts as in time.
    """
    entries = select(AuditEntry.details, AuditEntry.at_us).where(
        AuditEntry.organisation_id == organisation_id, AuditEntry.action == "assessments.made"
    )
    made_us = {json.loads(details).get("batch"): at_us for details, at_us in session.execute(entries)}
    calls = (
        select(Assessment.batch, func.min(Assessment.as_of_us))
        .where(
            Assessment.organisation_id == organisation_id,
            Assessment.as_of_us <= until_us,
            Assessment.batch.is_not(None),
        )
        .group_by(Assessment.batch)
    )
    firsts = {batch: first_us for batch, first_us in session.execute(calls) if batch is not None}
    return sorted(batch for batch, first_us in firsts.items() if made_us.get(batch, first_us) > first_us + late_us)


def assessment_frames(
    session: Session, organisation_id: int, from_us: int, until_us: int, late: Sequence[int] = ()
) -> Iterator[pl.DataFrame]:
    """Yield the assessments of all entities, some entities at a time: the one in force at the beginning, and all later.

    They are in the order of entities and numbers. Those of the batches *late* are marked, and never in force at the
    beginning. Erased entities are left out: without their cases nothing can be validated.
    """
    query = _STOOD.replace(":from_us", str(int(from_us))).replace(":until_us", str(int(until_us)))
    in_time = _made_in_time(session, table("assessments", column("batch")).alias("b").c.batch, late)
    condition = in_time.compile(session.get_bind(), compile_kwargs={"literal_binds": True}) if late else "1 = 1"
    query = query.replace(":in_time", f"({condition})")
    is_late = pl.col("batch").is_in(list(late)).fill_null(False).alias("late")
    last = 0
    while ids := _ids_after(session, organisation_id, last):
        last = ids[-1]
        yield read_rows(session, query, ids, _READ).with_columns(is_late).select(*ASSESSMENTS)


def count_standing(session: Session, organisation_id: int) -> int:
    """Count the entities of an organisation that `assessment_frames` reads, including erased ones."""
    statement = select(func.count()).select_from(Standing).where(Standing.organisation_id == organisation_id)
    return session.scalar(statement) or 0


def _made_in_time(session: Session, batch: Any, late: Sequence[int]) -> ColumnElement[bool]:
    """Build the condition that an assessment is in no late batch."""
    return or_(batch.is_(None), ~among(session, batch, late)) if late else true()


def _ids_after(session: Session, organisation_id: int, last: int) -> Sequence[int]:
    statement = (
        select(Standing.entity_id)
        .join(Entity, Entity.id == Standing.entity_id)
        .where(Standing.organisation_id == organisation_id, Standing.entity_id > last, Entity.erased_us.is_(None))
        .order_by(Standing.entity_id)
    )
    return session.scalars(statement.limit(ENTITIES_AT_ONCE)).all()


def records_before(session: Session, organisation_id: int, until_us: int, late: Sequence[int] = ()) -> pl.DataFrame:
    """Read the cases and alerts opened before a moment, as `RECORDS`, with the entity's last assessment before each.

    An assessment that could have used the case does not count, nor do those of the batches *late*. A case about an
    entity of a type without rulesets counts for each owner at its opening, in separate rows.
    """
    has_rulesets = select(Family.id).where(Family.type_id == Entity.type_id).exists()
    by_owner = (
        (Ownership.entity_id == Entity.id)
        & ~has_rulesets
        & or_(Ownership.from_us.is_(None), Ownership.from_us <= Record.opened_us)
        & or_(Ownership.until_us.is_(None), Ownership.until_us > Record.opened_us)
    )
    entity = func.coalesce(Ownership.owner_id, Entity.id)
    about = (
        select(
            Record.id, Record.kind, Record.entity_id.label("about"), entity.label("entity"), Record.opened_us,
            Record.closed_us, Record.outcome,
        )
        .join(Entity, Entity.id == Record.entity_id)
        .outerjoin(Ownership, by_owner)
        .where(Record.organisation_id == organisation_id, Record.opened_us < until_us)
        .subquery()
    )  # fmt: skip
    before = aliased(Assessment)
    number = (
        select(before.number)
        .where(before.entity_id == about.c.entity, before.as_of_us < about.c.opened_us)
        .where(_made_in_time(session, before.batch, late))
        .order_by(before.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        select(
            about.c.id, about.c.kind, about.c.about, about.c.entity, about.c.opened_us, about.c.closed_us,
            about.c.outcome, Assessment.number, Assessment.version_id, Assessment.level, Assessment.rules_level,
        )
        .outerjoin(Assessment, (Assessment.entity_id == about.c.entity) & (Assessment.number == number))
        .order_by(about.c.id, about.c.entity)
    )  # fmt: skip
    return _frame(session, statement, RECORDS)


def overrides_before(session: Session, organisation_id: int, until_us: int) -> pl.DataFrame:
    """Read the overrides requested before a moment, as `OVERRIDES`; those of erased entities are left out."""
    statement = (
        select(
            OverrideRow.entity_id, OverrideRow.level, OverrideRow.state, OverrideRow.until_us,
            OverrideRow.requested_us, OverrideRow.decided_by, OverrideRow.decided_us, OverrideRow.revoked_us,
        )
        .join(Entity, Entity.id == OverrideRow.entity_id)
        .where(
            OverrideRow.organisation_id == organisation_id,
            OverrideRow.requested_us < until_us,
            Entity.erased_us.is_(None),
        )
        .order_by(OverrideRow.id)
    )  # fmt: skip
    return _frame(session, statement, OVERRIDES)


def _frame(session: Session, statement: Any, schema: Mapping[str, Any]) -> pl.DataFrame:
    rows = [tuple(row) for row in session.execute(statement)]
    return pl.DataFrame(rows, schema=dict(schema), orient="row")


def transitions_between(
    session: Session, organisation_id: int, from_us: int, until_us: int, late: Sequence[int] = ()
) -> list[tuple[int | None, int | None, str, int]]:
    """Count the transitions in a period: the level before, the level reached, the source, and the number.

    Transitions of erased entities, and by assessments of the batches *late*, are left out.
    """
    by = (Transition.from_level, Transition.to_level, Transition.source)
    statement = select(*by, func.count()).where(
        Transition.organisation_id == organisation_id,
        Transition.at_us >= from_us,
        Transition.at_us < until_us,
        Transition.entity_id.not_in(select(Entity.id).where(Entity.erased_us.is_not(None))),
    )
    if late:
        same_assessment = (Assessment.entity_id == Transition.entity_id) & (Assessment.number == Transition.number)
        statement = statement.outerjoin(Assessment, same_assessment).where(
            _made_in_time(session, Assessment.batch, late)
        )
    rows = session.execute(statement.group_by(*by))
    return sorted(((a, b, source, count) for a, b, source, count in rows), key=lambda row: (row[0] or 0, row[1] or 0))


def authors_of(session: Session, organisation_id: int, versions: Collection[tuple[str, int]]) -> set[str]:
    """Return the people who edited or committed one of some versions, each given by its ruleset and number."""
    statement = (
        select(Family.name, RulesetVersion.number, RulesetVersion.editors, RulesetVersion.committed_by)
        .join(Family, Family.id == RulesetVersion.family_id)
        .where(RulesetVersion.organisation_id == organisation_id)
    )
    rows = [row for row in session.execute(statement) if (row.name, row.number) in versions]
    return {name for row in rows for name in (*row.editors, row.committed_by)}


def versions_named(session: Session, organisation_id: int) -> dict[int, tuple[str, int]]:
    """Map an organisation's version ids to ruleset names and version numbers."""
    statement = (
        select(RulesetVersion.id, Family.name, RulesetVersion.number)
        .join(Family, Family.id == RulesetVersion.family_id)
        .where(RulesetVersion.organisation_id == organisation_id)
    )
    return {row.id: (row.name, row.number) for row in session.execute(statement)}


def peer_files_of(session: Session, validation_id: int) -> Sequence[PeerFile]:
    """List the peer files of a validation, the first attached first."""
    statement = select(PeerFile).where(PeerFile.validation_id == validation_id)
    return session.scalars(statement.order_by(PeerFile.id)).all()


def open_job(session: Session, organisation_id: int, from_us: int, until_us: int) -> ValidationJob | None:
    """Find the waiting or running validation of a period."""
    statement = select(ValidationJob).where(
        ValidationJob.organisation_id == organisation_id,
        ValidationJob.from_us == from_us,
        ValidationJob.until_us == until_us,
        ValidationJob.state.in_(OPEN),
    )
    return session.scalar(statement)


def open_jobs(session: Session, organisation_id: int) -> list[ValidationJob]:
    """List the waiting and running validations of an organisation, in the order of their requests."""
    statement = select(ValidationJob).where(
        ValidationJob.organisation_id == organisation_id, ValidationJob.state.in_(OPEN)
    )
    return list(session.scalars(statement.order_by(ValidationJob.id)))


def job_numbered(session: Session, organisation_id: int, number: int) -> ValidationJob:
    """Find a validation that a worker makes; NotFoundError if the organisation has none of that number."""
    row = session.get(ValidationJob, number)
    if row is None or row.organisation_id != organisation_id:
        raise NotFoundError(f"there is no requested validation {number}")
    return row
