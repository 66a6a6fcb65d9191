"""Compiles a condition and its operators to a plain function of one row: true, false, or None where it is unknown.

This is the counterpart of `risk.compiler.conditions` for one entity, where a query costs more than what it computes.
Both are made of the same checked conditions. Values are compared as columns are: a whole number beside a 64-bit
float becomes a float.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import ge, le
from typing import Any, Self

from fivefold.risk.compiler.conditions import SIGNS, Lists, Resolve
from fivefold.risk.compiler.likeness import Targets
from fivefold.risk.compiler.value_types import NUMERIC_TYPES, InputColumn, level_number, ordinal
from fivefold.risk.language.expressions import (
    All,
    Any_,
    Not,
    OwnTest,
    branches,
    input_key,
    input_of_test,
    inputs_compared,
    tests_in,
)
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.operators import Fuzzy, Operators

Row = Mapping[str, Any]
"""The values of one entity by the names of their columns; None where unknown, and never NaN."""

PlainTest = Callable[[Row], bool | None]
"""A condition over a row."""

Missing = Callable[[Row], tuple[str, ...]]
"""The names of a row's missing columns if a condition over it is unknown, otherwise ()."""

Holds = Callable[[Any], bool]
"""A comparison of a known value."""

TEXTS_KEPT = 1_024
"""How many texts are cached with whether they are near."""


class NoPlainFormError(LookupError):
    """A condition has no plain form, and must be evaluated on columns."""


def plain_comparison(operator: str, column: InputColumn, value: Any, lists: Lists) -> PlainTest:
    """Build the function of one operator; its kind was checked before.

    Raises:
        NoPlainFormError: the operator has no plain form.
    """
    name = column.name
    if operator == "is":
        return _present(column, is_wanted=value == "present")
    if operator in {"in_list", "not_in_list"}:
        value = tuple(lists[value])
    if isinstance(value, Fuzzy):
        value = (value, (value.to,) if value.list is None else tuple(lists[value.list]))
    if operator not in _BUILDERS:
        raise NoPlainFormError(operator)
    holds = _BUILDERS[operator](column, value)

    def test(row: Row) -> bool | None:
        subject = row[name]
        return None if subject is None else holds(subject)

    return test


def _present(column: InputColumn, *, is_wanted: bool) -> PlainTest:
    name = column.name
    if column.kind is ValueType.MARK:
        return lambda row: None if row[name] is None else row[name] is is_wanted
    if column.kind is ValueType.FINDING:
        return lambda row: None if row[name] is None else (row[name] > 0) is is_wanted
    return lambda row: (row[name] is not None) is is_wanted


def _bound(column: InputColumn, value: Any) -> Any:
    """Return the literal of `risk.compiler.value_types.literal` as a plain value."""
    if column.kind is ValueType.MONEY:
        minor = value * column.units
        return int(minor) if minor == minor.to_integral_value() else float(minor)
    if column.kind in {ValueType.MOMENT, ValueType.LEVEL}:
        return ordinal(column.kind, value, column.levels)
    return float(value) if column.kind in NUMERIC_TYPES else value


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[InputColumn, Any], Holds]:
    def build(column: InputColumn, value: Any) -> Holds:
        bound = _bound(column, value)
        if isinstance(bound, float):
            return lambda subject: compare(float(subject), bound)
        if isinstance(bound, bool | str):
            return lambda subject: compare(subject, bound)
        as_float = float(bound)
        return lambda subject: compare(subject, as_float if type(subject) is float else bound)

    return build


def _between(column: InputColumn, ends: Sequence[Any]) -> Holds:
    least, most = _compared(ge)(column, ends[0]), _compared(le)(column, ends[1])
    return lambda subject: least(subject) and most(subject)


def _among(column: InputColumn, values: Sequence[Any]) -> Holds:
    if column.kind is ValueType.TEXTS:
        words = frozenset(values)
        return lambda subject: any(word in words for word in subject if word is not None)
    members: frozenset[Any] = frozenset(values)
    if column.kind is ValueType.LEVEL:
        members = frozenset(level_number(value, column.levels) for value in values)
    elif column.kind is ValueType.NUMBER:
        members = frozenset(map(float, values))
    return lambda subject: subject in members


def _contains(_column: InputColumn, value: str) -> Holds:
    return lambda subject: value in subject  # a word of a list, or a part of a text


def _contains_any(column: InputColumn, values: Sequence[str]) -> Holds:
    if column.kind is ValueType.TEXTS:
        return _among(column, values)
    return lambda subject: any(value in subject for value in values)


def _fuzzy(column: InputColumn, value: tuple[Fuzzy, Sequence[str]]) -> Holds:
    how, targets = value
    near = Targets(targets, how.scorer)

    @lru_cache(maxsize=TEXTS_KEPT)
    def is_near(text: str) -> bool:
        return near.has_near(text, how.at_least)

    if column.kind is ValueType.TEXTS:
        return lambda subject: any(is_near(text) for text in subject if text is not None)
    return is_near


