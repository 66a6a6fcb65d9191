"""Columns of calculations: exact until the end, and kept as floats that compare as the exact results do.

Rows are calculated one by one in fractions, as no column type holds the quotient of two sums exactly. Rows with an
unknown part are skipped.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import polars as pl

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
from fivefold.risk.compiler.value_types import Vocabulary, column_for
from fivefold.risk.facts.portfolio import error_of
from fivefold.risk.language.expressions import CalculationInput, input_key

TOO_LARGE = "the result has more digits than can be kept"

Exact = list[Fraction | None]
"""The exact numbers of a column, None where unknown."""


def with_calculations(
    frame: pl.DataFrame, calculated: Sequence[CalculationInput], names: Vocabulary, base: str
) -> pl.DataFrame:
    """Add the columns of calculations.

    Args:
        frame: a column for each input of the calculations, and `error_of` it if something could not be read.
        calculated: the calculations that are read; calculations in them are added before them.
        names: what is declared.
        base: the currency of money that names none.

    Returns:
        The frame, and beside it for each calculation a column of Float64 by `input_key`, money in minor units: null
        where a part is unknown or a divisor is 0. `error_of` the key names what could not be read, or says that
        the result is too large.
    """
    columns = _Columns(frame, names, base)
    for name in calculations_in_order([each.calculation for each in calculated], names.calculations):
        columns.add(CalculationInput(calculation=name))
    return columns.frame


class _Columns:
    """The frame as it grows, with the exact numbers of the columns used in calculations."""

    def __init__(self, frame: pl.DataFrame, names: Vocabulary, base: str) -> None:
        self.frame = frame
        self._names = names
        self._base = base
        self._exact: dict[str, Exact] = {}

    def add(self, calculated: CalculationInput) -> None:
        """Add one calculation, whose parts are already there."""
        key = input_key(calculated)
        calculation = formula(self._names.calculations[calculated.calculation])
        parts = [self._exact_of(each) for each in calculation.inputs]
        results, too_large = _results(calculation.function, parts, len(self.frame))
        self._exact[key] = results
        units = column_for(calculated, self._names, self._base).units
        values: list[float | None] = []
        for row, result in enumerate(results):
            try:
                values.append(None if result is None else float_of(result * units if units > 1 else result))
            except TooLargeError:
                values.append(None)
                results[row] = None
                too_large[row] = TOO_LARGE
        self.frame = self.frame.with_columns(
            pl.Series(key, values, dtype=pl.Float64), *self._errors(key, calculation.inputs)
        )
        if too_large:
            self._add_too_large(key, too_large)

    def _errors(self, key: str, inputs: Sequence[Any]) -> list[pl.Expr]:
        """Build the column that names what could not be read of the parts."""
        needed = [
            part
            for each in inputs
            for part in (each, *(parts_of_quotient(each) if isinstance(each, QUOTIENTS) else ()))
        ]
        wrong = [error_of(input_key(each)) for each in needed if error_of(input_key(each)) in self.frame.columns]
        return [pl.coalesce(wrong).alias(error_of(key))] if wrong else []

    def _add_too_large(self, key: str, too_large: Mapping[int, str]) -> None:
        name = error_of(key)
        own = pl.Series(name, [too_large.get(row) for row in range(len(self.frame))], dtype=pl.String)
        before = self.frame[name] if name in self.frame.columns else None
        self.frame = self.frame.with_columns(own if before is None else before.zip_with(before.is_not_null(), own))

    def _exact_of(self, rule_input: Any) -> Exact:
        key = input_key(rule_input)
        if key not in self._exact:
            if isinstance(rule_input, QUOTIENTS):
                total, count = (self._exact_of(each) for each in parts_of_quotient(rule_input))
                self._exact[key] = [
                    part / number if part is not None and number else None
                    for part, number in zip(total, count, strict=True)
                ]
            else:
                self._exact[key] = self._read(rule_input, key)
        return self._exact[key]

    def _read(self, rule_input: Any, key: str) -> Exact:
        column = column_for(rule_input, self._names, self._base)
        read = exact_value(rule_input, column.kind, column.units)
        series = self.frame[key]
        # An input with an error has no value: an aggregate of only some of the facts would be wrong.
        if error_of(key) in self.frame.columns:
            series = series.set(self.frame[error_of(key)].is_not_null(), None)
        memory: dict[Any, Fraction | None] = {None: None}
        exact: Exact = []
        for value in series.to_list():
            if value not in memory:
                memory[value] = read(value)
            exact.append(memory[value])
        return exact


def _results(function: Function, parts: Sequence[Exact], count: int) -> tuple[Exact, dict[int, str]]:
    """Calculate every row whose parts are known; also return the rows whose result is too large."""
    too_large: dict[int, str] = {}
    results: Exact = [None] * count
    for row, values in enumerate(zip(*parts, strict=True)):
        if any(value is None for value in values):
            continue
        try:
            results[row] = function(values)
        except ZeroDivisionError:
            continue
        except TooLargeError:
            too_large[row] = TOO_LARGE
    return results, too_large
