"""Indicators and the value of a portfolio, computed from its transactions."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from fivefold.domain.errors import ConfigError
from fivefold.domain.money import RateTable
from fivefold.features.histories import Histories, MissingValues, missing_values
from fivefold.features.reading.sources import readable_histories
from fivefold.features.reading.text_files import suffix_of_name
from fivefold.features.schema import DATE, NULLABLE, USER_ID
from fivefold.risk.compiler.analysis import Analysed
from fivefold.risk.facts.portfolio import ENTITY, NOT_READ
from fivefold.risk.facts.reading import read_moments
from fivefold.risk.language.expressions import IndicatorInput, ValueInput

if TYPE_CHECKING:
    from fivefold.models.value_model import ValueModel

ROW: Final = "@row"
"""The number of a row in its source, from 0."""

Compute = Callable[[Histories, int], pl.DataFrame]
Needs = tuple[tuple[str, ...], tuple[str, ...] | None, str]
"""Columns that every row should have, columns that are not read, and what follows where a row lacks one."""


@dataclass(frozen=True)
class Gap:
    """A column that rows lack, and what follows.

    Attributes:
        missing: the column, and the customers whose rows lack it.
        consequence: what is unknown about these customers, in words.
        row: the number of the first row of the customer that is named.
    """

    missing: MissingValues
    consequence: str
    row: int

    def __str__(self) -> str:
        return f"{self.missing}; {self.consequence}"


def joined_gaps(gaps: Iterable[Gap]) -> list[Gap]:
    """Join the gaps of parts of a source, whose customers differ, in the order that a single table would give."""
    joined: dict[tuple[str, str], Gap] = {}
    for gap in sorted(gaps, key=lambda each: each.row):
        key = (gap.consequence, gap.missing.column)
        first = joined.get(key)
        customers = gap.missing.customers + (0 if first is None else first.missing.customers)
        joined[key] = replace(first or gap, missing=replace((first or gap).missing, customers=customers))
    return sorted(joined.values(), key=lambda each: (each.consequence != _NO_INDICATORS, _place(each)))


def _place(gap: Gap) -> int:
    return NULLABLE.index(gap.missing.column)


_NO_INDICATORS: Final = "indicators that read it are unknown of them"
_NO_VALUE: Final = "the value model reads it, and the value is unknown of them"


def value_readers(rulesets: Sequence[Analysed[Any]]) -> dict[type, str]:
    """Return the name of the first ruleset that reads indicators or the value, by the kind of input."""
    return {
        type(input_): f"{each.definition.word} {each.definition.name}"
        for each in reversed(rulesets)
        for input_ in each.simple_inputs
        if isinstance(input_, IndicatorInput | ValueInput)
    }


@dataclass(frozen=True, kw_only=True)
class ValueSide:
    """Computes the indicators and values that rulesets read.

    Attributes:
        rulesets: the rulesets, which may read indicators or the value.
        rates: rates into the base currency, for indicators; the value model has its own.
        as_of: the moment, microseconds; nothing later is seen.
        load_model: loads the value model.
        note: called with each gap of the rows.
        empty: if the rows are part of a source, the columns that are empty in all rows read of it; else None.
    """

    rulesets: Sequence[Analysed[Any]]
    rates: RateTable
    as_of: int
    load_model: "Callable[[], ValueModel]"
    note: Callable[[Gap], None]
    empty: Collection[str] | None = None

    def frames(self, path: Path | None, rows: pl.DataFrame | None) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
        """Compute `Portfolio.indicators` and `Portfolio.values`, each None if no ruleset reads it.

        The *rows* have a column `ROW`, as some rows of their source may have been left out.
        An entity with an unreadable row has the reason instead.
        """
        readers = value_readers(self.rulesets)
        if not readers:
            return None, None
        if path is None or rows is None:
            reader = readers.get(IndicatorInput) or readers[ValueInput]
            raise ConfigError(
                f"{reader} reads indicators or the value, which are computed from --transactions; none are given"
            )
        from fivefold.risk.facts.value_inputs import indicator_frame, value_frame  # noqa: PLC0415 (imports LightGBM)

        indicators = None
        if IndicatorInput in readers:
            indicators = self._computed(path, rows, self.rates, indicator_frame, (NULLABLE, None, _NO_INDICATORS))
        if ValueInput not in readers:
            return indicators, None
        model = self.load_model()
        needs = (model.needs, model.absent, _NO_VALUE)
        values = self._computed(path, rows, model.rates, lambda part, at: value_frame(model, part, at), needs)
        origin = {"model": f"the value model {model.content_hash[:12]}", "as_of_us": self.as_of}
        return indicators, values.with_columns(**{name: pl.lit(value) for name, value in origin.items()})

    def _computed(
        self, path: Path, rows: pl.DataFrame, rates: RateTable, compute: Compute, needs: Needs
    ) -> pl.DataFrame:
        """Compute a frame of the rows up to as-of, with a reason for each entity that has an unreadable row."""
        visible, unread = visible_rows(rows, self.as_of)
        columns, absent, unknown = needs
        text = suffix_of_name(path) == ".csv"
        histories, wrong = readable_histories(
            visible, rates, str(path), text=text, absent=absent, empty=self.empty, row_numbers=ROW
        )
        for missing in missing_values(histories, self.as_of, columns):
            self.note(Gap(missing, unknown, _first_row(visible, missing.customer)))
        reasons = {**wrong, **unread}
        computed = compute(histories, self.as_of)
        if not reasons:
            return computed
        unreadable = pl.DataFrame({ENTITY: list(reasons), NOT_READ: list(reasons.values())})
        return pl.concat([computed, unreadable], how="diagonal")


def visible_rows(rows: pl.DataFrame, as_of: int) -> tuple[pl.DataFrame, dict[str, str]]:
    """Return rows up to as-of (microseconds) of entities whose rows can all be read, and the reasons of the others."""
    visible = rows
    if DATE in rows.columns:
        moments = read_moments(rows[DATE])
        visible = rows.filter(moments.is_null() | (moments <= as_of))
    visible = visible.drop(USER_ID, strict=False).rename({ENTITY: USER_ID})
    if NOT_READ not in visible.columns:
        return visible, {}
    torn = visible.filter(pl.col(NOT_READ).is_not_null() & pl.col(USER_ID).is_not_null())
    unread = dict(torn.select(USER_ID, NOT_READ).unique(USER_ID, keep="first", maintain_order=True).iter_rows())
    readable = pl.col(NOT_READ).is_null() & ~pl.col(USER_ID).is_in(list(unread))
    return visible.filter(readable).drop(NOT_READ), unread


def _first_row(rows: pl.DataFrame, customer: str) -> int:
    return int(rows.filter(pl.col(USER_ID).cast(pl.String) == customer)[ROW][0])
