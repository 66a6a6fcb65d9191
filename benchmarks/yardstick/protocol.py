"""The protocol: what a method may see of a window, and that it answers for exactly the customers who are asked about.

A method is handed transactions that end at the as-of. What came after it is read here alone, to judge.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import NotEnoughDataError
from fivefold.features.histories import Floats, Integers
from fivefold.features.indicator_matrix import catalogue, indicator_matrix, select_columns
from fivefold.training.config import TrainingConfig
from fivefold.training.data import SourceSummary, TrainingRows, TransactionSource, training_rows
from fivefold.training.dates import Dates, choose_dates
from fivefold.training.target import floor_at_zero, realised_values

WINDOWS = 4


class ProtocolError(Exception):
    """A method did not answer as the protocol asks."""


@dataclass(frozen=True)
class Task:
    """What a method may see of a window: transactions up to the as-of, and what is asked.

    Attributes:
        source: the transactions up to the as-of.
        summary: of these.
        config: currency, value and horizon of the data set; everything else is a default.
        dates: of this window; every value window of the training dates ends at the as-of or before.
    """

    source: TransactionSource
    summary: SourceSummary
    config: TrainingConfig
    dates: Dates

    @cached_property
    def customers(self) -> pa.Array:
        """The n identifiers that are asked about: everybody with a row at the as-of or before."""
        return pa.concat_arrays([part.user_ids for part in self.source.batches("customers")])

    @cached_property
    def rows(self) -> TrainingRows:
        """The indicators and values at the training dates, with the columns `names`."""
        return training_rows(self.source, self.dates, self.config, self.summary)

    @cached_property
    def matrix(self) -> Floats:
        """The indicators (n x F) of the customers at the as-of, with the columns `names`."""
        parts = [
            select_columns(indicator_matrix(piece, self.dates.test)[0], self.summary.absent)
            for piece in self.source.pieces("indicators", 1, len(catalogue().names))
        ]
        return np.concatenate(parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the F indicators."""
        return catalogue(self.summary.absent).names

    def values(self, start: int) -> Floats:
        """Give the value of the n customers over the horizon from *start* (microseconds), as far as it is known."""
        starts = np.array([start], dtype=np.int64)
        parts = self.source.batches("values")
        horizon, value = self.config.horizon_days, self.config.value
        return np.concatenate([realised_values(part, starts, horizon, value)[:, 0] for part in parts])


@dataclass(frozen=True)
class Prediction:
    """What a method says of the customers of a task.

    Attributes:
        values: n predictions, on any scale.
        money: whether they are money, to be judged as such.
        reasons: why the method has no answer that can be used; empty where it has.
        report: what it wants to be known of its fit.
    """

    values: Floats
    money: bool = True
    reasons: tuple[str, ...] = ()
    report: dict[str, Any] = field(default_factory=dict)


Method = Callable[[Task], Prediction]


@dataclass(frozen=True)
class Window:
    """One window of a data set.

    Attributes:
        task: what methods may see.
        realised: n values over the horizon after the as-of, 0 or more.
        is_known: marks the customers of the whole file who were known at the as-of.
    """

    task: Task
    realised: Floats
    is_known: np.ndarray

    @property
    def day(self) -> str:
        """The as-of, as a day."""
        return day_text(self.task.dates.test)


def windows(table: pa.Table, config: TrainingConfig, wanted: int = WINDOWS) -> Iterator[Window]:
    """Give the last *wanted* windows of the transactions, one horizon apart, the oldest first.

    NotEnoughDataError where the data do not cover them and a training window before the first.
    """
    whole = TransactionSource(table, config.rate_table())
    summary = whole.summary(config.seed)
    last = choose_dates(config, summary.period).test
    for number in reversed(range(wanted)):
        yield window(table, config, whole, summary, last - number * config.horizon_days * DAY_US)


