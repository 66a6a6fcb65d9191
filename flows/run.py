"""A flow run for many entities at once, as before it is activated: how many come to each end, and what follows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.facts import FlowFacts, resolve_facts
from fivefold.flows.language import EndStep
from fivefold.flows.outside.outcomes import OutsideOutcome
from fivefold.flows.program import FlowProgram, flow_program_for
from fivefold.flows.steps import LAST, STOP, RunContext, Stop
from fivefold.flows.trace import STATUSES, RunExplanation, explain_run
from fivefold.risk.facts.portfolio import ENTITY, Portfolio


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The runs of a flow for n entities.

    Attributes:
        program: that was run.
        facts: what it read of them.
        outcomes: n rows, as `FlowProgram.run` gives them.
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
        """Give the amounts of limits that are set, those of runs that failed among them."""
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
        """Find an entity's row; None where there is none."""
        rows = (self.facts.own[ENTITY] == entity).arg_true()
        return int(rows[0]) if len(rows) else None

    def explain(self, position: int) -> RunExplanation:
        """Say why the run of one entity came to its end."""
        return explain_run(self.program, self.outcomes.row(position, named=True), self.facts.asked_of(position))

    def explain_all(self) -> Iterator[tuple[str, RunExplanation]]:
        """Say it of every entity, in their order."""
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
        answers: of persons, by the step; in the rows of the entities, null where there is none yet.
        outcomes: of steps that ask the outside, in the same way.

    Raises:
        InvalidRulesetError: the flow cannot be used, or something that it reads is missing.
    """
    facts = resolve_facts(analysed, portfolio, as_of)
    program = flow_program_for(analysed, facts.versions, portfolio.rates.base)
    context = RunContext(facts.dependency_inputs, answers or {}, program.outcome_frames(outcomes or {}))
    return Runs(program=program, facts=facts, outcomes=program.run(facts.own, context))
