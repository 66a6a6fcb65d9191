"""Compiles a condition and its operators to one Polars expression: true, false, or null where it is unknown.

Polars' own &, | and ~ are Kleene's: AND with a false is false, OR with a true is true, even beside an unknown.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_, eq, ge, gt, le, lt, ne
from typing import Any

import polars as pl

from fivefold.risk.compiler.likeness import Targets
from fivefold.risk.compiler.value_types import InputColumn, level_number, literal
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import All, Any_, Not, OwnTest, input_of_test, inputs_compared
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.operators import Fuzzy, Operators

Test = Callable[[pl.Expr], pl.Expr]


def nearly(targets: Sequence[str], scorer: str, at_least: int) -> Test:
    """Build the test whether a text column is near one of *targets*, by *at_least*; null stays null.

    Every distinct text is compared once, many of them on all processors.
    """
    near = Targets(targets, scorer)

    def test(column: pl.Series) -> pl.Series:
        texts = column.unique().drop_nulls()
        is_near = pl.Series(near.have_near(texts.to_list(), at_least), dtype=pl.Boolean)
        hits = column.is_in(texts.filter(is_near).implode())
        return hits.alias(column.name)

    return lambda column: column.map_batches(test, return_dtype=pl.Boolean)


Lists = Mapping[str, Sequence[str]]
"""Members of the named lists."""


def comparison(operator: str, column: InputColumn, value: Any, lists: Lists) -> pl.Expr:
    """Build the expression of one operator; its kind was checked before."""
    if operator in {"in_list", "not_in_list"}:
        value = tuple(lists[value])
    if isinstance(value, Fuzzy):
        value = (value, (value.to,) if value.list is None else tuple(lists[value.list]))
    return _BUILDERS[operator](column, value)


def _present(column: InputColumn, value: str) -> pl.Expr:
    if column.kind is ValueType.MARK:
        there = column.expr
    elif column.kind is ValueType.FINDING:
        there = column.expr > pl.lit(0.0)
    else:
        there = column.expr.is_not_null()
    return there if value == "present" else ~there


def _between(column: InputColumn, ends: Sequence[Any]) -> pl.Expr:
    return (column.expr >= literal(column, ends[0])) & (column.expr <= literal(column, ends[1]))


def _among(column: InputColumn, values: Sequence[Any]) -> pl.Expr:
    """True where the value, or one of a list of values, is among *values*."""
    if column.kind is ValueType.TEXTS:
        return _any_element(column, pl.element().is_in(pl.Series(values, dtype=pl.String).implode()))
    if column.kind is ValueType.LEVEL:
        typed = pl.Series([level_number(value, column.levels) for value in values], dtype=pl.Int64)
    else:
        typed = pl.Series(map(float, values)) if column.kind is ValueType.NUMBER else pl.Series(values, dtype=pl.String)
    return column.expr.is_in(typed.implode())


def _any_element(column: InputColumn, test: pl.Expr) -> pl.Expr:
    """True if the test is true of one element; an empty list gives false, a null list null."""
    return column.expr.list.eval(test, parallel=False).list.any()


def _contains(column: InputColumn, value: str) -> pl.Expr:
    if column.kind is ValueType.TEXTS:
        return column.expr.list.contains(pl.lit(value), nulls_equal=False)
    return column.expr.str.contains(value, literal=True)


def _contains_any(column: InputColumn, values: Sequence[str]) -> pl.Expr:
    if column.kind is ValueType.TEXTS:
        return _among(column, values)
    return pl.any_horizontal([_contains(column, value) for value in values])


def _fuzzy(column: InputColumn, value: tuple[Fuzzy, Sequence[str]]) -> pl.Expr:
    how, targets = value
    test = nearly(targets, how.scorer, how.at_least)
    if column.kind is ValueType.TEXTS:
        return _any_element(column, test(pl.element()))
    return test(column.expr)


def _not(build: Callable[[InputColumn, Any], pl.Expr]) -> Callable[[InputColumn, Any], pl.Expr]:
    return lambda column, value: ~build(column, value)


_BUILDERS: dict[str, Callable[[InputColumn, Any], pl.Expr]] = {
    "is": _present,
    "equals": lambda column, value: column.expr == literal(column, value),
    "not_equals": lambda column, value: column.expr != literal(column, value),
    "above": lambda column, value: column.expr > literal(column, value),
    "at_least": lambda column, value: column.expr >= literal(column, value),
    "below": lambda column, value: column.expr < literal(column, value),
    "at_most": lambda column, value: column.expr <= literal(column, value),
    "between": _between,
    "outside": lambda column, ends: ~_between(column, ends),
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


SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {
    "equals": eq,
    "not_equals": ne,
    "above": gt,
    "at_least": ge,
    "below": lt,
    "at_most": le,
}
"""The comparison of two columns, or two values, by operator."""

Resolve = Callable[[LanguageModel], InputColumn]
"""Finds the column of an input."""


@dataclass
class Compiler:
    """Compiles the conditions of one place: a rule, a `where`, the predicate of a ruleset.

    Attributes:
        resolve: finds the column of an input that a test names.
        lists: members of the named lists.
        own: the column of the rule's own input, if there is one.
        unread: names of the columns that are null where a value could not be read: there `is` is unknown as well.
        reads: names of the columns that the conditions compiled so far read.
    """

    resolve: Resolve
    lists: Lists
    own: InputColumn | None = None
    unread: Collection[str] = ()
    reads: dict[str, None] = field(default_factory=dict)

    def condition(self, condition: Any) -> pl.Expr:
        """Compile a condition."""
        if isinstance(condition, All):
            return pl.all_horizontal(*map(self.condition, condition.all))  # a chain of & takes quadratic time
        if isinstance(condition, Any_):
            return pl.any_horizontal(*map(self.condition, condition.any))
        if isinstance(condition, Not):
            return ~self.condition(condition.negated)
        return self._test(OwnTest.model_validate({"is": condition}) if isinstance(condition, str) else condition)

    def _test(self, test: Operators) -> pl.Expr:
        subject = input_of_test(test)
        column = self.own if subject is None else self.resolve(subject)
        assert column is not None  # lint refuses a comparison that has nothing to compare
        self.reads[column.name] = None
        others = dict(inputs_compared(test))
        parts = [
            self._between_inputs(operator, column, others[operator])
            if operator in others
            else comparison(operator, column, value, self.lists)
            for operator, value in test.comparisons()
        ]
        holds = reduce(and_, parts)
        return pl.when(column.expr.is_not_null()).then(holds) if column.name in self.unread else holds

    def _between_inputs(self, operator: str, column: InputColumn, other: LanguageModel) -> pl.Expr:
        """Compare two columns; lint ensures that they are of one kind and unit, and were not rounded."""
        compared = self.resolve(other)
        self.reads[compared.name] = None
        compare: Callable[[pl.Expr, pl.Expr], pl.Expr] = SIGNS[operator]
        return compare(column.expr, compared.expr)
