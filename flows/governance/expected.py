"""Comparison of the expectations of a flow's example with the result of a run: end, actions, outputs and amounts."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from fivefold.domain.errors import Finding
from fivefold.domain.text import perhaps
from fivefold.flows.actions import LimitAction
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.language import FlowExample
from fivefold.flows.program import FlowProgram
from fivefold.flows.steps import LAST, STOP, Ending, Stop
from fivefold.risk.compiler.value_types import InputColumn, value_type_phrase
from fivefold.risk.engine.explain.describe import value_words
from fivefold.risk.language.fields import StepOutput, ValueType

FAILED = "failed"
"""The end that an example expects of a run that fails."""

_FITS: Mapping[ValueType, tuple[type, ...]] = {
    ValueType.TEXT: (str,),
    ValueType.NUMBER: (int, Decimal),
    ValueType.MONEY: (int, Decimal),
    ValueType.FLAG: (bool,),
    ValueType.LEVEL: (str,),
}


def check_expected(analysed: AnalysedFlow) -> Iterator[Finding]:
    """Find outputs and amounts expected by examples that the flow does not have."""
    steps = analysed.names.outputs
    limits = {action.id for action in analysed.flow.actions if isinstance(action, LimitAction)}
    for example in analysed.flow.examples:
        where = f"example {example.name}"
        for step, outputs in example.outputs.items():
            if step not in steps:
                there = ", ".join(steps) or "none"
                yield Finding(
                    where, f"expects outputs of {step}; steps that give any are {there}{perhaps(step, steps)}"
                )
                continue
            yield from (Finding(where, problem) for problem in _outputs(step, outputs, steps[step]))
        for action in example.amounts:
            if action not in limits:
                there = ", ".join(sorted(limits)) or "none"
                problem = (
                    f"expects an amount of {action}; actions that set a limit are {there}{perhaps(action, limits)}"
                )
                yield Finding(where, problem)


def _outputs(step: str, expected: Mapping[str, Any], outputs: Mapping[str, StepOutput]) -> Iterator[str]:
    for name, value in expected.items():
        if name not in outputs:
            yield f"expects {name} of {step}, which gives {', '.join(outputs)}{perhaps(name, outputs)}"
            continue
        kind = outputs[name].kind
        if isinstance(value, bool) != (kind is ValueType.FLAG) or not isinstance(value, _FITS[kind]):
            yield f"expects {name} of {step} to be {value!s}; it is {value_type_phrase(kind)}"
        elif kind is ValueType.LEVEL and value not in (there := outputs[name].choices):
            yield f"expects {name} of {step} to be {value}; there are {', '.join(there)}{perhaps(value, there)}"


def differences(example: FlowExample, program: FlowProgram, row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the differences between a run, a row of `FlowProgram.run`, and what an example expects.

    Each comes after the word of the example that expects otherwise, such as `ends`.
    """
    stop, last = Stop(row[STOP]), program.steps[row[LAST]]
    ends = FAILED if stop is Stop.FAILED else last.identifier
    if ends != example.ends:
        yield "ends", f"it comes to {ends}, not {example.ends}"
    amounts = _amounts(program, stop, row)
    if example.actions is not None and sorted(amounts) != sorted(example.actions):
        yield "actions", f"actions are {', '.join(amounts) or 'none'}, not {', '.join(example.actions) or 'none'}"
    for name, expected in example.amounts.items():
        result, wanted = amounts.get(name), expected * program.units
        if result != wanted:
            yield "amounts", f"{name} sets {_words(result, program)}, not {_words(int(wanted), program)}"
    for step, outputs in example.outputs.items():
        columns = program.steps[program.flow.positions[step]].outputs
        for name, value in outputs.items():
            result, wanted = row[columns[name].name], _column_value(value, columns[name])
            if result != wanted:
                texts = (value_words(each, columns[name]) for each in (result, wanted))
                yield "outputs", "{} of {} is {}, not {}".format(name.replace("_", " "), step, *texts)


def _amounts(program: FlowProgram, stop: Stop, row: Mapping[str, Any]) -> dict[str, int | None]:
    """Return the actions that follow from a run, each with the amount of its limit in minor units, or None."""
    if stop is Stop.FAILED:
        set_then = {each.action: each.within(each.number) for each in program.failure_amounts}
        return {name: set_then.get(name) for name in program.flow.on_failure}
    last = program.steps[row[LAST]]
    if not isinstance(last, Ending):  # the run waits
        return {}
    amounts = {each.action: row[each.column] for each in last.amounts}
    return {name: amounts.get(name) for name in last.actions}


def _column_value(value: Any, column: InputColumn) -> Any:
    """Return a value in the form of its column."""
    if column.kind is ValueType.MONEY:
        return value * column.units
    if column.kind is ValueType.LEVEL:
        return column.levels.index(value) + 1
    return float(value) if column.kind is ValueType.NUMBER else value


def _words(minor: int | None, program: FlowProgram) -> str:
    return (
        "nothing"
        if minor is None
        else value_words(minor, InputColumn("", ValueType.MONEY, program.units), program.base)
    )