def window(
    table: pa.Table, config: TrainingConfig, whole: TransactionSource, summary: SourceSummary, test: int
) -> Window:
    """Part the transactions at *test* (microseconds): what came before is the task, what came after is judged by."""
    window_config = config.model_copy(update={"test_as_of": test})
    dates = choose_dates(window_config, summary.period)
    source = TransactionSource(until(table, test), config.rate_table())
    task = Task(source, source.summary(config.seed), window_config, dates)
    realised, is_known = realised_of(whole, window_config, dates.test, task.customers)
    if not (realised > 0).any():
        raise NotEnoughDataError(f"no customer is worth anything in the window from {day_text(test)}")
    return Window(task, realised, is_known)


def until(table: pa.Table, moment: int) -> pa.Table:
    """Keep the rows at *moment* (microseconds) or before."""
    times = table["transaction_date"].cast(pa.timestamp("us", "UTC"))
    return table.filter(pc.less_equal(times, pa.scalar(moment, pa.timestamp("us", "UTC"))))


def realised_of(
    whole: TransactionSource, config: TrainingConfig, start: int, customers: pa.Array
) -> tuple[Floats, np.ndarray]:
    """Give what customers were worth over the horizon after *start* (microseconds), and mark them among all."""
    starts = np.array([start], dtype=np.int64)
    ids, values = [], []
    for part in whole.batches("realised values"):
        ids.append(part.user_ids)
        values.append(realised_values(part, starts, config.horizon_days, config.value)[:, 0])
    everybody = pa.concat_arrays(ids)
    places: Integers = pc.index_in(customers, everybody).to_numpy(zero_copy_only=False)
    is_known = np.zeros(len(everybody), dtype=np.bool_)
    is_known[places] = True
    return floor_at_zero(np.concatenate(values)[places]), is_known


def answer(name: str, method: Method, task: Task) -> Prediction:
    """Ask a method; ProtocolError where it does not answer with one number for each customer."""
    prediction = method(task)
    if prediction.values.shape != (len(task.customers),):
        raise ProtocolError(
            f"{name} gives predictions of shape {prediction.values.shape}, and {len(task.customers):,} customers are "
            "asked about"
        )
    wrong = ~np.isfinite(prediction.values)
    if wrong.any() and not prediction.reasons:
        first = task.customers[int(np.flatnonzero(wrong)[0])].as_py()
        raise ProtocolError(f"{name} gives no number for {int(wrong.sum()):,} customers, such as {first!r}")
    return prediction


def aligned(name: str, predictions: pl.DataFrame, customers: pa.Array) -> Floats:
    """Put predictions of another's file (`customer`, `predicted`) in the order of the customers who are asked about.

    ProtocolError names what is wrong: columns, customers that are missing, repeated or not asked about, empty numbers.
    """
    lacking = [column for column in ("customer", "predicted") if column not in predictions.columns]
    if lacking:
        raise ProtocolError(f"{name} lacks the column {' and '.join(lacking)}; it has {', '.join(predictions.columns)}")
    theirs, customer_ids = predictions["customer"].cast(pl.String), pl.Series(pa.array(customers)).cast(pl.String)
    numbers = predictions["predicted"].cast(pl.Float64, strict=False)
    faults = []
    for text, wrong in (
        ("are missing", customer_ids.filter(~customer_ids.is_in(theirs.implode()))),
        ("are not asked about", theirs.filter(~theirs.is_in(customer_ids.implode()))),
        ("stand there more than once", theirs.filter(theirs.is_duplicated()).unique(maintain_order=True)),
        ("have no number", theirs.filter(~numbers.is_finite().fill_null(value=False))),
    ):
        if len(wrong):
            faults.append(f"{len(wrong):,} customers {text}, such as {wrong[0]!r}")
    if faults:
        raise ProtocolError("\n".join([f"{name} is not judged:", *faults]))
    order = pl.DataFrame({"customer": customer_ids}).join(
        predictions.with_columns(pl.col("customer").cast(pl.String)), on="customer", how="left", maintain_order="left"
    )
    return order["predicted"].cast(pl.Float64).to_numpy()
