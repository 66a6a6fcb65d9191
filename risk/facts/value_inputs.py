"""Inputs from the value model: indicators of the catalogue, and the model's values."""

import numpy as np
import polars as pl

from fivefold.features.histories import Histories
from fivefold.features.indicator_matrix import catalogue, indicator_matrix
from fivefold.models.scoring.histories import Scoring, score_histories
from fivefold.models.value_model import ValueModel
from fivefold.risk.facts.portfolio import ENTITY, NOT_READ, VALUE_CURRENCY
from fivefold.risk.language.expressions import VALUES


def indicator_frame(histories: Histories, as_of: int) -> pl.DataFrame:
    """Compute the catalogue for `Portfolio.indicators`: `entity_id` and a column for each; null where undefined.

    Customers without a row by *as_of* (microseconds) are left out.
    """
    matrix, latest = indicator_matrix(histories, as_of)
    present = latest > 0
    columns = {name: matrix[present, number] for number, name in enumerate(catalogue().names)}
    user_ids = pl.Series(ENTITY, histories.user_ids.filter(np.asarray(present)), dtype=pl.String)
    return pl.DataFrame([user_ids, *(pl.Series(name, values) for name, values in columns.items())]).fill_nan(None)


def value_frame(model: ValueModel, histories: Histories, as_of: int) -> pl.DataFrame:
    """Compute `Portfolio.values` by the value model: `entity_id`, `VALUES` and their currency."""
    table = score_histories(model, histories, Scoring(as_of)).table.rename({"user_id": ENTITY, "category": "segment"})
    return table.select(ENTITY, *VALUES, pl.lit(model.currency).alias(VALUE_CURRENCY))


def with_failures(values: pl.DataFrame) -> pl.DataFrame:
    """Make inputs fail that read stored values which could not be computed: their `failure` becomes `NOT_READ`."""
    if values["failure"].null_count() == len(values):
        return values.drop("failure")
    return values.rename({"failure": NOT_READ})
