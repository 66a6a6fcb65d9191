"""Flows that act or run as a shadow, each with what it asks in the version that decides now.

A flow asks policies by name. One that is approved anew is asked from then on, by flows that act already, too; so a
change that would leave such a flow unable to run is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.flows.analysis import AnalysedFlow, analyse_canonical_flow
from fivefold.store.decisions.decisions import active_policy
from fivefold.store.flows.flows import flow_named, versions_in_force
from fivefold.store.tables.events import Policy
from fivefold.store.tables.flows import FlowRow, FlowVersion

POLICIES = "policies"
"""The kind of what is asked, in `Asked`."""


@dataclass(frozen=True, kw_only=True)
class AskedVersion:
    """A version of what a flow asks.

    Attributes:
        version: its number.
        content_hash: of its canonical form.
    """

    version: int
    content_hash: str


Asked = Mapping[str, Mapping[str, AskedVersion]]
"""What a flow asks, by kind and name."""


@dataclass(frozen=True, kw_only=True)
class StandingFlow:
    """A version of a flow as it runs now.

    Attributes:
        flow: its row.
        version: that runs.
        analysed: the flow with what it asks.
        asked: the versions of what it asks that decide now; a run records them.
        acting: its actions are carried out; false for a shadow's.
    """

    flow: FlowRow
    version: FlowVersion
    analysed: AnalysedFlow
    asked: Asked
    acting: bool


def standing_flow(session: Session, organisation_id: int, name: str) -> StandingFlow:
    """Find the version of a flow that acts; NotFoundError where there is no such flow, or none of it acts."""
    flow = flow_named(session, organisation_id, name)
    if flow.active_version_id is None:
        raise NotFoundError(f"no version of the flow {name} is active")
    return _standing(session, flow, session.get_one(FlowVersion, flow.active_version_id))


def flow_of_version(session: Session, version_id: int) -> StandingFlow:
    """Give any version as it would run now."""
    version = session.get_one(FlowVersion, version_id)
    return _standing(session, session.get_one(FlowRow, version.flow_id), version)


def standing_flows(session: Session, organisation_id: int, type_id: int | None = None) -> list[StandingFlow]:
    """Give all versions that act or run as a shadow, of one type or of all, by the names of their flows."""
    return [_standing(session, flow, version) for flow, version in versions_in_force(session, organisation_id, type_id)]


def asked_now(policies: Mapping[str, Policy]) -> Asked:
    """Tell which versions are asked."""
    asked = {
        name: AskedVersion(version=row.number, content_hash=row.content_hash) for name, row in sorted(policies.items())
    }
    return {POLICIES: asked} if asked else {}


def _standing(session: Session, flow: FlowRow, version: FlowVersion) -> StandingFlow:
    names = analyse_canonical_flow(version.canonical).policies_asked
    found = {name: active_policy(session, flow.organisation_id, name) for name in sorted(names)}
    policies = {name: row for name, row in found.items() if row is not None}
    return StandingFlow(
        flow=flow,
        version=version,
        analysed=analyse_canonical_flow(version.canonical, tuple(row.canonical for row in policies.values())),
        asked=asked_now(policies),
        acting=version.id == flow.active_version_id,
    )


def refuse_unusable_flows(session: Session, organisation_id: int) -> None:
    """Raise ConflictError where a flow that acts, or runs as a shadow, could not run with what it asks now.

    Called in the transaction of whatever changes that, after it: so the change is undone.
    """
    session.flush()
    for standing in standing_flows(session, organisation_id):
        for found in standing.analysed.errors:
            called = f"version {standing.version.number} of the flow {standing.flow.name}"
            raise ConflictError(f"{called} could not run any more: {found.where}: {found.problem}")
