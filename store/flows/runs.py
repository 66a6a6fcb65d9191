"""Runs of flows: begun once for a cause, claimed by a lease, continued or returned. Begins and ends no transaction.

Any number of workers claim runs, and any of them may die: a leased run is free again once its lease ends. Statements
that every run uses are built once: building one takes longer than running it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import BindParameter, Table, Update, and_, bindparam, case, exists, or_, select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.audit.bound_rows import Digests, digests
from fivefold.store.sql.arrays import among_parameter
from fivefold.store.sql.clocks import lease_is_over
from fivefold.store.sql.statements import INSERTS
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.flows import FlowRow, FlowRun, FlowVersion, StepOutcome

QUEUED, RUNNING, WAITING, ENDED, FAILED, QUARANTINED = "queued", "running", "waiting", "ended", "failed", "quarantined"
"""The states of a run; the last three are final."""
EMPTIED_OUTCOME: Final = "{}"
"""Replaces the outcome of a step once the retention policy removed it."""
_RUNS, _STEPS, _ENTITIES = (cast("Table", table.__table__) for table in (FlowRun, StepOutcome, Entity))


class Listener(NamedTuple):
    """A version that acts, or runs as a shadow."""

    flow_id: int
    version_id: int
    content_hash: str
    acting: bool


_IS_ACTIVE: Final = FlowVersion.id == FlowRow.active_version_id
_LISTENERS: Final = (
    select(FlowRow.id, FlowVersion.id, FlowVersion.content_hash, _IS_ACTIVE)
    .join(FlowVersion, or_(_IS_ACTIVE, FlowVersion.id == FlowRow.shadow_version_id))
    .where(FlowRow.organisation_id == bindparam("of"), FlowRow.type_id == bindparam("of_type"))
    .order_by(FlowVersion.id)
)
_LISTENS: Final = or_(FlowRow.active_version_id.is_not(None), FlowRow.shadow_version_id.is_not(None))
_HAS_LISTENERS: Final = select(exists().where(FlowRow.organisation_id == bindparam("of"), _LISTENS))


def listeners(session: Session, organisation_id: int, type_id: int) -> list[Listener]:
    """List the acting versions and the shadows of the flows about one type of entity."""
    rows = session.execute(_LISTENERS, {"of": organisation_id, "of_type": type_id})
    return [Listener(*row[:3], bool(row[3])) for row in rows]


def has_listeners(session: Session, organisation_id: int) -> bool:
    """Return whether any flow of an organisation acts, or runs as a shadow."""
    return bool(session.scalar(_HAS_LISTENERS, {"of": organisation_id}))


_BEGIN: Final = {
    dialect: insert(_RUNS).on_conflict_do_nothing(index_elements=["version_id", "entity_id", "cause", "acting"])
    for dialect, insert in INSERTS.items()
}
_NEW: Final[Mapping[str, Any]] = {"state": QUEUED, "attempts": 0, "revision": 0}


def begin_runs(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Begin runs, queued; if a run of that version, entity and cause exists, nothing is added.

    Args:
        session: in the transaction of what caused them.
        rows: organisation_id, flow_id, version_id, entity_id, cause, about, acting, due_us, begun_us, actor.
    """
    if rows:
        rows_in_order = sorted(rows, key=lambda row: (row["entity_id"], row["version_id"], row["cause"]))
        session.connection().execute(
            _BEGIN[session.get_bind().dialect.name], [{**row, **_NEW} for row in rows_in_order]
        )


_ADD: Final = {dialect: statement.returning(_RUNS.c.id) for dialect, statement in _BEGIN.items()}


def add_run(session: Session, row: Mapping[str, Any]) -> int | None:
    """Add a run with its result, as if it had been begun and continued; None if it was begun before.

    *row* has the columns that `begin_runs` takes, and those that `finish` stores.
    """
    inserted = session.connection().execute(_ADD[session.get_bind().dialect.name], {**_NEW, **row, "revision": 1})
    number: int | None = inserted.scalar()
    return number


@dataclass(frozen=True, kw_only=True)
class RunBatch:
    """Runs of one version that a worker holds.

    Attributes:
        lease: the name of the worker's lease.
        attempts: the number of earlier attempts, by the number of the run.
        entities: the entity, by the number of the run.
        stopped: the runs that stopped at a step before.
    """

    organisation_id: int
    flow_id: int
    version_id: int
    lease: str
    attempts: Mapping[int, int]
    entities: Mapping[int, int]
    stopped: frozenset[int]


