"""Conditions that are tried in order, each with those before it: one trial serves as many of them as it can."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import polars as pl

MOST_COMPARED_OF_A_TEXT = 100_000_000
"""So much is compared at most in all conditions of one text; it takes about two seconds of the processor."""

_OF_A_CONDITION, _OF_A_VALUE = 10_000, 5
"""What it takes to compile a condition, and to put a value into a combination, in numbers compared."""


class Effort:
    """What may still be compared in the conditions of one text, so that many of them take no longer than a few."""

    def __init__(self) -> None:
        self._left = float(MOST_COMPARED_OF_A_TEXT)

    def begins(self, conditions: int) -> bool:
        """Count the compiling of conditions; False where too little is left for it."""
        return self._takes(conditions * _OF_A_CONDITION)

    def compares(self, rows: int, inputs: int, conditions: int, work: float) -> bool:
        """Count what a trial takes; False where too little is left for it.

        Args:
            rows: combinations of values.
            inputs: values in each of them.
            conditions: truths of each of them.
            work: numbers and letters compared in each of them.
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
        holds: where each holds, by its position: a whole number with one bit for each combination of values.
        everywhere: the number of what always holds.
        exact: whether what never happened cannot happen.
    """

    holds: Mapping[int, int]
    everywhere: int
    exact: bool


def order_trial(positions: Sequence[int], truths: pl.DataFrame, *, exact: bool) -> OrderTrial:
    """Keep where conditions hold, a column of truths for each; what is unknown does not hold."""
    holds = [_bits(column.fill_null(value=False).to_numpy()) for column in truths.get_columns()]
    return OrderTrial(dict(zip(positions, holds, strict=True)), _bits(np.ones(len(truths), bool)), exact)


def _bits(truths: np.ndarray) -> int:
    return int.from_bytes(np.packbits(truths).tobytes(), "big")


class TriedInOrder:
    """Conditions that are tried in order, each with those before it that read nothing but what it reads.

    Values that stand for all others under many conditions do so under some of them. So one trial serves all that read
    the same: to try each with all before it again would take the square of the work. Where all of them together have
    too many combinations, or are not exact, it is as many from the first on as can be.

    Args:
        keys: what each reads.
        try_together: tries those of some positions; gives None where there are too many combinations.
    """

    def __init__(
        self, keys: Sequence[frozenset[str]], try_together: Callable[[Sequence[int]], OrderTrial | None]
    ) -> None:
        self._keys, self._try_together = keys, try_together
        self._trials: dict[frozenset[str], tuple[OrderTrial | None, OrderTrial | None]] = {}

    def trial_of(self, number: int) -> OrderTrial | None:
        """Give a trial of a condition and of those before it, an exact one if there is one; None where none can be."""
        keys = self._keys[number]
        if keys not in self._trials:
            self._trials[keys] = self._longest_trials(self._within(keys, len(self._keys)))
        return next((trial for trial in self._trials[keys] if trial is not None and number in trial.holds), None)

    def before(self, number: int) -> list[int]:
        """Name the conditions that a condition is tried with."""
        return self._within(self._keys[number], number)

    def _within(self, keys: frozenset[str], end: int) -> list[int]:
        return list(compress(range(end), (each <= keys for each in self._keys)))

    def _longest_trials(self, among: Sequence[int]) -> tuple[OrderTrial | None, OrderTrial | None]:
        longest = self._longest(among, exact=False)
        if longest is None or longest.exact:
            return longest, None
        return self._longest(among[: len(longest.holds) - 1], exact=True), longest

    def _longest(self, among: Sequence[int], *, exact: bool) -> OrderTrial | None:
        """Try all of them, and where that cannot be, search for the most from the first on by halves."""
        longest, least, most, end = None, 0, len(among), len(among)
        while least < most:
            trial = self._try_together(among[:end])
            if trial is not None and (trial.exact or not exact):
                longest, least = trial, end
            else:
                most = end - 1
            end = (least + most + 1) // 2
        return longest
