"""A flow compiled for one set of list versions, and run: for many entities as columns, or for one as plain functions.

A run depends only on the facts read before the first step, the answers of people and the outcomes from outside. The
same values lead to the same end, so that a run can be continued, and repeated, from its record.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, TypeAlias

import polars as pl

from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.domain.money import minor_units
from fivefold.flows.actions import LimitAction
from fivefold.flows.analysis import VALUE_INPUTS, AnalysedFlow
from fivefold.flows.asking.steps import (
    STATUS_CODES,
    AskingFlow,
    AskingPolicy,
    AskingRuleset,
    Valuing,
    frame_of_ruleset,
)
from fivefold.flows.checks import FinerAmount, finer_amounts, finer_amounts_of_actions
from fivefold.flows.language import (
    AskStep,
    CalculateStep,
    ContinuingStep,
    Flow,
    FlowStep,
    OutsideStep,
    PersonStep,
    RouteStep,
    RulesetName,
    RulesStep,
    TableStep,
    ValueStep,
)
from fivefold.flows.outside.outcomes import OutsideOutcome
from fivefold.flows.outside.step import CompiledOutsideStep
from fivefold.flows.steps import (
    LAST,
    STOP,
    Amount,
    Calculating,
    Choosing,
    CompiledStep,
    Ending,
    RowContext,
    RunContext,
    Stop,
    Waiting,
    one_row,
    table_value,
)
from fivefold.risk.compiler.analysis import Analysed, AnalysedPolicy, AnalysedRuleset
from fivefold.risk.compiler.conditions import Compiler
from fivefold.risk.compiler.formulas import calculations_in_order
from fivefold.risk.compiler.plain_conditions import NoPlainFormError, PlainCompiler, PlainTest
from fivefold.risk.compiler.value_types import DTYPES, InputColumn, column_for
from fivefold.risk.engine.policy_program import PolicyProgram, compile_policy
from fivefold.risk.engine.program import Program, compile_ruleset, compiled_once
from fivefold.risk.engine.totals import rule_column
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import CalculationInput, input_key
from fivefold.risk.language.policy import StepInput

AskedProgram: TypeAlias = "PolicyProgram | Program | FlowProgram"
"""A compiled policy, ruleset or flow that a step asks on the same facts."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FlowProgram:
    """A compiled flow.

    Attributes:
        analysed: the flow.
        lists: the members of every list that it, or a policy that it asks, names.
        base: the currency that money is in.
        inputs: the column of every input, by its key.
        programs: the compiled policies, rulesets and flows that it asks by itself, by the keys of
            `AnalysedFlow.dependencies`.
        steps: the compiled steps, in order.
        failure_amounts: the amounts of limits that are set after a failure.
    """

    analysed: AnalysedFlow
    lists: Mapping[str, Sequence[str]]
    base: str
    inputs: Mapping[str, InputColumn]
    programs: Mapping[str, AskedProgram]
    steps: tuple[CompiledStep, ...]
    failure_amounts: tuple[Amount, ...]

    @property
    def flow(self) -> Flow:
        """The flow that is compiled."""
        return self.analysed.flow

    @property
    def units(self) -> int:
        """The number of minor units in the main unit of the base currency."""
        return minor_units(self.base)

    @cached_property
    def has_plain_form(self) -> bool:
        """Whether every condition has a plain form, so that one row is run without columns."""
        return all(step.tests is not None for step in self.steps if isinstance(step, Choosing))

    def run(self, facts: pl.DataFrame, context: RunContext) -> pl.DataFrame:
        """Run the flow for every row.

        Args:
            facts: a column for each of `analysed.fact_inputs`, null where unknown or unreadable.
            context: the inputs of policies, the answers of people and what came from outside, in the same rows.

        Returns:
            The facts, and beside them the code of each step (Int32, null where it was not passed), its outputs (null
            there too), the amounts of limits; `last step`, a position (Int32), and `stop`, a `Stop` (Int8).
        """
        frame = facts.with_columns(self._empty(facts))
        at = pl.repeat(0, len(facts), dtype=pl.Int32, eager=True)
        last = at
        for position, step in enumerate(self.steps):
            here = (at == position).arg_true()
            if not len(here):
                continue
            everyone = len(here) == len(frame)
            rows, context_here = (
                (frame, context) if everyone else (_rows(frame, step, here), _context_of(context, here))
            )
            codes, outputs = step.run(rows, context_here)
            columns = [_spread(series, here, frame) for series in (codes.alias(step.column), *outputs)]
            frame = frame.with_columns(columns)
            leads = pl.Series(step.leads, dtype=pl.Int32).gather(codes)
            at = at.clone().scatter(here, leads)
            last = last.clone().scatter(here, position)
        return frame.with_columns(last.alias(LAST), at.cast(pl.Int8).alias(STOP))

    def _empty(self, facts: pl.DataFrame) -> list[pl.Series]:
        """Return the columns of steps before any run has passed them: all null."""
        empty: dict[str, Any] = {}
        for step in self.steps:
            empty[step.column] = pl.Int32
            empty |= {column.name: _unknown_value(column, step) for column in step.outputs.values()}
            if isinstance(step, CompiledOutsideStep):
                empty |= step.extra_columns
            if isinstance(step, Ending):
                empty |= dict.fromkeys((each.column for each in step.amounts), pl.Int64)
        return [_unknown(name, kind, len(facts)) for name, kind in empty.items() if name not in facts.columns]

    def run_row(self, facts: Mapping[str, Any], context: RowContext) -> dict[str, Any]:
        """Run the flow for one entity, as `run` does; the values by the names of its columns."""
        if not self.has_plain_form:
            return self._run_as_columns(facts, context)
        row = {**facts, **self._unpassed}
        at = 0
        while at >= 0:
            step = self.steps[at]
            row[LAST] = at
            code = step.run_row(row, context)
            row[step.column] = code
            at = step.leads[code]
        row[STOP] = at
        return row

    @cached_property
    def _unpassed(self) -> dict[str, None]:
        return {series.name: None for series in self._empty(pl.DataFrame())}

    def _run_as_columns(self, facts: Mapping[str, Any], context: RowContext) -> dict[str, Any]:
        inputs = {key: self._frame_of(key, context.inputs[key]) for key in self.analysed.dependencies}
        answers = {step: pl.Series(step, [answer], dtype=pl.String) for step, answer in context.answers.items()}
        outcomes = self.outcome_frames({step: [outcome] for step, outcome in context.outcomes.items()})
        return self.run(one_row(facts, self.inputs), RunContext(inputs, answers, outcomes)).row(0, named=True)

    def outcome_frames(self, outcomes: Mapping[str, Sequence[OutsideOutcome | None]]) -> dict[str, pl.DataFrame]:
        """Return the outcomes from outside by step, in the rows of entities, as `RunContext` has them."""
        return {
            step.identifier: step.frame(outcomes[step.identifier])
            for step in self.steps
            if isinstance(step, CompiledOutsideStep) and step.identifier in outcomes
        }

    def _frame_of(self, key: str, row: Mapping[str, Any]) -> pl.DataFrame:
        """Return the inputs of an asked policy, ruleset or flow for one entity, as a frame."""
        first, _, below = key.partition("/")
        program = self.programs[first]
        if isinstance(program, FlowProgram) and below:
            return program._frame_of(below, row)  # noqa: SLF001 (another flow's own)
        return frame_of_ruleset(program, row) if isinstance(program, Program) else one_row(row, program.inputs)


