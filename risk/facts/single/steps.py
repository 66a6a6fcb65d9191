"""The values of an aggregate or a pattern of one entity as its facts leave the window: plain `risk.facts.moments`.

Running values, newest fact first, are the values once a fact and all older ones are gone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fivefold.risk.compiler.conditions import Lists
from fivefold.risk.compiler.plain_conditions import NoPlainFormError, Row
from fivefold.risk.compiler.value_types import InputColumn
from fivefold.risk.facts.aggregates import NUMBER_UNITS
from fivefold.risk.facts.linked import TIME, LinkedFacts
from fivefold.risk.facts.moments.courses import Course
from fivefold.risk.facts.moments.leaving import leaves_at
from fivefold.risk.facts.patterns.rows import AMOUNT
from fivefold.risk.facts.single import patterns
from fivefold.risk.facts.single.aggregates import PLAIN_FORMS, billionths, counted_rows, in_numbers
from fivefold.risk.facts.single.facts import SingleFacts
from fivefold.risk.facts.windows import is_of_screenings, value_column
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import Count, DaysSince, Distinct, Least, Mean, Most, Sum, Window
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.patterns import (
    DormantThenActive,
    Fan,
    PassThrough,
    PurposeDeviation,
    Structuring,
    Velocity,
    VolumeDeviation,
)
from fivefold.risk.language.quantities import Duration

Steps = Sequence[tuple[int, Any]]
"""Moments, and the value from each on; None if unknown."""

StepsOf = Callable[[SingleFacts, Row, Any], Steps]
"""Computes the steps from the facts, the values of the entity's inputs, and the current value."""

MomentsOf = Callable[[SingleFacts, Any], Sequence[int]]
"""Computes from the facts and the current value, also if unknown, when it must be evaluated anew."""


@dataclass(frozen=True)
class Movement:
    """How an input moves by time alone: the counterpart of `risk.facts.moments.composites.Movement`.

    Attributes:
        steps: its later values; None if it has none.
        is_steady: whether it changes all the time.
        course: how it changes then; None if it is unknown, or stays constant until something happens.
        moments: the moments of other changes.
    """

    steps: Steps | None = None
    is_steady: bool = False
    course: Course | None = None
    moments: Sequence[int] = ()


MovementOf = Callable[[SingleFacts, Row, Any], Movement]
"""Computes the movement from the facts, the values of the entity's inputs, and the current value."""

Running = Callable[[], tuple[Callable[[Row], None], Callable[[], Any]]]
"""Begins a running value: returns functions that add a fact, and that return the value of the added ones."""

_MOST = (1 << 63) - 1


def stepwise(rows: Sequence[Row], over: Duration, as_of: int, running: Running) -> Steps:
    """Compute a value once each moment's facts are gone.

    Args:
        rows: the facts that count, in order of time.
        over: the length of the window.
        as_of: the moment of assessment.
        running: begins the running value.
    """
    add, value = running()
    steps, before = [], None
    for row in reversed(rows):
        if row[TIME] != before:
            before = row[TIME]
            steps.append((leaves_at(before, over, as_of), value()))
        add(row)
    return steps


def last_leaves(rows: Sequence[Row], over: Duration, as_of: int) -> int | None:
    """Find when the last fact leaves; None without facts."""
    return max((leaves_at(row[TIME], over, as_of) for row in rows), default=None)


def plain_window(
    window: Window, facts: LinkedFacts, lists: Lists
) -> tuple[Callable[[SingleFacts], Sequence[Row]], StepsOf]:
    """Make the functions for the facts that an aggregate with a window counts, and for its steps.

    Raises:
        NoPlainFormError: it has no plain form, so that columns must be used.
    """
    has_steps = isinstance(window, DaysSince) or type(window) in _RUNNING
    if not has_steps or type(window) not in PLAIN_FORMS or is_of_screenings(window) or window.over is None:
        raise NoPlainFormError(type(window).__name__)
    column, over = value_column(window, facts), window.over
    if column is not None and column.kind is ValueType.TEXTS:
        raise NoPlainFormError(column.name)
    counted = counted_rows(window, facts, lists)
    if isinstance(window, DaysSince):

        def ends(entity_facts: SingleFacts, _values: Row, _now: Any) -> Steps:
            end = last_leaves(counted(entity_facts), over, entity_facts.as_of)
            return [] if end is None else [(end, None)]

        return counted, ends
    running = _RUNNING[type(window)](column)
    return counted, lambda entity_facts, _values, _now: stepwise(
        counted(entity_facts), over, entity_facts.as_of, running
    )