_CLAIMED: Final = (
    *(FlowRun.id, FlowRun.organisation_id, FlowRun.flow_id, FlowRun.version_id),
    *(FlowRun.attempts, FlowRun.entity_id, FlowRun.stopped_at, FlowRun.asks, FlowRun.asked_us),
)
"""The columns to read of a claimed run."""
_NOW: Final[BindParameter[int]] = bindparam("now")
_FREE: Final = (FlowRun.due_us <= _NOW, or_(FlowRun.lease.is_(None), lease_is_over(FlowRun.lease_until_us, _NOW)))
_OWN_OR_FREE: Final = or_(FlowRun.lease == bindparam("name"), and_(*_FREE))
_ONE: Final = select(*_CLAIMED).where(FlowRun.id == bindparam("of"), _OWN_OR_FREE)
_ONE_LOCKED: Final = _ONE.with_for_update()
_ONE_BY_ONE: Final = 3
"""A run that was tried this often is claimed alone: it may be the one that crashes workers."""


def claim(session: Session, lease: str, now_us: int, until_us: int, most: int, most_attempts: int) -> RunBatch | None:
    """Claim due runs of one version, that of the run which has been due for longest; None if no run is due.

    A run abandoned by more than *most_attempts* workers is quarantined instead; the last of these was only to give it
    up.
    """
    now, in_order = {"now": now_us}, select(*_CLAIMED).where(*_FREE).order_by(FlowRun.due_us, FlowRun.id)
    first = session.execute(in_order.limit(1).with_for_update(skip_locked=True), now).first()
    if first is None:
        return None
    rows = [first]
    if first.attempts < _ONE_BY_ONE:
        alike = (FlowRun.version_id == first.version_id, FlowRun.attempts < _ONE_BY_ONE)
        rows = list(session.execute(in_order.where(*alike).limit(most).with_for_update(skip_locked=True), now))
    return _leased(session, rows, lease, until_us, most_attempts)


def can_claim_one(session: Session, run_id: int, lease: str, now_us: int) -> bool:
    """Return whether `claim_one` would claim a run now; it locks and writes nothing."""
    return session.execute(_ONE, {"of": run_id, "name": lease, "now": now_us}).first() is not None


def claim_one(session: Session, run_id: int, lease: str, now_us: int, until_us: int) -> RunBatch | None:
    """Claim one run that is due or held by *lease*; None if it ended, waits for a person, or has another lease."""
    row = session.execute(_ONE_LOCKED, {"of": run_id, "name": lease, "now": now_us}).first()
    return None if row is None else _leased(session, [row], lease, until_us, row.attempts)


_HOLD: Final = (
    update(_RUNS)
    .where(_RUNS.c.id == bindparam("of"), *_FREE)
    .values(state=RUNNING, lease=bindparam("name"), lease_until_us=bindparam("until"))
)


def hold(session: Session, run_id: int, lease: str, now_us: int, until_us: int) -> None:
    """Lease a run in the transaction that lets it continue, so that nobody else can claim it before the holder does.

    A run that another lease holds, or that is not due, stays as it is. No attempt is counted: `claim_one` counts it.
    """
    session.flush()
    session.connection().execute(_HOLD, {"of": run_id, "name": lease, "now": now_us, "until": until_us})


_TAKE: Final = {
    dialect: update(_RUNS)
    .where(among_parameter(dialect, _RUNS.c.id, "ids"))
    .values(
        state=RUNNING,
        lease=bindparam("name"),
        lease_until_us=bindparam("until"),
        attempts=_RUNS.c.attempts + 1,
    )
    for dialect in ("sqlite", "postgresql")
}


def given_up(run: Any, error: str) -> dict[str, Any]:
    """Return the columns of a quarantined run; it keeps the moment at which it asked a source."""
    asked_us = run.asked_us if run.asks is None else None
    return {"state": QUARANTINED, "due_us": None, "error": error, "asks": None, "asked_us": asked_us}


def _leased(session: Session, rows: Sequence[Any], lease: str, until_us: int, most_attempts: int) -> RunBatch:
    """Lease the claimed runs, and quarantine those that workers abandoned too often."""
    abandoned = {row.id: row for row in rows if row.attempts > most_attempts}
    if abandoned:
        words = (
            f"the worker that tried it did not come back, {most_attempts} times, nor did the one that was to give it up"
        )
        finish(session, {number: given_up(row, words) for number, row in abandoned.items()})
    attempts = {row.id: row.attempts for row in rows if row.id not in abandoned}
    # The attempt is counted now, as a worker that dies cannot count it.
    parameters = {"ids": sorted(attempts), "name": lease, "until": until_us}
    session.connection().execute(_TAKE[session.get_bind().dialect.name], parameters)
    first = rows[0]
    return RunBatch(
        organisation_id=first.organisation_id,
        flow_id=first.flow_id,
        version_id=first.version_id,
        lease=lease,
        attempts=attempts,
        entities={row.id: row.entity_id for row in rows if row.id in attempts},
        stopped=frozenset(row.id for row in rows if row.id in attempts and row.stopped_at is not None),
    )


