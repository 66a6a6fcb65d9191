"""What can be reached at all, by models that know what nobody knows: python -m benchmarks.value.oracle --data FOLDER.

Each of these is the model with the preset `standard`, on the windows of the yardstick, and is given something of the
time after the as-of, both where it learns and where it predicts. How far it comes with that says what the model without
it lacks, and which part of the value no history tells.

- `the window's own relation`: it learns from four fifths of the customers of the window itself too, and these count as
  much as all that is known before; it predicts for the others. So it knows what that quarter does to customers like
  these, and nothing of these. It is what the columns can give at the most, as far as these learners find it.
- `the first N days`: it knows what a customer is worth in these days of the window.
- `balances`: it knows what a customer's balances bring over the whole window, and nothing of the payments.
- `every level`: no model, but a bound. A customer's true level is taken to be the mean of the three months of the
  window; what months do about it is drawn anew. Nobody who knows every level exactly ranks the draws better than this.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks.yardstick.data_sets import DATA_SETS
from benchmarks.yardstick.protocol import WINDOWS, Window, realised_of, windows
from fivefold.domain.clock import DAY_US
from fivefold.features.histories import Floats
from fivefold.features.indicator_matrix import warm
from fivefold.models.prediction import expected_value
from fivefold.training.config import TrainingConfig
from fivefold.training.data import TransactionSource
from fivefold.training.fit import find_rounds, regressor, validation_fold
from fivefold.training.judging.metrics import rank_metrics
from fivefold.training.target import floor_at_zero, realised_values

BALANCES, LEVEL = "balances", "every level"
FOLDS = 5
MONTHS = 3
DRAWS = 200
MONTH_DAYS = 30


@dataclass(frozen=True)
class Foreknown:
    """A window, and the transactions of the time after it.

    Attributes:
        window: as of which customers are predicted for.
        whole: every transaction.
    """

    window: Window
    whole: TransactionSource

    @cached_property
    def rounds(self) -> int:
        """The number of rounds that is found for the catalogue alone."""
        task = self.window.task
        return find_rounds(validation_fold(task.rows, task.dates), task.config.trees, task.config.seed)

    @cached_property
    def is_row(self) -> np.ndarray:
        """Marks, of n customers x k training dates, the rows that there are."""
        task = self.window.task
        marks: np.ndarray = task.summary.first_rows[:, None] <= task.dates.training - task.dates.lag_us
        return marks

    def values(self, config: TrainingConfig) -> tuple[Floats, Floats]:
        """Give values by other settings: of the rows to learn from, and of the customers who are asked about."""
        task = self.window.task
        parts = task.source.batches("values")
        learnt = np.concatenate(
            [realised_values(part, task.dates.training, config.horizon_days, config.value) for part in parts]
        )
        realised, _ = realised_of(self.whole, config, task.dates.test, task.customers)
        return floor_at_zero(learnt[self.is_row]), realised

    def fitted(self, matrix: Floats, values: Floats, matrix_then: Floats, weights: Floats | None = None) -> Floats:
        """Learn by the settings of the task, and predict."""
        trees, seed = self.window.task.config.trees, self.window.task.config.seed
        names = tuple(f"column_{number}" for number in range(matrix.shape[1]))
        model = regressor(trees, names, seed, self.rounds).fit(matrix, values, weights)
        return expected_value(model.booster_, matrix_then)


def _as_it_is(of: Foreknown) -> Floats:
    task = of.window.task
    return of.fitted(task.rows.matrix, floor_at_zero(task.rows.values), task.matrix)


def _foreknown_values(of: Foreknown, config: TrainingConfig) -> Floats:
    """Add the values by other settings, at the rows to learn from and of the customers who are asked about."""
    task = of.window.task
    learnt, realised = of.values(config)
    return of.fitted(
        np.column_stack([task.rows.matrix, learnt]),
        floor_at_zero(task.rows.values),
        np.column_stack([task.matrix, realised]),
    )


def _first_days(days: int) -> Callable[[Foreknown], Floats]:
    return lambda of: _foreknown_values(of, of.window.task.config.model_copy(update={"horizon_days": days}))


def _balances(of: Foreknown) -> Floats:
    value = of.window.task.config.value.model_copy(update={"deposit_fee": 0.0, "withdrawal_fee": 0.0})
    return _foreknown_values(of, of.window.task.config.model_copy(update={"value": value}))


def _own_relation(of: Foreknown) -> Floats:
    task, realised = of.window.task, of.window.realised
    fold = np.random.default_rng(task.config.seed).permutation(len(realised)) % FOLDS
    predicted = np.empty(len(realised))
    for number in range(FOLDS):
        there = fold == number
        matrix = np.concatenate([task.rows.matrix, task.matrix[~there]])
        values = np.concatenate([floor_at_zero(task.rows.values), realised[~there]])
        weights = np.ones(len(values))
        weights[len(task.rows.values) :] = len(task.rows.values) / (~there).sum()
        predicted[there] = of.fitted(matrix, values, task.matrix[there], weights)
    return predicted


ORACLES: Mapping[str, Callable[[Foreknown], Floats]] = {
    "the model": _as_it_is,
    "the window's own relation": _own_relation,
    "the first 10 days": _first_days(10),
    "the first 30 days": _first_days(30),
    BALANCES: _balances,
}


def months(of: Foreknown) -> Floats:
    """Give what each of the n customers is worth in each month of the window."""
    task = of.window.task
    config = task.config.model_copy(update={"horizon_days": MONTH_DAYS})
    starts = [task.dates.test + number * MONTH_DAYS * DAY_US for number in range(MONTHS)]
    return np.column_stack([realised_of(of.whole, config, start, task.customers)[0] for start in starts])


def level_figures(monthly: Floats, seed: int, draws: int = DRAWS) -> dict[str, float]:
    """Rank drawn windows by the true level: the mean Gini and capture over the draws.

    A window is drawn by adding to a customer's level as many of its own monthly distances from it as there are months.
    They are distances from a mean of these very months, so they are widened to what months have about a true one.
    """
    random = np.random.default_rng(seed)
    count = monthly.shape[1]
    level = monthly.mean(axis=1)
    distances = (monthly - level[:, None]) * np.sqrt(count / (count - 1))
    figures_by_draw = []
    for _ in range(draws):
        places = random.integers(count, size=monthly.shape)
        drawn = np.take_along_axis(distances, places, axis=1).sum(axis=1)
        figures = rank_metrics(level, floor_at_zero(level * count + drawn))
        figures_by_draw.append((figures.normalised_gini, figures.top_decile_capture))
    gini, capture = np.mean(figures_by_draw, axis=0)
    return {"gini": float(gini), "capture": float(capture)}


def lines(of: Foreknown, name: str) -> Iterator[dict[str, object]]:
    """Give the figures of every oracle in a window."""
    labels: dict[str, object] = {"set": name, "window": of.window.day}
    for oracle, predict in ORACLES.items():
        if oracle == BALANCES and not of.window.task.config.value.yearly_margin:
            continue
        figures = rank_metrics(predict(of), of.window.realised)
        yield labels | {"oracle": oracle, "gini": figures.normalised_gini, "capture": figures.top_decile_capture}
    yield labels | {"oracle": LEVEL} | level_figures(months(of), of.window.task.config.seed)


def table(figures: pl.DataFrame) -> Iterator[str]:
    """Write a line of Markdown for each oracle: Gini / capture by window, and their means."""
    days = figures["window"].unique(maintain_order=True).to_list()
    yield f"| what is known beside the history | {' | '.join(days)} | mean |"
    yield "|---" * (len(days) + 2) + "|"
    for (oracle,), of in figures.group_by("oracle", maintain_order=True):
        cells = [f"{line['gini']:.3f} / {line['capture']:.3f}" for line in of.iter_rows(named=True)]
        yield f"| {oracle} | {' | '.join(cells)} | {of['gini'].mean():.3f} / {of['capture'].mean():.3f} |"


def main() -> None:
    """Ask every oracle about every window, and print the table of the results page; a CSV file has every figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--sets", nargs="+", choices=DATA_SETS, default=["berka"])
    parser.add_argument("--output", type=Path, required=True, help="CSV file of every figure")
    options = parser.parse_args()
    warm()
    figures: list[dict[str, object]] = []
    for name in options.sets:
        rows: pa.Table = DATA_SETS[name].table(options.data)
        config = DATA_SETS[name].config()
        whole = TransactionSource(rows, config.rate_table())
        for window in windows(rows, config, WINDOWS):
            figures += lines(Foreknown(window, whole), name)
            pl.DataFrame(figures).write_csv(options.output)
            print(name, window.day, flush=True)
    for _, of in pl.DataFrame(figures).group_by("set", maintain_order=True):
        print("", *table(of), sep="\n")


if __name__ == "__main__":
    main()
