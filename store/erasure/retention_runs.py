"""Runs of the retention policy: which is under way, its position, and what it removed. Begins no transaction."""

import json

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from fivefold.store.audit.removals import digest_of_lines
from fivefold.store.erasure.old_rows import RemovedRows, ResumePoint
from fivefold.store.erasure.retention import REMOVALS
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.store.tables.operations import RetentionRun

Kind = tuple[int, str]
"""An organisation, and a kind of its rows."""


def policies(session: Session) -> list[Kind]:
    """List the kinds that organisations want removed after some time; kinds that are kept for ever are left out."""
    rows = session.scalars(select(OrganisationSettings).order_by(OrganisationSettings.organisation_id))
    return [(row.organisation_id, kind) for row in rows for kind in REMOVALS if _days(row, kind)]


def unfinished(session: Session) -> list[Kind]:
    """List the kinds with a run under way, the oldest first; the policy may have changed since."""
    statement = select(RetentionRun.organisation_id, RetentionRun.kind).where(RetentionRun.finished_us.is_(None))
    return [(row.organisation_id, row.kind) for row in session.execute(statement.order_by(RetentionRun.id))]


def policy_of(session: Session, organisation_id: int, kind: str) -> int:
    """Return the days of one kind, 0 if it is kept for ever; they cannot change until the transaction ends."""
    row = session.get(OrganisationSettings, organisation_id, with_for_update={"read": True}, populate_existing=True)
    return 0 if row is None else _days(row, kind)


def _days(row: OrganisationSettings, kind: str) -> int:
    return getattr(row, f"{kind}_days") or 0


def last_run(session: Session, organisation_id: int, kind: str) -> RetentionRun | None:
    """Find the newest run of a kind, under way or not."""
    statement = select(RetentionRun).where(RetentionRun.organisation_id == organisation_id, RetentionRun.kind == kind)
    return session.scalar(statement.order_by(RetentionRun.id.desc()).limit(1))


def has_begun(session: Session, organisation_id: int, kind: str, after_us: int, until_us: int) -> bool:
    """Return whether a run of a kind began after *after_us* and by *until_us*."""
    of = (RetentionRun.organisation_id == organisation_id, RetentionRun.kind == kind)
    began = (RetentionRun.started_us > after_us, RetentionRun.started_us <= until_us)
    return session.scalar(select(RetentionRun.id).where(*of, *began).limit(1)) is not None


def moves_removed_before(session: Session, organisation_id: int) -> int | None:
    """Return the moment before which moves of groups may have been removed; None if no run looked at them.

    They are removed with the runs of flows.
    """
    of = (RetentionRun.organisation_id == organisation_id, RetentionRun.kind == "flows")
    return session.scalar(select(func.max(RetentionRun.before_us)).where(*of))


def lock_run(session: Session, number: int) -> RetentionRun | None:
    """Lock a run that is under way; None if another worker has it now, or it has ended."""
    statement = select(RetentionRun).where(RetentionRun.id == number, RetentionRun.finished_us.is_(None))
    return session.scalar(statement.with_for_update(skip_locked=True).execution_options(populate_existing=True))


def note_removed(run: RetentionRun, result: RemovedRows, position: ResumePoint) -> None:
    """Record what a part of a run removed, and where the next one begins."""
    run.reached = None if position is None else json.dumps(position)
    if result.lines:
        run.digest = digest_of_lines(result.lines, run.digest or "")
    if result.rows:
        moments = [row.at_us for row in result.rows]
        run.removed += len(moments)
        run.oldest_us = min([*moments, *([] if run.oldest_us is None else [run.oldest_us])])
        run.newest_us = max([*moments, *([] if run.newest_us is None else [run.newest_us])])


def resume_point_of(run: RetentionRun) -> ResumePoint:
    """Return the row after which the next part of a run begins."""
    return None if run.reached is None else tuple(json.loads(run.reached))


def forget_empty_runs(session: Session, run: RetentionRun) -> None:
    """Delete the runs of a kind that removed nothing, except this one and the one before it.

    The one before may be of a worker with another clock: without it, that worker would begin one after each run here.
    """
    of = (RetentionRun.organisation_id == run.organisation_id, RetentionRun.kind == run.kind)
    before = session.scalar(select(func.max(RetentionRun.id)).where(*of, RetentionRun.id < run.id)) or 0
    session.execute(delete(RetentionRun).where(*of, RetentionRun.id < before, RetentionRun.removed == 0))
