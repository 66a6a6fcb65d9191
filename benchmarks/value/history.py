"""What scores lose where a client sends a short history, and whether training on short copies mends it.

    python -m benchmarks.value.history berka/transactions.parquet training/configs/berka.yaml

One model is trained as `fivefold train` would; another also learns from a copy of every row with its history cut short.
Both score the customers of the test window with all they sent, and with the last days alone.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fivefold.domain.clock import DAY_US, day_text
from fivefold.features.histories import Floats, Histories
from fivefold.features.indicator_matrix import indicator_matrix, warm
from fivefold.features.reading.sources import read_histories
from fivefold.models.curve import ScoreCurve
from fivefold.models.estimator import expected_value
from fivefold.training.config import TrainingConfig, read_config
from fivefold.training.data import TrainingRows, TransactionSource, training_rows
from fivefold.training.dates import Dates, choose_dates
from fivefold.training.fit import find_rounds, fit, validation_fold
from fivefold.training.judging.metrics import normalised_gini
from fivefold.training.target import floor_at_zero, realised_values

SENT_DAYS = (30, 90, 180, 365, 730)
WINDOWS = 2


@dataclass(frozen=True)
class RecentDays:
    """The customers of a test as-of with a part of their history.

    Attributes:
        is_known: marks those of all customers who have a row in it.
        matrix: indicators of these.
    """

    is_known: np.ndarray
    matrix: Floats


def main() -> None:
    """Measure one data set and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("config", type=Path)
    options = arguments.parse_args()
    warm()
    config = read_config(options.config)
    histories = read_histories(options.data, config.rate_table())
    portfolio = TransactionSource(options.data, config.rate_table())
    summary = portfolio.summary()
    last = choose_dates(config, summary.period).test
    for number in range(WINDOWS):
        at = config.model_copy(update={"test_as_of": last - number * config.horizon_days * DAY_US})
        dates = choose_dates(at, summary.period)
        measure(histories, training_rows(portfolio, dates, at, summary), dates, at)


def measure(histories: Histories, rows: TrainingRows, dates: Dates, config: TrainingConfig) -> None:
    """Train both models and print what each loses."""
    rounds = find_rounds(validation_fold(rows, dates), config.trees, config.seed)
    both = with_short_copies(histories, rows, dates, config)
    histories_by_days = {
        0: sent_days(histories, dates.test, None),
        **{d: sent_days(histories, dates.test, d) for d in SENT_DAYS},
    }
    realised = floor_at_zero(realised_values(histories, np.array([dates.test]), dates.horizon_days, config.value)[:, 0])
    for name, learnt in (("all rows whole", rows), ("and short copies", both)):
        booster = fit(learnt, config.trees, config.seed, rounds).booster_
        predicted = {days: expected_value(booster, one.matrix) for days, one in histories_by_days.items()}
        show(name, day_text(dates.test), histories_by_days, predicted, realised)


def sent_days(histories: Histories, as_of: int, days: int | None) -> RecentDays:
    """Give the indicators of customers with a row in the last *days* days, or of all customers without *days*."""
    recent = histories if days is None else cut_short(histories, as_of - days * DAY_US)
    matrix, row_counts = indicator_matrix(recent, as_of)
    return RecentDays(row_counts > 0, matrix[row_counts > 0])


def cut_short(histories: Histories, after: int) -> Histories:
    """Leave out every row up to a moment, as a client does who sends the latest rows alone."""
    is_recent = histories.time > after
    counts = np.concatenate([[0], np.cumsum(is_recent)])
    names = ("time", "amount", "balance", "kind", "currency", "category", "created")
    columns = {name: getattr(histories, name)[is_recent] for name in names}
    return replace(histories, offsets=counts[histories.offsets].astype(np.int64), **columns)


def with_short_copies(histories: Histories, rows: TrainingRows, dates: Dates, config: TrainingConfig) -> TrainingRows:
    """Add a copy of every customer and date with a history of 30 to 730 days, drawn for each date."""
    random = np.random.default_rng(config.seed)
    matrices, values, as_ofs = [rows.matrix], [rows.values], [rows.as_of]
    for moment in dates.training.tolist():
        one = sent_days(histories, moment, int(random.choice(SENT_DAYS)))
        realised = realised_values(histories, np.array([moment]), dates.horizon_days, config.value)[one.is_known, 0]
        matrices.append(one.matrix)
        values.append(realised)
        as_ofs.append(np.full(len(realised), moment))
    joined = (np.concatenate(matrices), np.concatenate(values), np.concatenate(as_ofs))
    return TrainingRows(*joined, rows.share, rows.windows, rows.names)


def show(
    name: str, test: str, histories_by_days: Mapping[int, RecentDays], predicted: Mapping[int, Floats], realised: Floats
) -> None:
    """Print one line for each length of history."""
    whole = np.full(len(realised), np.nan)
    whole[histories_by_days[0].is_known] = predicted[0]
    curve = ScoreCurve.of(predicted[0])
    for days, money in predicted.items():
        is_known = histories_by_days[days].is_known
        full = whole[is_known]
        moved = np.floor(np.minimum(curve.score(money), 4.999)) != np.floor(np.minimum(curve.score(full), 4.999))
        gini, gini_full = (normalised_gini(one, realised[is_known]) for one in (money, full))
        print(
            f"{test} | {name} | {days or 'all'} days | {is_known.sum()} scored | {moved.mean():.1%} other segment | "
            f"value {money.sum() / full.sum() - 1:+.1%} | Gini {gini:.4f} ({gini_full:.4f} with all)",
            flush=True,
        )


if __name__ == "__main__":
    main()