def _count(_: InputColumn | None) -> Running:
    def begin() -> tuple[Callable[[Row], None], Callable[[], Any]]:
        there: list[Row] = []
        return there.append, lambda: float(len(there))

    return begin


def _total(column: InputColumn, value_of: Callable[[int, int], Any]) -> Running:
    """Run a sum, in minor units or billionths, beside the count."""
    name, is_money = column.name, column.kind is ValueType.MONEY

    def begin() -> tuple[Callable[[Row], None], Callable[[], Any]]:
        total, count = 0, 0

        def add(row: Row) -> None:
            nonlocal total, count
            total, count = total + (row[name] if is_money else billionths(row[name])), count + 1

        return add, lambda: value_of(total, count)

    return begin


def _sum(column: InputColumn) -> Running:
    if column.kind is ValueType.MONEY:
        return _total(column, lambda total, _: total if abs(total) <= _MOST else None)
    return _total(column, lambda total, _: in_numbers(total))


def _mean(column: InputColumn) -> Running:
    units = 1 if column.kind is ValueType.MONEY else NUMBER_UNITS
    return _total(column, lambda total, count: float(total) / (float(count) * units) if count else None)


def _extreme(choose: Callable[[Any, Any], Any]) -> Callable[[InputColumn], Running]:
    def of(column: InputColumn) -> Running:
        def begin() -> tuple[Callable[[Row], None], Callable[[], Any]]:
            there: list[Any] = []

            def add(row: Row) -> None:
                there[:] = [choose(row[column.name], there[0]) if there else row[column.name]]

            return add, lambda: there[0] if there else None

        return begin

    return of


def _distinct(column: InputColumn) -> Running:
    return _different(column.name, float)


def _different(name: str, number_of: Callable[[int], float]) -> Running:
    def begin() -> tuple[Callable[[Row], None], Callable[[], Any]]:
        there: set[Any] = set()
        return lambda row: there.add(row[name]), lambda: number_of(len(there))

    return begin


_RUNNING: Mapping[type[Window], Callable[[Any], Running]] = {
    Count: _count,
    Sum: _sum,
    Mean: _mean,
    Least: _extreme(min),
    Most: _extreme(max),
    Distinct: _distinct,
}


def plain_pattern_movement(pattern: Any, units: int) -> MovementOf:
    """Make the function of a pattern's movement; *units* are the minor units in one unit of the base currency.

    Raises:
        NoPlainFormError: it has no plain form, so that columns must be used.
    """
    if type(pattern) in _LOOKED_AT_ANEW:
        moments_of = _LOOKED_AT_ANEW[type(pattern)](pattern, units)
        return lambda facts, _values, now: Movement(moments=moments_of(facts, now))
    if type(pattern) not in _STEPS:
        raise NoPlainFormError(type(pattern).__name__)
    steps_of = _STEPS[type(pattern)](pattern, units)
    return lambda facts, values, now: Movement(steps_of(facts, values, now))


def _where_found(steps: StepsOf) -> StepsOf:
    """Skip patterns that are not found now: leaving facts cannot bring them."""
    return lambda facts, values, now: steps(facts, values, now) if now is not None and now > 0 else []


def _where_there(steps: StepsOf) -> StepsOf:
    """Skip patterns that are known not to be there: without a further transaction they stay so."""
    return lambda facts, values, now: steps(facts, values, now) if now != 0 else []


def _sums(judge: Callable[[int, int], float], outside: Callable[[Row], bool] | None = None) -> Running:
    """Run a count, or the sum of facts *outside*, beside the sum of all; *judge* turns the two into a number."""

    def begin() -> tuple[Callable[[Row], None], Callable[[], Any]]:
        first, total = 0, 0

        def add(row: Row) -> None:
            nonlocal first, total
            first += 1 if outside is None else row[AMOUNT] if outside(row) else 0
            total += row[AMOUNT]

        return add, lambda: judge(first, total)

    return begin


