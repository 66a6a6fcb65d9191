"""Whether an earlier window corrects the money of a value model: python -m benchmarks.value.money --data FOLDER.

Predictions for each window are taken times a factor that was measured on an earlier window, by trees which learnt
nothing of that window: on the one before it, one factor for all, one for each tenth by prediction, or an isotonic
curve; on that of the same season, a year before, one factor for all.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.isotonic import IsotonicRegression

from benchmarks.yardstick.data_sets import DATA_SETS
from benchmarks.yardstick.protocol import WINDOWS, Window, windows
from fivefold.features.histories import Floats
from fivefold.features.indicator_matrix import warm
from fivefold.models.prediction import expected_value
from fivefold.training.config import TrainingConfig
from fivefold.training.data import TrainingRows, training_rows
from fivefold.training.dates import Dates, dates_before
from fivefold.training.fit import find_rounds, fit, regressor, validation_fold
from fivefold.training.judging.metrics import calibration_error, calibration_table, rank_metrics
from fivefold.training.presets.named import PRESETS, Preset

TENTHS = 10
A_YEAR = 4
"""Windows of 90 days from one to that of the same season a year later, but for five days."""
AS_IT_IS, SEASON = "as it is", "one factor, a year before"

Correction = Callable[[Floats, Floats, Floats], Floats]
"""Takes the predictions and values of the earlier window and the predictions to correct; gives these corrected."""


def _total(predicted: Floats, realised: Floats, prediction: Floats) -> Floats:
    corrected: Floats = prediction * (realised.sum() / predicted.sum())
    return corrected


def _tenths(predicted: Floats, realised: Floats, prediction: Floats) -> Floats:
    edges = np.quantile(predicted, np.arange(1, TENTHS) / TENTHS)
    before, now = np.searchsorted(edges, predicted, side="right"), np.searchsorted(edges, prediction, side="right")
    worth, money = (np.bincount(before, weights=one, minlength=TENTHS) for one in (realised, predicted))
    factors = np.divide(worth, money, out=np.ones(TENTHS), where=money > 0)
    corrected: Floats = prediction * factors[now]
    return corrected


def _isotonic(predicted: Floats, realised: Floats, prediction: Floats) -> Floats:
    curve = IsotonicRegression(y_min=0, out_of_bounds="clip").fit(predicted, realised)
    corrected: Floats = curve.predict(prediction)
    return corrected


CORRECTIONS: Mapping[str, Correction] = {
    AS_IT_IS: lambda _, __, prediction: prediction,
    "one factor": _total,
    "tenths": _tenths,
    "isotonic": _isotonic,
    SEASON: _total,
}


def earlier_window(
    rows: TrainingRows, dates: Dates, config: TrainingConfig, rounds: int, number: int
) -> tuple[Floats, Floats] | None:
    """Give predictions and values of a window so many before the test window; None where nothing can be learnt."""
    there = dates.training[dates.training <= dates.test - number * dates.horizon_us]
    fold = validation_fold(rows, replace(dates, training=there)) if len(there) else None
    if fold is None:
        return None
    earlier = regressor(config.trees, fold.names, config.seed, rounds).fit(fold.matrix, fold.values)
    return expected_value(earlier.booster_, fold.validation_matrix), fold.validation_values


def lines(name: str, window: Window, preset: Preset) -> Iterator[dict[str, object]]:
    """Give a line for every correction; for the predictions as they are alone where there is no earlier window."""
    task = window.task
    config = preset.over(task.config)
    dates = dates_before(config, task.summary.period.first, task.dates.test)
    rows = training_rows(task.source, dates, config, task.summary)
    rounds = find_rounds(validation_fold(rows, dates), config.trees, config.seed)
    prediction = expected_value(fit(rows, config.trees, config.seed, rounds).booster_, task.matrix)
    before, season = (earlier_window(rows, dates, config, rounds, number) for number in (1, A_YEAR))
    for correction, correct in CORRECTIONS.items():
        measured_on = season if correction == SEASON else before
        if measured_on is None and correction != AS_IT_IS:
            continue
        money = prediction if measured_on is None else correct(*measured_on, prediction)
        figures = rank_metrics(money, window.realised)
        yield {
            "set": name,
            "window": window.day,
            "preset": preset.name,
            "correction": correction,
            "predicted_over_realised": float(money.sum() / window.realised.sum()),
            "calibration_error": calibration_error(calibration_table(money, window.realised)),
            "gini": figures.normalised_gini,
            "capture": figures.top_decile_capture,
        }


def main() -> None:
    """Correction every window in every way, and print the figures; a CSV file has them too."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--sets", nargs="+", choices=DATA_SETS, default=["berka", "cdnow"])
    parser.add_argument("--presets", nargs="+", default=["standard", "small-trees"])
    parser.add_argument("--output", type=Path, required=True, help="CSV file of every figure")
    options = parser.parse_args()
    warm()
    figures: list[dict[str, object]] = []
    for name in options.sets:
        data_set = DATA_SETS[name]
        for window in windows(data_set.table(options.data), data_set.config(), WINDOWS):
            for preset in PRESETS:
                if preset.name in options.presets:
                    figures += lines(name, window, preset)
            pl.DataFrame(figures).write_csv(options.output)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, float_precision=3):
        print(pl.DataFrame(figures))


if __name__ == "__main__":
    main()
