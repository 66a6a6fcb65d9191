"""Steps that ask a policy, a ruleset, another flow, or for the value of the entity, on the same facts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from fivefold.flows.steps import LAST, STOP, CompiledStep, RowContext, RunContext, Stop, one_row
from fivefold.risk.engine.assessments import COMPUTED, STATUS, Status
from fivefold.risk.engine.outcomes import assess_columns
from fivefold.risk.engine.policy_program import ACTION, DECIDED, PolicyOutcome, PolicyProgram
from fivefold.risk.engine.program import TOTAL, Program
from fivefold.risk.engine.single.levels import NOBODY, assess_row
from fivefold.risk.engine.single.rules import single_policy, single_program
from fivefold.risk.facts.aggregates import quotient


@dataclass(frozen=True, eq=False, kw_only=True)
class AskingPolicy(CompiledStep):
    """A step that asks a policy: code 0 if it decides, 1 if an unknown rule could change the action.

    Attributes:
        program: the compiled policy.
        changing: for each rule without `on_unknown`, the column of its outcome, its position and the position of its
            action; none if the policy is asked `as_decided`.
    """

    program: PolicyProgram
    changing: tuple[tuple[str, int, int], ...]

    def run(self, frame: pl.DataFrame, context: RunContext) -> tuple[pl.Series, list[pl.Series]]:
        """Ask the policy for every row."""
        policy = self.program.policy
        outcomes = self.program.run(context.inputs[policy.name])
        actions = pl.Series(self.outputs["action"].name, policy.actions, dtype=pl.String)
        rules = pl.Series(self.outputs["decided_by"].name, [rule.id for rule in policy.rules], dtype=pl.String)
        codes = outcomes.select(self._codes().cast(pl.Int32).alias(self.column)).to_series()
        is_decided = codes == 0
        outputs = [actions.gather(outcomes[ACTION]), rules.gather(outcomes[DECIDED])]
        return codes, [each.to_frame().select(pl.when(is_decided).then(pl.first())).to_series() for each in outputs]

    def _codes(self) -> pl.Expr:
        """Return the code of every row, as `_code` does for one."""
        decided, action, is_first = pl.col(DECIDED), pl.col(ACTION), self.program.policy.wins == "first"
        changes = [
            (pl.col(column) == int(PolicyOutcome.UNKNOWN))
            & (action != own)
            & (decided.is_null() | (decided > position if is_first else action < own))
            for column, position, own in self.changing
        ]
        return pl.any_horizontal(action.is_null(), *changes)

    def _code(self, outcomes: Mapping[str, Any]) -> int:
        """Return 1 if an unknown rule would change the action if it held, else 0."""
        decided, action, is_first = outcomes[DECIDED], outcomes[ACTION], self.program.policy.wins == "first"
        for column, position, own in self.changing:
            if outcomes[column] != PolicyOutcome.UNKNOWN:
                continue
            comes_before = decided is None or (position < decided if is_first else own > action)
            if comes_before and own != action:
                return 1
        return 0

    def run_row(self, row: dict[str, Any], context: RowContext) -> int:
        """Ask the policy for one row."""
        policy, inputs = self.program.policy, context.inputs[self.program.policy.name]
        single = single_policy(self.program)
        if single is None:
            outcomes = self.program.run(one_row(inputs, self.program.inputs)).row(0, named=True)
        else:
            outcomes = single.run(inputs)
        decided, code = outcomes[DECIDED], self._code(outcomes)
        row[self.outputs["action"].name] = None if code else policy.actions[outcomes[ACTION]]
        row[self.outputs["decided_by"].name] = None if code or decided is None else policy.rules[decided].id
        return code


STATUS_CODES: tuple[Status, ...] = (
    Status.ASSESSED,
    Status.FAILED,
    Status.UNCLASSIFIED,
    Status.UNDETERMINED,
    Status.NOT_APPLICABLE,
)
"""The statuses of an asked ruleset, by the code of the step; only the first gives a level."""

_CODES = {status.value: code for code, status in enumerate(STATUS_CODES)}


@dataclass(frozen=True, eq=False, kw_only=True)
class AskingRuleset(CompiledStep):
    """A step that asks a ruleset for the level by its rules alone, without earlier levels; its codes are those above.

    Attributes:
        program: the compiled ruleset.
        key: the key of its inputs.
    """

    program: Program
    key: str

    @property
    def reads(self) -> tuple[str, ...]:
        """No column of the flow itself."""
        return ()

    def run(self, frame: pl.DataFrame, context: RunContext) -> tuple[pl.Series, list[pl.Series]]:
        """Ask the ruleset for every row."""
        outcomes = assess_columns(self.program, context.inputs[self.key])
        codes = outcomes[STATUS].replace_strict(_CODES, return_dtype=pl.Int32).alias(self.column)
        expressions = {
            "level": pl.col(COMPUTED).cast(pl.Int64),
            "total": quotient(pl.col(TOTAL).cast(pl.Float64), self.program.total.scale),
        }
        is_known = pl.col(STATUS) == Status.ASSESSED.value
        columns = [pl.when(is_known).then(expressions[name]).alias(each.name) for name, each in self.outputs.items()]
        return codes, outcomes.select(columns).get_columns()

    def run_row(self, row: dict[str, Any], context: RowContext) -> int:
        """Ask the ruleset for one row."""
        outcome = outcome_of_row(self.program, context.inputs[self.key])
        code = _CODES[outcome[STATUS]]
        values = {"level": outcome[COMPUTED], "total": float(outcome[TOTAL]) / self.program.total.scale}
        row |= {each.name: None if code else values[name] for name, each in self.outputs.items()}
        return code


def outcome_of_row(program: Program, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Assess one entity by a ruleset, as if it had never been assessed before; the columns of `assess_inputs`."""
    if all(value == value for value in inputs.values()):  # noqa: PLR0124 (NaN is not itself)
        return assess_row(single_program(program), inputs, NOBODY)
    return assess_columns(program, frame_of_ruleset(program, inputs)).row(0, named=True)


