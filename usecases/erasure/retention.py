"""Retention of what the program makes by itself: what a policy would remove now, and its removal, a part at a time.

Nothing is removed until an organisation says so, by two people: how long records must be kept is the law's business
and theirs. docs/retention.md says what each kind is and what always stays.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import sleep
from typing import Annotated, Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, resolve_now
from fivefold.domain.errors import ConflictError
from fivefold.store.audit.bound_rows import Digests
from fivefold.store.audit.removals import BEGUN, EMPTIED, REMOVED
from fivefold.store.evidence import retention_runs as runs
from fivefold.store.evidence.old_rows import ResumePoint, Scope
from fivefold.store.evidence.retention import REMOVALS
from fivefold.store.sql.database import add_alone, reading, writing
from fivefold.store.tables.operations import RetentionRun
from fivefold.usecases.accounts.settings import FOR_GOOD, check_removal_days, settings_of
from fivefold.usecases.shared.actors import SYSTEM, Actor
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context, record

PART_ROWS: Final = 500
"""Rows that are looked at in one transaction: a few milliseconds, so that nobody waits for one."""
PAUSE_SECONDS: Final = 0.02
"""Behind each part: on SQLite who waits for the one writer's lock asks for it again only now and then."""
EVERY_US: Final = DAY_US
"""A run begins so long after the one before it began."""
MOST_AHEAD_US: Final = 8 * DAY_US
"""A run takes for the present no moment later than so long after that of the run before it: by a clock that is years
ahead everything would be old. Where workers rested for longer, the next runs make up for it, one a day."""
MOST_LOOKED_ROWS: Final = 50_000
"""Rows of a kind that a dry run looks at, so that it ends soon in a database of any size."""


@dataclass(frozen=True, kw_only=True)
class RetentionRunLine:
    """A run of the policy; `finished_at` is null while it goes on.

    Attributes:
        before_us: what was dated before was old.
        removed: rows.
    """

    started_us: Annotated[Moment, shown_as("started_at")]
    finished_us: Annotated[Moment | None, shown_as("finished_at")]
    before_us: Annotated[Moment, shown_as("before")]
    removed: int


@dataclass(frozen=True, kw_only=True)
class RetentionLine:
    """What the policy would remove now of one kind of rows; it removes nothing where `days` is 0.

    `removable` rows are older than that, and nothing rests on them; `kept` ones are as old, and stay. Where `whole` is
    false there are more: counting ended early.

    Attributes:
        kind: outbox, deliveries, reports, assessments or flows.
        days: after which a row is old; `FOR_GOOD` for never.
        before_us: what is dated before is old; None where nothing ever is.
        removable: rows that would be removed.
        oldest_us: of these, the moment of the oldest; None where there are none.
        kept: rows that are old, and stay.
        whole: all old rows were looked at.
        last_run: None where there was none.
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
    """Return what the policy would remove now, kind by kind, and what became of the last run. Nothing is changed.

    Args:
        context: whose organisation it is for.
        days: by kind, to look at what another policy would remove; the organisation's own where there is none.

    Raises:
        ConfigError: no policy can have so many days.
        ConflictError: the levels were not chosen yet.
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
    before = None if days == FOR_GOOD else now_us - days * DAY_US
    removable = kept = looked = 0
    oldest: int | None = None
    reached: ResumePoint = None
    goes_on = before is not None
    while before is not None and goes_on and looked < MOST_LOOKED_ROWS:
        part = REMOVALS[kind].look(session, Scope(organisation_id, before, now_us), reached, PART_ROWS)
        removable, kept, reached = removable + len(part.removable), kept + part.kept, part.reached
        looked += len(part.removable) + part.kept or PART_ROWS  # rows that are dated ahead are neither
        moments = [row.at_us for row in part.removable]
        oldest = min([*moments, *([] if oldest is None else [oldest])], default=None)
        goes_on = reached is not None
    last = runs.last_run(session, organisation_id, kind)
    return RetentionLine(
        kind=kind,
        days=days,
        before_us=before,
        removable=removable,
        oldest_us=oldest,
        kept=kept,
        whole=not goes_on,
        last_run=None
        if last is None
        else RetentionRunLine(
            started_us=last.started_us,
            finished_us=last.finished_us,
            before_us=last.before_us,
            removed=last.removed,
        ),
    )


