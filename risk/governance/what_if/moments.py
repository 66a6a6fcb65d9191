"""Finds when the latest fact of an input, from which points fade, would be after a change.

A date is its own moment, and the days since the latest fact determine its moment. A number or sum of transactions does
not determine when the last of them was: so all possible moments are tried, and only a result that is the same for all
of them is certain.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.analysis import signal_of_rule
from fivefold.risk.compiler.value_types import column_of
from fivefold.risk.engine.program import Program
from fivefold.risk.engine.rules import MOST_HALVINGS, length_us
from fivefold.risk.facts.portfolio import AS_OF, signal_of
from fivefold.risk.facts.windows import opens_at
from fivefold.risk.language.expressions import (
    Count,
    DaysSince,
    Distinct,
    FieldInput,
    Largest,
    Least,
    Most,
    New,
    Sum,
    Window,
    input_key,
)


class ValueShift(StrEnum):
    """The side of a value relative to the one that it replaces. OTHER: neither lower nor higher, as for text."""

    LOWER = "lower"
    HIGHER = "higher"
    KNOWN = "known"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Moments:
    """The moment from which points fade, of an input that may be changed.

    Attributes:
        rule_input: the input.
        as_of: the moment of the assessment (microseconds).
        present: the latest fact now; None if there is none.
        start: the moment after which the window begins; None if it has no beginning.
        half_lives: the half-lives of the rules whose points fade from it (microseconds).
        are_distinguished: whether values are of different kinds if they differ in how many half-lives have passed, or
            in whether there is a fact at all.
    """

    rule_input: Any
    as_of: int
    present: int | None
    start: int | None
    half_lives: tuple[int, ...]
    are_distinguished: bool

    @classmethod
    def of(
        cls, rule_input: Any, program: Program, inputs: pl.DataFrame, *, are_distinguished: bool
    ) -> "Moments | None":
        """Find the moments of an input; None if no points fade from it.

        Args:
            rule_input: the input.
            program: the program with the fading rules.
            inputs: one row, as `Assessments.inputs`.
            are_distinguished: as the attribute.
        """
        key = input_key(rule_input)
        fading = [rule for rule in program.ruleset.rules if rule.decay and input_key(signal_of_rule(rule)) == key]
        half_lives = {length_us(rule.decay.half_life) for rule in fading if rule.decay is not None}
        if not half_lives:
            return None
        as_of = int(inputs[AS_OF][0])
        start = opens_at(rule_input, as_of) if isinstance(rule_input, Window) else None
        return cls(
            rule_input=rule_input,
            as_of=as_of,
            present=inputs[signal_of(key)][0],
            start=start,
            half_lives=tuple(sorted(half_lives)),
            are_distinguished=are_distinguished,
        )

    @property
    def are_certain(self) -> bool:
        """Whether a value determines its moment."""
        return isinstance(self.rule_input, FieldInput | DaysSince)

    @property
    def bounds(self) -> list[Decimal]:
        """The values at which a further half-life has passed, in the units of the column."""
        if not (self.are_certain and self.are_distinguished):
            return []
        lengths = [count * length for length in self.half_lives for count in range(1, MOST_HALVINGS + 1)]
        if isinstance(self.rule_input, FieldInput):
            return [Decimal(self.as_of - length) for length in lengths]
        return [Decimal(length) / DAY_US for length in lengths]

    @property
    def values(self) -> Iterator[float]:
        """Yield the bounds, and the values just beside them."""
        for bound in self.bounds:
            if isinstance(self.rule_input, FieldInput):
                yield from (int(bound) - 1, int(bound), int(bound) + 1)
            else:
                at = float(bound)
                yield from (math.nextafter(at, -math.inf), at, math.nextafter(at, math.inf))

    def alike(self, value: Any) -> tuple[Any, ...]:
        """Return what is equal for values that all comparisons treat alike; for counts and sums, whether they are 0."""
        if not self.are_distinguished:
            return ()
        if not self.are_certain:
            return (value == 0,)
        moment = self._moment(value)
        if moment is None:
            return ()
        elapsed = max(self.as_of - moment, 0)
        return tuple(min(elapsed // length, MOST_HALVINGS) for length in self.half_lives)

    def after(self, value: Any, side: ValueShift) -> tuple[int | None, ...]:
        """Return every possible moment of the latest fact once the input has a value: one for each distinct effect.

        A higher value comes from a new fact of the day. A lower value means that some facts were not made, perhaps the
        latest ones. A mean, or a sum of possibly negative values, moves by either; for a pattern nothing is known.
        """
        if self.are_certain:
            return (self._moment(value),)
        if isinstance(self.rule_input, Count | Distinct | New) and value == 0:
            return (None,)
        is_sum_of_sizes = isinstance(self.rule_input, Sum | Largest) and column_of(self.rule_input) == "amount"
        grows = is_sum_of_sizes or isinstance(self.rule_input, Count | Distinct | New | Most)
        more = ValueShift.HIGHER if grows else ValueShift.LOWER if isinstance(self.rule_input, Least) else None
        less = (
            {ValueShift.HIGHER: ValueShift.LOWER, ValueShift.LOWER: ValueShift.HIGHER}.get(more)
            if more is not None
            else None
        )
        if (
            value is not None
            and side in {more, ValueShift.KNOWN}
            and (more is not None or isinstance(self.rule_input, Window))
        ):
            return (self.as_of,)
        latest = self._until(self.present if side is less else self.as_of)
        return (*latest, None) if not value and None not in latest else latest

    def _moment(self, value: Any) -> int | None:
        if value is None:
            return None
        return int(value) if isinstance(self.rule_input, FieldInput) else self.as_of - _elapsed(value)

    def _until(self, latest: int | None) -> tuple[int | None, ...]:
        """Return a moment for each number of half-lives that may have passed, the latest first."""
        if latest is None:
            return (None,)
        passed = {self.as_of - count * length for length in self.half_lives for count in range(1, MOST_HALVINGS + 1)}
        earlier = (one for one in passed if one < latest and (self.start is None or one > self.start))
        return (latest, *sorted(earlier, reverse=True))


def _elapsed(days: float) -> int:
    """Convert days to microseconds: the next lower or higher ones if a number is just beside whole ones.

    >>> _elapsed(30.0) // DAY_US, _elapsed(math.nextafter(30.0, 0.0)) - 30 * DAY_US
    (30, -1)
    """
    near = round(days * DAY_US)
    exact = near / DAY_US
    return near - 1 if days < exact else near + 1 if days > exact else near
