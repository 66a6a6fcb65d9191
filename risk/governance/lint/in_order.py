"""Conditions that are tried in order, each with earlier ones: one trial serves as many of them as possible."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import polars as pl

MOST_COMPARED_OF_A_TEXT = 100_000_000
"""Most comparisons in all conditions of one text; they take about two seconds of processor time."""

_OF_A_CONDITION, _OF_A_VALUE = 10_000, 5
"""The cost of compiling a condition, and of putting a value into a combination, in comparisons of numbers."""


class Effort:
    """The comparisons left for the conditions of one text, so that many conditions take no longer than a few."""

    def __init__(self) -> None:
        self._left = float(MOST_COMPARED_OF_A_TEXT)

    def begins(self, conditions: int) -> bool:
        """Count the compiling of conditions; False if too little is left for it."""
        return self._takes(conditions * _OF_A_CONDITION)

    def compares(self, rows: int, inputs: int, conditions: int, work: float) -> bool:
        """Count the cost of a trial; False if too little is left for it.

        Args:
            rows: the number of combinations of values.
            inputs: the number of values in each.
            conditions: the number of truths for each.
            work: the numbers and letters compared for each.
        """
        return self._takes(rows * (inputs * _OF_A_VALUE + conditions + work))

    def _takes(self, amount: float) -> bool:
        if amount > self._left:
            return False
        self._left -= amount
        return True


@dataclass(frozen=True)
class OrderTrial:
    """Some conditions, tried together.

    Attributes:
        holds: the combinations for which each holds, by its position: a whole number with a bit for each combination.
        everywhere: the number with all bits set.
        exact: whether an outcome that no combination gave is impossible.
    """

    holds: Mapping[int, int]
    everywhere: int
    exact: bool


def order_trial(positions: Sequence[int], truths: pl.DataFrame, *, exact: bool) -> OrderTrial:
    """Make the trial from a column of truths for each condition; unknown counts as false."""
    holds = [_bits(column.fill_null(value=False).to_numpy()) for column in truths.get_columns()]
    return OrderTrial(dict(zip(positions, holds, strict=True)), _bits(np.ones(len(truths), bool)), exact)


def _bits(truths: np.ndarray) -> int:
    return int.from_bytes(np.packbits(truths).tobytes(), "big")


class TriedInOrder:
    """Conditions that are tried in order, each with the earlier ones that read nothing but what it reads.

    Values that represent all others for many conditions do so for some of them. So one trial serves all conditions
    that read the same inputs: trying each again with all before it would take quadratic time. If all together have too
    many combinations, or are not exact, the trial has as many as possible, from the first on.

    Args:
        keys: the inputs that each condition reads.
        try_together: tries the conditions at some positions; returns None if there are too many combinations.
    """

    def __init__(
        self, keys: Sequence[frozenset[str]], try_together: Callable[[Sequence[int]], OrderTrial | None]
    ) -> None:
        self._keys, self._try_together = keys, try_together
        self._trials: dict[frozenset[str], tuple[OrderTrial | None, OrderTrial | None]] = {}

    def trial_of(self, number: int) -> OrderTrial | None:
        """Return a trial of a condition and earlier ones, an exact one if possible; None if there is none."""
        keys = self._keys[number]
        if keys not in self._trials:
            self._trials[keys] = self._longest_trials(self._within(keys, len(self._keys)))
        return next((trial for trial in self._trials[keys] if trial is not None and number in trial.holds), None)

    def before(self, number: int) -> list[int]:
        """List the earlier conditions that a condition is tried with."""
        return self._within(self._keys[number], number)

    def _within(self, keys: frozenset[str], end: int) -> list[int]:
        return list(compress(range(end), (each <= keys for each in self._keys)))

    def _longest_trials(self, among: Sequence[int]) -> tuple[OrderTrial | None, OrderTrial | None]:
        longest = self._longest(among, exact=False)
        if longest is None or longest.exact:
            return longest, None
        return self._longest(among[: len(longest.holds) - 1], exact=True), longest

    def _longest(self, among: Sequence[int], *, exact: bool) -> OrderTrial | None:
        """Try all of them; if that is not possible, find the longest prefix by bisection."""
        longest, least, most, end = None, 0, len(among), len(among)
        while least < most:
            trial = self._try_together(among[:end])
            if trial is not None and (trial.exact or not exact):
                longest, least = trial, end
            else:
                most = end - 1
            end = (least + most + 1) // 2
        return longest
