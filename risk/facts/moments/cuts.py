"""Cuts: the values of a number at which the answer of one of its comparisons changes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, Final

import polars as pl

from fivefold.risk.compiler.analysis import VERSIONS_KEPT, Analysed
from fivefold.risk.compiler.locations import Location, tests_at
from fivefold.risk.compiler.plain_conditions import PlainTest, plain_comparison
from fivefold.risk.compiler.value_types import NUMERIC_TYPES, InputColumn, Vocabulary, column_for, literal
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import input_key, input_of_test, inputs_compared
from fivefold.risk.language.fields import ValueType

Cut = tuple[Any, bool]
"""A value, and whether the next place begins above it (above, at_most) or at it (at_least, below)."""


@dataclass(frozen=True)
class Cuts:
    """The places that the comparisons of one input distinguish.

    Attributes:
        column: the column that the bounds apply to; it has their unit.
        at: the cuts, each once.
    """

    column: InputColumn
    at: tuple[Cut, ...] = ()

    def place(self, value: pl.Expr) -> pl.Expr:
        """Number the place of a value: how many cuts it has passed; -1 if unknown.

        Two values of one place answer every comparison of the input alike.
        """
        passed = [
            (value > literal(self.column, bound)) if beyond else (value >= literal(self.column, bound))
            for bound, beyond in self.at
        ]
        count = pl.sum_horizontal([one.cast(pl.Int32) for one in passed]) if passed else pl.lit(0, pl.Int32)
        return pl.when(value.is_null()).then(pl.lit(-1, pl.Int32)).otherwise(count)

    def place_of(self, value: Any) -> int:
        """Number the place of one value; -1 for None, which is unknown."""
        return -1 if value is None else sum(self.passed(value))

    def passed(self, value: Any) -> list[bool]:
        """Return for each cut whether a value has passed it."""
        row = {self.column.name: value}
        return [test(row) is True for test in self._passed]

    @cached_property
    def _passed(self) -> list[PlainTest]:
        words = (("above" if beyond else "at_least", bound) for bound, beyond in self.at)
        return [plain_comparison(word, self.column, bound, {}) for word, bound in words]


ANY: Final = Cuts(InputColumn("", ValueType.NUMBER))
"""The cuts of an input without comparisons: known and unknown."""

SIDES: Final = Cuts(InputColumn("@side", ValueType.NUMBER), ((Decimal(0), False), (Decimal(0), True)))
"""The cuts of the side of an input that is compared with another: below it, equal, above it."""


@lru_cache(maxsize=VERSIONS_KEPT)
def cuts_of(analysed: Analysed[Any], base: str) -> Mapping[str, Cuts]:
    """Collect the cuts of every numeric input that conditions compare, by its key; *base* is the base currency."""
    signals = [input_key(each) for each in analysed.signals]
    inputs = (*analysed.inputs, *analysed.signals)
    return cuts_at(analysed.conditions, inputs, analysed.names, base, signals)


def cuts_at(
    places: Iterable[Location],
    inputs: Iterable[LanguageModel],
    names: Vocabulary,
    base: str,
    signals: Iterable[str] = (),
) -> Mapping[str, Cuts]:
    """Collect the cuts of the numeric ones among some inputs, by their keys, in the conditions at some places.

    A pattern whose key is among *signals* has a cut at 0 as well: whether it is found.
    """
    columns = {input_key(each): column_for(each, names, base) for each in inputs}
    cuts_by_key: dict[str, dict[Cut, None]] = {
        key: {} for key, column in columns.items() if column.kind in NUMERIC_TYPES
    }
    for signal in signals:
        if columns[signal].kind is ValueType.FINDING:
            cuts_by_key[signal][Decimal(0), True] = None
    for place in places:
        for _, test in tests_at(place):
            subject = input_of_test(test) or place.own
            key = None if subject is None else input_key(subject)
            if key in cuts_by_key:
                assert key is not None
                cuts_by_key[key] |= dict.fromkeys(_cuts_in(test.comparisons(), columns[key]))
    return {key: Cuts(columns[key], tuple(cuts)) for key, cuts in cuts_by_key.items()}


Pair = tuple[LanguageModel, LanguageModel]
"""An input, and another one that it is compared with."""


@lru_cache(maxsize=VERSIONS_KEPT)
def compared_pairs(analysed: Analysed[Any], base: str) -> list[Pair]:
    """List the numeric inputs that conditions compare with one another, each pair once."""
    return pairs_at(analysed.conditions, analysed.names, base)


def pairs_at(places: Iterable[Location], names: Vocabulary, base: str) -> list[Pair]:
    """List these pairs for the conditions at some places."""
    pairs = {}
    for place in places:
        for _, test in tests_at(place):
            subject = input_of_test(test) or place.own
            for _, other in inputs_compared(test):
                assert subject is not None  # lint refuses a comparison that has nothing to compare
                if column_for(subject, names, base).kind in NUMERIC_TYPES:
                    pairs[input_key(subject), input_key(other)] = subject, other
    return list(pairs.values())


def _cuts_in(comparisons: Iterable[tuple[str, Any]], column: InputColumn) -> Iterator[Cut]:
    for operator, value in comparisons:
        if isinstance(value, LanguageModel):
            continue  # compared with another input: see `compared_pairs`
        if operator == "is":
            if column.kind is ValueType.FINDING:
                yield Decimal(0), True
        elif operator in {"between", "outside"}:
            yield value[0], False
            yield value[1], True
        else:
            values = value if isinstance(value, tuple) else (value,)
            yield from ((each, beyond) for each in values for beyond in _SIDES[operator])


_REACHED, _EXCEEDED = (False,), (True,)
_SIDES: Mapping[str, tuple[bool, ...]] = {
    "at_least": _REACHED,
    "below": _REACHED,
    "above": _EXCEEDED,
    "at_most": _EXCEEDED,
    **dict.fromkeys(("equals", "not_equals", "in", "not_in"), (False, True)),
}
"""The sides of a bound on which each operator turns. A missing operator of numbers fails loudly."""
