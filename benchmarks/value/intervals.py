"""What intervals hold out of time, and how the error goes with consistency, over rolling windows.

    python -m benchmarks.value.intervals berka/transactions.parquet training/configs/berka.yaml

Each window is judged by a model with the settings of the configuration that learnt nothing of it, and by intervals that
were measured on windows before it. The last table is of all windows together: fifths of the customers by consistency.
"""

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import NotEnoughDataError
from fivefold.domain.segments import SEGMENTS, segments_of
from fivefold.domain.text import percent
from fivefold.features.consistency import consistency
from fivefold.features.indicator_matrix import catalogue, warm
from fivefold.models.certainty.intervals import IntervalTable, covered
from fivefold.models.curve import ScoreCurve
from fivefold.training.config import TrainingConfig, read_config
from fivefold.training.data import SourceSummary, TransactionSource, training_rows
from fivefold.training.dates import choose_dates
from fivefold.training.fit import find_rounds, fit, measure_intervals, validation_fold
from fivefold.training.judging.predictions import predict_test_window

WINDOWS = 4
FIFTHS = 5


def main() -> None:
    """Judge the windows of one data set, and print the tables of the results page."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("config", type=Path)
    arguments.add_argument("--windows", type=int, default=WINDOWS)
    asked = arguments.parse_args()
    warm()
    config = read_config(asked.config)
    portfolio = TransactionSource(asked.data, config.rate_table())
    summary = portfolio.summary()
    last = choose_dates(config, summary.period).test
    customers = []
    for number in reversed(range(asked.windows)):
        test = last - number * config.horizon_days * DAY_US
        judged = _window(portfolio, summary, config.model_copy(update={"test_as_of": test}))
        customers.append(judged)
        print(_line(day_text(test), judged), flush=True)
    print()
    for line in _fifths(pl.concat(customers)):
        print(line)


def _window(portfolio: TransactionSource, summary: SourceSummary, config: TrainingConfig) -> pl.DataFrame:
    """Give the customers of a window whose indicators were kept: what was predicted, its interval, and what came."""
    dates = choose_dates(config, summary.period)
    rows = training_rows(portfolio, dates, config, summary)
    rounds = find_rounds(validation_fold(rows, dates), config.trees, config.seed)
    table = measure_intervals(rows, dates, config.trees, config.seed, rounds, config.interval)
    if table is None:
        raise NotEnoughDataError(f"there is no window before {day_text(dates.test)} to measure intervals on")
    booster = fit(rows, config.trees, config.seed, rounds).booster_
    window = predict_test_window(portfolio, dates, config, booster, None, summary.absent)
    return _customers(window.predicted, window.realised, table, config).with_columns(
        consistency=pl.Series(
            _spread(consistency(window.matrix, catalogue(summary.absent).names), window.kept, len(window.predicted))
        )
    )


def _spread(values: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """Put values at their places; infinite elsewhere, where no indicators were kept: neither known nor unknown."""
    every = np.full(count, np.inf)
    every[places] = values
    return every


def _customers(
    predicted: np.ndarray, realised: np.ndarray, table: IntervalTable, config: TrainingConfig
) -> pl.DataFrame:
    ends = table.ends(predicted)
    score = ScoreCurve.of(predicted).score(predicted)
    return pl.DataFrame(
        {
            "segment": segments_of(score, config.cut_points),
            "predicted": predicted,
            "realised": realised,
            "covered": covered(ends, realised),
            "width": ends.high - ends.low,
        }
    )


def _line(day: str, customers: pl.DataFrame) -> str:
    cells = [_share(customers)]
    for segment in SEGMENTS:
        of = customers.filter(pl.col("segment") == segment)
        cells.append(f"{_share(of)} ({percent((of['realised'] == 0).mean(), 0)})")
    return f"| {day} | {' | '.join(cells)} | {customers['width'].mean():,.0f} |"


def _share(customers: pl.DataFrame) -> str:
    return percent(float(customers["covered"].mean()))


def _fifths(customers: pl.DataFrame) -> list[str]:
    """Write the error of those whose consistency is known, by fifths, and of all others; as shares of what came."""
    known = customers.filter(pl.col("consistency").is_finite())
    order = np.argsort(known["consistency"].to_numpy(), kind="stable")
    lines = []
    for number, members in enumerate(np.array_split(order, FIFTHS), start=1):
        of = known[members]
        low, high = of["consistency"].min(), of["consistency"].max()
        lines.append(f"| {number}: {low:.2f} to {high:.2f} {_errors(of)}")
    return [*lines, f"| unknown {_errors(customers.filter(pl.col('consistency').is_nan()))}"]


def _errors(of: pl.DataFrame) -> str:
    error = float((of["predicted"] - of["realised"]).abs().sum()) / float(of["realised"].sum())
    width = float(of["width"].sum()) / float(of["predicted"].sum())
    return f"| {len(of):,} | {error:.2f} | {width:.2f} | {_share(of)} |"


if __name__ == "__main__":
    main()