def remove_next_parts(
    engine: Engine, now_us: int | None = None, count: Callable[[str, int], None] = lambda _kind, _rows: None
) -> bool:
    """Remove the next part of every kind and organisation whose policy wants it, each in a transaction of its own.

    To be called again until it gives False. Several workers may call it: each run is one's at a time. Who is killed in
    the middle of a part has removed nothing of it, and another worker goes on at the same place.

    Args:
        engine: the database.
        now_us: the present; by default that of this machine.
        count: called with a kind and how many of its rows were removed.

    Raises:
        FivefoldError: or another error of one kind or organisation, the first of them, once all others had their part.
    """
    now = resolve_now(now_us)
    with reading(engine) as session:
        waiting = runs.unfinished(session)
        due = [each for each in runs.policies(session) if each not in waiting and _is_due(session, *each, now)]
    worked = False
    failed: list[Exception] = []
    for organisation_id, kind in [*waiting, *due]:
        try:
            removed = _advance(engine, organisation_id, kind, now)
        except Exception as error:  # noqa: BLE001 (a role that may not empty assessments holds up no other organisation)
            failed.append(error)
            continue
        if removed is not None:
            worked = True
            count(kind, removed)
            sleep(PAUSE_SECONDS)
    if failed:
        raise failed[0]
    return worked


def _is_due(session: Session, organisation_id: int, kind: str, now_us: int) -> bool:
    # One that is dated ahead was begun by a clock that was ahead: it holds nobody up, and neither does the newest one
    # alone count. Two workers whose clocks are apart would else begin one after the other, again and again.
    return not runs.has_begun(session, organisation_id, kind, now_us - EVERY_US, now_us)


def _advance(engine: Engine, organisation_id: int, kind: str, now_us: int) -> int | None:
    """Do the next part of a run; tell how many rows went, or None where there is no run to go on with."""
    try:
        with writing(engine) as session:
            days = runs.policy_of(session, organisation_id, kind)
            run = _run_of(session, organisation_id, kind, days, now_us)
            return None if run is None else _remove_part(session, run, days, now_us)
    except ConflictError:  # another worker began it at this moment
        return None


def _run_of(session: Session, organisation_id: int, kind: str, days: int, now_us: int) -> RetentionRun | None:
    last = runs.last_run(session, organisation_id, kind)
    if last is not None and last.finished_us is None:
        return runs.lock_run(session, last.id)
    if days == FOR_GOOD or not _is_due(session, organisation_id, kind, now_us):
        return None
    # Not from when the run before it began: a clock that stays ahead would be believed with the second run.
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
    # A policy that keeps more than when the run began, or a clock that was set back, ends it.
    if days == FOR_GOOD or now_us - days * DAY_US < run.before_us:
        _finish(session, run, now_us, whole=False)
        return 0
    # By the present that the run believes in: a clock that is ahead ends no hold and no override either.
    believed = min(now_us, run.before_us + run.days * DAY_US)
    removal, scope = REMOVALS[run.kind], Scope(run.organisation_id, run.before_us, believed, run.id)
    part = removal.look(session, scope, runs.resume_point_of(run), PART_ROWS)
    removed = removal.remove(session, scope, part.removable)
    if removed.bound:  # what these rows are from now on
        count = sum(len(rows) for rows in removed.bound.values())
        _record(session, run, EMPTIED, {**_said_of(run), "rows": count}, rows=removed.bound)
    is_first = bool(removed.lines) and run.digest is None
    runs.note_removed(run, removed, part.reached)
    if part.reached is None:
        _finish(session, run, now_us, whole=True)
    elif is_first:
        _record(session, run, BEGUN, _said_of(run))
    return len(removed.rows)


def _finish(session: Session, run: RetentionRun, now_us: int, *, whole: bool) -> None:
    """End a run; where it removed something, the audit log says how much and from when."""
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
    about = ("organisation", run.organisation_id)
    record(session, Actor(run.organisation_id, SYSTEM), action, about, details=details, bulk=bulk, rows=rows)
