"""Flows that act or run as a shadow, each with what it asks in the versions that decide now.

A flow asks policies, rulesets and other flows by name. A version that is approved or activated is asked from then on,
by flows that act already, too; so a change that would leave such a flow unable to run is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, Finding, NotFoundError
from fivefold.flows.analysis import AnalysedFlow, analyse_canonical_flow
from fivefold.flows.checks import GroupInForce, group_diagnostics, groups_named
from fivefold.flows.groups.analysis import analyse_canonical_group
from fivefold.flows.language import Flow
from fivefold.risk.compiler.diagnostics import findings
from fivefold.risk.language.purposes import Purpose
from fivefold.store.decisions.decisions import active_policies, active_policy, policy_numbered
from fivefold.store.flows.flows import flow_named, flow_or_none, versions_in_force
from fivefold.store.flows.runs import version_and_flow
from fivefold.store.flows.versions import flow_version_numbered
from fivefold.store.groups.groups import groups_of_organisation
from fivefold.store.rulesets.rulesets import (
    active_version_named,
    all_active_versions,
    family_named,
    rulesets_of_versions,
    version_numbered,
)
from fivefold.store.tables.events import Policy
from fivefold.store.tables.flows import FlowRow, FlowVersion
from fivefold.store.tables.rulesets import RulesetVersion

POLICIES, RULESETS, FLOWS = "policies", "rulesets", "flows"
"""The kinds of what is asked, in `Asked`."""


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
"""What a flow asks, and what those flows ask that it asks, by kind and name."""


@dataclass(frozen=True)
class AskedRows:
    """Versions of what flows ask, by name."""

    policies: dict[str, Policy] = field(default_factory=dict)
    rulesets: dict[str, RulesetVersion] = field(default_factory=dict)
    flows: dict[str, FlowVersion] = field(default_factory=dict)

    @property
    def versions(self) -> Asked:
        """Return which versions they are."""
        kinds: dict[str, Mapping[str, Policy | RulesetVersion | FlowVersion]] = {
            POLICIES: self.policies,
            RULESETS: self.rulesets,
            FLOWS: self.flows,
        }
        return {
            kind: {
                name: AskedVersion(version=row.number, content_hash=row.content_hash)
                for name, row in sorted(rows.items())
            }
            for kind, rows in kinds.items()
            if rows
        }

    def analysed(self, canonical: str) -> AnalysedFlow:
        """Bring a flow, by its canonical form, together with them."""
        return analyse_canonical_flow(
            canonical, *(_canonicals(rows) for rows in (self.policies, self.rulesets, self.flows))
        )


def _canonicals(
    rows: Mapping[str, Policy] | Mapping[str, RulesetVersion] | Mapping[str, FlowVersion],
) -> tuple[str, ...]:
    return tuple(rows[name].canonical for name in sorted(rows))


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
    """Return any version as it would run now."""
    version, flow = version_and_flow(session, version_id)
    return _standing(session, flow, version)


def standing_flows(session: Session, organisation_id: int, type_id: int | None = None) -> list[StandingFlow]:
    """Return all versions that act or run as a shadow, of one type or of all, by the names of their flows."""
    return [_standing(session, flow, version) for flow, version in versions_in_force(session, organisation_id, type_id)]


def _standing(session: Session, flow: FlowRow, version: FlowVersion) -> StandingFlow:
    of = flow.organisation_id
    rows = _walked(
        version.canonical,
        lambda name: active_policy(session, of, name),
        lambda name: active_version_named(session, of, name),
        lambda name: _acting(session, of, name),
    )
    return StandingFlow(
        flow=flow,
        version=version,
        analysed=rows.analysed(version.canonical),
        asked=rows.versions,
        acting=version.id == flow.active_version_id,
    )


def _acting(session: Session, organisation_id: int, name: str) -> FlowVersion | None:
    flow = flow_or_none(session, organisation_id, name)
    version_id = None if flow is None else flow.active_version_id
    return None if version_id is None else session.get_one(FlowVersion, version_id)


def _walked(
    canonical: str,
    policy: Callable[[str], Policy | None],
    ruleset: Callable[[str], RulesetVersion | None],
    flow: Callable[[str], FlowVersion | None],
) -> AskedRows:
    """Find what a flow asks, and what those flows ask that it asks; what is not there is left out."""
    rows, waiting = AskedRows(), [analyse_canonical_flow(canonical).flow]
    while waiting:
        one = waiting.pop()
        _take(rows.policies, one.asked("policy"), policy)
        _take(rows.rulesets, one.asked("ruleset"), ruleset)
        found = _take(rows.flows, one.asked("flow"), flow)
        waiting += [analyse_canonical_flow(row.canonical).flow for row in found]
    return rows


Row = TypeVar("Row")


def _take(rows: dict[str, Row], names: Sequence[str], find: Callable[[str], Row | None]) -> list[Row]:
    """Add what is found of names that are not there yet, and give it."""
    found = {name: row for name in names if name not in rows and (row := find(name)) is not None}
    rows.update(found)
    return list(found.values())


def everything_asked(session: Session, organisation_id: int) -> AskedRows:
    """Return everything that flows may ask now."""
    versions = [version for _, version in all_active_versions(session, organisation_id)]
    names = rulesets_of_versions(session, [version.id for version in versions])
    return AskedRows(
        {row.name: row for row in active_policies(session, organisation_id)},
        {names[version.id][0]: version for version in versions},
        {
            flow.name: version
            for flow, version in versions_in_force(session, organisation_id)
            if flow.active_version_id == version.id
        },
    )


def names_asked(flow: AnalysedFlow) -> Mapping[str, frozenset[str]]:
    """Name what a flow asks, and what those flows ask that it asks, by kind; what is not there is left out."""
    inner = [each for each in flow.asked.values() if isinstance(each, AnalysedFlow)]
    flows: list[Flow] = [flow.flow, *(each.flow for each in inner)]
    return {
        POLICIES: frozenset(name for one in flows for name in one.asked("policy")),
        RULESETS: frozenset(name for one in flows for name in one.asked("ruleset")),
        FLOWS: frozenset(name for one in flows for name in one.asked("flow")),
    }


def flow_as_asked(session: Session, version_id: int, asked: Mapping[str, Mapping[str, int]]) -> AnalysedFlow:
    """Bring a version together with what it asked in the versions that are numbered, by kind and name.

    NotFoundError where one of these is not there.
    """
    version = session.get_one(FlowVersion, version_id)
    of = version.organisation_id
    return AskedRows(
        {name: policy_numbered(session, of, name, number) for name, number in asked.get(POLICIES, {}).items()},
        {
            name: version_numbered(session, family_named(session, of, name), number)
            for name, number in asked.get(RULESETS, {}).items()
        },
        {
            name: flow_version_numbered(session, flow_named(session, of, name), number)
            for name, number in asked.get(FLOWS, {}).items()
        },
    ).analysed(version.canonical)


def groups_in_force(session: Session, organisation_id: int, type_id: int) -> dict[str, GroupInForce]:
    """Return the named groups of a type that are in force, by name."""
    return {
        row.name: GroupInForce(
            cast("Purpose", row.purpose),  # checked when the group was proposed
            analyse_canonical_group(row.canonical).group.kept_by is not None,
        )
        for row in groups_of_organisation(session, organisation_id)
        if row.type_id == type_id and row.canonical is not None
    }


def missing_groups(session: Session, flow: FlowRow, analysed: AnalysedFlow) -> list[Finding]:
    """Find the groups that a flow names, and that are not in force; or that it puts into, and no flow keeps."""
    if not any(groups_named(analysed.flow)):
        return []
    there = groups_in_force(session, flow.organisation_id, flow.type_id)
    return findings(group_diagnostics(analysed.flow, there), analysed.flow)


def refuse_unusable_flows(session: Session, organisation_id: int) -> None:
    """Raise ConflictError where a flow that acts, or runs as a shadow, could not run with what it asks now.

    Nor where a group that it names is gone. Called in the transaction of whatever changes that, after it: so the
    change is undone.
    """
    session.flush()
    for standing in standing_flows(session, organisation_id):
        for found in (*standing.analysed.errors, *missing_groups(session, standing.flow, standing.analysed)):
            called = f"version {standing.version.number} of the flow {standing.flow.name}"
            raise ConflictError(f"{called} could not run any more: {found.where}: {found.problem}")