def _structuring(pattern: Structuring, units: int) -> StepsOf:
    chosen, number_of = patterns.suspect_deposits(pattern, units)
    running = _sums(number_of)
    return _where_found(lambda facts, _values, _now: stepwise(chosen(facts), pattern.over, facts.as_of, running))


def _fan(pattern: Fan, _units: int) -> StepsOf:
    chosen = patterns.fanned(pattern)

    def running() -> tuple[Callable[[Row], None], Callable[[], Any]]:
        different, lacking = set[Any](), 0

        def add(row: Row) -> None:
            nonlocal lacking
            if row[pattern.counterparty] is None:
                lacking += 1
            else:
                different.add(row[pattern.counterparty])

        return add, lambda: patterns.fan_number(pattern, len(different), lacking)

    return _where_there(lambda facts, _values, _now: stepwise(chosen(facts), pattern.over, facts.as_of, running))


def _volume(pattern: VolumeDeviation, units: int) -> StepsOf:
    chosen, declared_by, number_of = patterns.turnover_beside_declared(pattern, units)

    def steps(facts: SingleFacts, values: Row, _now: Any) -> Steps:
        declared = declared_by(values)
        assert declared is not None  # or it would not be found
        running = _sums(lambda _, turnover: number_of(turnover, declared))
        return stepwise(chosen(facts), pattern.over, facts.as_of, running)

    return _where_found(steps)


def _purpose(pattern: PurposeDeviation, _units: int) -> StepsOf:
    chosen, words_of, number_of = patterns.with_purpose(pattern)

    def steps(facts: SingleFacts, values: Row, now: Any) -> Steps:
        words = words_of(values)
        running = _sums(number_of, lambda row: row[pattern.transaction_field] not in words)
        return [] if now is None else stepwise(chosen(facts), pattern.over, facts.as_of, running)

    return steps


def _dormancy(pattern: DormantThenActive, _units: int) -> StepsOf:
    """Make the steps: as the window's first fact leaves, it becomes the last one before, and the next one the first."""
    chosen, number_of = patterns.active_rows(pattern)

    def steps(facts: SingleFacts, _values: Row, _now: Any) -> Steps:
        rows, changes, newer = chosen(facts), list[tuple[int, Any]](), None
        for count, row in enumerate(reversed(rows)):
            if row[TIME] != newer:
                number = 0.0 if newer is None else number_of(count, newer, row[TIME])
                changes.append((leaves_at(row[TIME], pattern.active, facts.as_of), number))
                newer = row[TIME]
        return changes

    return steps


def _velocity(pattern: Velocity, _units: int) -> MomentsOf:
    """Find when the last of the busiest 24 hours loses a transaction; the count, or unknown, stays until then."""
    look = patterns.busiest(pattern)

    def moments(facts: SingleFacts, now: Any) -> Sequence[int]:
        if now == 0:  # without a further transaction it stays so
            return []
        most, _latest, begun, lacking = look(facts)
        return [leaves_at(begun, pattern.over, facts.as_of)] if most > 0 or lacking > 0 else []

    return moments


def _pass_through(pattern: PassThrough, units: int) -> MomentsOf:
    """Find when a deposit leaves from which money went out; the allocation to the others stays until then."""
    lay_out = patterns.laid_out(pattern, units)

    def moments(facts: SingleFacts, _now: Any) -> Sequence[int]:
        first = next((each.time for each in lay_out(facts) if each.needed > 0 and each.passed > 0), None)
        return [] if first is None else [leaves_at(first, pattern.over, facts.as_of)]

    return moments


_LOOKED_AT_ANEW: Mapping[type[LanguageModel], Callable[[Any, int], MomentsOf]] = {
    Velocity: _velocity,
    PassThrough: _pass_through,
}
_STEPS: Mapping[type[LanguageModel], Callable[[Any, int], StepsOf]] = {
    Structuring: _structuring,
    VolumeDeviation: _volume,
    PurposeDeviation: _purpose,
    DormantThenActive: _dormancy,
    Fan: _fan,
}