def frame_of_ruleset(program: Program, inputs: Mapping[str, Any]) -> pl.DataFrame:
    """Return the inputs of one entity as a frame for a ruleset."""
    moments = [name for name in program.signals.values() if name in inputs]
    return one_row(inputs, program.inputs).with_columns(pl.col(moments).cast(pl.Int64))


@dataclass(frozen=True, eq=False, kw_only=True)
class Valuing(CompiledStep):
    """A step that asks for the value: code 0 if it is known, 1 if not.

    Attributes:
        sources: the column of the facts, by the name of each output.
    """

    sources: Mapping[str, str]

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the value."""
        return tuple(self.sources.values())

    def run(self, frame: pl.DataFrame, context: RunContext) -> tuple[pl.Series, list[pl.Series]]:
        """Look up the value of every row."""
        is_known = frame[self.sources["score"]].is_not_null()
        outputs = [frame[self.sources[name]].alias(column.name) for name, column in self.outputs.items()]
        return (~is_known).cast(pl.Int32).alias(self.column), [each.set(~is_known, None) for each in outputs]

    def run_row(self, row: dict[str, Any], context: RowContext) -> int:
        """Look up the value of one row."""
        is_known = row[self.sources["score"]] is not None
        for name, column in self.outputs.items():
            row[column.name] = row[self.sources[name]] if is_known else None
        return int(not is_known)


class InnerProgram(Protocol):
    """What a step needs of another compiled flow; `flows.program.FlowProgram` is one."""

    def run(self, facts: pl.DataFrame, context: RunContext) -> pl.DataFrame:
        """Run it for every row."""

    def run_row(self, facts: Mapping[str, Any], context: RowContext) -> dict[str, Any]:
        """Run it for one row."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AskingFlow(CompiledStep):
    """A step that asks another flow: code 0 if its run ended, 1 if it failed. Its actions are not taken.

    Attributes:
        program: the other flow, which waits for nothing.
        key: the key of its facts.
        keys: the keys of everything that the other flow asks, by the keys that it uses for them.
        steps: the ids of its steps.
    """

    program: InnerProgram
    key: str
    keys: Mapping[str, str]
    steps: tuple[str, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """No column of the flow itself."""
        return ()

    def run(self, frame: pl.DataFrame, context: RunContext) -> tuple[pl.Series, list[pl.Series]]:
        """Run it for every row."""
        within = RunContext({own: context.inputs[key] for own, key in self.keys.items()}, {})
        outcomes = self.program.run(context.inputs[self.key], within)
        failed = outcomes[STOP] != int(Stop.ENDED)
        ends = pl.Series(self.outputs["ends"].name, self.steps, dtype=pl.String).gather(outcomes[LAST])
        return failed.cast(pl.Int32).alias(self.column), [ends.set(failed, None)]

    def run_row(self, row: dict[str, Any], context: RowContext) -> int:
        """Run it for one row."""
        outcome = self.program.run_row(context.inputs[self.key], self.within(context))
        failed = outcome[STOP] != Stop.ENDED
        row[self.outputs["ends"].name] = None if failed else self.steps[outcome[LAST]]
        return int(failed)

    def within(self, context: RowContext) -> RowContext:
        """Return the context of the other flow, for one row."""
        return RowContext({own: context.inputs[key] for own, key in self.keys.items()}, {})
