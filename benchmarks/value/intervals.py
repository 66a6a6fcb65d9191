"""What intervals hold out of time, and how the error goes with consistency, over rolling windows.

    python -m benchmarks.value.intervals berka/transactions.parquet training/configs/berka.yaml

Each window is judged by a model with the settings of the configuration that learnt nothing of it, and by intervals that
were measured on windows before it: of all, of each segment, of tenths by prediction, and of fifths by consistency. The
last table is of all windows together.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.value.interval_forms import winkler
from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import NotEnoughDataError
from fivefold.domain.segments import SEGMENTS, segments_of
from fivefold.domain.text import percent
from fivefold.features.indicator_matrix import warm
from fivefold.models.certainty.intervals import covered
from fivefold.models.curve import ScoreCurve
from fivefold.training.config import TrainingConfig, read_config
from fivefold.training.data import SourceSummary, TransactionSource, training_rows
from fivefold.training.dates import choose_dates
from fivefold.training.fit import find_rounds, fit, measure_intervals, validation_fold
from fivefold.training.judging.coverage import FIFTHS, consistency_fifths, tenths
from fivefold.training.judging.metrics import DECILES
from fivefold.training.judging.predictions import predict_test_window

WINDOWS = 4


def main() -> None:
    """Judge the windows of one data set, and print the tables of the results page."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("config", type=Path)
    arguments.add_argument("--windows", type=int, default=WINDOWS)
    options = arguments.parse_args()
    warm()
    config = read_config(options.config)
    portfolio = TransactionSource(options.data, config.rate_table())
    summary = portfolio.summary()
    last = choose_dates(config, summary.period).test
    judged: dict[str, pl.DataFrame] = {}
    for number in reversed(range(options.windows)):
        test = last - number * config.horizon_days * DAY_US
        judged[day_text(test)] = _window(portfolio, summary, config.model_copy(update={"test_as_of": test}))
    for line in (*_by_segment(judged), *_by("tenth", DECILES, judged), *_by("fifth", FIFTHS, judged)):
        print(line)
    for line in _fifths(pl.concat(judged.values())):
        print(line)


def _window(portfolio: TransactionSource, summary: SourceSummary, config: TrainingConfig) -> pl.DataFrame:
    """Give the customers of a window: what was predicted, its interval, what came, and the groups they are in."""
    dates = choose_dates(config, summary.period)
    rows = training_rows(portfolio, dates, config, summary)
    rounds = find_rounds(validation_fold(rows, dates), config.trees, config.seed)
    table = measure_intervals(rows, dates, config.trees, config.seed, rounds, config.interval)
    if table is None:
        raise NotEnoughDataError(f"there is no window before {day_text(dates.test)} to measure intervals on")
    booster = fit(rows, config.trees, config.seed, rounds).booster_
    window = predict_test_window(portfolio, dates, config, booster, None, summary.absent)
    predicted, realised, consistency = window.predicted, window.realised, window.consistency
    ends = table.ends(predicted, consistency)
    return pl.DataFrame(
        {
            "segment": segments_of(ScoreCurve.of(predicted).score(predicted), config.cut_points),
            "tenth": _numbers(tenths(predicted), len(predicted)),
            "fifth": _numbers(consistency_fifths(consistency), len(predicted)),
            "consistency": consistency,
            "predicted": predicted,
            "realised": realised,
            "covered": covered(ends, realised),
            "expected": table.held_shares(predicted, consistency),
            "width": ends.high - ends.low,
            "score": winkler(ends, realised),
        }
    )


def _numbers(groups: Iterator[tuple[int, np.ndarray]], customers: int) -> np.ndarray:
    """Give the number of each customer's group; 0 for those who are in none."""
    numbers = np.zeros(customers, dtype=np.int64)
    for number, marks in groups:
        numbers[marks] = number
    return numbers


def _by_segment(judged: dict[str, pl.DataFrame]) -> Iterator[str]:
    yield f"| window from | all | {' | '.join(SEGMENTS)} | mean width | interval score ÷ mean value |"
    yield "|---" * (len(SEGMENTS) + 4) + "|"
    for day, customers in judged.items():
        cells = [
            _coverage_cell(customers),
            *(_coverage_cell(customers.filter(segment=segment)) for segment in SEGMENTS),
        ]
        score = customers["score"].mean() / customers["realised"].mean()
        yield f"| {day} | {' | '.join(cells)} | {customers['width'].mean():,.0f} | {score:.2f} |"


def _by(group: str, groups: int, judged: dict[str, pl.DataFrame]) -> Iterator[str]:
    numbers: Sequence[int] = range(1, groups + 1)
    yield f"\n| window from | {' | '.join(f'{group} {number}' for number in numbers)} |"
    yield "|---" * (groups + 1) + "|"
    for day, customers in judged.items():
        cells = [_coverage_cell(customers.filter(pl.col(group) == number)) for number in numbers]
        yield f"| {day} | {' | '.join(cells)} |"


def _coverage_cell(customers: pl.DataFrame) -> str:
    """Write what share of the values was held, and of what was to be expected."""
    held_share, expected = (percent(float(customers[name].mean())) for name in ("covered", "expected"))
    return f"{held_share} of {expected}"


def _fifths(customers: pl.DataFrame) -> Iterator[str]:
    """Write the error of those whose consistency is known, by fifths, and of all others; as shares of what came."""
    consistent = customers.filter(pl.col("consistency").is_not_nan()).sort("consistency", maintain_order=True)
    yield "\n| fifth by consistency | customers | error | width | in the interval |"
    yield "|---|---|---|---|---|"
    for number, members in enumerate(np.array_split(np.arange(len(consistent)), FIFTHS), start=1):
        of = consistent[members]
        low, high = of["consistency"].min(), of["consistency"].max()
        yield f"| {number}: {low:.2f} to {high:.2f} {_errors(of)}"
    yield f"| unknown {_errors(customers.filter(pl.col('consistency').is_nan()))}"


def _errors(of: pl.DataFrame) -> str:
    error = float((of["predicted"] - of["realised"]).abs().sum()) / float(of["realised"].sum())
    width = float(of["width"].sum()) / float(of["predicted"].sum())
    return f"| {len(of):,} | {error:.2f} | {width:.2f} | {_coverage_cell(of)} |"


if __name__ == "__main__":
    main()
