"""Which facts each aggregate counts: windows and conditions as columns, each computed once however many share it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_

import polars as pl

from fivefold.risk.compiler.conditions import Compiler, Lists
from fivefold.risk.compiler.value_types import Column, inputs_of
from fivefold.risk.facts.linked import TIME, LinkedFacts
from fivefold.risk.facts.portfolio import AS_OF
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import FieldInput, Window, input_key
from fivefold.risk.language.quantities import Duration

_OPENING = "@after "
"""Names with @ cannot be those of fields."""

_DATED = "@dated"


def start_of(over: Duration) -> str:
    """Name the column of the moments at which a window of that length opens, itself outside.

    >>> start_of(Duration(30, "day"))
    '@after 30 days'
    """
    return f"{_OPENING}{over}"


def is_opening(name: str) -> bool:
    """Tell whether a column is one of those that `start_of` names."""
    return name.startswith(_OPENING)


def starts(windows: Sequence[Window]) -> dict[str, pl.Expr]:
    """Give the opening of every window as an expression over `as_of`."""
    lengths = {window.over for window in windows if window.over is not None}
    return {start_of(over): over.before(pl.col(AS_OF)) for over in sorted(lengths, key=str)}


def fields_in(window: Window) -> set[str]:
    """Name the fields that an aggregate's `where` reads."""
    inputs = inputs_of(window.where) if window.where is not None else ()
    return {read.field for read in inputs if isinstance(read, FieldInput)}


@dataclass
class Masks:
    """Names the mask of each aggregate among the facts up to as-of, and collects what must be computed for it.

    Attributes:
        facts: what is counted.
        lists: members of the named lists.
        parts: windows and conditions by the names of their columns; they read the facts, as-of and the openings.
        wholes: masks by the names of their columns; they read `parts`.
    """

    facts: LinkedFacts
    lists: Lists
    parts: dict[str, pl.Expr] = field(default_factory=dict)
    wholes: dict[str, pl.Expr] = field(default_factory=dict)

    def of(self, window: Window, column: str | None = None) -> str:
        """Name the mask of the facts that count; with a *column*, of those whose value there is known."""
        parts = list(self._parts_of(window))
        if column is not None:
            parts.append(self._part(f"@known {column}", pl.col(column).is_not_null()))
        if len(parts) == 1:
            return parts[0]
        name = f"@mask {' & '.join(parts)}"
        self.wholes.setdefault(name, reduce(and_, map(pl.col, parts)))
        return name

    def _parts_of(self, window: Window) -> list[str]:
        if window.over is None:
            parts = [self._part(_DATED, pl.col(TIME).is_not_null())]
        else:
            parts = [self._part(f"@in {window.over}", pl.col(TIME) > pl.col(start_of(window.over)))]
        return parts + [self._part(name, condition) for name, condition in self.conditions(window)]

    def conditions(self, window: Window) -> Iterator[tuple[str, pl.Expr]]:
        """Give what is asked of a fact beside its moment, each by a name; unknown where what is read is unknown."""
        if self.facts.usual is not None and self.facts.usual_field not in fields_in(window):
            yield "@usual", self.facts.usual
        if window.in_currency is not None:
            yield f"@in {window.in_currency}", pl.col("currency") == window.in_currency
        if window.where is not None:
            yield self._condition(window)

    def _condition(self, window: Window) -> tuple[str, pl.Expr]:
        def resolve(read: LanguageModel) -> Column:
            assert isinstance(read, FieldInput)  # lint refuses every other input inside `where`
            return self.facts.column(read.field, window.in_currency)

        name = input_key(Window(where=window.where, in_currency=window.in_currency))
        return f"@where {name}", Compiler(resolve, self.lists).condition(window.where)

    def _part(self, name: str, mask: pl.Expr) -> str:
        self.parts.setdefault(name, mask)
        return name


def value_field(window: Window) -> str | None:
    """Name the field that an aggregate computes with; None for a count and for days since."""
    word = next(iter(set(type(window).model_fields) - set(Window.model_fields)))
    return None if word in {"count", "days_since"} else str(getattr(window, word))


def value_column(window: Window, facts: LinkedFacts) -> Column | None:
    """Find the column of that field."""
    name = value_field(window)
    return None if name is None else facts.column(name, window.in_currency)
