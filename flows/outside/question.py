"""The data that a run sends when it asks the outside: the facts that the step names, and why the run reached it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fivefold.domain.clock import day_text
from fivefold.flows.language import ModelStep, OutsideStep
from fivefold.flows.program import FlowProgram
from fivefold.flows.steps import LAST, STOP, RowContext, Stop
from fivefold.flows.trace import explain_run
from fivefold.risk.compiler.value_types import InputColumn, column_for
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.quantities import json_number

SentValue = str | bool | Decimal | tuple[str, ...] | None
"""A fact as it is sent: numbers and money, in the main unit of the base currency, are exact; None where unknown."""


@dataclass(frozen=True, kw_only=True)
class SentFacts:
    """The facts that a run sends.

    Attributes:
        values: the values, by the name of the fact.
        why: why the run reached the step: the id of each step before, with its sentence.
        kinds: the type of each fact, by its name.
    """

    values: Mapping[str, SentValue]
    why: tuple[tuple[str, str], ...]
    kinds: Mapping[str, ValueType] = field(default_factory=dict, compare=False)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The names of the facts that are unknown."""
        return tuple(name for name, value in self.values.items() if value is None)

    @property
    def plain(self) -> dict[str, Any]:
        """The values as plain data for JSON."""
        return {
            name: json_number(value) if isinstance(value, Decimal) else value for name, value in self.values.items()
        }

    @property
    def text(self) -> str:
        """The values as JSON, always the same for the same values."""
        return json.dumps(self.plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def asking_step(program: FlowProgram, row: Mapping[str, Any]) -> OutsideStep | None:
    """Return the step whose outcome a run asks for; None if it does not ask."""
    if row[STOP] != Stop.ASKS:
        return None
    step = program.flow.steps[row[LAST]]
    assert isinstance(step, OutsideStep)
    return step


def sent_facts(program: FlowProgram, row: Mapping[str, Any], context: RowContext | None = None) -> SentFacts:
    """Return what an asking run sends.

    Args:
        program: the program of the run.
        row: the run's row from `FlowProgram.run` or `run_row`.
        context: the context of the run, which explains the outcomes of what it asked before.
    """
    step = asking_step(program, row)
    assert step is not None, "the run asks for nothing"
    columns = {
        name: column_for(fact, program.analysed.names, program.base) for name, fact in step.asks.facts_sent.items()
    }
    values = {name: _sent_value(row[column.name], column) for name, column in columns.items()}
    kinds = {name: column.kind for name, column in columns.items()}
    # A model gets no `why`, and thousands of runs may ask at once.
    passed = () if isinstance(step, ModelStep) else explain_run(program, row, context).steps[:-1]
    return SentFacts(values=values, why=tuple((each.step, each.sentence) for each in passed), kinds=kinds)


def _sent_value(value: Any, column: InputColumn) -> SentValue:
    if value is None:
        return None
    if column.kind in {ValueType.NUMBER, ValueType.FINDING}:
        return Decimal(str(value))
    if column.kind is ValueType.MONEY:
        return Decimal(str(value)) / column.units
    if column.kind is ValueType.LEVEL:
        return str(column.levels[value - 1])
    if column.kind is ValueType.MOMENT:
        return day_text(value)
    return tuple(value) if column.kind is ValueType.TEXTS else value
