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


def fields_in(made: Window) -> set[str]:
    """Name the fields that an aggregate's `where` reads."""
    inputs = inputs_of(made.where) if made.where is not None else ()
    return {found.field for found in inputs if isinstance(found, FieldInput)}


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

    def of(self, made: Window, column: str | None = None) -> str:
        """Name the mask of the facts that count; with a *column*, of those whose value there is known."""
        named = list(self._parts_of(made))
        if column is not None:
            named.append(self._part(f"@known {column}", pl.col(column).is_not_null()))
        if len(named) == 1:
            return named[0]
        name = f"@mask {' & '.join(named)}"
        self.wholes.setdefault(name, reduce(and_, map(pl.col, named)))
        return name

    def _parts_of(self, made: Window) -> list[str]:
        if made.over is None:
            parts = [self._part(_DATED, pl.col(TIME).is_not_null())]
        else:
            parts = [self._part(f"@in {made.over}", pl.col(TIME) > pl.col(start_of(made.over)))]
        return parts + [self._part(name, met) for name, met in self.conditions(made)]

    def conditions(self, made: Window) -> Iterator[tuple[str, pl.Expr]]:
        """Give what is asked of a fact beside its moment, each by a name; unknown where what is read is unknown."""
        if self.facts.usual is not None and self.facts.usual_field not in fields_in(made):
            yield "@usual", self.facts.usual
        if made.in_currency is not None:
            yield f"@in {made.in_currency}", pl.col("currency") == made.in_currency
        if made.where is not None:
            yield self._condition(made)

    def _condition(self, made: Window) -> tuple[str, pl.Expr]:
        def resolve(wanted: LanguageModel) -> Column:
            assert isinstance(wanted, FieldInput)  # lint refuses every other input inside `where`
            return self.facts.column(wanted.field, made.in_currency)

        name = input_key(Window(where=made.where, in_currency=made.in_currency))
        return f"@where {name}", Compiler(resolve, self.lists).condition(made.where)

    def _part(self, name: str, made: pl.Expr) -> str:
        self.parts.setdefault(name, made)
        return name


def value_field(made: Window) -> str | None:
    """Name the field that an aggregate computes with; None for a count and for days since."""
    word = next(iter(set(type(made).model_fields) - set(Window.model_fields)))
    return None if word in {"count", "days_since"} else str(getattr(made, word))


def value_column(made: Window, facts: LinkedFacts) -> Column | None:
    """Find the column of that field."""
    name = value_field(made)
    return None if name is None else facts.column(name, made.in_currency)
