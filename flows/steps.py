"""Compiled steps: the outcome of each, for many entities as columns and for one as a plain function.

The outcome of a step is a small number, its code. Both forms are made from the same checked step, and give the same
codes and outputs. If the facts do not decide a step, it has a code of its own, never that of another way or row.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from fivefold.flows.language import NOBODY
from fivefold.flows.outside.outcomes import OutsideOutcome
from fivefold.risk.compiler.formulas import (
    QUOTIENTS,
    Function,
    TooLargeError,
    calculations_in_order,
    exact_value,
    float_of,
    formula,
    parts_of_quotient,
)
from fivefold.risk.compiler.plain_conditions import PlainTest
from fivefold.risk.compiler.value_types import DTYPES, InputColumn, Vocabulary, column_for
from fivefold.risk.facts.calculated import TOO_LARGE, with_calculations
from fivefold.risk.facts.portfolio import error_of
from fivefold.risk.language.expressions import CalculationInput, input_key
from fivefold.risk.language.fields import ValueType

LAST, STOP = "last step", "stop"
"""Columns beside the codes of steps: the position of the last step that was passed, and why the run stopped there."""


class Stop(IntEnum):
    """Why a run stops, in place of the position of the next step."""

    ENDED = -1
    FAILED = -2
    WAITS = -3
    ASKS = -4


@dataclass(frozen=True, eq=False, kw_only=True)
class CompiledStep(ABC):
    """A step, ready to be run.

    Attributes:
        identifier: the id of the step.
        leads: by the code of the step, the position of the next one, or a `Stop`.
        outputs: the column of each output.
    """

    identifier: str
    leads: tuple[int, ...]
    outputs: Mapping[str, InputColumn]

    @property
    def column(self) -> str:
        """The column of its codes; null where a run did not pass it."""
        return f"step {self.identifier}"

    @property
    def reads(self) -> tuple[str, ...] | None:
        """The columns that it reads; None for all."""
        return None

    @abstractmethod
    def run(self, frame: pl.DataFrame, context: "RunContext") -> tuple[pl.Series, list[pl.Series]]:
        """Return the codes of every row of a frame, and the columns of its outputs.

        Args:
            frame: the rows that reached this step: a column for each input, null where unknown.
            context: what is known of these rows beside the flow's own inputs.
        """

    @abstractmethod
    def run_row(self, row: dict[str, Any], context: "RowContext") -> int:
        """Return the code of one row, and add its outputs to the row."""


@dataclass(frozen=True)
class RunContext:
    """What steps read beside the flow's own inputs, for the rows of a frame.

    Attributes:
        inputs: the inputs of everything that is asked on the facts, by key, as `flows.run.FlowFacts` has them.
        answers: the answers of persons, by step; null if there is none yet.
        outcomes: the outcomes from outside, by step, as `flows.outside.step.CompiledOutsideStep.frame` makes them.
    """

    inputs: Mapping[str, pl.DataFrame]
    answers: Mapping[str, pl.Series]
    outcomes: Mapping[str, pl.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class RowContext:
    """The same for one row; an answer or an outcome is None if there is none yet."""

    inputs: Mapping[str, Mapping[str, Any]]
    answers: Mapping[str, str | None]
    outcomes: Mapping[str, OutsideOutcome | None] = field(default_factory=dict)


TRIED_TOGETHER = 64
"""The number of conditions of a choice that are computed in one query."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Choosing(CompiledStep):
    """A step that takes the first of several conditions: the ways of a route, the rows of a table.

    Its code is the position of that condition. With n conditions it is n if none holds, and n + 1 + i if it is not
    known whether condition i holds, and none before it does.

    Attributes:
        conditions: the conditions, as expressions over columns.
        tests: the same as plain functions; None if one of them has no plain form.
        gives: the values of each name of `outputs`, by code.
    """

    conditions: tuple[pl.Expr, ...]
    tests: tuple[PlainTest, ...] | None
    gives: Mapping[str, tuple[Any, ...]]

    def run(self, frame: pl.DataFrame, context: RunContext) -> tuple[pl.Series, list[pl.Series]]:
        """Try the conditions on every row, `TRIED_TOGETHER` at once, until every row is decided."""
        count = len(self.conditions)
        codes, is_open = np.full(len(frame), count, dtype=np.int32), np.ones(len(frame), dtype=np.bool_)
        for first in range(0, count, TRIED_TOGETHER):
            tried = {
                f"tried {place}": each for place, each in enumerate(self.conditions[first : first + TRIED_TOGETHER])
            }
            truths = frame.with_columns(**tried).select(list(tried))
            for number, truth in enumerate(truths.get_columns(), first):
                if truth.null_count():
                    unknown = is_open & truth.is_null().to_numpy()
                    codes[unknown] = count + 1 + number
                    is_open &= ~unknown
                    truth = truth.fill_null(value=False)  # noqa: PLW2901 (the same, without unknown values)
                holds = truth.to_numpy() & is_open
                codes[holds] = number
                is_open &= ~holds
            if not is_open.any():
                break
        series = pl.Series(self.column, codes, dtype=pl.Int32)
        return series, [
            pl.Series(column.name, self.gives[name], dtype=_dtype(column)).gather(series)
            for name, column in self.outputs.items()
        ]

    def run_row(self, row: dict[str, Any], context: RowContext) -> int:
        """Try the conditions on one row."""
        code = len(self.conditions)
        assert self.tests is not None
        for number, test in enumerate(self.tests):
            holds = test(row)
            if holds is not False:
                code = number if holds else code + 1 + number
                break
        for name, column in self.outputs.items():
            row[column.name] = self.gives[name][code]
        return code


