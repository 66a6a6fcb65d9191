"""Replays of versions of flows: one person requests, a worker replays, and the person who is to activate reads."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from sqlalchemy import func, select

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.flows.analysis import AnalysedFlow, analyse_canonical_flow
from fivefold.risk.language.policy import TransactionInput
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.flows.flows import flow_named
from fivefold.store.flows.replays import (
    ReplayPersonRow,
    ReplayRow,
    open_replay,
    people_of,
    replay_numbered,
    replays_of,
)
from fivefold.store.flows.versions import flow_version_numbered, newest_flow_version
from fivefold.store.sql.jobs import OPEN
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.flows import FlowReplay, FlowRow, FlowVersion
from fivefold.usecases.accounts.flows_in_force import flow_of_version
from fivefold.usecases.flows.replays.happenings import KINDS, MOST_SCHEDULED, SCHEDULE, has_more_moments, kinds_of
from fivefold.usecases.flows.replays.run import ReplayWanted, make_replay
from fivefold.usecases.shared.api_fields import Moment, row_as, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_moment, checked_reason
from fivefold.usecases.shared.jobs import JobKind, JobLine, Lease, new_job


@dataclass(frozen=True, kw_only=True)
class ReplayAsked:
    """What is to be replayed.

    Attributes:
        version: its number; None for the one that was committed last.
        base_version: the number of the version that it is compared with; None for the one that acts, if it is another.
        alone: it is compared with none.
        as_of_us: everybody is run on the facts of that moment; None for now.
        from_us: or what happened from that moment on is, each on the facts of its own moment,
        until_us: until this one, which is not in it.
    """

    version: int | None = None
    base_version: int | None = None
    alone: bool = False
    as_of_us: int | None = None
    from_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, kw_only=True)
class FlowReplayLine(JobLine):
    """A replay of a version over history, and what it found.

    Attributes:
        state: queued, running, done, failed, cancelled, or quarantined where it ended `attempts` workers.
        base_version: the version that it is compared with; None for none.
        as_of_us: the moment of the facts where everybody is replayed; that of the question where a period is.
        from_us: where what happened is replayed, from then until `until_us`; None where everybody is.
        report: what was found; None until it is done. `ends` are rows of state, step and runs, as are `base_ends` of
            the version that it is compared with; `moves` state and step there, state and step here, and runs;
            `actions` and `base_actions` runs by action; `answered` runs by step that went on by an answer that was
            kept; `causes` runs by what happened; `failures` step, why and runs, of the first 200 that failed
            at each step; `different` runs of `people` entities come to something else. `members_of` and
            `base_members_of` name the groups for whose members alone the versions run as of one moment;
            `unknown_members` counts, by group, entities of which it is not known for all of the time whether they
            were members; `notes` say that in words.
        report_hash: the SHA-256 of its canonical JSON.
    """

    flow: str
    entity_type: str
    version: int
    base_version: int | None
    as_of_us: Annotated[Moment, shown_as("as_of")]
    from_us: Annotated[Moment | None, shown_as("from")]
    until_us: Annotated[Moment | None, shown_as("until")]
    report: dict[str, Any] | None
    report_hash: str | None


@dataclass(frozen=True, kw_only=True)
class ReplayPerson:
    """Whom a replayed version treats otherwise than the one that it is compared with.

    Attributes:
        cause: what it was run for; empty where everybody was.
        at_us: the moment of the facts.
        before_state: ended, failed, waits or asks by the other version; empty where it does not run, or is none.
        before_at: the step at which that stopped; `before_actions` what it would do.
        state: the same by the replayed version, as are `stopped_at` and `actions`.
    """

    entity_type: str
    external_id: str
    cause: str
    at_us: Annotated[Moment, shown_as("at")]
    before_state: str
    before_at: str
    before_actions: str
    state: str
    stopped_at: str
    actions: str


def request_flow_replay(context: Context, flow: str, request: ReplayAsked) -> tuple[FlowReplayLine, bool]:
    """Request a replay; return the job, and whether it is new: an equal one that waits or runs is returned instead.

    Raises:
        NotFoundError: there is no such flow or version.
        ConfigError: the moments are out of order or in the future; the version looks at a transaction, and no period is
            given; or, in a period, nothing that is kept runs the version by itself, or its schedules have more moments
            than can be replayed.
        ConflictError: no version is committed, the version could not run with what it asks now, or another replay of it
            waits or runs.
    """
    now = context.now()
    moments = _moments(request, now)
    if request.alone and request.base_version is not None:
        raise ConfigError("it is replayed alone, or compared with base_version; give one of the two")
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        row = flow_named(session, context.organisation_id, flow)
        version = _version(session, row, request.version)
        base_id = None if request.alone else _base_id(session, row, version, request.base_version)
        running = open_replay(session, version.id)
        if running is not None:
            _refuse_another(running, request, base_id)
            return _line(replay_numbered(session, context.organisation_id, running.id)), False
        for version_id in (version.id, base_id):
            if version_id is not None:
                _refuse_unfit(flow_of_version(session, version_id).analysed, request)
        _refuse_nothing_happens(session, [version.id, base_id], request)
        until_id = session.scalar(select(func.max(Entity.id)).where(Entity.type_id == row.type_id)) or 0
        of = {"flow_id": row.id, "version_id": version.id, "base_version_id": base_id, "until_id": until_id}
        job = FlowReplay(**new_job(context, now), **of, **moments)
        session.add(job)
        session.flush()
        details = {"flow": flow, "version": version.number, "content_hash": version.content_hash, **moments}
        context.record(session, "flow_replay.requested", ("flow", row.id), details=details)
        return _line(replay_numbered(session, context.organisation_id, job.id)), True


def _refuse_another(running: FlowReplay, request: ReplayAsked, base_id: int | None) -> None:
    """Raise ConflictError if the replay that waits or runs is for other moments, or beside another version."""
    is_same = (running.from_us, running.until_us, running.base_version_id) == (
        request.from_us,
        request.until_us,
        base_id,
    )
    if not is_same or request.as_of_us not in {None, running.as_of_us}:
        raise ConflictError(
            f"replay {running.id} of this version, for other moments or beside another version, is {running.state}:"
            " wait until it is done, or cancel it"
        )


def _moments(request: ReplayAsked, now_us: int) -> dict[str, int | None]:
    """Check the moments; return the columns of a job."""
    if (request.from_us is None) != (request.until_us is None):
        raise ConfigError("a period has from and until; give both, or neither to replay everybody as of one moment")
    if request.from_us is None or request.until_us is None:
        as_of = now_us if request.as_of_us is None else checked_moment(request.as_of_us, "as_of")
        if as_of > now_us:
            raise ConfigError(f"as_of is {day_text(as_of)}, which is still to come")
        return {"as_of_us": as_of, "from_us": None, "until_us": None}
    if request.as_of_us is not None:
        raise ConfigError("in a period each cause has the facts of its own moment; give as_of or a period, not both")
    begins, ends = checked_moment(request.from_us, "from"), checked_moment(request.until_us, "until")
    if begins >= ends:
        raise ConfigError(f"from, {day_text(begins)}, must be before until, {day_text(ends)}")
    if ends > now_us:
        raise ConfigError(f"until is {day_text(ends)}, which is still to come")
    return {"as_of_us": now_us, "from_us": begins, "until_us": ends}


def _version(session: Any, flow: FlowRow, number: int | None) -> FlowVersion:
    if number is not None:
        return flow_version_numbered(session, flow, number)
    newest = newest_flow_version(session, flow.id)
    if newest is None:
        raise ConflictError(f"no version of the flow {flow.name} is committed; a replay runs one")
    return newest


def _base_id(session: Any, flow: FlowRow, version: FlowVersion, number: int | None) -> int | None:
    if number is None:
        return flow.active_version_id if flow.active_version_id != version.id else None
    base = flow_version_numbered(session, flow, number)
    if base.id == version.id:
        raise ConfigError(f"version {number} cannot be compared with itself")
    return base.id


def _refuse_unfit(analysed: AnalysedFlow, request: ReplayAsked) -> None:
    for finding in analysed.errors:
        raise ConflictError(f"flow {analysed.flow.name} cannot run now: {finding.where}: {finding.problem}")
    inputs = [each for one in (analysed, *analysed.dependencies.values()) for each in one.simple_inputs]
    if request.from_us is None and any(isinstance(each, TransactionInput) for each in inputs):
        raise ConfigError(
            f"flow {analysed.flow.name} looks at the transaction that it is run for; give a period, from and until,"
            " whose transactions are to be replayed"
        )


def _refuse_nothing_happens(session: Any, version_ids: list[int | None], request: ReplayAsked) -> None:
    if request.from_us is None:
        return
    rows = [session.get_one(FlowVersion, each) for each in version_ids if each is not None]
    flows = [analyse_canonical_flow(row.canonical).flow for row in rows]
    if not kinds_of(flows)[0]:
        raise ConfigError(
            f"flow {flows[0].name} runs by itself for no event that is kept as it happened"
            f" ({', '.join((*KINDS, SCHEDULE))}); replay it for everybody, as of one moment"
        )
    if request.until_us is not None and has_more_moments(flows, (request.from_us, request.until_us), MOST_SCHEDULED):
        raise ConfigError(
            f"the schedules of flow {flows[0].name} have more than {MOST_SCHEDULED:,} moments in the period, and no"
            " more are replayed at once; give a shorter period"
        )


def list_flow_replays(
    context: Context, flow: str, part: Part = WHOLE, version: int | None = None
) -> Page[FlowReplayLine]:
    """List the replays of a flow, or of a *version*, the newest first; NotFoundError if that does not exist."""
    with context.reading() as session:
        row = flow_named(session, context.organisation_id, flow)
        version_id = None if version is None else flow_version_numbered(session, row, version).id
        return replays_of(session, row.id, part, version_id).map(_line)


def read_flow_replay(context: Context, number: int) -> FlowReplayLine:
    """Show a replay, and its findings; NotFoundError if none has that number."""
    with context.reading() as session:
        return _line(replay_numbered(session, context.organisation_id, number))


def list_replay_people(
    context: Context, number: int, before_at: str | None = None, stopped_at: str | None = None, part: Part = WHOLE
) -> Page[ReplayPerson]:
    """List the entities that a replayed version treats otherwise, by choice those that stopped, or stop, at one step.

    NotFoundError unless the replay is done. Without a version to compare with: those for whom something would be done,
    or a person or a system asked. Erased entities are left out.
    """
    with context.reading() as session:
        replay = replay_numbered(session, context.organisation_id, number)
        if replay.job.state != "done":
            raise NotFoundError(f"there is no replay {number} of a flow that is done")
        kind = replay.entity_type
        return people_of(session, number, before_at, stopped_at, part).map(lambda row: _person(kind, row))


def _person(entity_type: str, row: ReplayPersonRow) -> ReplayPerson:
    person = row.person
    return row_as(ReplayPerson, person, entity_type=entity_type, external_id=row.external_id)


def cancel_flow_replay(context: Context, number: int, reason: str) -> FlowReplayLine:
    """End a replay that waits or runs; the worker of a running one stops at the next part.

    Raises:
        ConfigError: the reason is empty.
        NotFoundError: there is no such replay.
        ConflictError: it has ended already.
    """
    now, why = context.now(), checked_reason(reason)
    with context.writing() as session:
        job = replay_numbered(session, context.organisation_id, number, locked=True).job
        if job.state not in OPEN:
            raise ConflictError(f"replay {number} is {job.state}; one that waits or runs can be cancelled")
        job.state, job.error = "cancelled", f"{context.actor.name} cancelled it: {why}"
        job.lease_until_us, job.finished_us, job.reached = None, now, None
        context.record(session, "flow_replay.cancelled", ("flow", job.flow_id), after={"reason": why})
        session.flush()
        return _line(replay_numbered(session, context.organisation_id, number))


def _line(row: ReplayRow) -> FlowReplayLine:
    job = row.job
    return row_as(
        FlowReplayLine,
        job,
        flow=row.flow,
        entity_type=row.entity_type,
        version=row.version,
        base_version=row.base_version,
        report=None if job.report is None else json.loads(job.report),
    )


def _begin(job: FlowReplay) -> Callable[[Lease], None]:
    wanted = ReplayWanted(
        version_id=job.version_id,
        base_version_id=job.base_version_id,
        as_of_us=job.as_of_us,
        period=None if job.from_us is None or job.until_us is None else (job.from_us, job.until_us),
        until_id=job.until_id,
        reached=job.reached,
    )
    return lambda lease: make_replay(lease, wanted)


REPLAYS = JobKind(name="replays", rows=FlowReplay, begin=_begin)
