"""The transactions of some stored customers, read as training reads those of a file: again and again, part by part."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import polars as pl
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.domain.money import RateTable
from fivefold.features.histories import Histories
from fivefold.features.schema import BALANCE, NULLABLE
from fivefold.features.stored import stored_histories
from fivefold.models.value_model import ValueModel
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.sql.database import reading
from fivefold.training.data import TransactionSource
from fivefold.usecases.levels.portfolio import read_transactions

BLOCK: Final = 1_000
"""Customers whose transactions are in memory at once."""


def blocks_of(entity_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Give the numbers of entities in the parts whose transactions are read at once."""
    return (entity_ids[first : first + BLOCK] for first in range(0, len(entity_ids), BLOCK))


def transactions_of(engine: Engine, entity_ids: Sequence[int], now_us: int) -> pl.DataFrame:
    """Read the transactions up to now of some entities, and of what they own, as `stored_histories` needs them."""
    with reading(engine) as session:
        whose = loading.fact_owners(session, entity_ids)
        return read_transactions(session, whose, now_us, for_value=True).filter(pl.col("at_us") <= now_us)


class StoredPortfolio(TransactionSource):
    """The stored transactions of some entities, whose numbers as text are the customers.

    Who has a transaction up to the end of the horizon without a balance that the value is made from, or in a currency
    without an exchange rate, is left out: what they were worth is unknown. Of later ones only the moments count: they
    say how far the data reach.
    """

    is_hidden = True

    def __init__(
        self, engine: Engine, entity_ids: Sequence[int], model: ValueModel, as_of_us: int, now_us: int
    ) -> None:
        """Read nothing yet; corrections that are known by now (microseconds) hold, and later rows are not read.

        The horizon begins at *as_of_us*, microseconds.
        """
        super().__init__((), model.rates, now_us, absent=model.absent, own=model.own)
        self._engine = engine
        self._entity_ids = entity_ids
        self._model = model
        self._ends_us = as_of_us + model.horizon_days * DAY_US
        self._now_us = now_us

    def parts(self, rates: RateTable) -> Iterator[Histories]:
        """Give the histories of a block of customers at a time."""
        for block in blocks_of(self._entity_ids):
            rows = transactions_of(self._engine, block, self._now_us)
            counts = (pl.col("at_us") <= self._ends_us) | pl.col("currency").is_in([*rates.codes])
            histories = stored_histories(rows.filter(counts), rates, self._model.absent)
            unknown_from = histories.unknown_from
            if unknown_from is not None and self._model.definition.get("yearly_margin"):
                balance_known = unknown_from[:, NULLABLE.index(BALANCE)] > self._ends_us
                histories = histories if balance_known.all() else histories.take(np.flatnonzero(balance_known))
            if histories.customers:
                yield histories