_HELD: Final = {
    dialect: select(FlowRun)
    .where(among_parameter(dialect, FlowRun.id, "ids"), FlowRun.lease == bindparam("name"))
    .order_by(FlowRun.id)
    .execution_options(populate_existing=True)
    for dialect in ("sqlite", "postgresql")
}
_HELD_LOCKED: Final = {dialect: statement.with_for_update() for dialect, statement in _HELD.items()}


def runs_held(session: Session, batch: RunBatch, run_ids: Iterable[int], *, locked: bool = False) -> list[FlowRun]:
    """Read which of some runs a batch's lease still holds, by number; *locked* locks them."""
    statement = (_HELD_LOCKED if locked else _HELD)[session.get_bind().dialect.name]
    return list(session.scalars(statement, {"ids": sorted(run_ids), "name": batch.lease}))


_PRESENT: Final = {
    dialect: select(_ENTITIES.c.id, _ENTITIES.c.external_id).where(
        among_parameter(dialect, _ENTITIES.c.id, "ids"), _ENTITIES.c.erased_us.is_(None)
    )
    for dialect in ("sqlite", "postgresql")
}


def present_entities(session: Session, entity_ids: Iterable[int]) -> dict[int, str]:
    """Return, by number, the names of some entities; erased ones are left out."""
    statement = _PRESENT[session.get_bind().dialect.name]
    return {row.id: row.external_id for row in session.execute(statement, {"ids": sorted(set(entity_ids))})}


_OUTCOMES: Final = {
    dialect: select(StepOutcome).where(among_parameter(dialect, StepOutcome.run_id, "ids"))
    for dialect in ("sqlite", "postgresql")
}


def outcomes_of(session: Session, run_ids: Collection[int]) -> dict[int, dict[str, StepOutcome]]:
    """Return the stored outcomes of steps, by run and step."""
    if not run_ids:
        return {}
    by_run: dict[int, dict[str, StepOutcome]] = {}
    for row in session.scalars(_OUTCOMES[session.get_bind().dialect.name], {"ids": sorted(run_ids)}):
        by_run.setdefault(row.run_id, {})[row.step] = row
    return by_run


_ADD_STEP: Final = {
    dialect: insert(_STEPS).on_conflict_do_nothing(index_elements=["run_id", "step"]).returning(_STEPS.c.run_id)
    for dialect, insert in INSERTS.items()
}


def add_outcome(session: Session, values: Mapping[str, Any]) -> bool:
    """Store the outcome of a step; False if one is stored already: the first one is kept."""
    return session.execute(_ADD_STEP[session.get_bind().dialect.name], dict(values)).first() is not None


def outcome_digests(session: Session, names: Iterable[tuple[int, str]]) -> Digests:
    """Return digests, for the audit log, of outcomes that were just written, given by run and step.

    Other outcomes of the same runs are left out: binding rows that were only read would also bind forged ones.
    """
    ends = {f"{step}.{run_id}" for run_id, step in names}
    by_table = digests(session, _STEPS.name, {int(end.rpartition(".")[2]) for end in ends})
    of_steps = {
        name: digest for name, digest in by_table.get(_STEPS.name, {}).items() if name.partition(".")[2] in ends
    }
    return {_STEPS.name: of_steps} if of_steps else {}


def finish(session: Session, values: Mapping[int, Mapping[str, Any]]) -> None:
    """Store the state of runs, by their numbers, and return their leases."""
    connection = session.connection()
    for number in sorted(values):
        parameters = {f"{_NEW_VALUE}{name}": value for name, value in values[number].items()}
        connection.execute(_finishing(tuple(sorted(values[number]))), {**parameters, "of": number})


_NEW_VALUE: Final = "new_"
"""Prefix of parameters: a parameter of an update must not have the name of a column."""


@cache
def _finishing(names: tuple[str, ...]) -> Update:
    """Build the statement that stores some columns of a run; only two or three sets of columns occur."""
    new: dict[str, BindParameter[Any]] = {name: bindparam(f"{_NEW_VALUE}{name}") for name in names}
    statement = update(_RUNS).where(_RUNS.c.id == bindparam("of"))
    return statement.values(lease=None, lease_until_us=None, revision=_RUNS.c.revision + 1, **new)


