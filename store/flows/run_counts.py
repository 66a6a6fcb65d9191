"""The numbers of runs that are late, failed lately or are quarantined. Nothing here begins or ends a transaction."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.store.flows.runs import FAILED, QUARANTINED
from fivefold.store.tables.flows import FlowRow, FlowRun


@dataclass(frozen=True)
class RunCounts:
    """Runs of one organisation.

    Attributes:
        due: runs that a worker should process now.
        oldest_us: since when the first of these is due; None for none.
        failed: runs that failed since the given moment, without those of shadows.
        quarantined: runs that ended workers too often.
    """

    organisation_id: int
    due: int = 0
    oldest_us: int | None = None
    failed: int = 0
    quarantined: int = 0


def run_counts(
    session: Session, now_us: int, failed_since_us: int, organisation_id: int | None = None
) -> list[RunCounts]:
    """Count the runs of each organisation that has any to count, or of one; the organisations by their numbers."""
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
    """Read the index of due runs; a person's question is due after its time to answer."""
    # A sum, so that SQLite takes the index by due moment, not that of the organisation.
    of = FlowRun.organisation_id + 0
    statement = select(of, func.count(), func.min(FlowRun.due_us)).where(FlowRun.due_us <= now_us).group_by(of)
    return statement if organisation_id is None else statement.where(of == organisation_id)


def _in_state(state: str, organisation_id: int | None) -> Any:
    """Read the index of each flow's runs by state: a flow has its organisation."""
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
