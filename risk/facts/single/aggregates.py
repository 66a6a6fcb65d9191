"""Aggregates of one entity: functions of its facts in order of time, with the results of `risk.facts.aggregates`."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.conditions import Lists
from fivefold.risk.compiler.formulas import parts_of_share
from fivefold.risk.compiler.plain_conditions import NoPlainFormError, PlainCompiler, PlainTest, Row
from fivefold.risk.compiler.value_types import InputColumn
from fivefold.risk.facts.aggregates import EXACT, NUMBER_DIGITS, NUMBER_UNITS, SMALL_DIGITS, of_plain_values
from fivefold.risk.facts.linked import FROM_THE_START, MOST_MINOR, TIME, LinkedFacts
from fivefold.risk.facts.single.facts import HAS_RESULT, SETTLED, NamedTests, SingleFacts
from fivefold.risk.facts.single.values import LeftToColumnsError
from fivefold.risk.facts.windows import fields_in, is_of_screenings, looked_at, opens_at, value_column
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import (
    Count,
    DaysSince,
    Distinct,
    FieldInput,
    Largest,
    Least,
    Mean,
    Median,
    Most,
    New,
    Percentile,
    Share,
    StandardDeviation,
    Sum,
    Window,
    input_key,
)
from fivefold.risk.language.fields import ValueType

Aggregate = Callable[[SingleFacts], tuple[Any, int | None]]
"""Returns the value, None if unknown, and the moment of the latest fact that counts."""

_COMMON = frozenset({"where", "over", "ending", "in_currency"})
PLAIN_FORMS: Mapping[type[Window], str] = {
    Count: "count",
    Sum: "sum",
    Mean: "mean",
    Least: "min",
    Most: "max",
    Distinct: "distinct",
    DaysSince: "days_since",
    Median: "median",
    StandardDeviation: "standard_deviation",
    Percentile: "percentile",
    Largest: "largest",
    Share: "share",
    New: "new",
}
"""The aggregates that have a plain form, by their own word."""
_MORE_WORDS: Mapping[type[Window], frozenset[str]] = {Percentile: frozenset({"of"}), Largest: frozenset({"n"})}


def plain_aggregate(window: Window, facts: LinkedFacts, lists: Lists) -> Aggregate:
    """Make the function of an aggregate.

    Args:
        window: the aggregate.
        facts: the facts that it counts; only their fields are used.
        lists: members of the named lists.

    Raises:
        NoPlainFormError: it has no plain form, so that columns must be used.
    """
    word = PLAIN_FORMS.get(type(window))
    words = {word, *_MORE_WORDS.get(type(window), ())}
    if word is None or set(type(window).model_fields) - _COMMON - words - _unset(window):
        raise NoPlainFormError(type(window).__name__)
    if is_of_screenings(window):
        raise NoPlainFormError("screenings")
    column = value_column(window, facts)
    if column is not None and column.kind is ValueType.TEXTS:
        raise NoPlainFormError(column.name)
    counted = counted_rows(window, facts, lists)
    if isinstance(window, Share):
        share = _share(window, facts, lists)
        return lambda entity_facts: (share(entity_facts), _latest(counted(entity_facts)))
    if isinstance(window, New):
        number = _new(window, facts, lists)
        return lambda entity_facts: (number(entity_facts), _latest(counted(entity_facts)))
    value_of = _in_order(window, column) if type(window) in _IN_ORDER else _VALUES[type(window)](column)

    def aggregate(entity_facts: SingleFacts) -> tuple[Any, int | None]:
        rows = counted(entity_facts)
        return value_of(rows, entity_facts.as_of), _latest(rows)

    return aggregate


def counted_rows(window: Window, facts: LinkedFacts, lists: Lists) -> Callable[[SingleFacts], Sequence[Row]]:
    """Make the function that selects the facts that an aggregate counts, in order of time; as for `plain_aggregate`."""
    tests, column, ending = _tests(window, facts, lists), value_column(window, facts), window.ending

    def counted(entity_facts: SingleFacts) -> Sequence[Row]:
        end = entity_facts.as_of if ending is None else ending.moment_before(entity_facts.as_of)
        begin = opens_at(window, entity_facts.as_of)
        rows = entity_facts.inside(begin, tests, None if ending is None else end)
        if column is not None and column.kind is not ValueType.MONEY:
            rows = [row for row in rows if row[column.name] is not None]
        return rows

    return counted


def _share(window: Share, facts: LinkedFacts, lists: Lists) -> Callable[[SingleFacts], float | None]:
    """Make the function that divides the sums, or counts, of the part and the whole, each as a float."""
    column, (part, whole) = value_column(window, facts), parts_of_share(window)
    of_part, of_whole = (counted_rows(each, facts, lists) for each in (part, whole))

    def total(rows: Sequence[Row]) -> int:
        if column is None:
            return len(rows)
        values = [row[column.name] for row in rows]
        return sum(values) if column.kind is ValueType.MONEY else sum(map(billionths, values))

    def share(entity_facts: SingleFacts) -> float | None:
        over, under = total(of_part(entity_facts)), total(of_whole(entity_facts))
        return float(over) / float(under) if under else None

    return share


def _new(window: New, facts: LinkedFacts, lists: Lists) -> Callable[[SingleFacts], float]:
    """Make the function that counts the values in the window that did not occur before it."""
    name, of_all = window.new, counted_rows(looked_at(window), facts, lists)

    def count(entity_facts: SingleFacts) -> float:
        rows = of_all(entity_facts)
        begin = opens_at(window, entity_facts.as_of)
        before = {row[name] for row in rows if begin is not None and row[TIME] <= begin}
        return float(len({row[name] for row in rows} - before))

    return count


_IN_ORDER = frozenset({Median, StandardDeviation, Percentile, Largest})


def _in_order(window: Window, column: Any) -> "Value":
    name, is_money = column.name, column.kind is ValueType.MONEY

    def value(rows: Sequence[Row], _: int) -> Any:
        result = of_plain_values(window, [row[name] for row in rows], is_money=is_money)
        if is_money and isinstance(result, int) and abs(result) > MOST_MINOR:  # columns report such a value
            raise LeftToColumnsError(name)
        return result

    return value


def _latest(rows: Sequence[Row]) -> int | None:
    """Return the moment of the latest fact; None without facts, or if it holds from the start."""
    return rows[-1][TIME] if rows and rows[-1][TIME] > FROM_THE_START else None


def _unset(window: Window) -> set[str]:
    """Name the options that an aggregate leaves unset; they do not change its value."""
    return {name for name in type(window).model_fields if getattr(window, name) is None}


def _tests(window: Window, facts: LinkedFacts, lists: Lists) -> NamedTests:
    """Return the conditions on a fact apart from its moment, as `risk.facts.windows.Masks.conditions` does."""
    tests: list[tuple[str, PlainTest]] = []
    if facts.usual_field is not None and facts.usual_field not in fields_in(window):
        tests.append(SETTLED if facts.usual_field == "state" else HAS_RESULT)
    if window.in_currency is not None:
        tests.append((window.in_currency, _is_in(window.in_currency)))
    if window.where is not None:

        def resolve(read: LanguageModel) -> InputColumn:
            assert isinstance(read, FieldInput)  # lint refuses every other input inside `where`
            return facts.column(read.field, window.in_currency)

        name = input_key(Window(where=window.where, in_currency=window.in_currency))
        tests.append((name, PlainCompiler(resolve, lists).condition(window.where)))
    return tests


def _is_in(currency: str) -> PlainTest:
    return lambda row: row["currency"] == currency


Value = Callable[[Sequence[Row], int], Any]
"""Computes a value from the facts that count, in order of time, and as-of."""


def _count(_: InputColumn | None) -> Value:
    return lambda rows, _: float(len(rows))


def _sum(column: InputColumn) -> Value:
    name = column.name
    if column.kind is not ValueType.MONEY:
        return lambda rows, _: in_numbers(sum(billionths(row[name]) for row in rows))

    def total(rows: Sequence[Row], _: int) -> int:
        amount: int = sum(row[name] for row in rows)
        if abs(amount) > MOST_MINOR:  # columns report such a value
            raise LeftToColumnsError(name)
        return amount

    return total


def _mean(column: InputColumn) -> Value:
    name = column.name
    if column.kind is ValueType.MONEY:
        return lambda rows, _: float(sum(row[name] for row in rows)) / len(rows) if rows else None
    return lambda rows, _: (
        float(sum(billionths(row[name]) for row in rows)) / (float(len(rows)) * NUMBER_UNITS) if rows else None
    )


def _least(column: InputColumn) -> Value:
    name = column.name
    return lambda rows, _: min((row[name] for row in rows), default=None)


def _most(column: InputColumn) -> Value:
    name = column.name
    return lambda rows, _: max((row[name] for row in rows), default=None)


def _distinct(column: InputColumn) -> Value:
    name = column.name
    return lambda rows, _: float(len({row[name] for row in rows}))


def _days_since(_: InputColumn | None) -> Value:
    def value(rows: Sequence[Row], as_of: int) -> float | None:
        latest = _latest(rows)
        return None if latest is None else float(as_of - latest) / float(DAY_US)

    return value


_VALUES: Mapping[type[Window], Callable[[Any], Value]] = {
    Count: _count,
    Sum: _sum,
    Mean: _mean,
    Least: _least,
    Most: _most,
    Distinct: _distinct,
    DaysSince: _days_since,
}


def in_numbers(total: int) -> float:
    """Convert whole billionths to a number, as `risk.facts.aggregates.in_numbers` does."""
    if abs(total) <= EXACT:
        return float(total) / NUMBER_UNITS
    whole, rest = divmod(total, NUMBER_UNITS)
    return float(whole) + float(rest) / NUMBER_UNITS


def billionths(value: float) -> int:
    """Convert a number to whole billionths, as `risk.facts.aggregates.billionths` does.

    >>> billionths(0.1), billionths(100000000.01)
    (100000000, 100000000010000000)
    """
    size = abs(value)
    if size < 10.0**SMALL_DIGITS:
        return round(value * NUMBER_UNITS)
    whole = math.floor(value)
    for digits in range(SMALL_DIGITS + 1, NUMBER_DIGITS + 1):  # before the point
        if size < 10.0**digits:
            parts: int = 10 ** (NUMBER_DIGITS - digits)
            return whole * NUMBER_UNITS + round((value - whole) * parts) * (NUMBER_UNITS // parts)
    return whole * NUMBER_UNITS