def _dtype(column: InputColumn) -> Any:
    return DTYPES[column.kind]


def table_value(value: Any, column: InputColumn) -> Any:
    """Return a value of a table in the form of its column; money was checked to be whole in minor units."""
    if not isinstance(value, Decimal):
        return value
    return int(value * column.units) if column.kind is ValueType.MONEY else float(value)


@dataclass(frozen=True, eq=False, kw_only=True)
class Calculating(CompiledStep):
    """A step that calculates numbers, one after another, in exact fractions.

    Attributes:
        calculated: the calculations, each after those that it reads.
        names: the declared names.
        base: the currency of money that names none.
    """

    calculated: tuple[CalculationInput, ...]
    names: Vocabulary
    base: str

    def run(self, frame: pl.DataFrame, context: RunContext) -> tuple[pl.Series, list[pl.Series]]:
        """Calculate for every row."""
        own = {input_key(each) for each in self.calculated}
        needless = [name for name in frame.columns if name in own or name in map(error_of, own)]
        frame = with_calculations(frame.drop(needless), self.calculated, self.names, self.base)
        columns = [frame[name] for key in own for name in (key, error_of(key)) if name in frame.columns]
        return pl.repeat(0, len(frame), dtype=pl.Int32, eager=True).alias(self.column), columns

    def run_row(self, row: dict[str, Any], context: RowContext) -> int:
        """Calculate for one row."""
        exact: dict[str, Fraction | None] = {}
        for each in self._plain:
            values = [part.exact(row, exact) for part in each.parts]
            result, problem = None, next((row[name] for name in each.errors if row.get(name) is not None), None)
            row[each.key] = None
            try:
                if None not in values:
                    result = each.function([value for value in values if value is not None])
                    row[each.key] = float_of(result * each.units if each.units > 1 else result)
            except ZeroDivisionError:
                pass
            except TooLargeError:
                result, problem = None, problem or TOO_LARGE
            exact[each.key] = result
            if problem is not None:
                row[error_of(each.key)] = problem
        return 0

    @cached_property
    def _plain(self) -> tuple["_Plain", ...]:
        # Calculations of earlier steps are repeated: their values in the row are rounded.
        own = [each.calculation for each in self.calculated]
        names = calculations_in_order(own, self.names.calculations)
        return tuple(self._plain_form(CalculationInput(calculation=name)) for name in names)

    def _plain_form(self, calculated: CalculationInput) -> "_Plain":
        compiled = formula(self.names.calculations[calculated.calculation])
        read = [
            part
            for each in compiled.inputs
            for part in (each, *(parts_of_quotient(each) if isinstance(each, QUOTIENTS) else ()))
        ]
        return _Plain(
            key=input_key(calculated),
            function=compiled.function,
            parts=tuple(map(self._part, compiled.inputs)),
            errors=tuple(error_of(input_key(each)) for each in read),
            units=column_for(calculated, self.names, self.base).units,
        )

    def _part(self, rule_input: Any) -> "_Part":
        key = input_key(rule_input)
        if isinstance(rule_input, QUOTIENTS):
            total, count = (self._part(each) for each in parts_of_quotient(rule_input))
            return _Part(key=key, error=error_of(key), read=None, quotient=(total, count))
        column = column_for(rule_input, self.names, self.base)
        read = exact_value(rule_input, column.kind, column.units)
        return _Part(key=key, error=error_of(key), read=read, quotient=None)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A part of a calculation: a value read from a row, or the quotient of two parts."""

    key: str
    error: str
    read: Callable[[Any], Fraction] | None
    quotient: "tuple[_Part, _Part] | None"

    def exact(self, row: Mapping[str, Any], values: dict[str, Fraction | None]) -> Fraction | None:
        """Return its exact value; None if it is unknown, could not be read, or divides by 0."""
        if self.key not in values:
            if self.quotient is not None:
                total, count = (each.exact(row, values) for each in self.quotient)
                values[self.key] = total / count if total is not None and count else None
            elif self.read is not None:
                value = row[self.key]
                values[self.key] = None if value is None or row.get(self.error) is not None else self.read(value)
        return values[self.key]


@dataclass(frozen=True, kw_only=True)
class _Plain:
    """A calculation as a plain function of the parts of a row."""

    key: str
    function: Function
    parts: tuple[_Part, ...]
    errors: tuple[str, ...]
    units: int


def one_row(row: Mapping[str, Any], inputs: Mapping[str, InputColumn]) -> pl.DataFrame:
    """Return one row as a frame with the column types of *inputs*; a mean of money is a float."""
    kinds = {
        name: pl.Float64 if isinstance(row[name], float) else DTYPES[column.kind]
        for name, column in inputs.items()
        if name in row
    }
    return pl.DataFrame([row], schema_overrides=kinds)


@dataclass(frozen=True, eq=False, kw_only=True)
class Waiting(CompiledStep):
    """A step that waits for a person.

    With n answers its code is the position of the given one, n if none came in time, and n + 1 while it waits.

    Attributes:
        answers: the possible answers.
    """

    answers: tuple[str, ...]

    def run(self, frame: pl.DataFrame, context: RunContext) -> tuple[pl.Series, list[pl.Series]]:
        """Look up the answers of every row."""
        series = context.answers.get(self.identifier)
        texts: list[str | None] = [None] * len(frame) if series is None else series.to_list()
        codes = [self._code(text) for text in texts]
        answered = [text if text in self.answers else None for text in texts]
        return (
            pl.Series(self.column, codes, dtype=pl.Int32),
            [pl.Series(self.outputs["answer"].name, answered, dtype=pl.String)],
        )

    def run_row(self, row: dict[str, Any], context: RowContext) -> int:
        """Look up the answer of one row."""
        text = context.answers.get(self.identifier)
        row[self.outputs["answer"].name] = text if text in self.answers else None
        return self._code(text)

    def _code(self, text: str | None) -> int:
        if text is None:
            return len(self.answers) + 1
        return len(self.answers) if text == NOBODY else self.answers.index(text)


@dataclass(frozen=True, kw_only=True)
class Amount:
    """The amount of a limit.

    Attributes:
        action: its id.
        source: the column that it is read from; None for a number.
        number: the number, in minor units; None if it is read from a column.
        least: the lower bound, in minor units.
        most: the upper bound, in minor units.
    """

    action: str
    source: str | None
    number: int | None
    least: int
    most: int

    @property
    def column(self) -> str:
        """The column of the amount that is set, in minor units."""
        return f"amount {self.action}"

    def within(self, minor: float | None) -> int | None:
        """Round an amount to minor units, half to even, and limit it to the bounds; None for an unknown one."""
        return None if minor is None else min(max(round(Fraction(minor)), self.least), self.most)


@dataclass(frozen=True, eq=False, kw_only=True)
class Ending(CompiledStep):
    """An end: code 0 if its actions can be taken, 1 if one of their amounts is unknown; then no limit is set.

    Attributes:
        actions: the ids of its actions.
        amounts: the amounts of those that set a limit.
    """

    actions: tuple[str, ...]
    amounts: tuple[Amount, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of amounts."""
        return tuple(dict.fromkeys(each.source for each in self.amounts if each.source is not None))

    def run(self, frame: pl.DataFrame, context: RunContext) -> tuple[pl.Series, list[pl.Series]]:
        """Find the amounts of every row."""
        amounts = [pl.Series(each.column, self._of_rows(each, frame), dtype=pl.Int64) for each in self.amounts]
        unknown = pl.repeat(False, len(frame), dtype=pl.Boolean, eager=True)
        for series in amounts:
            unknown |= series.is_null()
        return unknown.cast(pl.Int32).alias(self.column), [series.set(unknown, None) for series in amounts]

    def _of_rows(self, amount: Amount, frame: pl.DataFrame) -> list[int | None]:
        if amount.source is None:
            return [amount.within(amount.number)] * len(frame)
        return [amount.within(minor) for minor in frame[amount.source].to_list()]

    def run_row(self, row: dict[str, Any], context: RowContext) -> int:
        """Find the amounts of one row."""
        for each in self.amounts:
            row[each.column] = each.within(each.number if each.source is None else row[each.source])
        failed = any(row[each.column] is None for each in self.amounts)
        if failed:
            row |= dict.fromkeys((each.column for each in self.amounts), None)
        return int(failed)