_WAS_LAST: Final = bindparam("most") <= _RUNS.c.attempts
_GIVE_BACK: Final = (
    update(_RUNS)
    .where(and_(_RUNS.c.id == bindparam("of"), _RUNS.c.lease == bindparam("held")))
    .values(
        state=case((_WAS_LAST, QUARANTINED), else_=QUEUED),  # the asked person answered, or had no more time
        due_us=case((_WAS_LAST, None), else_=bindparam("next_us")),
        error=bindparam("said"),
        asks=None,
        # A source may have been asked: that moment is kept.
        asked_us=case((_RUNS.c.asks.is_(None), _RUNS.c.asked_us), else_=None),
        lease=None,
        lease_until_us=None,
        revision=_RUNS.c.revision + 1,
    )
)


def give_back(
    session: Session, batch: RunBatch, errors: Mapping[int, str], next_us: Mapping[int, int], most_attempts: int
) -> None:
    """Return the leases of runs that failed, with the error; after *most_attempts* these runs are quarantined."""
    rows = [
        {"of": number, "held": batch.lease, "said": error, "next_us": next_us[number], "most": most_attempts}
        for number, error in sorted(errors.items())
    ]
    if rows:
        session.connection().execute(_GIVE_BACK, rows)


_PUT_OFF: Final = {
    dialect: update(_RUNS)
    .where(among_parameter(dialect, _RUNS.c.id, "ids"), _RUNS.c.lease == bindparam("held"))
    .values(
        state=QUEUED,
        due_us=bindparam("next_us"),
        error=bindparam("said"),
        attempts=_RUNS.c.attempts - 1,  # the claim counted one
        lease=None,
        lease_until_us=None,
    )
    for dialect in ("sqlite", "postgresql")
}


def put_off(session: Session, batch: RunBatch, error: str, next_us: int) -> None:
    """Return the leases that a batch still holds, with the error, without counting the attempt; open questions stay."""
    parameters = {"ids": sorted(batch.attempts), "held": batch.lease, "next_us": next_us, "said": error}
    session.connection().execute(_PUT_OFF[session.get_bind().dialect.name], parameters)


class RunOfCause(NamedTuple):
    """The number of a run that was begun for a cause, with the data of the cause."""

    id: int
    about: Mapping[str, Any]


_OF_CAUSE: Final = (
    select(_RUNS.c.id, _RUNS.c.about)
    .where(
        _RUNS.c.flow_id == bindparam("flow"),
        _RUNS.c.entity_id == bindparam("entity"),
        _RUNS.c.cause == bindparam("cause"),
        _RUNS.c.acting,
    )
    .order_by(_RUNS.c.id)
    .limit(1)
)


def run_of_cause(session: Session, flow_id: int, entity_id: int, cause: str) -> RunOfCause | None:
    """Find the acting run of a flow for an entity and a cause, of any version; None if there is none."""
    row = session.execute(_OF_CAUSE, {"flow": flow_id, "entity": entity_id, "cause": cause}).first()
    return None if row is None else RunOfCause(*row)


def run_numbered(session: Session, organisation_id: int, number: int, *, locked: bool = False) -> FlowRun:
    """Find a run; NotFoundError if the organisation has none of that number. *locked* locks it, then reads it anew."""
    statement = select(FlowRun).where(FlowRun.id == number, FlowRun.organisation_id == organisation_id)
    query = statement.with_for_update().execution_options(populate_existing=True) if locked else statement
    row = session.scalar(query)
    if row is None:
        raise NotFoundError(f"there is no run f:{number}")
    return row


_VERSION: Final = (
    select(FlowVersion, FlowRow)
    .join(FlowRow, FlowRow.id == FlowVersion.flow_id)
    .where(FlowVersion.id == bindparam("of"))
)


def version_and_flow(session: Session, version_id: int) -> tuple[FlowVersion, FlowRow]:
    """Find a version and its flow."""
    version, flow = session.execute(_VERSION, {"of": version_id}).one()
    return version, flow


_ACTIVE: Final = select(FlowRow.active_version_id).where(FlowRow.id == bindparam("of"))
_ACTIVE_LOCKED: Final = _ACTIVE.with_for_update(read=True)


def acting_version(session: Session, flow_id: int, *, locked: bool) -> int | None:
    """Return the acting version of a flow; *locked*: it cannot change until this transaction ends."""
    number: int | None = session.execute(_ACTIVE_LOCKED if locked else _ACTIVE, {"of": flow_id}).scalar_one()
    return number


def is_off(session: Session, flow_id: int, *, locked: bool = False) -> bool:
    """Return whether no version of a flow acts; *locked*: it cannot be switched off until this transaction ends."""
    return acting_version(session, flow_id, locked=locked) is None