def _unknown_value(column: InputColumn, step: CompiledStep) -> Any:
    return pl.Float64 if isinstance(step, Calculating) else DTYPES[column.kind]


def _context_of(context: RunContext, rows: pl.Series) -> RunContext:
    return RunContext(
        {name: frame[rows] for name, frame in context.inputs.items()},
        {step: answers.gather(rows) for step, answers in context.answers.items()},
        {step: frame[rows] for step, frame in context.outcomes.items()},
    )


def _rows(frame: pl.DataFrame, step: CompiledStep, rows: pl.Series) -> pl.DataFrame:
    """Return some rows with the columns that the step reads, one at least: a frame without columns has no rows."""
    names = frame.columns if step.reads is None else step.reads or frame.columns[:1]
    return frame.select(names)[rows]


def _unknown(name: str, kind: Any, length: int) -> pl.Series:
    return pl.Series(name, [None], dtype=kind).new_from_index(0, length)


def _spread(series: pl.Series, rows: pl.Series, frame: pl.DataFrame) -> pl.Series:
    """Return a column of all rows: new values for some, the earlier values for the others."""
    if len(rows) == len(frame):
        return series
    before = frame[series.name] if series.name in frame.columns else _unknown(series.name, series.dtype, len(frame))
    return before.clone().scatter(rows, series)


