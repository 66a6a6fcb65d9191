"""Versions of flows, and when each began to act. Nothing here begins or ends a transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, cast

from sqlalchemy import Table, func, select
from sqlalchemy.orm import Session, aliased

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.sql.arrays import among_parameter
from fivefold.store.sql.keyset import rows_of, scalars_of
from fivefold.store.tables.flows import FlowActivation, FlowRow, FlowVersion

ACTIVE, ROLLBACK, OFF, SHADOW, SHADOW_OFF = "active", "rollback", "off", "shadow", "shadow_off"
"""The kinds of changes of the acting version and of the shadow."""


def newest_flow_version(session: Session, flow_id: int) -> FlowVersion | None:
    """Find the newest committed version of a flow; None before the first."""
    statement = select(FlowVersion).where(FlowVersion.flow_id == flow_id)
    return session.scalar(statement.order_by(FlowVersion.number.desc()).limit(1))


def flow_version_numbered(session: Session, flow: FlowRow, number: int) -> FlowVersion:
    """Find a version of a flow; NotFoundError if it has none of that number."""
    row = session.scalar(select(FlowVersion).where(FlowVersion.flow_id == flow.id, FlowVersion.number == number))
    if row is None:
        raise NotFoundError(f"there is no version {number} of the flow {flow.name}")
    return row


_VERSIONS: Final = cast("Table", FlowVersion.__table__)
_CANONICALS: Final = {
    dialect: select(_VERSIONS.c.id, _VERSIONS.c.canonical).where(among_parameter(dialect, _VERSIONS.c.id, "ids"))
    for dialect in ("sqlite", "postgresql")
}


def canonical_of(session: Session, version_ids: Collection[int]) -> dict[int, str]:
    """Return the canonical texts of versions, by their ids."""
    if not version_ids:
        return {}
    rows = session.execute(_CANONICALS[session.get_bind().dialect.name], {"ids": list(version_ids)})
    return {row.id: row.canonical for row in rows}


def flow_versions_of(session: Session, flow_id: int, part: Part, *, acted: bool) -> Page[FlowVersion]:
    """List the versions of a flow, or those that ever acted; the newest first."""
    statement = select(FlowVersion).where(FlowVersion.flow_id == flow_id)
    if acted:
        of = (FlowActivation.flow_id == flow_id, FlowActivation.kind.in_((ACTIVE, ROLLBACK)))
        statement = statement.where(FlowVersion.id.in_(select(FlowActivation.version_id).where(*of)))
    return scalars_of(session, statement, (FlowVersion.number,), part, descending=True)


def acted_before(session: Session, version: FlowVersion) -> bool:
    """Return whether a version ever acted; running as a shadow does not count."""
    of = (FlowActivation.version_id == version.id, FlowActivation.kind.in_((ACTIVE, ROLLBACK)))
    return session.scalar(select(FlowActivation.id).where(*of).limit(1)) is not None


def versions_that_acted(session: Session, type_id: int) -> Sequence[FlowVersion]:
    """List the versions of flows about a type of entity that act or ever acted."""
    acted = select(FlowActivation.version_id).where(FlowActivation.kind.in_((ACTIVE, ROLLBACK)))
    statement = select(FlowVersion).join(FlowRow, FlowRow.id == FlowVersion.flow_id)
    of = statement.where(FlowRow.type_id == type_id, FlowVersion.id.in_(acted))
    return session.scalars(of.order_by(FlowVersion.id)).all()


def acting_changes(session: Session, organisation_id: int) -> list[tuple[str, int, FlowVersion | None]]:
    """List the changes of the versions that act, in order: the flow's name, the moment, the version; None for none."""
    statement = (
        select(FlowRow.name, FlowActivation.at_us, FlowVersion)
        .join(FlowRow, FlowRow.id == FlowActivation.flow_id)
        .outerjoin(FlowVersion, FlowVersion.id == FlowActivation.version_id)
        .where(FlowActivation.organisation_id == organisation_id, FlowActivation.kind.in_((ACTIVE, ROLLBACK, OFF)))
    )
    return [(name, at_us, version) for name, at_us, version in session.execute(statement.order_by(FlowActivation.id))]


@dataclass(frozen=True)
class FlowActivationRow:
    """A change of the acting version or the shadow, with the numbers of the versions; None for no version."""

    activation: FlowActivation
    version: int | None
    previous: int | None


_VERSION, _PREVIOUS = aliased(FlowVersion), aliased(FlowVersion)
_ACTIVATIONS: Final = (
    select(FlowActivation, _VERSION.number, _PREVIOUS.number)
    .outerjoin(_VERSION, _VERSION.id == FlowActivation.version_id)
    .outerjoin(_PREVIOUS, _PREVIOUS.id == FlowActivation.previous_version_id)
)


def activations_of_flow(session: Session, flow_id: int, part: Part = WHOLE) -> Page[FlowActivationRow]:
    """List the changes of the acting version and the shadow, the newest first."""
    statement = _ACTIVATIONS.where(FlowActivation.flow_id == flow_id)
    page = rows_of(session, statement, (FlowActivation.id,), part, descending=True)
    return page.map(lambda row: FlowActivationRow(*row))


def latest_beginnings(session: Session, flow_id: int, numbers: Collection[int]) -> list[FlowActivationRow]:
    """Return when each of some versions last began to act; versions that never did are left out."""
    of = (FlowActivation.flow_id == flow_id, FlowActivation.kind.in_((ACTIVE, ROLLBACK)), _VERSION.number.in_(numbers))
    latest = select(func.max(FlowActivation.id)).join(_VERSION, _VERSION.id == FlowActivation.version_id).where(*of)
    statement = _ACTIVATIONS.where(FlowActivation.id.in_(latest.group_by(_VERSION.id).correlate(None)))
    return [FlowActivationRow(*row) for row in session.execute(statement)]
