"""Flows that act or run as a shadow, each with its dependencies in the versions that decide now.

A flow uses policies, rulesets and other flows by name. A newly approved or activated version is used from then on, by
flows that act already too; so a change that would leave such a flow unable to run is refused.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TypeVar, cast

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, Finding, NotFoundError
from fivefold.flows.analysis import AnalysedFlow, analyse_canonical_flow
from fivefold.flows.checks import GroupInForce, flow_structure_diagnostics, group_diagnostics, groups_named
from fivefold.flows.groups.analysis import analyse_canonical_group
from fivefold.flows.language import Flow
from fivefold.risk.compiler.diagnostics import findings
from fivefold.risk.language.purposes import Purpose
from fivefold.store.audit.chain import unchanged_canonical
from fivefold.store.decisions import active_policies, active_policy, policy_numbered, policy_versions
from fivefold.store.flows.flows import flow_named, flow_or_none, replaced_with_runs, versions_in_force
from fivefold.store.flows.runs import version_and_flow
from fivefold.store.flows.versions import acting_changes, flow_version_numbered
from fivefold.store.groups.groups import groups_of_organisation
from fivefold.store.rulesets.activations import deciding_changes
from fivefold.store.rulesets.rulesets import (
    active_version_named,
    all_active_versions,
    family_named,
    rulesets_of_versions,
    version_numbered,
    versions_by_id,
)
from fivefold.store.tables.events import Policy
from fivefold.store.tables.flows import FlowRow, FlowVersion
from fivefold.store.tables.rulesets import Family, RulesetVersion

POLICIES, RULESETS, FLOWS = "policies", "rulesets", "flows"
"""The kinds of dependencies, in `Asked`."""


@dataclass(frozen=True, kw_only=True)
class AskedVersion:
    """A version that a flow depends on.

    Attributes:
        version: its number.
        content_hash: of its canonical form.
    """

    version: int
    content_hash: str


Asked = Mapping[str, Mapping[str, AskedVersion]]
"""The dependencies of a flow, including those of flows that it uses, by kind and name."""


@dataclass(frozen=True)
class AskedRows:
    """The stored versions that flows depend on, by name."""

    policies: dict[str, Policy] = field(default_factory=dict)
    rulesets: dict[str, RulesetVersion] = field(default_factory=dict)
    flows: dict[str, FlowVersion] = field(default_factory=dict)

    @property
    def versions(self) -> Asked:
        """The numbers and hashes of the versions."""
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
        """Analyse a flow, by its canonical form, with its dependencies."""
        return analyse_canonical_flow(
            canonical, *(_canonicals(rows) for rows in (self.policies, self.rulesets, self.flows))
        )


def _canonicals(
    rows: Mapping[str, Policy] | Mapping[str, RulesetVersion] | Mapping[str, FlowVersion],
) -> tuple[str, ...]:
    return tuple(unchanged_canonical(rows[name], name) for name in sorted(rows))


@dataclass(frozen=True, kw_only=True)
class StandingFlow:
    """A version of a flow as it runs now.

    Attributes:
        flow: its row.
        version: that runs.
        analysed: the flow with its dependencies.
        dependency_versions: the versions of its dependencies that decide now; a run records them.
        acting: its actions are carried out; false for a shadow's.
    """

    flow: FlowRow
    version: FlowVersion
    analysed: AnalysedFlow
    dependency_versions: Asked
    acting: bool


def standing_flow(session: Session, organisation_id: int, name: str) -> StandingFlow:
    """Find the acting version of a flow; NotFoundError if there is no such flow, or no version acts."""
    flow = flow_named(session, organisation_id, name)
    if flow.active_version_id is None:
        raise NotFoundError(f"no version of the flow {name} is active")
    return _standing(session, flow, session.get_one(FlowVersion, flow.active_version_id))


def flow_of_version(session: Session, version_id: int) -> StandingFlow:
    """Return any version of a flow as it would run now."""
    version, flow = version_and_flow(session, version_id)
    return _standing(session, flow, version)


def standing_flows(session: Session, organisation_id: int) -> list[StandingFlow]:
    """Return all versions that act or run as a shadow, by the names of their flows."""
    return [_standing(session, flow, version) for flow, version in versions_in_force(session, organisation_id)]


def _standing(session: Session, flow: FlowRow, version: FlowVersion) -> StandingFlow:
    """Combine a version with its dependencies as they are now."""
    of = flow.organisation_id
    rows = _find_dependencies(
        version.canonical,
        lambda name: active_policy(session, of, name),
        lambda name: active_version_named(session, of, name),
        lambda name: _acting(session, of, name),
    )
    return StandingFlow(
        flow=flow,
        version=version,
        analysed=rows.analysed(version.canonical),
        dependency_versions=rows.versions,
        acting=version.id == flow.active_version_id,
    )


def _acting(session: Session, organisation_id: int, name: str) -> FlowVersion | None:
    flow = flow_or_none(session, organisation_id, name)
    version_id = None if flow is None else flow.active_version_id
    return None if version_id is None else session.get_one(FlowVersion, version_id)


def _find_dependencies(
    canonical: str,
    policy: Callable[[str], Policy | None],
    ruleset: Callable[[str], RulesetVersion | None],
    flow: Callable[[str], FlowVersion | None],
) -> AskedRows:
    """Find the dependencies of a flow, including those of flows that it uses; missing ones are left out."""
    rows, to_visit = AskedRows(), [analyse_canonical_flow(canonical).flow]
    while to_visit:
        one = to_visit.pop()
        _add_new(rows.policies, one.names_asked("policy"), policy)
        _add_new(rows.rulesets, one.names_asked("ruleset"), ruleset)
        new_rows = _add_new(rows.flows, one.names_asked("flow"), flow)
        to_visit += [analyse_canonical_flow(row.canonical).flow for row in new_rows]
    return rows


Row = TypeVar("Row")


def _add_new(rows: dict[str, Row], names: Sequence[str], find: Callable[[str], Row | None]) -> list[Row]:
    """Find the rows of names that are not in *rows* yet, add them, and return them."""
    new_rows = {name: row for name in names if name not in rows and (row := find(name)) is not None}
    rows.update(new_rows)
    return list(new_rows.values())


def everything_asked(session: Session, organisation_id: int) -> AskedRows:
    """Return everything that flows may depend on now."""
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
    """Name the dependencies of a flow, including those of flows that it uses, by kind; missing ones are left out."""
    inner = [each for each in flow.dependencies.values() if isinstance(each, AnalysedFlow)]
    flows: list[Flow] = [flow.flow, *(each.flow for each in inner)]
    return {
        POLICIES: frozenset(name for one in flows for name in one.names_asked("policy")),
        RULESETS: frozenset(name for one in flows for name in one.names_asked("ruleset")),
        FLOWS: frozenset(name for one in flows for name in one.names_asked("flow")),
    }


def flow_as_asked(session: Session, version_id: int, dependencies: Mapping[str, Mapping[str, int]]) -> AnalysedFlow:
    """Analyse a version with its dependencies in the given versions, by kind and name.

    NotFoundError if one of these does not exist.
    """
    version = session.get_one(FlowVersion, version_id)
    of = version.organisation_id
    return AskedRows(
        {name: policy_numbered(session, of, name, number) for name, number in dependencies.get(POLICIES, {}).items()},
        {
            name: version_numbered(session, family_named(session, of, name), number)
            for name, number in dependencies.get(RULESETS, {}).items()
        },
        {
            name: flow_version_numbered(session, flow_named(session, of, name), number)
            for name, number in dependencies.get(FLOWS, {}).items()
        },
    ).analysed(version.canonical)


Changes = Mapping[str, Sequence[tuple[int, Row | None]]]
"""By name from when on which version decided, in order; None for none."""


@dataclass(frozen=True)
class DecidedOverTime:
    """The versions that ever decided in an organisation, and those of flows that ever acted."""

    policies: Changes[Policy]
    rulesets: Changes[RulesetVersion]
    flows: Changes[FlowVersion]

    @classmethod
    def of(cls, session: Session, organisation_id: int) -> "DecidedOverTime":
        """Read them from the history of each kind."""
        policies: dict[str, list[tuple[int, Policy | None]]] = {}
        for policy in reversed(policy_versions(session, organisation_id)):
            if policy.approved_us is not None:
                policies.setdefault(policy.name, []).append((policy.approved_us, policy))
        rulesets: dict[str, list[tuple[int, RulesetVersion | None]]] = {}
        changes = deciding_changes(session, Family.organisation_id == organisation_id)
        numbers = {number for each in changes if (number := each.activation.version_id) is not None}
        versions = versions_by_id(session, numbers)
        for row, family, _ in changes:
            ruleset = None if row.version_id is None else versions[row.version_id]
            rulesets.setdefault(family.name, []).append((row.at_us, ruleset))
        flows: dict[str, list[tuple[int, FlowVersion | None]]] = {}
        for name, at_us, version in acting_changes(session, organisation_id):
            flows.setdefault(name, []).append((at_us, version))
        return cls(policies, rulesets, flows)

    @cached_property
    def moments(self) -> list[int]:
        """The moments of all changes, in order."""
        kinds = (self.policies, self.rulesets, self.flows)
        return sorted({at_us for by_name in kinds for rows in by_name.values() for at_us, _ in rows})

    def asked_while_acting(self, version: FlowVersion, flow: str) -> Iterator[AnalysedFlow]:
        """Yield a version of a flow with its dependencies, for each set of these that decided while it acted."""
        versions_yielded = list[Asked]()
        changes = self.flows.get(flow, ())
        ends = [*(at_us for at_us, _ in changes[1:]), None]
        for (begin, row), end in zip(changes, ends, strict=True):
            if row is None or row.id != version.id:
                continue
            for moment in (each for each in self.moments if begin <= each and (end is None or each < end)):
                rows = _find_dependencies(
                    version.canonical,
                    partial(_decided_at, moment, self.policies),
                    partial(_decided_at, moment, self.rulesets),
                    partial(_decided_at, moment, self.flows),
                )
                if rows.versions not in versions_yielded:
                    versions_yielded.append(rows.versions)
                    yield rows.analysed(version.canonical)


def _decided_at(moment: int, changes_by_name: Changes[Row], name: str) -> Row | None:
    """Return the version of a name that decided at a moment; None for none."""
    return next((row for at_us, row in reversed(changes_by_name.get(name, ())) if at_us <= moment), None)


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
    """Find groups that a flow names but that are not in force, and groups that it adds to but no flow maintains."""
    if not any(groups_named(analysed.flow)):
        return []
    there = groups_in_force(session, flow.organisation_id, flow.type_id)
    return findings(group_diagnostics(analysed.flow, there), analysed.flow)


def refuse_unusable_flows(session: Session, organisation_id: int) -> None:
    """Raise ConflictError if a flow that acts, or runs as a shadow, could not run with its present dependencies.

    The same if a group that it names is missing. Called after a change, in its transaction, so that the change is
    rolled back. A flow whose own text this release refuses, though the release that committed it did not, does not
    prevent a change: it can be switched off or replaced, and so can others.
    """
    session.flush()
    for standing in standing_flows(session, organisation_id):
        problems = [*standing.analysed.errors, *missing_groups(session, standing.flow, standing.analysed)]
        of_its_text = _findings_of_text(standing.analysed) if problems else []
        for finding in (each for each in problems if each not in of_its_text):
            name = f"version {standing.version.number} of the flow {standing.flow.name}"
            raise ConflictError(f"{name} could not run any more: {finding.where}: {finding.problem}")


def refuse_groups_awaited(session: Session, organisation_id: int) -> None:
    """Raise ConflictError if runs of a replaced version, which have yet to act, could not add to their group.

    Called after the change, like `refuse_unusable_flows`. Quarantined runs do not count: they may never be tried again.
    """
    session.flush()
    for flow, version in replaced_with_runs(session, organisation_id):
        acts = analyse_canonical_flow(version.canonical).flow.model_copy(update={"triggers": ()})
        there = groups_in_force(session, organisation_id, flow.type_id)
        for finding in findings(group_diagnostics(acts, there), acts):
            name = f"version {version.number} of the flow {flow.name}"
            raise ConflictError(f"runs of {name}, which was replaced, have not ended: it {finding.problem}")


def _findings_of_text(analysed: AnalysedFlow) -> list[Finding]:
    """Find what is wrong with the text of a flow alone, whatever it depends on."""
    return findings(flow_structure_diagnostics(analysed.flow, analysed.inputs_with_paths), analysed.flow)
