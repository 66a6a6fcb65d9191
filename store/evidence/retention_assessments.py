"""Old assessments and the rows that refer to them. Their inputs are removed; their facts and transitions are kept.

Nothing here begins or ends a transaction.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from fivefold.store.audit.removals import line_of_removed
from fivefold.store.evidence.holds import held_entities, lock_related
from fivefold.store.evidence.old_rows import NOTHING, OldRow, OldRows, RemovedRows, ResumePoint, RetentionScope
from fivefold.store.sql.arrays import among
from fivefold.store.sql.statements import UNSEEN
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.events import Decision
from fivefold.store.tables.levels import (
    Assessment,
    AssessmentInputs,
    OverrideReading,
    OverrideRow,
    Standing,
    Transition,
)
from fivefold.store.tables.recourse import Challenge

STATED: Final = "statement.given"
"""The action of entries that name an assessment for which a person was given a statement."""
_KEY: Final = (Assessment.entity_id, Assessment.number)
_INPUTS_KEY: Final = (AssessmentInputs.entity_id, AssessmentInputs.number)

Name = tuple[int, int]
"""The numbers of an entity and of one of its assessments."""


def look_at_assessments(session: Session, scope: RetentionScope, position: ResumePoint, most: int) -> OldRows:
    """Look at assessments by their moments, only those that are whole; a part may end anywhere within a batch."""
    behind = tuple(position or (-(1 << 62), 0, 0))
    statement = select(Assessment.as_of_us, *_KEY).where(
        Assessment.organisation_id == scope.organisation_id,
        Assessment.as_of_us < scope.before_us,
        Assessment.as_of_us >= behind[0],
        Assessment.breakdown.is_not(None),
        tuple_(Assessment.as_of_us, *_KEY) > behind,
    )
    rows = session.execute(statement.order_by(Assessment.as_of_us, *_KEY).limit(most)).all()
    if not rows:
        return NOTHING
    moments = {(row.entity_id, row.number): row.as_of_us for row in rows}
    needed_names = _find_needed(session, scope, moments)
    removable = [OldRow(name, at_us, name[0]) for name, at_us in moments.items() if name not in needed_names]
    last = rows[-1]
    goes_on = [last.as_of_us, last.entity_id, last.number] if len(rows) == most else None
    return OldRows(removable, len(rows) - len(removable), goes_on)


def remove_assessments(session: Session, scope: RetentionScope, rows: Sequence[OldRow]) -> RemovedRows:
    """Empty assessments, except those that are needed by now; no new reference is possible until the transaction ends.

    Entities that another transaction has locked are left to the next run, so that no part waits.
    """
    moments = {(row.key[0], row.key[1]): row.at_us for row in rows}
    locked = lock_related(session, {entity for entity, _ in moments})
    mine = {name: at_us for name, at_us in moments.items() if name[0] in locked}
    needed_names = _find_needed(session, scope, mine)
    names = [name for name in mine if name not in needed_names]  # in the order of their moments, as given
    if not names:
        return RemovedRows(())
    columns = select(*_INPUTS_KEY, AssessmentInputs.sha256).where(tuple_(*_INPUTS_KEY).in_(names))
    hashes = {(row.entity_id, row.number): row.sha256 for row in session.execute(columns)}
    names = [name for name in names if name in hashes]
    inputs = update(AssessmentInputs).where(tuple_(*_INPUTS_KEY).in_(names))
    emptied = inputs.values(content=None, salt=None, removed_by=scope.run_id)
    session.execute(emptied.execution_options(**UNSEEN))  # first, as the guard of assessments checks for it
    breakdowns = update(Assessment).where(tuple_(*_KEY).in_(names)).values(breakdown=None)
    session.execute(breakdowns.execution_options(**UNSEEN))
    emptied_rows = [OldRow(name, mine[name], name[0]) for name in names]
    return RemovedRows(emptied_rows, [line_of_removed(*name, hashes[name]) for name in names])


def _find_needed(session: Session, scope: RetentionScope, moments: Mapping[Name, int]) -> set[Name]:
    """Find the assessments that are still needed, of those given with their moments."""
    ids = sorted({entity for entity, _ in moments})
    held_ids = held_entities(session, ids, scope.now_us) if ids else set()
    referenced = set(_find_referenced(session, scope, ids)) if ids else set()
    present = session.scalars(select(Standing).where(among(session, Standing.entity_id, ids)))
    standings = {row.entity_id: row for row in present}
    return {
        name
        for name, at_us in moments.items()
        if name[0] in held_ids or name in referenced or _holds_up(standings.get(name[0]), name[1], at_us, scope.now_us)
    }


def _holds_up(standing: Standing | None, number: int, at_us: int, now_us: int) -> bool:
    """Return whether the present level rests on an assessment: the newest, and the one by which it was entered.

    If a floor, an override or a cooldown holds, every later one is needed too: one of them began it.
    """
    if standing is None or number >= standing.number or standing.entered_us is None:
        return True
    is_held = bool(standing.floor or standing.hard_floor or standing.floors_lost or standing.override_id)
    cooling = standing.may_move_down_us is not None and standing.may_move_down_us > now_us
    return at_us == standing.entered_us or (at_us > standing.entered_us and (is_held or cooling))


def _find_referenced(session: Session, scope: RetentionScope, ids: Sequence[int]) -> Iterator[Name]:
    """Yield the assessments that decisions, challenges, overrides, statements or levels refer to."""
    latest_transitions = select(Transition.entity_id, func.max(Transition.number)).group_by(Transition.entity_id)
    yield from _pairs(session, latest_transitions.where(among(session, Transition.entity_id, ids)))
    # The first of those by the deciding version: a roll-back of it continues from the state before.
    other = or_(Assessment.version_id.is_(None), Assessment.version_id != Standing.version_id)
    first = (
        select(Standing.entity_id, func.coalesce(func.max(Assessment.number), 0) + 1)
        .outerjoin(Assessment, (Assessment.entity_id == Standing.entity_id) & other)
        .where(among(session, Standing.entity_id, ids))
        .group_by(Standing.entity_id)
    )
    yield from _pairs(session, first)
    of_decisions = select(Decision.entity_id, Decision.assessment_number)
    yield from _pairs(session, of_decisions.where(among(session, Decision.entity_id, ids)).distinct())
    contested = among(session, Challenge.entity_id, ids)
    yield from _pairs(session, select(Challenge.entity_id, Challenge.number).where(contested))
    yield from _pairs(session, select(Challenge.entity_id, Challenge.settled_number).where(contested))
    for number in (OverrideReading.number, OverrideReading.opened_number):
        read = select(OverrideRow.entity_id, number).join(
            OverrideReading, OverrideReading.override_id == OverrideRow.id
        )
        yield from _pairs(session, read.where(among(session, OverrideRow.entity_id, ids)))
    of_statements = select(AuditEntry.details).where(
        AuditEntry.organisation_id == scope.organisation_id,
        AuditEntry.subject_kind == "entity",
        among(session, AuditEntry.subject_id, [str(number) for number in ids]),
        AuditEntry.action == STATED,
    )
    for details in session.scalars(of_statements):
        entity, _, number = json.loads(details)["assessment"].partition(".")
        yield int(entity), int(number)


def _pairs(session: Session, statement: Any) -> Iterator[Name]:
    for entity, number in session.execute(statement):
        if number is not None:
            yield entity, number
