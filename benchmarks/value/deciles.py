"""Predicted over realised money by tenth of the predictions: python -m benchmarks.value.deciles --data FOLDER.

The model is the one that `fivefold train` makes without a configuration, on the windows of the yardstick. Its answers
are kept where the yardstick keeps them, so after a run of that nothing is learnt anew.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.yardstick.answers import AnswerFolder
from benchmarks.yardstick.data_sets import DATA_SETS
from benchmarks.yardstick.figures import interval
from benchmarks.yardstick.methods import FIVEFOLD, fivefold
from benchmarks.yardstick.protocol import WINDOWS, Window, windows
from fivefold.domain.text import percent
from fivefold.features.histories import Floats
from fivefold.features.indicator_matrix import warm
from fivefold.training.judging.bootstrap import RESAMPLES, TENTHS, Tenths, Times, draws

MOST_OFF = 0.1
"""The aim: predicted money of a tenth is off by so much at the most, or its interval holds the realised money."""


@dataclass(frozen=True)
class Tenth:
    """Predicted over realised money of a tenth of the customers, with its interval by draws of the customers."""

    estimate: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the aim is reached: within a tenth, by the interval alone, or not."""
        if abs(self.estimate - 1) <= MOST_OFF:
            return "within"
        return "by its interval" if self.low <= 1 <= self.high else "no"

    def __str__(self) -> str:
        text = f"{self.estimate:.2f} ({self.low:.2f} to {self.high:.2f})"
        return f"**{text}**" if self.verdict == "no" else text


def tenths_of(predicted: Floats, window: Window, resamples: int) -> list[Tenth]:
    """Judge the tenths of a window, the lowest predictions first; the same draws as in every other window."""
    groups = Tenths(predicted, window.realised)
    drawn = (times[window.is_known] for times in draws(len(window.is_known), window.task.config.seed, resamples))
    ratios = [ratios_of(groups, times) for times in (np.ones(len(predicted), dtype=np.uint16), *drawn)]
    return [Tenth(**interval(of)) for of in np.array(ratios).T]


def ratios_of(groups: Tenths, times: Times) -> Floats:
    """Give predicted over realised money of each group of a draw; NaN where nothing is realised in it."""
    predicted, realised = groups.money(times)
    ratios: Floats = np.divide(predicted, realised, out=np.full(len(realised), np.nan), where=realised > 0)
    return ratios


def table(tenths_by_window: Mapping[str, list[Tenth]]) -> Iterator[str]:
    """Write a line of Markdown for each window; what does not reach the aim is bold."""
    yield f"| window from | {' | '.join(str(number) for number in range(1, TENTHS + 1))} | reached |"
    yield "|---" * (TENTHS + 2) + "|"
    for day, tenths in tenths_by_window.items():
        reached = sum(one.verdict != "no" for one in tenths)
        yield f"| {day} | {' | '.join(map(str, tenths))} | {reached} of {TENTHS} |"


def summary(tenths_by_window: Mapping[str, list[Tenth]]) -> str:
    """Count the tenths that reach the aim, and in what way."""
    verdicts = [one.verdict for tenths in tenths_by_window.values() for one in tenths]
    within, by_interval = verdicts.count("within"), verdicts.count("by its interval")
    return (
        f"{within} of {len(verdicts)} tenths are within {percent(MOST_OFF, 0)}, {by_interval} more by their interval, "
        f"and {verdicts.count('no')} are not."
    )


def main() -> None:
    """Judge every tenth of every window, and print the tables of the results page; a CSV file has every figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--sets", nargs="+", choices=DATA_SETS, default=["berka", "cdnow"])
    parser.add_argument("--resamples", type=int, default=RESAMPLES)
    parser.add_argument("--kept", type=Path, default=Path("build/yardstick"), help="answers, by window and method")
    parser.add_argument("--output", type=Path, required=True, help="CSV file of every figure")
    options = parser.parse_args()
    warm()
    lines: list[dict[str, object]] = []
    for name in options.sets:
        data_set, answers = DATA_SETS[name], AnswerFolder(options.kept / name)
        tenths_by_window = {
            window.day: tenths_of(answers.ask(FIVEFOLD, fivefold, window).values, window, options.resamples)
            for window in windows(data_set.table(options.data), data_set.config(), WINDOWS)
        }
        lines += [
            {"set": name, "window": day, "tenth": number, "verdict": one.verdict, **vars(one)}
            for day, tenths in tenths_by_window.items()
            for number, one in enumerate(tenths, start=1)
        ]
        print("", data_set.title, *table(tenths_by_window), "", summary(tenths_by_window), sep="\n")
    pl.DataFrame(lines).write_csv(options.output)


if __name__ == "__main__":
    main()
