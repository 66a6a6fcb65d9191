"""The customers that a model can score, with their indicators: the start of every analysis of many customers."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fivefold.domain.errors import ConfigError
from fivefold.features.histories import Floats, Histories, ties
from fivefold.models.reach import doubts_of_rows, needed_row_text
from fivefold.models.value_model import ValueModel as TrainedModel


@dataclass(frozen=True)
class KnownCustomers:
    """The customers who have a row by a moment, and whose rows have what the model reads.

    Attributes:
        user_ids: of n customers, in their order as text: the order of the rows makes no difference to a result.
        matrix: n x F indicators, columns in the order of the model's catalogue.
    """

    user_ids: pd.Index
    matrix: Floats


def known_customers(model: TrainedModel, histories: Histories, as_of: int) -> KnownCustomers:
    """Return the customers that a model can score as of a moment (microseconds); ConfigError if there are none."""
    matrix, rows = model.matrix(histories, as_of)
    rows_of_customers = np.flatnonzero((rows > 0) & ~model.unknown(histories, as_of))
    if not len(rows_of_customers):
        needed = needed_row_text(as_of, model.settlement_lag_us)
        raise ConfigError(f"no customer has a {needed}; give a later as_of")
    names = pd.Index(histories.user_ids.take(rows_of_customers).to_pylist(), name="user_id", dtype="object")
    order = names.argsort()
    return KnownCustomers(names[order], matrix[rows_of_customers[order]])


def warn_of_rows(read: Iterable[tuple[TrainedModel, Histories]], as_of: int, stacklevel: int = 3) -> None:
    """Warn once of each doubt of `doubts_of_rows` about the histories that each model read.

    *as_of* is the moment of the scores, microseconds. By default a warning names the line that called the caller of
    this function; *stacklevel* is as in `warnings.warn`.
    """
    doubts = [
        doubt
        for model, histories in read
        for doubt in doubts_of_rows(
            histories.absent,
            model.absent,
            model.currency,
            ties(histories, as_of - model.settlement_lag_us),
            histories.rows,
            histories.stateless,
            histories.amount_checks,
        )
    ]
    for doubt in dict.fromkeys(doubts):
        warnings.warn(doubt, stacklevel=stacklevel)
