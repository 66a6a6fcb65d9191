"""Lists of runs, and counts of those that are due, failed lately or are quarantined. Begins no transaction."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from fivefold.domain.paging import Page, Part
from fivefold.store.flows.runs import FAILED, QUARANTINED
from fivefold.store.sql.keyset import rows_of, where_given
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.flows import FlowRow, FlowRun, FlowVersion


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """Which runs of an organisation are listed; None sets no condition.

    Attributes:
        flow: its name, in whatever version.
        at: the step at which they stopped.
        since_us: they began at that moment or later.
        until_us: they began before.
    """

    organisation_id: int
    flow: str | None = None
    state: str | None = None
    at: str | None = None
    entity_id: int | None = None
    acting: bool | None = None
    since_us: int | None = None
    until_us: int | None = None


class RunRow(NamedTuple):
    """A run with its flow, the number of its version, and its entity."""

    run: FlowRun
    flow: str
    version: int
    entity_type: str
    external_id: str


_RUNS = (
    select(FlowRun, FlowRow.name, FlowVersion.number, EntityType.name, Entity.external_id)
    .join(FlowRow, FlowRow.id == FlowRun.flow_id)
    .join(FlowVersion, FlowVersion.id == FlowRun.version_id)
    .join(Entity, Entity.id == FlowRun.entity_id)
    .join(EntityType, EntityType.id == Entity.type_id)
)


def runs_among(session: Session, run_filter: RunFilter, part: Part) -> Page[RunRow]:
    """List the runs that match a filter, the latest first."""
    statement = where_given(
        _RUNS.where(FlowRun.organisation_id == run_filter.organisation_id),
        (FlowRow.name, run_filter.flow),
        (FlowRun.state, run_filter.state),
        (FlowRun.stopped_at, run_filter.at),
        (FlowRun.entity_id, run_filter.entity_id),
        (FlowRun.acting, run_filter.acting),
        moment=FlowRun.begun_us,
        since_us=run_filter.since_us,
        until_us=run_filter.until_us,
    )
    return rows_of(session, statement, (FlowRun.id,), part, descending=True).map(lambda row: RunRow(*row))


_ONE: Final = _RUNS.where(FlowRun.id == bindparam("of"))
"""Built once, as each call of a flow uses it."""


def run_row(session: Session, run_id: int) -> RunRow:
    """Return one run by its number; it must exist."""
    return RunRow(*session.execute(_ONE, {"of": run_id}).one())


@dataclass(frozen=True)
class RunCounts:
    """Runs of one organisation.

    Attributes:
        due: runs that a worker should process now.
        oldest_us: since when the first of these is due; None for none.
        failed: runs that failed since the given moment, without those of shadows.
        quarantined: runs that crashed workers or failed too often.
    """

    organisation_id: int
    due: int = 0
    oldest_us: int | None = None
    failed: int = 0
    quarantined: int = 0


def run_counts(
    session: Session, now_us: int, failed_since_us: int, organisation_id: int | None = None
) -> list[RunCounts]:
    """Count the runs of each organisation that has any, or of one; organisations are in the order of their numbers."""
    due_counts = {
        number: (runs, oldest) for number, runs, oldest in session.execute(_due_runs(now_us, organisation_id))
    }
    failed = dict(_pairs(session, _in_state(FAILED, organisation_id).where(FlowRun.ended_us >= failed_since_us)))
    quarantined = dict(_pairs(session, _in_state(QUARANTINED, organisation_id)))
    return [
        RunCounts(
            organisation_id=number,
            due=due_counts.get(number, (0, None))[0],
            oldest_us=due_counts.get(number, (0, None))[1],
            failed=failed.get(number, 0),
            quarantined=quarantined.get(number, 0),
        )
        for number in sorted(due_counts.keys() | failed.keys() | quarantined.keys())
    ]


def _due_runs(now_us: int, organisation_id: int | None) -> Any:
    """Count due runs, from their index; a person's question is due when its time to answer is over."""
    # A sum, so that SQLite uses the index by due moment, not the one by organisation.
    of = FlowRun.organisation_id + 0
    statement = select(of, func.count(), func.min(FlowRun.due_us)).where(FlowRun.due_us <= now_us).group_by(of)
    return statement if organisation_id is None else statement.where(of == organisation_id)


def _in_state(state: str, organisation_id: int | None) -> Any:
    """Count runs by organisation, from the index of each flow's runs by state: a flow has its organisation."""
    of = FlowRow.organisation_id
    statement = (
        select(of, func.count())
        .join(FlowRun, FlowRun.flow_id == FlowRow.id)
        .where(FlowRun.state == state, FlowRun.acting.is_(True))
        .group_by(of)
    )
    return statement if organisation_id is None else statement.where(of == organisation_id)


def _pairs(session: Session, statement: Any) -> Iterator[tuple[int, int]]:
    for number, runs in session.execute(statement):
        yield number, int(runs)
