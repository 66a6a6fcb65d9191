"""How well value models do over rolling windows, with settings that were chosen on earlier windows only.

    python -m benchmarks.value.windows berka/transactions.parquet training/configs/berka.yaml --output berka.json

With `--amounts-only` nothing is read of a row but its customer, date, amount and currency: there is no balance, so the
value is the fees alone. `--fees-only` reads every column and predicts that same value.

Each window is judged by a model that learnt nothing of it. Which settings it has was decided on the window before,
where every candidate was judged in the same way; the first window for which nothing can be learnt has none before it.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import NotEnoughDataError
from fivefold.features.histories import Floats
from fivefold.features.indicator_matrix import warm
from fivefold.features.schema import ABSENT, BALANCE
from fivefold.training.config import TrainingConfig, TreeSettings, read_config
from fivefold.training.data import SourceSummary, TransactionSource, training_rows
from fivefold.training.dates import choose_dates
from fivefold.training.fit import find_rounds, fit, validation_fold
from fivefold.training.judging.bootstrap import draws, resample
from fivefold.training.judging.evaluate import rfm
from fivefold.training.judging.metrics import calibration_error, calibration_table, rank_metrics
from fivefold.training.judging.predictions import WindowPredictions, predict_test_window
from fivefold.training.plan import adapt_config

WINDOWS = 4
CONFIDENCE = 0.95
MODEL, PERSISTENCE, RFM = "fivefold", "persistence", "RFM"
CANDIDATES: dict[str, dict[str, Any]] = {
    "Tweedie 1.5, 31 leaves": {"objective": "tweedie", "tweedie_power": 1.5, "leaves": 31},
    "Tweedie 1.5, 8 leaves": {"objective": "tweedie", "tweedie_power": 1.5, "leaves": 8},
    "Tweedie 1.2, 31 leaves": {"objective": "tweedie", "tweedie_power": 1.2, "leaves": 31},
    "Tweedie 1.2, 8 leaves": {"objective": "tweedie", "tweedie_power": 1.2, "leaves": 8},
    "squared error, 31 leaves": {"objective": "regression", "leaves": 31},
    "squared error, 8 leaves": {"objective": "regression", "leaves": 8},
}
DEFAULT = "Tweedie 1.5, 31 leaves"
"""What holds where there is no earlier window to choose on: the defaults of the program."""


@dataclass(frozen=True)
class Window:
    """One window and what every candidate said about it.

    Attributes:
        test: its as-of, microseconds.
        is_known: marks the customers of the whole file that were known then.
        judged: by candidate.
    """

    test: int
    is_known: np.ndarray
    judged: Mapping[str, WindowPredictions]

    def gini(self, candidate: str) -> float:
        """Give a candidate's normalised Gini."""
        predictions = self.judged[candidate]
        return rank_metrics(predictions.predicted, predictions.realised).normalised_gini


