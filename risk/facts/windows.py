"""The facts that each aggregate counts: windows and conditions as columns, each computed once even if shared."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import and_

import polars as pl

from fivefold.risk.compiler.conditions import Compiler, Lists
from fivefold.risk.compiler.formulas import parts_of_share
from fivefold.risk.compiler.value_types import InputColumn, column_of, inputs_of
from fivefold.risk.facts.linked import TIME, LinkedFacts
from fivefold.risk.facts.portfolio import AS_OF
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import Count, FieldInput, New, Share, Window, input_key
from fivefold.risk.language.fields import MONEY_FIELDS
from fivefold.risk.language.quantities import back_to_begin

_OPENING, _CLOSING = "@after ", "@until "
"""Prefixes with @, which fields cannot have in their names."""

NOT_FOUND_YET = "@found"
"""A column of screenings that is always unknown."""

_DATED = "@dated"


def start_of(window: Window) -> str:
    """Name the column of the moments at which a window opens, itself outside.

    >>> start_of(Window(over="30 days", ending="7 days ago"))
    '@after 30 days until 7 days ago'
    """
    return f"{_OPENING}{_length(window)}"


def end_of(window: Window) -> str:
    """Name the column of the moments at which a window that ends in the past ends, itself inside."""
    return f"{_CLOSING}{window.ending} ago"


def _length(window: Window) -> str:
    return str(window.over) if window.ending is None else f"{window.over} until {window.ending} ago"


def closes(window: Window, as_of: pl.Expr) -> pl.Expr:
    """Return the moment at which a window ends."""
    return as_of if window.ending is None else window.ending.before(as_of)


def opens(window: Window, as_of: pl.Expr) -> pl.Expr:
    """Return the moment after which a window begins, by `back_to_begin`."""
    assert window.over is not None
    return reduce(lambda moment, length: length.before(moment), back_to_begin(window.over, window.ending), as_of)


def opens_at(window: Window, as_of: int) -> int | None:
    """Compute `opens` for one moment; None if the window has no beginning."""
    if window.over is None:
        return None
    lengths = back_to_begin(window.over, window.ending)
    return reduce(lambda moment, length: length.moment_before(moment), lengths, as_of)


def is_opening(name: str) -> bool:
    """Check whether a column has a name of `start_of`."""
    return name.startswith(_OPENING)


def is_edge(name: str) -> bool:
    """Check whether a column has a name of `edges`."""
    return name.startswith((_OPENING, _CLOSING))


def edges(windows: Sequence[Window]) -> dict[str, pl.Expr]:
    """Return the opening of every window, and its end if that is before as-of, as expressions over `as_of`."""
    as_of = pl.col(AS_OF)
    moments = {start_of(window): opens(window, as_of) for window in windows if window.over is not None}
    moments |= {end_of(window): closes(window, as_of) for window in windows if window.ending is not None}
    return dict(sorted(moments.items()))


def fields_in(window: Window) -> set[str]:
    """Name the fields that an aggregate's `where` reads."""
    inputs = inputs_of(window.where) if window.where is not None else ()
    return {read.field for read in inputs if isinstance(read, FieldInput)}


def weighs_money(window: Window) -> bool:
    """Return whether an aggregate reads amounts in the base currency: it adds them up, or has a condition on them.

    >>> from fivefold.risk.language.expressions import Sum
    >>> weighs_money(Count(count="transactions")), weighs_money(Sum(sum="amount"))
    (False, True)
    """
    read = {*fields_in(window), column_of(window)}
    return window.in_currency is None and not read.isdisjoint(MONEY_FIELDS)


