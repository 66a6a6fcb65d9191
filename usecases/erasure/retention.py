"""Retention of data that the program itself produces: a preview of what the policy removes, and its removal by parts.

Nothing is removed until an organisation decides so, by two people: how long records must be kept depends on the law and
on them. docs/retention.md describes each kind and what is always kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import sleep
from typing import Annotated, Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, SECOND_US
from fivefold.domain.errors import ConflictError
from fivefold.store.audit.bound_rows import Digests
from fivefold.store.audit.removals import BEGUN, EMPTIED, REMOVED
from fivefold.store.erasure import retention_runs as runs
from fivefold.store.erasure.old_rows import ResumePoint, RetentionScope
from fivefold.store.erasure.retention import REMOVALS
from fivefold.store.sql.database import add_alone, reading, writing
from fivefold.store.tables.operations import RetentionRun
from fivefold.usecases.accounts.settings import FOR_GOOD, check_removal_days, settings_of
from fivefold.usecases.shared.actors import SYSTEM, Actor
from fivefold.usecases.shared.api_fields import Moment, row_as, shown_as
from fivefold.usecases.shared.context import Context, record
from fivefold.usecases.unexpected import do_each

PART_ROWS: Final = 500
"""How many rows one transaction examines: it takes a few milliseconds, so nothing waits long for it."""
PAUSE_SECONDS: Final = 0.02
"""The pause after each part: on SQLite, writers that wait retry the only writer's lock only now and then."""
EVERY_US: Final = DAY_US
"""The time from the beginning of one run to that of the next."""
OLD_READING_US: Final = 600 * SECOND_US
"""How old a worker's reading of its clock may be when it comes to a run that another worker began since."""
MOST_AHEAD_US: Final = 8 * DAY_US
"""How much later a run's time may be than that of the run before it: by a clock that is years ahead everything would be
old. If workers rested for longer, the next runs make up for it, one a day.
"""
MOST_LOOKED_ROWS: Final = 10_000
"""How many rows of a kind a dry run examines, so that it ends soon in a database of any size."""


@dataclass(frozen=True, kw_only=True)
class RetentionRunLine:
    """A run of the policy; `finished_at` is null while it is under way.

    Attributes:
        before_us: rows dated before were old.
        removed: rows.
    """

    started_us: Annotated[Moment, shown_as("started_at")]
    finished_us: Annotated[Moment | None, shown_as("finished_at")]
    before_us: Annotated[Moment, shown_as("before")]
    removed: int


@dataclass(frozen=True, kw_only=True)
class RetentionLine:
    """The rows of one kind that the policy would remove now; it removes nothing if `days` is 0.

    `removable` rows are older than that, and nothing refers to them; `kept` rows are as old, and are kept. If `whole`
    is false there are more: counting ended early.

    Attributes:
        kind: outbox, deliveries, reports, assessments or flows.
        days: after which a row is old; `FOR_GOOD` for never.
        before_us: rows dated before are old; None if no row ever is.
        removable: rows that would be removed.
        oldest_us: of these, the moment of the oldest; None if there are none.
        kept: rows that are old, and are kept.
        whole: all old rows were examined.
        last_run: None if there was none.
    """

    kind: str
    days: int
    before_us: Annotated[Moment | None, shown_as("before")]
    removable: int
    oldest_us: Annotated[Moment | None, shown_as("oldest_at")]
    kept: int
    whole: bool
    last_run: RetentionRunLine | None


def preview_retention(context: Context, days: Mapping[str, int | None] | None = None) -> tuple[RetentionLine, ...]:
    """Return the rows that the policy would remove now, kind by kind, and the last runs. Nothing is changed.

    Args:
        context: whose organisation it is for.
        days: by kind, to preview another policy; the organisation's own if omitted.

    Raises:
        ConfigError: a number of days is invalid.
        ConflictError: the levels were not defined yet.
    """
    other = {kind: number for kind, number in (days or {}).items() if number is not None}
    for kind, number in other.items():
        check_removal_days(f"{kind}_days", number)
    now = context.now()
    with context.reading() as session:
        settings = settings_of(session, context.organisation_id)
        return tuple(
            _line(session, context.organisation_id, kind, other.get(kind, getattr(settings, f"{kind}_days")), now)
            for kind in REMOVALS
        )


def _line(session: Session, organisation_id: int, kind: str, days: int, now_us: int) -> RetentionLine:
    """Count the old rows of one kind, part by part, up to `MOST_LOOKED_ROWS`."""
    before = None if days == FOR_GOOD else now_us - days * DAY_US
    removable = kept_count = row_count = 0
    oldest: int | None = None
    position: ResumePoint = None
    goes_on = before is not None
    while before is not None and goes_on and row_count < MOST_LOOKED_ROWS:
        part = REMOVALS[kind].look(session, RetentionScope(organisation_id, before, now_us), position, PART_ROWS)
        removable, kept_count, position = removable + len(part.removable), kept_count + part.kept_count, part.reached
        row_count += len(part.removable) + part.kept_count or PART_ROWS  # rows that are dated ahead are neither
        moments = [row.at_us for row in part.removable]
        oldest = min([*moments, *([] if oldest is None else [oldest])], default=None)
        goes_on = position is not None
    last = runs.last_run(session, organisation_id, kind)
    return RetentionLine(
        kind=kind,
        days=days,
        before_us=before,
        removable=removable,
        oldest_us=oldest,
        kept=kept_count,
        whole=not goes_on,
        last_run=None if last is None else row_as(RetentionRunLine, last),
    )


