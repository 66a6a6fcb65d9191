"""Forms of the interval on windows before the published ones: python -m benchmarks.value.interval_forms DATA CONFIG.

    python -m benchmarks.value.interval_forms berka/transactions.parquet training/configs/berka.yaml --before 4

As of each moment, one horizon after the other, a model with the settings of the configuration learns what is over by
then, and predicts. The intervals of a moment are measured on such predictions as of earlier ones. With `--before 4`
the four published windows play no part; with `--before 0` they are the only ones, for a form that was chosen.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import NotEnoughDataError
from fivefold.domain.segments import segments_of
from fivefold.features.histories import Floats
from fivefold.features.indicator_matrix import warm
from fivefold.models.certainty.intervals import DEFAULT_LEVEL_PERCENT, Ends, IntervalTable, covered
from fivefold.models.curve import ScoreCurve
from fivefold.training.config import TrainingConfig, read_config
from fivefold.training.data import SourceSummary, TransactionSource, training_rows
from fivefold.training.dates import choose_dates
from fivefold.training.fit import find_rounds, fit, validation_fold
from fivefold.training.judging.coverage import consistency_fifths
from fivefold.training.judging.predictions import predict_test_window

WINDOWS = 4
MEASURED_ON = 4
"""The windows before each, at the most, that intervals are measured on."""
AIM = (0.77, 0.83)


@dataclass(frozen=True)
class Predicted:
    """What was predicted of n customers as of a moment, what came, and how consistent they were."""

    predicted: Floats
    realised: Floats
    consistency: Floats


Form = Callable[[Sequence[Predicted], Predicted], tuple[Ends, Floats]]
"""Gives intervals by earlier windows, the latest first, and what share of those windows they hold."""


def measured(windows: int, bands: int, parts: int) -> Form:
    """Measure on the last *windows* windows, apart for bands of the prediction and parts of each by consistency."""

    def form(earlier: Sequence[Predicted], latest: Predicted) -> tuple[Ends, Floats]:
        table = _table(earlier[:windows], bands, parts)
        columns = latest.predicted, latest.consistency
        return table.ends(*columns), table.held_shares(*columns)

    return form


def followed(windows: int, bands: int, parts: int) -> Form:
    """The same at another level, moved by half of what the window before was off: adaptive conformal prediction.

    Source: Gibbs and Candès, "Adaptive Conformal Inference Under Distribution Shift" (2021).
    """

    def form(earlier: Sequence[Predicted], latest: Predicted) -> tuple[Ends, Floats]:
        last, before = earlier[0], earlier[1:]
        level = DEFAULT_LEVEL_PERCENT
        if before:
            ends, expected = measured(windows, bands, parts)(before, last)
            short = float(expected.mean() - covered(ends, last.realised).mean())
            level = int(np.clip(round(level + 100 * short / 2), 1, 99))
        table = _table(earlier[:windows], bands, parts)
        columns = latest.predicted, latest.consistency
        return table.ends(*columns, level), table.held_shares(*columns)

    return form


FORMS: Mapping[str, Form] = {
    "tenths, 2 windows": measured(2, 10, 1),
    "tenths, 4 windows": measured(4, 10, 1),
    "tenths × thirds, 4 windows": measured(4, 10, 3),
    "tenths × fifths, 2 windows": measured(2, 10, 5),
    "tenths × fifths, 4 windows": measured(4, 10, 5),
    "fifths × fifths, 4 windows": measured(4, 5, 5),
    "fifths × tenths, 1 window": measured(1, 5, 10),
    "fifths × tenths, 2 windows": measured(2, 5, 10),
    "fifths × tenths, 4 windows": measured(4, 5, 10),
    "tenths × fifths, 4 windows, level followed": followed(4, 10, 5),
}
"""By name: bands of the prediction × parts by consistency, and the windows that distances are measured on."""


def _table(earlier: Sequence[Predicted], bands: int, parts: int) -> IntervalTable:
    columns = (np.concatenate([getattr(one, name) for one in earlier]) for name in vars(earlier[0]))
    table = IntervalTable.of(*columns, as_ofs=(0,), bands=bands, parts=parts)
    if table is None:
        raise NotEnoughDataError("every prediction of the earlier windows is 0")
    return table


def winkler(ends: Ends, realised: Floats, level: float = DEFAULT_LEVEL_PERCENT / 100) -> Floats:
    """Give the interval score of n values: the width, and for a value outside 2 ÷ (1 - level) times its distance.

    Source: Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation" (2007), section 6.2. Lower
    is better, and neither narrow intervals that miss nor wide ones that hold all are.

    >>> winkler(Ends(np.array([1.0, 1.0]), np.array([3.0, 3.0])), np.array([2.0, 4.0])).round(6).tolist()
    [2.0, 12.0]
    """
    outside = np.maximum(ends.low - realised, 0.0) + np.maximum(realised - ends.high, 0.0)
    score: Floats = ends.high - ends.low + 2.0 / (1.0 - level) * outside
    return score


def figures(form: Form, earlier: Sequence[Predicted], latest: Predicted, config: TrainingConfig) -> dict[str, float]:
    """Judge a form on a window: what it held less what was to be expected, and width and score in parts of the mean."""
    ends, expected = form(earlier, latest)
    off = covered(ends, latest.realised) - expected + DEFAULT_LEVEL_PERCENT / 100
    segment = segments_of(ScoreCurve.of(latest.predicted).score(latest.predicted), config.cut_points)
    by = {f"segment {name}": off[segment == name].mean() for name in np.unique(segment)}
    by |= {f"fifth {number}": off[marks].mean() for number, marks in consistency_fifths(latest.consistency)}
    worth = latest.realised.mean()
    scores = {"width": (ends.high - ends.low).mean() / worth, "score": winkler(ends, latest.realised).mean() / worth}
    return {name: float(value) for name, value in ({"all": off.mean()} | by | scores).items()}


def predicted_windows(
    portfolio: TransactionSource, summary: SourceSummary, config: TrainingConfig, before: int, wanted: int
) -> Iterator[tuple[int, Predicted]]:
    """Predict as of moments one horizon apart, the latest first, as far back as something can be learnt."""
    last = choose_dates(config, summary.period).test
    for number in range(before, before + wanted + MEASURED_ON):
        test = last - number * config.horizon_days * DAY_US
        window_config = config.model_copy(update={"test_as_of": test})
        try:
            dates = choose_dates(window_config, summary.period)
        except NotEnoughDataError:
            return
        rows = training_rows(portfolio, dates, window_config, summary)
        rounds = find_rounds(validation_fold(rows, dates), window_config.trees, window_config.seed)
        booster = fit(rows, window_config.trees, window_config.seed, rounds).booster_
        window = predict_test_window(portfolio, dates, window_config, booster, None, summary.absent)
        yield test, Predicted(window.predicted, window.realised, window.consistency)


def main() -> None:
    """Judge every form on every window, and print the table of the decision page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("config", type=Path)
    parser.add_argument("--before", type=int, default=WINDOWS, help="so many of the last windows are left out")
    parser.add_argument("--windows", type=int, default=WINDOWS, help="so many before them are judged")
    options = parser.parse_args()
    warm()
    config = read_config(options.config)
    portfolio = TransactionSource(options.data, config.rate_table())
    every = list(predicted_windows(portfolio, portfolio.summary(), config, options.before, options.windows))
    figures_by_form = []
    for number, (test, window) in enumerate(every[: options.windows]):
        earlier = [one for _, one in every[number + 1 : number + 1 + MEASURED_ON]]
        if earlier:
            figures_by_form += [
                {"form": name, "window": day_text(test)} | figures(form, earlier, window, config)
                for name, form in FORMS.items()
            ]
    print(f"Windows: {', '.join(dict.fromkeys(str(line['window']) for line in figures_by_form))}")
    for line in table(pl.DataFrame(figures_by_form)):
        print(line)


def table(figures_by_form: pl.DataFrame) -> Iterator[str]:
    """Write a line of Markdown for each form: means over the windows, and how many groups reached the aim."""
    yield "| form | all | segments in the aim | fifths in the aim | least consistent fifth | width | score |"
    yield "|---|---|---|---|---|---|---|"
    for (name,), of in figures_by_form.group_by("form", maintain_order=True):
        cells = [f"{100 * of['all'].min():.1f} to {100 * of['all'].max():.1f}"]
        for group in ("segment", "fifth"):
            shares = of.select(pl.selectors.starts_with(group)).to_numpy()
            defined = shares[~np.isnan(shares)]
            cells.append(f"{int(((defined >= AIM[0]) & (defined <= AIM[1])).sum())} of {len(defined)}")
        cells += [f"{100 * of['fifth 1'].mean():.1f}", f"{of['width'].mean():.3f}", f"{of['score'].mean():.3f}"]
        yield f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