@dataclass
class Masks:
    """Names the mask of each aggregate among the facts up to as-of, and collects the expressions that it needs.

    Attributes:
        facts: the facts that are counted.
        lists: members of the named lists.
        parts: windows and conditions by the names of their columns; they read the facts, as-of and the openings.
        wholes: masks by the names of their columns; they read `parts`.
    """

    facts: LinkedFacts
    lists: Lists
    parts: dict[str, pl.Expr] = field(default_factory=dict)
    wholes: dict[str, pl.Expr] = field(default_factory=dict)
    _compiled: dict[str, pl.Expr] = field(default_factory=dict)

    def of(self, window: Window, column: str | None = None) -> str:
        """Name the mask of the facts that count; with a *column*, only of facts with a known value in it."""
        return self._whole(self._in_time(window), window, column)

    def before(self, window: Window, column: str) -> str:
        """Name the mask of facts before the window that would count in it, with a known value in a column."""
        name = f"@before {_length(window)}"
        return self._whole([self._part(name, pl.col(TIME) <= pl.col(start_of(window)))], window, column)

    def mask_of_searches(self, window: Window) -> str:
        """Name the mask of the screenings, until the window ends, that searched for what an aggregate reads.

        They may meet its `where` by what they found, which is treated as unknown here.
        """

        def resolve(read: LanguageModel) -> InputColumn:
            column = self._resolve(read, window)
            return replace(column, name=NOT_FOUND_YET) if column.name == "found" else column

        parts = self._in_time(looked_at(window))
        if self.facts.usual is not None:
            parts.append(self._part("@usual", self.facts.usual))
        if window.where is not None:
            name = input_key(Window(where=window.where))
            holds = Compiler(resolve, self.lists, unread={NOT_FOUND_YET}).condition(window.where)
            parts.append(self._part(f"@asked {name}", holds.fill_null(value=True)))
        return self._joined(parts)

    def _whole(self, in_time: list[str], window: Window, column: str | None) -> str:
        parts = in_time + [self._part(name, condition) for name, condition in self.conditions(window)]
        if column is not None:
            parts.append(self._part(f"@known {column}", pl.col(column).is_not_null()))
        return self._joined(parts)

    def _joined(self, parts: Sequence[str]) -> str:
        if len(parts) == 1:
            return parts[0]
        name = f"@mask {' & '.join(parts)}"
        self.wholes.setdefault(name, reduce(and_, map(pl.col, parts)))
        return name

    def _in_time(self, window: Window) -> list[str]:
        parts = []
        if window.over is not None:
            parts.append(self._part(f"@in {_length(window)}", pl.col(TIME) > pl.col(start_of(window))))
        if window.ending is not None:
            parts.append(self._part(f"@not after {window.ending} ago", pl.col(TIME) <= pl.col(end_of(window))))
        return parts or [self._part(_DATED, pl.col(TIME).is_not_null())]

    def conditions(self, window: Window) -> Iterator[tuple[str, pl.Expr]]:
        """Yield the conditions on a fact apart from its moment, each by a name; unknown where a field is unknown."""
        yield from self._without_where(window)
        if window.where is not None:
            yield self._condition(window)

    def may_count(self, window: Window) -> list[pl.Expr]:
        """Return the conditions on a fact apart from its moment; true where an unreadable field may meet them."""
        conditions = [condition for _, condition in self._without_where(window)]
        if window.where is not None:
            columns = {self.facts.column(name, window.in_currency).name for name in fields_in(window)}
            conditions.append(self._where(window, unread=columns))
        return [condition.fill_null(value=True) for condition in conditions]

    def _without_where(self, window: Window) -> Iterator[tuple[str, pl.Expr]]:
        if self.facts.usual is not None and self.facts.usual_field not in fields_in(window):
            yield "@usual", self.facts.usual
        if window.in_currency is not None:
            yield f"@in {window.in_currency}", pl.col("currency") == window.in_currency

    def _condition(self, window: Window) -> tuple[str, pl.Expr]:
        name = input_key(Window(where=window.where, in_currency=window.in_currency))
        if name not in self._compiled:
            self._compiled[name] = self._where(window)
        return f"@where {name}", self._compiled[name]

    def _where(self, window: Window, unread: Collection[str] = ()) -> pl.Expr:
        return Compiler(partial(self._resolve, window=window), self.lists, unread=unread).condition(window.where)

    def _resolve(self, read: LanguageModel, window: Window) -> InputColumn:
        assert isinstance(read, FieldInput)  # lint refuses every other input inside `where`
        return self.facts.column(read.field, window.in_currency)

    def _part(self, name: str, mask: pl.Expr) -> str:
        self.parts.setdefault(name, mask)
        return name


def looked_at(window: Window) -> Window:
    """Return the window of every fact that matters to an aggregate.

    For a share it is the whole; for new values, and for screenings, it includes the past.

    >>> looked_at(New(new="counterparty_id", over="30 days")).over is None
    True
    """
    if isinstance(window, Share):
        return parts_of_share(window)[1]
    reads_the_past = isinstance(window, New) or is_of_screenings(window)
    return window.model_copy(update={"over": None}) if reads_the_past else window


def is_of_screenings(window: Window) -> bool:
    """Check whether an aggregate counts screenings: it is unknown if none searched for what it reads."""
    return isinstance(window, Count) and window.count == "screenings"


def value_column(window: Window, facts: LinkedFacts) -> InputColumn | None:
    """Find the column of the field that an aggregate reads; None for a count and for days since."""
    name = column_of(window)
    return None if name is None else facts.column(name, window.in_currency)
