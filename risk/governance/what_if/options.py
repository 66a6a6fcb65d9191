"""Finds the values that an input may be changed to: the nearest of those that the ruleset does not distinguish.

Two values of an input for which all of the ruleset's comparisons agree give the same level, whatever the other inputs
are; if points fade from it, the values must also agree in how far these have faded. So it is enough to try one of each
kind: the nearest on either side.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import polars as pl

from fivefold.risk.compiler.checks import ORDERED_TYPES, type_of
from fivefold.risk.compiler.conditions import Compiler
from fivefold.risk.compiler.locations import Location
from fivefold.risk.compiler.value_types import InputColumn, ordinal
from fivefold.risk.engine.program import Program
from fivefold.risk.governance.lint.reachability import tests_about
from fivefold.risk.governance.lint.representative_values import ComparedInput, Members, domain_of
from fivefold.risk.governance.what_if.changeable import Changeable
from fivefold.risk.governance.what_if.moments import Moments, ValueShift
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.operators import Operators


@dataclass(frozen=True)
class Option:
    """A value that an input may be changed to.

    Attributes:
        value: the value in its column's form.
        side: its side of the present value; KNOWN if that is unknown.
        rank: 1 is the nearest on its side; values without an order are numbered in sequence.
        bound: the number of a comparison just beside which it is, in the column's units; None if it is that number
            itself, or not a number.
        moments: the possible moments of the input's latest fact then (microseconds), if points fade from it; otherwise
            empty. What is shown is as of the first.
    """

    value: Any
    side: ValueShift
    rank: int
    bound: Decimal | None = None
    moments: tuple[int | None, ...] = ()

    def within(self, other: "Option") -> bool:
        """Check whether this change is at most as great as another one of the same input."""
        if self.side is not other.side:
            return False
        return (
            self.rank <= other.rank if self.side in {ValueShift.LOWER, ValueShift.HIGHER} else self.rank == other.rank
        )


@dataclass(frozen=True)
class ChangeOptions:
    """The values that an input may be changed to.

    Attributes:
        changeable: the input, and its direction.
        column: the column of its values.
        before: the present value; None if it is unknown.
        options: the values.
        absent: the missing value; None if it is missing now or never can be. It is never advised.
        exact: false if there may be other values that the ruleset treats differently, as with likeness of names. Also
            false if points fade from a moment that the value does not determine, or if another ruleset may decide then.
    """

    changeable: Changeable
    column: InputColumn
    before: Any
    options: Sequence[Option]
    absent: Option | None
    exact: bool


def options_of(
    changeable: Changeable,
    program: Program,
    members: Members,
    present: pl.Series,
    places: Sequence[Location] | None = None,
    *,
    moments: Moments | None,
) -> ChangeOptions:
    """Find the values that an input may be changed to.

    Args:
        changeable: the input.
        program: the program whose comparisons distinguish values.
        members: the members of the named lists.
        present: the input's column of one row.
        places: the conditions that count; by default all of the ruleset.
        moments: the moments of the input, if points fade from it.
    """
    key = input_key(changeable.rule_input)
    column, places = program.inputs[key], program.analysed.conditions if places is None else places
    tests = list(tests_about(key, places))
    comparisons = [comparison for test in tests for comparison in test.comparisons()]
    declared = type_of(changeable.rule_input, Location((), None), program.analysed.names)
    subject = ComparedInput(rule_input=changeable.rule_input, column=column, declared=declared)
    domain = domain_of(subject, comparisons, members, all_lists=True)
    candidates = domain.values.drop_nulls().cast(present.dtype)
    if moments is not None:
        candidates = pl.concat([candidates, pl.Series(list(moments.values), dtype=present.dtype)]).unique().sort()
    frame = pl.concat([present, candidates.alias(present.name)]).to_frame()
    compiled = [_compiled(test, column, members).alias(str(number)) for number, test in enumerate(tests)]
    truths = frame.select(compiled).rows() if compiled else [()] * len(frame)  # select() has no rows
    before = present[0]
    kinds = [
        (*truth, *(() if moments is None else moments.alike(value)))
        for value, truth in zip([before, *candidates], truths, strict=True)
    ]
    alike: dict[tuple[Any, ...], list[Any]] = {}
    for value, kind in zip(candidates.to_list(), kinds[1:], strict=True):
        if kind != kinds[0]:
            alike.setdefault(kind, []).append(value)
    ordered = column.kind in ORDERED_TYPES and before is not None
    bounds = sorted({*_bounds(comparisons, column), *(() if moments is None else moments.bounds)})
    choices = _nearest(alike, before, changeable.way) if ordered else _any_of(alike, before, bounds)
    whole = present.dtype.is_integer()
    options = [replace(each, bound=_beyond(each, bounds, whole=whole)) for each in choices]
    absent = Option(None, ValueShift.OTHER, 1) if before is not None and domain.values.null_count() else None
    if moments is not None:
        options = [replace(each, moments=moments.after(each.value, each.side)) for each in options]
        absent = absent and replace(absent, moments=moments.after(None, ValueShift.OTHER))
    exact = domain.exact and (moments is None or moments.are_certain)
    return ChangeOptions(changeable, column, before, options, absent, exact)


def _compiled(test: Operators, column: InputColumn, members: Mapping[str, Sequence[str]]) -> pl.Expr:
    return Compiler(lambda _: column, members, column).condition(test)


def _nearest(alike: Mapping[Any, Sequence[Any]], before: Any, way: str | None) -> Iterator[Option]:
    """Yield the nearest value of each kind on each side that a person can move to."""
    sides: tuple[tuple[str, ValueShift, Callable[[Any], bool], Callable[[Sequence[Any]], Any]], ...] = (
        ("down", ValueShift.LOWER, lambda value: value < before, max),
        ("up", ValueShift.HIGHER, lambda value: value > before, min),
    )
    for name, side, is_there, nearest_of in sides:
        if way in {name, "either"}:
            there = [[value for value in values if is_there(value)] for values in alike.values()]
            nearest = sorted((nearest_of(values) for values in there if values), reverse=side is ValueShift.LOWER)
            yield from (Option(value, side, rank) for rank, value in enumerate(nearest, 1))


def _any_of(alike: Mapping[Any, Sequence[Any]], before: Any, bounds: Sequence[Decimal]) -> Iterator[Option]:
    """Yield a value of each kind; for numbers the one nearest to a number that the input is compared with."""

    def from_bound(value: Any) -> float:
        return min((abs(float(value) - float(bound)) for bound in bounds), default=0.0)

    side = ValueShift.KNOWN if before is None else ValueShift.OTHER
    yield from (Option(min(values, key=from_bound), side, rank) for rank, values in enumerate(alike.values(), 1))


def _bounds(comparisons: Sequence[tuple[str, Any]], column: InputColumn) -> list[Decimal]:
    """Return the numbers that the input is compared with, in the units of its column."""
    if column.kind not in ORDERED_TYPES:
        return []
    values = [
        one
        for operator, value in comparisons
        if operator != "is"
        for one in (value if isinstance(value, tuple) else (value,))
    ]
    return sorted({Decimal(ordinal(column.kind, one)) * column.units for one in values})


def _beyond(option: Option, bounds: Sequence[Decimal], *, whole: bool) -> Decimal | None:
    """Return the number of a comparison just beside which a value is, on the far side from the present one."""
    if option.value is None or option.value in map(float, bounds):
        return None
    for bound in bounds:
        below, above = (
            (math.ceil(bound) - 1, math.floor(bound) + 1)
            if whole
            else (math.nextafter(float(bound), -math.inf), math.nextafter(float(bound), math.inf))
        )
        if (option.side is not ValueShift.HIGHER and option.value == below) or (
            option.side is not ValueShift.LOWER and option.value == above
        ):
            return bound
    return None