def _not(build: Callable[[InputColumn, Any], Holds]) -> Callable[[InputColumn, Any], Holds]:
    def negated(column: InputColumn, value: Any) -> Holds:
        holds = build(column, value)
        return lambda subject: not holds(subject)

    return negated


_BUILDERS: Mapping[str, Callable[[InputColumn, Any], Holds]] = {
    **{name: _compared(compare) for name, compare in SIGNS.items()},
    "between": _between,
    "outside": _not(_between),
    "in": _among,
    "not_in": _not(_among),
    "in_list": _among,
    "not_in_list": _not(_among),
    "starts_with": lambda _, value: lambda subject: subject.startswith(value),
    "ends_with": lambda _, value: lambda subject: subject.endswith(value),
    "contains": _contains,
    "contains_any": _contains_any,
    "fuzzy": _fuzzy,
}


@dataclass(frozen=True)
class PlainCompiler:
    """Compiles the conditions of one place, as `risk.compiler.conditions.Compiler` does, to plain functions.

    Attributes:
        resolve: finds the column of an input that a test names.
        lists: members of the named lists.
        own: the column of the rule's own input, if there is one.
    """

    resolve: Resolve
    lists: Lists
    own: InputColumn | None = None

    @classmethod
    def of(cls, inputs: Mapping[str, InputColumn], lists: Lists, own: InputColumn | None = None) -> Self:
        """Make a compiler for the columns of a program, by the keys of its inputs."""
        return cls(lambda rule_input: inputs[input_key(rule_input)], lists, own)

    def condition(self, condition: Any) -> PlainTest:
        """Compile a condition.

        Raises:
            NoPlainFormError: a part of it has no plain form.
        """
        if isinstance(condition, All):
            return all_of([self.condition(part) for part in condition.all])
        if isinstance(condition, Any_):
            return any_of([self.condition(part) for part in condition.any])
        if isinstance(condition, Not):
            return negation(self.condition(condition.negated))
        if isinstance(condition, str):
            return self._test(OwnTest.model_validate({"is": condition}))
        if not isinstance(condition, Operators):
            raise NoPlainFormError(type(condition).__name__)
        return self._test(condition)

    def missing(self, condition: Any) -> Missing:
        """Compile a function that names the missing columns for which a condition is unknown; known parts name none.

        Raises:
            NoPlainFormError: a part of it has no plain form.
        """
        holds = self.condition(condition)
        parts = [self.missing(part) for part in branches(condition)]
        if parts:
            return lambda row: tuple(name for part in parts for name in part(row)) if holds(row) is None else ()
        [test] = tests_in(condition)
        compared = [self._subject(test), *(self.resolve(other) for _, other in inputs_compared(test))]
        names = [column.name for column in compared]
        return lambda row: tuple(name for name in names if row[name] is None) if holds(row) is None else ()

    def _subject(self, test: Operators) -> InputColumn:
        subject = input_of_test(test)
        column = self.own if subject is None else self.resolve(subject)
        assert column is not None  # lint refuses a comparison that has nothing to compare
        return column

    def _test(self, test: Operators) -> PlainTest:
        column = self._subject(test)
        others = dict(inputs_compared(test))
        return all_of(
            [
                _between_inputs(operator, column, self.resolve(others[operator]))
                if operator in others
                else plain_comparison(operator, column, value, self.lists)
                for operator, value in test.comparisons()
            ]
        )


def _between_inputs(operator: str, column: InputColumn, other: InputColumn) -> PlainTest:
    compare: Callable[[Any, Any], bool] = SIGNS[operator]
    one, two = column.name, other.name

    def test(row: Row) -> bool | None:
        first, second = row[one], row[two]
        if first is None or second is None:
            return None
        if type(first) is not type(second):  # a sum of money beside a mean: columns of both would be floats
            first, second = float(first), float(second)
        return compare(first, second)

    return test


def all_of(parts: Sequence[PlainTest]) -> PlainTest:
    """True if all hold, false if one fails, otherwise unknown."""
    if len(parts) == 1:
        return parts[0]

    def test(row: Row) -> bool | None:
        holds: bool | None = True
        for part in parts:
            result = part(row)
            if result is None:
                holds = None
            elif not result:
                return False
        return holds

    return test


def any_of(parts: Sequence[PlainTest]) -> PlainTest:
    """True if one holds, false if all fail, otherwise unknown."""
    if len(parts) == 1:
        return parts[0]

    def test(row: Row) -> bool | None:
        holds: bool | None = False
        for part in parts:
            result = part(row)
            if result is None:
                holds = None
            elif result:
                return True
        return holds

    return test


def negation(part: PlainTest) -> PlainTest:
    """True if it fails, false if it holds, unknown if it is unknown."""

    def test(row: Row) -> bool | None:
        result = part(row)
        return None if result is None else not result

    return test
