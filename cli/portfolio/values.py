"""Indicators and the value of a portfolio from files, computed from its transactions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fivefold.cli.terminal import load_model, warn
from fivefold.domain.errors import ConfigError
from fivefold.domain.money import RateTable
from fivefold.features.reading.text_files import suffix_of_name
from fivefold.features.schema import DATE, NULLABLE, USER_ID
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.facts.fields import read_moments
from fivefold.risk.facts.portfolio import ENTITY, NOT_READ
from fivefold.risk.language.inputs import IndicatorInput, ValueInput

if TYPE_CHECKING:
    from fivefold.features.histories import Histories

Compute = Callable[["Histories", int], pl.DataFrame]
Needs = tuple[tuple[str, ...], tuple[str, ...] | None, str]
"""Columns that every row should say, columns that are not read, and what follows where a row does not say one."""


@dataclass(frozen=True)
class ValueSide:
    """What rulesets ask of the value side, and by what it is answered.

    Attributes:
        rulesets: those that may read indicators or the value.
        rates: into the base currency, for indicators; the value model has its own.
        as_of: nothing later is seen.
        model: of the registry; the champion where it is None.
        name: of the registered model.
    """

    rulesets: Sequence[AnalysedRuleset]
    rates: RateTable
    as_of: int
    model: str | None
    name: str

    def frames(self, path: Path | None, rows: pl.DataFrame | None) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
        """Compute `Portfolio.indicators` and `Portfolio.values`, each None where no ruleset reads it.

        Nothing is computed of an entity with a row that cannot be read; the reason stands beside it.
        """
        kinds = {type(made): each.ruleset.name for each in reversed(self.rulesets) for made in each.simple_inputs}
        wants_indicators, wants_value = IndicatorInput in kinds, ValueInput in kinds
        if not (wants_indicators or wants_value):
            return None, None
        if path is None or rows is None:
            reader = kinds.get(IndicatorInput) or kinds[ValueInput]
            raise ConfigError(
                f"ruleset {reader} reads indicators or the value, which are computed from --transactions; "
                "none are given"
            )
        from fivefold.risk.facts.value_inputs import indicator_frame, value_frame  # noqa: PLC0415 (heavy to import)

        indicators = None
        if wants_indicators:
            unknown = "indicators that read it are unknown of them"
            indicators = self._computed(path, rows, self.rates, indicator_frame, (NULLABLE, None, unknown))
        if not wants_value:
            return indicators, None
        model = load_model(self.model, self.name)
        needs = (model.needs, model.absent, "the value model reads it, and the value is unknown of them")
        values = self._computed(path, rows, model.rates, lambda part, at: value_frame(model, part, at), needs)
        return indicators, values

    def _computed(
        self, path: Path, rows: pl.DataFrame, rates: RateTable, compute: Compute, needs: Needs
    ) -> pl.DataFrame:
        from fivefold.features.histories import missing_values  # noqa: PLC0415 (heavy to import)
        from fivefold.features.reading.row_selection import readable_histories  # noqa: PLC0415 (heavy to import)

        seen = rows
        if DATE in rows.columns:
            moments = read_moments(rows[DATE])
            seen = rows.filter(moments.is_null() | (moments <= self.as_of))
        seen = seen.with_columns(pl.col(ENTITY).alias(USER_ID))
        unread: dict[str, str] = {}
        if NOT_READ in seen.columns:
            torn = seen.filter(pl.col(NOT_READ).is_not_null() & pl.col(USER_ID).is_not_null())
            unread = dict(torn.select(USER_ID, NOT_READ).unique(USER_ID, keep="first", maintain_order=True).iter_rows())
            seen = seen.filter(pl.col(NOT_READ).is_null() & ~pl.col(USER_ID).is_in(list(unread)))
        columns, absent, unknown = needs
        text = suffix_of_name(path) == ".csv"
        histories, wrong = readable_histories(seen, rates, str(path), text=text, absent=absent)
        for gap in missing_values(histories, self.as_of, columns):
            warn(f"{gap}; {unknown}")
        reasons = {**wrong, **unread}
        made = compute(histories, self.as_of)
        if not reasons:
            return made
        bad = pl.DataFrame({ENTITY: list(reasons), NOT_READ: list(reasons.values())})
        return pl.concat([made, bad], how="diagonal")