def compile_flow(analysed: AnalysedFlow, lists: Mapping[str, Sequence[str]], base: str) -> FlowProgram:
    """Compile a flow; InvalidRulesetError names all its faults.

    Args:
        analysed: the flow.
        lists: the members of every list that it, or a policy that it asks, names.
        base: the currency that money is in.
    """
    analysed.require_usable()
    _refuse(finer_amounts(analysed.flow, minor_units(base)), analysed.flow, base)
    programs = {
        key: _compiled(one, lists, base)
        for key, one in analysed.dependencies.items()
        if "/" not in key  # without what other flows ask
    }
    inputs = {input_key(each): column_for(each, analysed.names, base) for each in analysed.inputs}
    compiled = _StepCompiler(analysed, lists, base, inputs, programs)
    steps = tuple(compiled.step(position) for position in range(len(analysed.flow.steps)))
    return FlowProgram(
        analysed=analysed,
        lists=lists,
        base=base,
        inputs=inputs,
        programs=programs,
        steps=steps,
        failure_amounts=amounts_of(analysed.flow, base, analysed.flow.on_failure),
    )


def _compiled(analysed: Analysed[Any], lists: Mapping[str, Sequence[str]], base: str) -> AskedProgram:
    if isinstance(analysed, AnalysedFlow):
        return compile_flow(analysed, lists, base)
    if isinstance(analysed, AnalysedPolicy):
        return compile_policy(analysed, lists, base)
    assert isinstance(analysed, AnalysedRuleset)
    analysed.require_usable()
    return compile_ruleset(analysed, lists, base)


flow_program_for = compiled_once(compile_flow)


