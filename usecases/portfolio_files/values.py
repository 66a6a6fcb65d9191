"""Indicators and the value of a portfolio, computed from its transactions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from fivefold.domain.errors import ConfigError
from fivefold.domain.money import RateTable
from fivefold.features.histories import Histories, missing_values
from fivefold.features.reading.text_files import suffix_of_name
from fivefold.features.schema import DATE, NULLABLE, USER_ID
from fivefold.risk.compiler.analysis import Analysed
from fivefold.risk.facts.portfolio import ENTITY, NOT_READ
from fivefold.risk.facts.reading import read_moments
from fivefold.risk.language.expressions import IndicatorInput, ValueInput

if TYPE_CHECKING:
    from fivefold.models.value_model import ValueModel

Compute = Callable[[Histories, int], pl.DataFrame]
Needs = tuple[tuple[str, ...], tuple[str, ...] | None, str]
"""Columns that every row should have, columns that are not read, and what follows where a row lacks one."""


@dataclass(frozen=True, kw_only=True)
class ValueSide:
    """Computes what rulesets read of the value side.

    Attributes:
        rulesets: those that may read indicators or the value.
        rates: into the base currency, for indicators; the value model has its own.
        as_of: nothing later is seen.
        load_model: loads the value model.
        warn: takes warnings about missing values.
    """

    rulesets: Sequence[Analysed[Any]]
    rates: RateTable
    as_of: int
    load_model: "Callable[[], ValueModel]"
    warn: Callable[[str], None]

    def frames(self, path: Path | None, rows: pl.DataFrame | None) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
        """Compute `Portfolio.indicators` and `Portfolio.values`, each None where no ruleset reads it.

        An entity with an unreadable row has the reason instead.
        """
        readers = {
            type(input_): f"{each.definition.word} {each.definition.name}"
            for each in reversed(self.rulesets)
            for input_ in each.simple_inputs
        }
        reads_indicators, reads_value = IndicatorInput in readers, ValueInput in readers
        if not (reads_indicators or reads_value):
            return None, None
        if path is None or rows is None:
            reader = readers.get(IndicatorInput) or readers[ValueInput]
            raise ConfigError(
                f"{reader} reads indicators or the value, which are computed from --transactions; none are given"
            )
        from fivefold.risk.facts.value_inputs import indicator_frame, value_frame  # noqa: PLC0415 (imports LightGBM)

        indicators = None
        if reads_indicators:
            unknown = "indicators that read it are unknown of them"
            indicators = self._computed(path, rows, self.rates, indicator_frame, (NULLABLE, None, unknown))
        if not reads_value:
            return indicators, None
        model = self.load_model()
        needs = (model.needs, model.absent, "the value model reads it, and the value is unknown of them")
        values = self._computed(path, rows, model.rates, lambda part, at: value_frame(model, part, at), needs)
        origin = {"model": f"the value model {model.content_hash[:12]}", "as_of_us": self.as_of}
        return indicators, values.with_columns(**{name: pl.lit(value) for name, value in origin.items()})

    def _computed(
        self, path: Path, rows: pl.DataFrame, rates: RateTable, compute: Compute, needs: Needs
    ) -> pl.DataFrame:
        """Compute a frame of the rows up to as-of, with a reason for each entity that has an unreadable row."""
        from fivefold.features.reading.sources import readable_histories  # noqa: PLC0415 (as above)

        visible = rows
        if DATE in rows.columns:
            moments = read_moments(rows[DATE])
            visible = rows.filter(moments.is_null() | (moments <= self.as_of))
        visible = visible.with_columns(pl.col(ENTITY).alias(USER_ID))
        unread: dict[str, str] = {}
        if NOT_READ in visible.columns:
            torn = visible.filter(pl.col(NOT_READ).is_not_null() & pl.col(USER_ID).is_not_null())
            unread = dict(torn.select(USER_ID, NOT_READ).unique(USER_ID, keep="first", maintain_order=True).iter_rows())
            visible = visible.filter(pl.col(NOT_READ).is_null() & ~pl.col(USER_ID).is_in(list(unread)))
        columns, absent, unknown = needs
        text = suffix_of_name(path) == ".csv"
        histories, wrong = readable_histories(visible, rates, str(path), text=text, absent=absent)
        for gap in missing_values(histories, self.as_of, columns):
            self.warn(f"{gap}; {unknown}")
        reasons = {**wrong, **unread}
        computed = compute(histories, self.as_of)
        if not reasons:
            return computed
        unreadable = pl.DataFrame({ENTITY: list(reasons), NOT_READ: list(reasons.values())})
        return pl.concat([computed, unreadable], how="diagonal")
