"""What a run comes to: a function of the facts that are kept of it and of what was answered, and so made again."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import iso_text
from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.language import Flow
from fivefold.flows.program import FlowProgram, flow_program_for
from fivefold.flows.steps import Asked
from fivefold.flows.trace import RunExplanation, explain_run
from fivefold.risk.compiler.analysis import VERSIONS_KEPT, analyse_canonical_policy
from fivefold.risk.engine.explain.policies import explain_decisions
from fivefold.risk.facts.portfolio import ListVersion
from fivefold.risk.language.reading import read_stored
from fivefold.store.flows.runs import policies_in_force, policies_of_versions
from fivefold.store.tables.events import Policy
from fivefold.store.tables.flows import FlowRow, FlowVersion
from fivefold.usecases.flows.facts import facts_kept

ENGINE: Final = "1"
"""Of what carries flows out: another one where the same facts could come to something else."""


@lru_cache(maxsize=VERSIONS_KEPT)
def analysed_flow(canonical: str, policies: tuple[str, ...]) -> AnalysedFlow:
    """Read a stored version from its canonical form, with those of the policies that it asks, once for the same."""
    asked = [analyse_canonical_policy(policy) for policy in policies]
    return AnalysedFlow(read_stored(Flow, canonical), {each.policy.name: each for each in asked})


@dataclass(frozen=True, kw_only=True)
class RunnableVersion:
    """A version of a flow, with the versions of the policies that it asks.

    Attributes:
        about: what is said of it in every run: name, version, hash, and the same of the policies.
    """

    flow: FlowRow
    version: FlowVersion
    analysed: AnalysedFlow
    about: Mapping[str, Any]


def version_now(session: Session, flow: FlowRow, version: FlowVersion) -> RunnableVersion:
    """Give a version with the policies that decide now; InvalidRulesetError where one is missing."""
    names = analysed_flow(version.canonical, ()).policies_asked
    found = policies_in_force(session, flow.organisation_id, names)
    missing = [name for name in names if name not in found]
    if missing:
        there = f"asks the policy {missing[0]}, and no version of it is active"
        raise InvalidRulesetError([Finding(f"flow {flow.name}", there)], f"flow {flow.name}")
    return _runnable(flow, version, found)


def version_kept(session: Session, flow: FlowRow, version: FlowVersion, kept: Mapping[str, Any]) -> RunnableVersion:
    """Give a version with the policies that a run asked when it began."""
    asked = {name: int(each["version"]) for name, each in kept["flow"]["policies"].items()}
    return _runnable(flow, version, policies_of_versions(session, flow.organisation_id, asked))


def _runnable(flow: FlowRow, version: FlowVersion, policies: Mapping[str, Policy]) -> RunnableVersion:
    in_order = {name: policies[name] for name in sorted(policies)}
    said = {name: {"version": row.number, "content_hash": row.content_hash} for name, row in in_order.items()}
    return RunnableVersion(
        flow=flow,
        version=version,
        analysed=analysed_flow(version.canonical, tuple(row.canonical for row in in_order.values())),
        about={"name": flow.name, "version": version.number, "content_hash": version.content_hash, "policies": said},
    )


@dataclass(frozen=True)
class RunOutcome:
    """Where a run came to.

    Attributes:
        explanation: why.
        answer: the same as it is stored, canonical JSON.
    """

    explanation: RunExplanation
    answer: str


def outcome_kept(
    runnable: RunnableVersion,
    kept: Mapping[str, Any],
    versions: Mapping[str, ListVersion],
    answers: Mapping[str, str],
    of: tuple[int, int],
) -> RunOutcome:
    """Come to the outcome of a run from what is kept of it.

    Args:
        runnable: the version, with the policies that it asked.
        kept: the facts, as `usecases.flows.facts.FactsRead.kept` gave them, with `flow` and `cause`.
        versions: of the lists that it read.
        answers: what was answered until now, by step.
        of: the number of the entity, and the moment of the facts.
    """
    entity_id, as_of_us = of
    own, policies = facts_kept(kept, as_of_us, entity_id)
    program = flow_program_for(runnable.analysed, versions, kept["base"])
    given = {step: pl.Series(step, [answer], dtype=pl.String) for step, answer in answers.items()}
    row = program.run(own, Asked(policies, given)).row(0, named=True)
    return conclude(program, kept, policies, row, as_of_us)


def conclude(
    program: FlowProgram,
    kept: Mapping[str, Any],
    policies: Mapping[str, pl.DataFrame],
    row: Mapping[str, Any],
    as_of_us: int,
) -> RunOutcome:
    """Explain one row of a program's run; *policies* have the facts of that row alone."""
    decisions = {
        name: explain_decisions(program.policies[name], frame, program.base)[0] for name, frame in policies.items()
    }
    explanation = explain_run(program, row, decisions)
    answer = {
        "engine": ENGINE,
        "as_of": iso_text(as_of_us),
        "cause": kept["cause"],
        "flow": dict(kept["flow"]),
        "lists": {name: iso_text(since) for name, since in kept["lists"].items()},
        "base": kept["base"],
        **explanation.as_json(),
    }
    return RunOutcome(explanation, canonical_json(answer))