def remove_next_parts(
    engine: Engine, now_us: int, count: Callable[[str, int], None] = lambda _kind, _rows: None
) -> bool:
    """Remove the next part of every kind and organisation whose policy requires it, each in a transaction of its own.

    To be called until it returns False. Several workers may call it: only one at a time works on a run. A worker that
    is killed in the middle of a part has removed nothing of it, and another worker continues at the same place.

    Args:
        engine: the database.
        now_us: the current time.
        count: called with a kind and how many of its rows were removed.

    Raises:
        FivefoldError: or another error of one kind or organisation, the first of them, after all others had their part.
    """
    with reading(engine) as session:
        unfinished = runs.unfinished(session)
        others = [each for each in runs.policies(session) if each not in unfinished]
        due_kinds = [each for each in others if _is_due(session, *each, now_us)]

    def advance(policy: tuple[int, str]) -> bool:
        row_count = _advance(engine, *policy, now_us)
        if row_count is None:
            return False
        count(policy[1], row_count)
        sleep(PAUSE_SECONDS)
        return True

    return any(do_each([*unfinished, *due_kinds], advance))  # a role may not empty assessments, say


def _is_due(session: Session, organisation_id: int, kind: str, now_us: int) -> bool:
    # A run that is dated ahead was begun by a fast clock: it delays no other run. Not only the newest run counts, as
    # two workers whose clocks are apart would otherwise begin one after the other, again and again.
    return not runs.has_begun(session, organisation_id, kind, now_us - EVERY_US, now_us)


def _advance(engine: Engine, organisation_id: int, kind: str, now_us: int) -> int | None:
    """Do the next part of a run; return how many rows were removed, or None if there is no run to continue."""
    try:
        with writing(engine) as session:
            days = runs.policy_of(session, organisation_id, kind)
            run = _run_of(session, organisation_id, kind, days, now_us)
            return None if run is None else _remove_part(session, run, days, now_us)
    except ConflictError:  # another worker began it at this moment
        return None


def _run_of(session: Session, organisation_id: int, kind: str, days: int, now_us: int) -> RetentionRun | None:
    """Find the run to continue, or begin one if it is due."""
    last = runs.last_run(session, organisation_id, kind)
    if last is not None and last.finished_us is None:
        return runs.lock_run(session, last.id)
    if days == FOR_GOOD or not _is_due(session, organisation_id, kind, now_us):
        return None
    # Not from when the previous run began: a clock that stays ahead would be believed by the second run.
    believed = now_us if last is None else min(now_us, last.before_us + last.days * DAY_US + MOST_AHEAD_US)
    run = RetentionRun(
        organisation_id=organisation_id,
        kind=kind,
        days=days,
        before_us=believed - days * DAY_US,
        started_us=now_us,
        removed=0,
    )
    add_alone(session, run)
    runs.forget_empty_runs(session, run)
    return run


def _remove_part(session: Session, run: RetentionRun, days: int, now_us: int) -> int:
    """Remove one part, record it, and end the run after the last part."""
    # A policy that keeps more than when the run began, or a clock that was set back, ends it.
    if days == FOR_GOOD or now_us + OLD_READING_US - days * DAY_US < run.before_us:
        _finish(session, run, now_us, whole=False)
        return 0
    # By the time that the run believes in: a fast clock ends no hold and no override either.
    believed = min(now_us, run.before_us + run.days * DAY_US)
    removal, scope = REMOVALS[run.kind], RetentionScope(run.organisation_id, run.before_us, believed, run.id)
    part = removal.look(session, scope, runs.resume_point_of(run), PART_ROWS)
    result = removal.remove(session, scope, part.removable)
    if result.bound:  # the new digests of these rows
        count = sum(len(rows) for rows in result.bound.values())
        _record(session, run, EMPTIED, {**_said_of(run), "rows": count}, rows=result.bound)
    is_first = bool(result.lines) and run.digest is None
    runs.note_removed(run, result, part.reached)
    if part.reached is None:
        _finish(session, run, now_us, whole=True)
    elif is_first:
        _record(session, run, BEGUN, _said_of(run))
    return len(result.rows)


def _finish(session: Session, run: RetentionRun, now_us: int, *, whole: bool) -> None:
    """End a run; if it removed something, the audit log records how much and from when."""
    run.finished_us = now_us
    session.flush()
    if run.removed:
        moments = {"oldest_us": run.oldest_us, "newest_us": run.newest_us}
        details = {**_said_of(run), "removed": run.removed, **moments, "whole": whole}
        _record(session, run, REMOVED, details, None if run.digest is None else (run.removed, run.digest))


def _said_of(run: RetentionRun) -> dict[str, object]:
    return {"run": run.id, "kind": run.kind, "days": run.days, "before_us": run.before_us}


def _record(
    session: Session,
    run: RetentionRun,
    action: str,
    details: dict[str, object],
    bulk: tuple[int, str] | None = None,
    rows: Digests | None = None,
) -> None:
    """Record an act of a run, in the name of the program."""
    about = ("organisation", run.organisation_id)
    record(session, Actor(run.organisation_id, SYSTEM), action, about, details=details, bulk=bulk, rows=rows)