@dataclass(frozen=True)
class _StepCompiler:
    analysed: AnalysedFlow
    lists: Mapping[str, Sequence[str]]
    base: str
    inputs: Mapping[str, InputColumn]
    programs: Mapping[str, AskedProgram]

    def step(self, position: int) -> CompiledStep:
        """Compile the step at a position."""
        step = self.analysed.flow.steps[position]
        outputs = {
            name: column_for(StepInput(step=step.id, output=name), self.analysed.names, self.base)
            for name in self.analysed.names.outputs.get(step.id, {})
        }
        after = self._place(step.then, position) if isinstance(step, ContinuingStep) else Stop.ENDED
        if isinstance(step, RouteStep):
            ways = [self._place(way.to, position) for way in step.route]
            unknown = self._unknown(step.on_unknown, position)
            leads = (*ways, self._place(step.otherwise, position), *[unknown] * len(ways))
            return self._choosing(step.id, [way.when for way in step.route], leads)
        if isinstance(step, TableStep):
            return self._table(step, outputs, after)
        if isinstance(step, CalculateStep):
            names = [name for name in self._in_order() if name in step.calculate]
            columns = {name: self._calculation(name) for name in names}
            calculated = tuple(CalculationInput(calculation=name) for name in names)
            return Calculating(
                identifier=step.id,
                leads=(after,),
                outputs=columns,
                calculated=calculated,
                names=self.analysed.names,
                base=self.base,
            )
        if isinstance(step, AskStep):
            return self._asking(step, outputs, after, self._unknown(step.on_unknown, position))
        if isinstance(step, PersonStep | OutsideStep):
            return self._waiting(step, position, outputs, after)
        amounts = amounts_of(self.analysed.flow, self.base, step.end)
        leads = (Stop.ENDED, Stop.FAILED)
        return Ending(identifier=step.id, leads=leads, outputs={}, actions=step.end, amounts=amounts)

    def _waiting(
        self, step: PersonStep | OutsideStep, position: int, outputs: Mapping[str, InputColumn], after: int
    ) -> CompiledStep:
        """Compile a step that waits for a person or for the outside."""
        if isinstance(step, PersonStep):
            to = [self._place(each, position) for each in (*step.person.answers.values(), step.person.otherwise)]
            answers = tuple(step.person.answers)
            return Waiting(identifier=step.id, leads=(*to, Stop.WAITS), outputs=outputs, answers=answers)
        unknown = self._unknown(step.on_unknown, position)
        choices = {name: output.choices for name, output in self.analysed.names.outputs[step.id].items()}
        return CompiledOutsideStep(
            identifier=step.id, leads=(after, unknown, Stop.ASKS), outputs=outputs, choices=choices
        )

    def _unknown(self, to: str | None, position: int) -> int:
        return Stop.FAILED if to is None else self._place(to, position)

    def _asking(self, step: AskStep, outputs: Mapping[str, InputColumn], after: int, unknown: int) -> CompiledStep:
        """Compile a step that asks a policy, a ruleset, the value or another flow."""
        own: dict[str, Any] = {"identifier": step.id, "leads": (after, unknown), "outputs": outputs}
        if isinstance(step, ValueStep):
            return Valuing(**own, sources={name: input_key(each) for name, each in VALUE_INPUTS.items()})
        if isinstance(step, FlowStep):
            key = f"flow {step.flow}"
            inner = self.programs[key]
            assert isinstance(inner, FlowProgram)
            keys = {below: f"{key}/{below}" for below in inner.analysed.dependencies}
            steps = tuple(each.id for each in inner.flow.steps)
            return AskingFlow(**own, program=inner, key=key, keys=keys, steps=steps)
        assert isinstance(step, RulesStep)
        if isinstance(step.rules, RulesetName):
            key = f"ruleset {step.rules.ruleset}"
            ruleset = self.programs[key]
            assert isinstance(ruleset, Program)
            leads = (after, *[unknown] * (len(STATUS_CODES) - 1))
            return AskingRuleset(**{**own, "leads": leads}, program=ruleset, key=key)
        program = self.programs[step.rules.policy]
        assert isinstance(program, PolicyProgram)
        changing = tuple(
            (rule_column(rule.id), place, program.policy.actions.index(rule.action))
            for place, rule in enumerate(program.policy.rules)
            if rule.on_unknown is None and not step.rules.as_decided
        )
        return AskingPolicy(**own, program=program, changing=changing)

    def _place(self, to: str | None, position: int) -> int:
        return position + 1 if to is None else self.analysed.flow.positions[to]

    def _in_order(self) -> list[str]:
        names = self.analysed.names.calculations
        return calculations_in_order(names, names)

    def _calculation(self, name: str) -> InputColumn:
        return column_for(CalculationInput(calculation=name), self.analysed.names, self.base)

    def _choosing(
        self,
        identifier: str,
        conditions: Sequence[Any],
        leads: tuple[int, ...],
        outputs: Mapping[str, InputColumn] | None = None,
        gives: Mapping[str, tuple[Any, ...]] | None = None,
    ) -> Choosing:
        return Choosing(
            identifier=identifier,
            leads=leads,
            outputs=outputs or {},
            conditions=tuple(Compiler(self._resolve, self.lists).condition(each) for each in conditions),
            tests=self._tests(conditions),
            gives=gives or {},
        )

    def _tests(self, conditions: Sequence[Any]) -> tuple[PlainTest, ...] | None:
        compiler = PlainCompiler.of(self.inputs, self.lists)
        try:
            return tuple(compiler.condition(each) for each in conditions)
        except NoPlainFormError:
            return None

    def _resolve(self, rule_input: LanguageModel) -> InputColumn:
        return self.inputs[input_key(rule_input)]

    def _table(self, step: TableStep, outputs: Mapping[str, InputColumn], after: int) -> Choosing:
        table, count = step.table, len(step.table.rows)
        outputs_by_code = [*(row.give for row in table.rows), table.otherwise, *[table.on_unknown or {}] * count]
        gives = {
            name: tuple(table_value(one.get(name), column) for one in outputs_by_code)
            for name, column in outputs.items()
        }
        unknown = Stop.FAILED if table.on_unknown is None else after
        leads = (*[after] * (count + 1), *[unknown] * count)
        return self._choosing(step.id, [row.when for row in table.rows], leads, outputs, gives)


def amounts_of(flow: Flow, base: str, actions: Sequence[str]) -> tuple[Amount, ...]:
    """Return the amounts of the limits among some actions of a flow; *base* is their currency."""
    units, amounts = minor_units(base), []
    _refuse(finer_amounts_of_actions(flow, units), flow, base)
    for action in map(flow.action, actions):
        if not isinstance(action, LimitAction):
            continue
        amount = action.amount
        least, most = (int(bound * units) for bound in action.between)
        amounts.append(
            Amount(
                action=action.id,
                source=input_key(amount) if isinstance(amount, LanguageModel) else None,
                number=int(amount * units) if isinstance(amount, Decimal) else None,
                least=least,
                most=most,
            )
        )
    return tuple(amounts)


def _refuse(finer: Iterable[FinerAmount], flow: Flow, base: str) -> None:
    """Refuse amounts with a part of the smallest unit: InvalidRulesetError names all of them."""
    wrong = [
        Finding(each.place, f"is {each.amount}, which is not a whole number of the smallest unit of {base}")
        for each in finer
    ]
    if wrong:
        raise InvalidRulesetError(wrong, f"flow {flow.name}")
