"""What more information gives a value model: each group of candidates against the catalogue alone, on the same rows.

    python -m benchmarks.value.information --data ../shared/data --output information.csv

Every group is learnt from and judged on four windows of each data set, with two seeds. All have the preset `standard`
and the number of rounds that was found for the catalogue alone, so a difference is of the columns and of chance.
Predictions are kept by window, group and seed (`--kept`), so that a run which was stopped goes on where it was.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.value.presets import data_of
from benchmarks.yardstick.figures import CAPTURE, ERROR, GINI, RATIO, SPEARMAN, Drawn, figures_of, interval, mean
from benchmarks.yardstick.methods import PERSISTENCE, persistence
from benchmarks.yardstick.page import MEAN
from benchmarks.yardstick.protocol import Prediction, Window, windows
from fivefold.domain.clock import DAY_US
from fivefold.features.catalogue.own import OwnIndicators, read_own_indicators
from fivefold.features.histories import Floats, Integers
from fivefold.features.indicator_matrix import catalogue, indicator_matrix, select_columns, warm
from fivefold.models.prediction import expected_value
from fivefold.training.config import TreeSettings
from fivefold.training.data import TransactionSource, training_rows
from fivefold.training.fit import find_rounds, regressor, validation_fold
from fivefold.training.judging.bootstrap import draws
from fivefold.training.target import floor_at_zero, realised_values

CANDIDATES = Path(__file__).parent / "candidates.py"
NOTHING, ALL = "nothing", "all"
COLUMNS = ("regularity", "season", "calendar", "cohort", "basket", "runs")
"""Groups of candidates, by the first word of a column's name."""
RANKS, HORIZONS, WORTH = "cohort ranks", "horizons", "past value"
GROUPS = (NOTHING, *COLUMNS, RANKS, HORIZONS, WORTH, ALL)
SEEDS, RESAMPLES = 2, 400
SHORTER_DAYS = (30, 60)
WORTH_DAYS = (30, 90, 365)
FOLDS = 2
MONTH_DAYS = 30
FIGURES = (GINI, CAPTURE, SPEARMAN, RATIO, ERROR)
LEAST_GAIN = {GINI: 0.002, CAPTURE: 0.004}
"""By so much seeds alone move a figure."""
LEAST_WINDOWS = LEAST_SETS = 2


@dataclass(frozen=True)
class Trial:
    """What a window is tried with: the rows of the catalogue and of every candidate.

    Attributes:
        window: as of which customers are predicted for.
        own: the candidates.
    """

    window: Window
    own: OwnIndicators

    @cached_property
    def source(self) -> TransactionSource:
        """The transactions up to the as-of, read with the candidates."""
        task = self.window.task
        return TransactionSource(task.source.source, task.config.rate_table(), own=self.own)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, those of the catalogue first."""
        return catalogue(self.window.task.summary.absent, self.own).names

    @cached_property
    def shipped(self) -> int:
        """The number of the catalogue's columns."""
        return len(self.window.task.names)

    @cached_property
    def rows(self) -> tuple[Floats, Floats, Integers]:
        """The m rows to learn from: columns, values of 0 or more, and dates (microseconds)."""
        task = self.window.task
        rows = training_rows(self.source, task.dates, task.config, task.summary)
        if rows.share < 1:
            raise ValueError("the rows are a sample, so the place of a row does not say whose it is")
        return rows.matrix, floor_at_zero(rows.values), rows.as_of

    @cached_property
    def test_matrix(self) -> Floats:
        """The columns of the n customers who are asked about."""
        test, absent = self.window.task.dates.test, self.window.task.summary.absent
        pieces = self.source.pieces("indicators", 1, len(self.names))
        return np.concatenate(
            [select_columns(indicator_matrix(piece, test, self.own)[0], absent, self.own) for piece in pieces]
        )

    @cached_property
    def is_row(self) -> np.ndarray:
        """Marks, of n customers x k training dates, the rows that there are."""
        task = self.window.task
        marks: np.ndarray = task.summary.first_rows[:, None] <= task.dates.training - task.dates.lag_us
        return marks

    def values(self, starts: Integers, days: int) -> Floats:
        """Give the n x k values over some days from each start (microseconds), of 0 or more."""
        parts = self.source.batches("values")
        value = self.window.task.config.value
        return floor_at_zero(np.concatenate([realised_values(part, starts, days, value) for part in parts]))

    @cached_property
    def rounds(self) -> int:
        """The number of rounds that is found for the catalogue alone."""
        task = self.window.task
        return find_rounds(validation_fold(task.rows, task.dates), task.config.trees, task.config.seed)

    def fitted(self, matrix: Floats, values: Floats, matrix_then: Floats, seed: int) -> Floats:
        """Learn by the settings of the task, and predict."""
        trees: TreeSettings = self.window.task.config.trees
        names = tuple(f"column_{number}" for number in range(matrix.shape[1]))
        return expected_value(regressor(trees, names, seed, self.rounds).fit(matrix, values).booster_, matrix_then)


