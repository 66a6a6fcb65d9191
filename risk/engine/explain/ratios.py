"""Ratios in words: both sides with their numbers, and what the first over the second is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from fivefold.risk.compiler.value_types import column_for, currency_of
from fivefold.risk.engine.explain.formulas import (
    DIGITS,
    ComputedDescription,
    half_of_last,
    number_shown,
    valued_in_digits,
)
from fivefold.risk.language.expressions import Ratio, input_key

Row = Mapping[str, Any]

_THE_SAME: Final = "the same, of what it is compared with"
"""The second side, where all that would tell it from the first is not shown."""


def sides_named(ratio: Ratio, named: Callable[[Any], str]) -> tuple[str, str]:
    """Name both sides; *named* writes the name of one, perhaps without the conditions in it."""
    over, under = map(named, ratio.ratio)
    return over, _THE_SAME if under == over else under


def ratio_words(ratio: Ratio, named: Callable[[Any], str]) -> str:
    """Name a ratio; *named* writes the name of a side."""
    return " over ".join(sides_named(ratio, named))


@dataclass(frozen=True, eq=False)
class RatioDescription(ComputedDescription):
    """A ratio, ready to be described for one entity after another."""

    ratio: Ratio

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The columns that the words need."""
        return tuple(dict.fromkeys(map(input_key, (*self.ratio.ratio, self.ratio))))

    @cached_property
    def _names(self) -> tuple[str, str]:
        return sides_named(self.ratio, self.named)

    def words(self, row: Row, shown: str) -> str:
        """Write both sides with their numbers, and what they come to; *shown* is the ratio as it is shown.

        Where the ratio was given, and not its sides, it is *shown* alone.
        """
        if any(input_key(side) not in row for side in self.ratio.ratio):
            return shown
        texts = self._texts(row, shown)
        sides = " ÷ ".join(f"{name} {text}" for name, text in zip(self._names, texts, strict=True))
        is_known = row.get(input_key(self.ratio)) is not None
        return f"{sides} = {shown}" if is_known else f"unknown, as {self._reason(row)}: {sides}"

    def _texts(self, row: Row, shown: str) -> list[str]:
        """Write both numbers, so finely that they come to the ratio as it is shown."""
        target, texts = number_shown(shown), list[str]()
        for digits in DIGITS:
            texts = [self._value(side, row, digits) for side in self.ratio.ratio]
            over, under = map(number_shown, texts)
            if target is None or not under or over is None or abs(over / under - target) <= half_of_last(shown):
                break
        return texts

    def _value(self, side: Any, row: Row, digits: int | None) -> str:
        column = column_for(side, self.vocabulary, self.base)
        currency = currency_of(side, self.vocabulary) or self.base
        return valued_in_digits(self.valued, row.get(input_key(side)), column, currency, digits)

    def _reason(self, row: Row) -> str:
        unknown = [
            name for name, side in zip(self._names, self.ratio.ratio, strict=True) if row.get(input_key(side)) is None
        ]
        return f"{unknown[0]} is unknown" if unknown else f"{self._names[1]} is 0"