def main() -> None:
    """Judge the windows of one data set, and write what was found."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", type=Path)
    arguments.add_argument("config", type=Path)
    arguments.add_argument("--amounts-only", action="store_true", help="read customer, date, amount and currency alone")
    arguments.add_argument("--fees-only", action="store_true", help="leave the margin on balances out of the value")
    arguments.add_argument("--windows", type=int, default=WINDOWS)
    arguments.add_argument("--resamples", type=int, default=1_000)
    arguments.add_argument("--output", type=Path, required=True)
    options = arguments.parse_args()
    warm()
    config = read_config(options.config)
    portfolio = TransactionSource(options.data, config.rate_table(), absent=ABSENT if options.amounts_only else None)
    summary = portfolio.summary()
    config = adapt_config(config, (BALANCE,) if options.fees_only else summary.absent)
    windows = read_windows(portfolio, summary, config, options.windows)
    table = summary_table(windows, summary.customers, config.seed, options.resamples, options.windows)
    options.output.write_text(json.dumps(table, indent=1), encoding="utf-8")
    print(markdown(table))


def read_windows(
    portfolio: TransactionSource, summary: SourceSummary, config: TrainingConfig, wanted: int
) -> list[Window]:
    """Judge every candidate on the last *wanted* windows, and on one before them to choose on; the oldest first."""
    last = choose_dates(config, summary.period).test
    tests = [last - number * config.horizon_days * DAY_US for number in range(wanted + 1)]
    windows = []
    for test in tests:
        try:
            judged = {name: _judged(portfolio, summary, config, test, CANDIDATES[name]) for name in CANDIDATES}
        except NotEnoughDataError:
            break
        print(day_text(test), {name: round(_gini(one), 4) for name, one in judged.items()}, flush=True)
        windows.append(Window(test, summary.first_rows <= test, judged))
    return windows[::-1]


def _gini(judged: WindowPredictions) -> float:
    return rank_metrics(judged.predicted, judged.realised).normalised_gini


def _judged(
    portfolio: TransactionSource, summary: SourceSummary, config: TrainingConfig, test: int, changes: Mapping[str, Any]
) -> WindowPredictions:
    trees: TreeSettings = config.trees.model_copy(update=dict(changes))
    changed = config.model_copy(update={"test_as_of": test, "trees": trees})
    dates = choose_dates(changed, summary.period)
    rows = training_rows(portfolio, dates, changed, summary)
    rounds = find_rounds(validation_fold(rows, dates), trees, changed.seed)
    return predict_test_window(
        portfolio, dates, changed, fit(rows, trees, changed.seed, rounds).booster_, None, summary.absent
    )


def summary_table(windows: list[Window], customers: int, seed: int, resamples: int, wanted: int) -> dict[str, Any]:
    """Take the last *wanted* windows, each by the candidate that was best on the window before it."""
    lines, gini = [], {name: [] for name in (MODEL, PERSISTENCE, RFM)}
    for number, window in list(enumerate(windows))[-wanted:]:
        before = windows[number - 1] if number else None
        chosen = max(CANDIDATES, key=before.gini) if before else DEFAULT
        line, drawn = _line(window, window.judged[chosen], customers, seed, resamples)
        lines.append({"test_as_of": day_text(window.test), "settings": chosen, "chosen_on": _on(before)} | line)
        for name, ginis in drawn.items():
            gini[name].append(ginis)
    means = {name: np.mean(ginis, axis=0) for name, ginis in gini.items()}
    estimates = {name: np.array([line[name]["gini"] for line in lines]) for name in gini}
    return {
        "windows": lines,
        "mean": {name: _of(estimates[name].mean(), means[name]) for name in gini},
        "spread": {name: float(estimates[name].std(ddof=1)) for name in gini},
        "difference": {
            name: _of((estimates[MODEL] - estimates[name]).mean(), means[MODEL] - means[name])
            for name in (PERSISTENCE, RFM)
        },
        "candidates": {name: [round(window.gini(name), 4) for window in windows] for name in CANDIDATES},
        "candidate_windows": [day_text(window.test) for window in windows],
    }


def _on(before: Window | None) -> str:
    return "defaults: no earlier window" if before is None else day_text(before.test)


def _line(
    window: Window, judged: WindowPredictions, customers: int, seed: int, resamples: int
) -> tuple[dict[str, Any], Mapping[str, Floats]]:
    predictions = {MODEL: judged.predicted, PERSISTENCE: judged.persistence, RFM: rfm(judged)}
    # The same draws in every window, by the customers of the whole file: one who is drawn twice is so everywhere.
    drawn = (times[window.is_known] for times in draws(customers, seed, resamples))
    drawn_metrics = resample(predictions, judged.realised, drawn)
    measured = {name: rank_metrics(predicted, judged.realised) for name, predicted in predictions.items()}
    line: dict[str, Any] = {
        name: {"gini": one.normalised_gini, "capture": one.top_decile_capture, "spearman": one.spearman}
        for name, one in measured.items()
    }
    for name in (PERSISTENCE, RFM):
        line[name]["difference"] = _of(
            measured[MODEL].normalised_gini - measured[name].normalised_gini,
            drawn_metrics.gini[MODEL] - drawn_metrics.gini[name],
        )
    line["customers"] = len(judged.realised)
    line["calibration_error"] = calibration_error(calibration_table(judged.predicted, judged.realised))
    line["predicted_over_realised"] = float(judged.predicted.sum() / judged.realised.sum())
    line["interval"] = _of(measured[MODEL].normalised_gini, drawn_metrics.gini[MODEL])
    return line, drawn_metrics.gini


def _of(estimate: float, drawn: Floats) -> list[float]:
    """Give an estimate and the interval of its resamples; NaN ends where none has a value."""
    defined = drawn[~np.isnan(drawn)]
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    low, high = np.quantile(defined, tails) if len(defined) else (float("nan"), float("nan"))
    return [float(estimate), float(low), float(high)]


def markdown(table: Mapping[str, Any]) -> str:
    """Write the tables of the results page."""
    lines = [
        "| test window from | settings, chosen on | normalised Gini | less persistence | less RFM | capture (pers.) |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {line['test_as_of']} | {line['settings']}; {line['chosen_on']} | {_ends(line['interval'])} "
        f"| {_ends(line[PERSISTENCE]['difference'], '+')} | {_ends(line[RFM]['difference'], '+')} "
        f"| {line[MODEL]['capture']:.3f} ({line[PERSISTENCE]['capture']:.3f}) |"
        for line in table["windows"]
    ]
    differences = " | ".join(_ends(table["difference"][name], "+") for name in (PERSISTENCE, RFM))
    lines.append(f"| **mean** | | **{_ends(table['mean'][MODEL])}** | {differences} | |")
    lines.append(f"| spread (standard deviation) | | {table['spread'][MODEL]:.3f} | | | |")
    return "\n".join(lines)


def _ends(interval: list[float], sign: str = "") -> str:
    estimate, low, high = interval
    return f"{estimate:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


if __name__ == "__main__":
    main()