def _columns(trial: Trial, groups: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Take the candidates of some groups, or by their names."""
    added = trial.names[trial.shipped :]
    chosen = [number for number, name in enumerate(added) if name in groups or name.split("_")[0] in groups]
    places = np.array(chosen, dtype=np.int64) + trial.shipped
    return trial.rows[0][:, places], trial.test_matrix[:, places]


def _ranks(trial: Trial) -> tuple[Floats, Floats]:
    """Rank customers within those who came in the same 30 days, by what they deposited and how lately."""
    matrix, _, moments = trial.rows
    tests = np.full(len(trial.test_matrix), trial.window.task.dates.test)
    return _ranked(trial.names, matrix, moments), _ranked(trial.names, trial.test_matrix, tests)


def _ranked(names: tuple[str, ...], matrix: Floats, moments: Integers) -> Floats:
    came = moments / DAY_US - matrix[:, names.index("first_event_age")]
    wanted = ("deposit_sum_all", "deposit_sum_90d", "deposit_count_all", "event_recency")
    table = pl.DataFrame({name: matrix[:, names.index(name)] for name in wanted}).with_columns(
        moment=moments, cohort=(came // MONTH_DAYS).astype(np.int64)
    )
    shares = table.select(pl.col(wanted).rank().truediv(pl.len()).over("moment", "cohort"))
    return shares.to_numpy().astype(np.float64)


def _horizons(trial: Trial) -> tuple[Floats, Floats]:
    """Predict the value over shorter horizons, for each half of the customers by trees that learnt from the others."""
    matrix, matrix_then = trial.rows[0][:, : trial.shipped], trial.test_matrix[:, : trial.shipped]
    task = trial.window.task
    fold = np.nonzero(trial.is_row)[0] % FOLDS
    learnt, predicted = np.empty((len(matrix), len(SHORTER_DAYS))), np.zeros((len(matrix_then), len(SHORTER_DAYS)))
    for place, days in enumerate(SHORTER_DAYS):
        values = trial.values(task.dates.training, days)[trial.is_row]
        for number in range(FOLDS):
            there = fold == number
            both = np.concatenate([matrix[there], matrix_then])
            values_predicted = trial.fitted(matrix[~there], values[~there], both, task.config.seed)
            learnt[there, place] = values_predicted[: there.sum()]
            predicted[:, place] += values_predicted[there.sum() :] / FOLDS
    return learnt, predicted


def _worth(trial: Trial) -> tuple[Floats, Floats]:
    """Take the value itself over the days before: what persistence goes by."""
    dates = trial.window.task.dates
    test = np.array([dates.test], dtype=np.int64)
    both = [
        (
            trial.values(dates.training - days * DAY_US, days)[trial.is_row],
            trial.values(test - days * DAY_US, days)[:, 0],
        )
        for days in WORTH_DAYS
    ]
    return np.column_stack([one for one, _ in both]), np.column_stack([other for _, other in both])


MORE: Mapping[str, Callable[[Trial], tuple[Floats, Floats]]] = {
    NOTHING: lambda trial: (trial.rows[0][:, :0], trial.test_matrix[:, :0]),
    **{name: partial(_columns, groups=(name,)) for name in COLUMNS},
    RANKS: _ranks,
    HORIZONS: _horizons,
    WORTH: _worth,
    ALL: partial(_columns, groups=COLUMNS),
}
"""By group, the columns that it adds: of the rows to learn from, and of the customers who are asked about."""


def predictions(trial: Trial, groups: tuple[str, ...], seeds: int, folder: Path) -> Iterator[tuple[str, int, Floats]]:
    """Give what each group predicts with each seed; what the folder has is not learnt anew."""
    folder.mkdir(parents=True, exist_ok=True)
    for group in groups:
        paths = [folder / f"{group.replace(' ', '-')}-{number}.npy" for number in range(seeds)]
        added = None
        for number, path in enumerate(paths):
            if not path.is_file():
                added = added or MORE.get(group, partial(_columns, groups=(group,)))(trial)
                matrix, values, _ = trial.rows
                learnt = np.concatenate([matrix[:, : trial.shipped], added[0]], axis=1)
                matrix_then = np.concatenate([trial.test_matrix[:, : trial.shipped], added[1]], axis=1)
                np.save(path, trial.fitted(learnt, values, matrix_then, trial.window.task.config.seed + number))
            yield group, number, np.load(path)


def judged(window: Window, values_by_group: Mapping[tuple[str, int], Floats], resamples: int) -> Drawn:
    """Judge each group by the mean of its figures over the seeds, on the customers as they are and on each draw."""
    drawn = draws(len(window.is_known), window.task.config.seed, resamples)
    answers = {f"{group}:{number}": Prediction(values) for (group, number), values in values_by_group.items()}
    by_seed = figures_of(
        answers | {PERSISTENCE: persistence(window.task)}, window.realised, (times[window.is_known] for times in drawn)
    )
    numbers = sorted({number for _, number in values_by_group})
    return {
        (group, figure): np.mean([by_seed[f"{group}:{number}", figure] for number in numbers], axis=0)
        for group in dict.fromkeys(group for group, _ in values_by_group)
        for figure in FIGURES
    } | {(PERSISTENCE, figure): by_seed[PERSISTENCE, figure] for figure in FIGURES}


def lines(drawn: Drawn, **labels: str) -> list[dict[str, object]]:
    """Give every figure, and what it is more than that of the catalogue alone and of persistence, as lines."""
    figure_lines: list[dict[str, object]] = []
    for (group, figure), values in drawn.items():
        against = {"": np.zeros(len(values))}
        if group != PERSISTENCE:
            against[PERSISTENCE] = drawn[PERSISTENCE, figure]
        if group not in {PERSISTENCE, NOTHING}:
            against[NOTHING] = drawn[NOTHING, figure]
        for name, rival in against.items():
            figure_lines.append(labels | {"group": group, "figure": figure, "less": name} | interval(values - rival))
    return figure_lines


def verdicts(figures: pl.DataFrame) -> pl.DataFrame:
    """Count, for each group, set and figure, the windows in which it gains, and in which it loses.

    A gain is a difference from the catalogue alone whose interval is above 0, and that is more than other seeds move.
    """
    least = pl.col("figure").replace_strict(LEAST_GAIN, return_dtype=pl.Float64)
    against = figures.filter((pl.col("less") == NOTHING) & pl.col("figure").is_in(LEAST_GAIN.keys()))
    return (
        against.filter(pl.col("window") != MEAN)
        .group_by("group", "figure", "set", maintain_order=True)
        .agg(
            gains=((pl.col("low") > 0) & (pl.col("estimate") > least)).sum(),
            losses=((pl.col("high") < 0) & (pl.col("estimate") < -least)).sum(),
        )
    )


def stays(counted: pl.DataFrame) -> list[str]:
    """Name the groups that gain, by one figure, in two windows of each of two sets."""
    enough = counted.filter(pl.col("gains") >= LEAST_WINDOWS).group_by("group", "figure", maintain_order=True).len()
    return enough.filter(pl.col("len") >= LEAST_SETS)["group"].unique(maintain_order=True).to_list()


def table(figures: pl.DataFrame) -> Iterator[str]:
    """Write a line of Markdown for each set and group: mean differences, and windows that gain and lose."""
    counted = verdicts(figures)
    means = figures.filter((pl.col("window") == MEAN) & (pl.col("less") == NOTHING))
    yield "| set | group | Gini | gains, losses | capture | gains, losses | Spearman | calibration error |"
    yield "|---|---|---|---|---|---|---|---|"
    for (name, group), differences in means.group_by("set", "group", maintain_order=True):
        cells = [str(name), str(group)]
        for figure in (GINI, CAPTURE, SPEARMAN, ERROR):
            (one,) = differences.filter(pl.col("figure") == figure).iter_rows(named=True)
            cells.append(f"{one['estimate']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f})")
            chosen = (pl.col("set") == name) & (pl.col("group") == group) & (pl.col("figure") == figure)
            cells += [f"{line['gains']}, {line['losses']}" for line in counted.filter(chosen).iter_rows(named=True)]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Try every group on every window, and write every figure to a CSV file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--sets", nargs="+", default=["berka", "cdnow"])
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), help="groups, or candidates by their names")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--kept", type=Path, default=Path("build/information"), help="predictions")
    parser.add_argument("--output", type=Path, required=True, help="CSV file of every figure")
    options = parser.parse_args()
    warm()
    own = read_own_indicators(CANDIDATES)
    if unknown := set(options.groups) - {*GROUPS, *own.catalogue.names}:
        parser.error(f"there is no group or candidate {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    figures: list[dict[str, object]] = []
    groups = tuple(dict.fromkeys((NOTHING, *options.groups)))
    for name in options.sets:
        drawn = []
        for window in windows(*data_of(name, options.data)):
            tried = predictions(Trial(window, own), groups, options.seeds, options.kept / name / window.day)
            by_seed = {}
            for group, number, values in tried:
                by_seed[group, number] = values
                print(name, window.day, group, number, flush=True)
            drawn.append(judged(window, by_seed, RESAMPLES))
            figures += lines(drawn[-1], set=name, window=window.day)
        figures += lines(mean(drawn), set=name, window=MEAN)
        pl.DataFrame(figures).write_csv(options.output)
    whole = pl.DataFrame(figures)
    for line in table(whole):
        print(line)
    named = ", ".join(stays(verdicts(whole))) or "nothing"
    print(f"What gains on {LEAST_SETS} sets in {LEAST_WINDOWS} windows each: {named}.")


if __name__ == "__main__":
    main()
