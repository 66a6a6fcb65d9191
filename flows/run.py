"""Runs of a flow for many entities at once, as before its activation: the facts that it reads, its ends and actions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import polars as pl

from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.language import EndStep
from fivefold.flows.outside.outcomes import OutsideOutcome
from fivefold.flows.program import FlowProgram, flow_program_for
from fivefold.flows.steps import LAST, STOP, RowContext, RunContext, Stop
from fivefold.flows.trace import STATUSES, RunExplanation, explain_run
from fivefold.risk.compiler.analysis import VERSIONS_KEPT, Analysed, AnalysedRuleset
from fivefold.risk.engine.assess import timed_entities
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import ENTITY, ListVersion, Portfolio, members_at
from fivefold.risk.facts.resolution import lazy_sources, resolve_inputs


@dataclass(frozen=True, kw_only=True)
class FlowFacts:
    """What is known of n entities before a flow begins.

    Attributes:
        own: `entity_id`, `as_of`, a column for each of the flow's `fact_inputs`, and if the flow asks for the value,
            `MODEL_COLUMNS` as far as they are known.
        dependency_inputs: the same for everything that it asks, by the key of `AnalysedFlow.dependencies` and in the
            same rows.
        versions: the versions of the lists that any of them names.
    """

    own: pl.DataFrame
    dependency_inputs: Mapping[str, pl.DataFrame]
    versions: Mapping[str, ListVersion]

    def asked_of(self, position: int, answers: Mapping[str, str | None] | None = None) -> RowContext:
        """Return the context of one entity: the inputs of what the flow asks, and the answers."""
        inputs = {key: frame.row(position, named=True) for key, frame in self.dependency_inputs.items()}
        return RowContext(inputs, answers or {})


MODEL_COLUMNS: Mapping[str, Any] = {"model": pl.String, "model_version": pl.Int64, "as_of_us": pl.Int64}
"""The columns of `Portfolio.values` on the origin of the value; facts name them `value model`, and so on."""


@lru_cache(maxsize=VERSIONS_KEPT)
def needs_of(analysed: AnalysedFlow) -> Needs:
    """Return what a flow reads of entities by itself; cached, as what is derived from it is kept with it."""
    return Needs(analysed.fact_inputs, (), analysed.names)


def resolve_facts(analysed: AnalysedFlow, portfolio: Portfolio, as_of: int, needs: Needs | None = None) -> FlowFacts:
    """Resolve what a flow, and everything that it asks, reads of entities.

    Args:
        analysed: the flow.
        portfolio: what is known of the entities, each once.
        as_of: the moment (microseconds).
        needs: the inputs that the flow itself reads, by default `needs_of`; more if its changed forms are tried too.

    Raises:
        InvalidRulesetError: the flow cannot be used, or something that it reads (a list, a frame) is missing.
    """
    analysed.require_usable()
    versions = members_at(portfolio.lists, analysed.lists_asked, as_of, analysed.references_asked)
    members = {name: version.members for name, version in versions.items()}
    entities = timed_entities(portfolio, as_of)

    def resolved(one: Analysed[Any]) -> pl.DataFrame:
        own_portfolio = portfolio
        if isinstance(one, AnalysedRuleset):
            own_portfolio = portfolio.with_optional_parts(one.ruleset)
        read = needs_of(one) if isinstance(one, AnalysedFlow) else Needs.of(one)
        read = needs if one is analysed and needs is not None else read
        inputs = resolve_inputs(read, own_portfolio, lazy_sources(read, own_portfolio), members, entities)
        assert inputs[ENTITY].equals(entities[ENTITY])
        return _with_models(inputs, own_portfolio) if isinstance(one, AnalysedFlow) and one.asks_value else inputs

    inputs_by_key = {key: resolved(one) for key, one in analysed.dependencies.items()}
    return FlowFacts(own=resolved(analysed), dependency_inputs=inputs_by_key, versions=versions)


def _with_models(facts: pl.DataFrame, portfolio: Portfolio) -> pl.DataFrame:
    """Add the model and version that gave the value, and its moment, as far as they are known."""
    values = portfolio.values
    if values is None:
        return facts
    there = [name for name in MODEL_COLUMNS if name in values.columns]
    if not there:
        return facts
    of_each = values.select(ENTITY, *(pl.col(name).cast(MODEL_COLUMNS[name]).alias(f"value {name}") for name in there))
    return facts.join(of_each.unique(ENTITY, keep="first"), on=ENTITY, how="left", maintain_order="left")


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs of a flow for n entities.

    Attributes:
        program: the compiled flow.
        facts: what it read of the entities.
        outcomes: n rows from `FlowProgram.run`.
    """

    program: FlowProgram
    facts: FlowFacts
    outcomes: pl.DataFrame

    def __len__(self) -> int:
        return len(self.outcomes)

    @cached_property
    def table(self) -> pl.DataFrame:
        """One plain row for each entity: `entity_id`, `status`, `at` (a step), `actions`, the amount of each limit."""
        flow = self.program.flow
        steps = pl.Series([step.id for step in flow.steps])
        actions = pl.Series([", ".join(step.end) if isinstance(step, EndStep) else "" for step in flow.steps])
        last = self.outcomes[LAST]
        names = {int(stop): words for stop, words in STATUSES.items()}
        actions_taken = pl.select(
            pl.when(self.outcomes[STOP] == int(Stop.FAILED))
            .then(pl.lit(", ".join(flow.on_failure)))
            .otherwise(actions.gather(last))
        ).to_series()
        amounts = list(self._amounts())
        return pl.DataFrame(
            [
                self.facts.own[ENTITY],
                self.outcomes[STOP].replace_strict(names, return_dtype=pl.String).alias("status"),
                steps.gather(last).alias("at"),
                actions_taken.alias("actions"),
                *(each.alias(f"{each.name.removeprefix('amount ')}_minor") for each in amounts),
            ]
        )

    def _amounts(self) -> Iterator[pl.Series]:
        """Yield the amounts that limits are set to, also after a failure."""
        failed = self.outcomes[STOP] == int(Stop.FAILED)
        after_failure = {each.column: each.within(each.number) for each in self.program.failure_amounts}
        names = [name for name in self.outcomes.columns if name.startswith("amount ")]
        for name in dict.fromkeys((*names, *after_failure)):
            amounts = (
                self.outcomes[name]
                if name in names
                else pl.repeat(None, len(self), dtype=pl.Int64, eager=True).alias(name)
            )
            if name in after_failure:
                amounts = amounts.set(failed, after_failure[name])
            yield amounts

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the entities at each step where runs stopped, by status."""
        count_by_place = {(status, at): count for status, at, count in self.table.group_by("status", "at").len().rows()}
        steps = [step.id for step in self.program.flow.steps]
        return {
            status: {step: count_by_place[status, step] for step in steps if (status, step) in count_by_place}
            for status in STATUSES.values()
        }

    def action_counts(self) -> dict[str, int]:
        """Count the entities for which each action is taken, in the order in which actions are declared."""
        names = self.table["actions"].str.split(", ").explode().value_counts()
        counts = dict(names.rows())
        return {action.id: counts.get(action.id, 0) for action in self.program.flow.actions}

    def position(self, entity: str) -> int | None:
        """Find an entity's row; None if there is none."""
        rows = (self.facts.own[ENTITY] == entity).arg_true()
        return int(rows[0]) if len(rows) else None

    def explain(self, position: int) -> RunExplanation:
        """Explain the run of one entity."""
        return explain_run(self.program, self.outcomes.row(position, named=True), self.facts.asked_of(position))

    def explain_all(self) -> Iterator[tuple[str, RunExplanation]]:
        """Explain the run of every entity, in their order."""
        return ((entity, self.explain(number)) for number, entity in enumerate(self.facts.own[ENTITY]))


def run_flow(
    analysed: AnalysedFlow,
    portfolio: Portfolio,
    as_of: int,
    answers: Mapping[str, pl.Series] | None = None,
    outcomes: Mapping[str, Sequence[OutsideOutcome | None]] | None = None,
) -> Runs:
    """Run a flow for every entity of a portfolio.

    Args:
        analysed: the flow.
        portfolio: what is known of them.
        as_of: the moment (microseconds).
        answers: the answers of persons by step, in the rows of the entities; null if there is none yet.
        outcomes: the outcomes of steps that ask the outside, likewise.

    Raises:
        InvalidRulesetError: the flow cannot be used, or something that it reads is missing.
    """
    facts = resolve_facts(analysed, portfolio, as_of)
    program = flow_program_for(analysed, facts.versions, portfolio.rates.base)
    context = RunContext(facts.dependency_inputs, answers or {}, program.outcome_frames(outcomes or {}))
    return Runs(program=program, facts=facts, outcomes=program.run(facts.own, context))
