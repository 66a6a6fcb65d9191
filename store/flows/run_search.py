"""Lists of runs. Nothing here begins or ends a transaction."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from fivefold.domain.paging import Page, Part
from fivefold.store.sql.keyset import rows_of, where_given
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.flows import FlowRow, FlowRun, FlowVersion


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """Which runs of an organisation are listed; None is no condition.

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
