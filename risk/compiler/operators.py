"""Each operator as an expression over one column; null, which is unknown, stays null."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from fivefold.risk.compiler.fuzzy import nearly
from fivefold.risk.compiler.values import Column, level_number, literal
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.operators import Fuzzy

Lists = Mapping[str, Sequence[str]]
"""Members of the named lists."""


def comparison(operator: str, column: Column, value: Any, lists: Lists) -> pl.Expr:
    """Build the expression of one operator; its kind was checked before."""
    if operator in {"in_list", "not_in_list"}:
        value = tuple(lists[value])
    if isinstance(value, Fuzzy):
        value = (value, (value.to,) if value.list is None else tuple(lists[value.list]))
    return _BUILDERS[operator](column, value)


def _present(column: Column, value: str) -> pl.Expr:
    if column.kind is ValueType.MARK:
        there = column.expr
    elif column.kind is ValueType.FINDING:
        there = column.expr > pl.lit(0.0)
    else:
        there = column.expr.is_not_null()
    return there if value == "present" else ~there


def _between(column: Column, ends: Sequence[Any]) -> pl.Expr:
    return (column.expr >= literal(column, ends[0])) & (column.expr <= literal(column, ends[1]))


def _among(column: Column, values: Sequence[Any]) -> pl.Expr:
    """Tell whether the value, or one of a list of values, is among *values*."""
    if column.kind is ValueType.TEXTS:
        return _any_element(column, pl.element().is_in(pl.Series(values, dtype=pl.String).implode()))
    if column.kind is ValueType.LEVEL:
        typed = pl.Series([level_number(value, column.levels) for value in values], dtype=pl.Int64)
    else:
        typed = pl.Series(map(float, values)) if column.kind is ValueType.NUMBER else pl.Series(values, dtype=pl.String)
    return column.expr.is_in(typed.implode())


def _any_element(column: Column, test: pl.Expr) -> pl.Expr:
    """True if the test is true of one element: no element is false, no list is unknown."""
    return column.expr.list.eval(test, parallel=False).list.any()


def _contains(column: Column, value: str) -> pl.Expr:
    if column.kind is ValueType.TEXTS:
        return column.expr.list.contains(pl.lit(value), nulls_equal=False)
    return column.expr.str.contains(value, literal=True)


def _contains_any(column: Column, values: Sequence[str]) -> pl.Expr:
    if column.kind is ValueType.TEXTS:
        return _among(column, values)
    return pl.any_horizontal([_contains(column, value) for value in values])


def _fuzzy(column: Column, value: tuple[Fuzzy, Sequence[str]]) -> pl.Expr:
    how, targets = value
    test = nearly(targets, how.scorer, how.at_least)
    if column.kind is ValueType.TEXTS:
        return _any_element(column, test(pl.element()))
    return test(column.expr)


def _not(build: Callable[[Column, Any], pl.Expr]) -> Callable[[Column, Any], pl.Expr]:
    return lambda column, value: ~build(column, value)


_BUILDERS: dict[str, Callable[[Column, Any], pl.Expr]] = {
    "is": _present,
    "equals": lambda column, value: column.expr == literal(column, value),
    "not_equals": lambda column, value: column.expr != literal(column, value),
    "above": lambda column, value: column.expr > literal(column, value),
    "at_least": lambda column, value: column.expr >= literal(column, value),
    "below": lambda column, value: column.expr < literal(column, value),
    "at_most": lambda column, value: column.expr <= literal(column, value),
    "between": _between,
    "in": _among,
    "not_in": _not(_among),
    "in_list": _among,
    "not_in_list": _not(_among),
    "starts_with": lambda column, value: column.expr.str.starts_with(value),
    "ends_with": lambda column, value: column.expr.str.ends_with(value),
    "contains": _contains,
    "contains_any": _contains_any,
    "fuzzy": _fuzzy,
}
