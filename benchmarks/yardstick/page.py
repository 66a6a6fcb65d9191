"""The page of the yardstick: the protocol in words, the tables, and how to add a line."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from benchmarks.yardstick.data_sets import HORIZON_DAYS, DataSet
from benchmarks.yardstick.figures import CAPTURE, ERROR, GINI, LESS, RATIO, SPEARMAN
from benchmarks.yardstick.methods import FIVEFOLD, PERSISTENCE, PLAIN, PURCHASES, RFM, TWO_PARTS

MEAN = "mean"
"""In place of a window: the mean over the windows."""
TITLES = {GINI: "normalised Gini", CAPTURE: "top-decile capture", SPEARMAN: "Spearman"}
MONEY_TITLES = {RATIO: "predicted / realised", ERROR: "calibration error"}

HEAD = """# The yardstick: value models on public data

Which customers will be worth how much in the next {days} days? This page compares methods on public data, under one
protocol. One command writes it, and [a table with every figure](benchmark.csv) beside it. Another method [adds its
line](#add-a-line) by a folder of predictions.

    python -m benchmarks.yardstick --data ../shared/data --write docs/benchmark.md

## The protocol

- **As of a date.** Each window has an as-of. A method is handed the transactions up to it, in which an event at
  exactly the as-of counts, and nothing else. What comes later is not in the data that it gets, so it cannot look
  ahead.
- **Out of time.** What is predicted is the value over the {days} days after the as-of. Methods that learn do so
  from earlier as-of dates, 30 days apart and 24 at the most, whose own {days} days had ended by then; the dates of
  {fivefold} are those of its preset. No setting is chosen on the window that it is judged on.
- **Customers.** Everybody with a transaction up to the as-of, the same ones for every method. A method that does
  not answer with one number for each is refused. Customers who come later are left out.
- **Value.** Each data set says below what a customer is worth. Values below 0 count as 0; customers who are worth
  nothing count.
- **Normalised Gini**: the Gini of realised value in predicted order, over that in its own order. 1 is perfect, 0 is
  chance. **Top-decile capture**: the value in the predicted top tenth over the value in the true top tenth.
  **Spearman**: correlation of ranks. Customers with equal predictions share their value evenly, and where a tie
  reaches over an edge, by its share.
- **Calibration of money**: predicted over realised money of all customers together, and the calibration error, the
  mean distance of predicted from realised money over ten equal groups by prediction, as a share of the mean. RFM
  predicts no money.
- **Intervals** are 95 %, by {resamples:,} bootstrap draws of the customers with replacement. Differences are
  paired: both methods are judged on the same draws, and a customer who is drawn twice is so in every window. They
  say what other customers would have changed, not what another year would have. Those of the calibration error
  alone lie too high: [drawing customers adds to it](decisions/0057-calibration-bound.md).

## The methods

- **{persistence}**: the next {days} days are worth what the last {days} were.
- **{rfm}**: quintiles of recency, frequency and money over the last year, added up.
- **{purchases}**: [fitted by pymc-marketing](decisions/0050-purchases.md), by greatest likelihood.
- **{plain}**: LightGBM with its own defaults, 100 rounds and squared error, on recency, frequency, money and age.
- **{two_parts}**: trees for the chance of any value, times a log-normal size, on all of fivefold's
  [indicators](indicators.md). What it lacks against fivefold is the objective, not information.
- **{fivefold}**: what `fivefold train` does without a configuration. It chooses a [preset](value-presets.md) on up to
  three windows that end at the as-of or before, finds its number of rounds on the last training date, and learns.
  Currency, value and horizon are given. The hand-made configurations of [the results](results.md) play no part. The
  defaults come from early trials on the last window of Berka and of CDNOW ([decision 3](decisions/0003-objective.md)),
  and the presets were made by looking at both sets, so the earlier windows are the cleaner evidence.
"""

LIMITS = """What [could be reached](results.md#what-could-be-reached) is measured with part of the window known."""

ADD = """## Add a line

    python -m benchmarks.yardstick --data ../shared/data --tasks build/tasks

writes two files for each window: the transactions up to the as-of (`SET/WINDOW.transactions.parquet`), and the
customers to predict for (`SET/WINDOW.customers.csv`). Learn from the first, and write a CSV file `SET/WINDOW.csv`
for every window into a folder, with the columns `customer` and `predicted`, in money. Then

    python -m benchmarks.yardstick --data ../shared/data --rival "My method=FOLDER" --write docs/benchmark.md

judges it as it judges all others, and writes page and table anew with the line in them. A file that lacks a
customer, repeats one, or has one who is not asked about is refused, with a customer named. To have a method in this
repository, write a function in `benchmarks/yardstick/methods.py`: it is given a task and returns a prediction.

The table has a line for each data set, window (or `mean`), method and figure: `estimate`, and the interval's ends
`low` and `high`. A figure that ends in `_less` is fivefold's less this method's.
"""


@dataclass(frozen=True)
class Finding:
    """What the methods showed on one data set.

    Attributes:
        data_set: it.
        lines: the table, see `figures.lines`.
        reasons: why a method has no figures in a window.
        chosen: by window, the preset that fivefold chose.
    """

    data_set: DataSet
    lines: pl.DataFrame
    reasons: tuple[str, ...] = ()
    chosen: Mapping[str, str] = field(default_factory=dict)

    def cell(self, window: str, method: str, figure: str) -> dict[str, float] | None:
        """Give a figure with the ends of its interval; None where the method has none."""
        rows = self.lines.filter(window=window, method=method, figure=figure)
        return rows.row(0, named=True) if len(rows) else None

    @property
    def methods(self) -> list[str]:
        """The methods with a figure, in order."""
        return self.lines["method"].unique(maintain_order=True).to_list()

    @property
    def windows(self) -> list[str]:
        """The windows, the oldest first."""
        return [one for one in self.lines["window"].unique(maintain_order=True).to_list() if one != MEAN]


def page(findings: list[Finding], absent: list[str], resamples: int, effort: str) -> str:
    """Write the whole page."""
    head = HEAD.format(
        days=HORIZON_DAYS,
        resamples=resamples,
        persistence=PERSISTENCE,
        rfm=RFM,
        purchases=PURCHASES,
        plain=PLAIN,
        two_parts=TWO_PARTS,
        fivefold=FIVEFOLD,
    )
    parts = [head, "## What it shows\n", *summary(findings)]
    for finding in findings:
        parts += section(finding)
    if absent:
        parts += ["## Not on this page\n", *(f"- {text}.\n" for text in absent)]
    parts += [ADD, f"The last run of the command took {effort}, with the answers that were kept before it.\n"]
    return "\n".join(parts)


def summary(findings: list[Finding]) -> list[str]:
    """Say in how many windows fivefold is surely above each rival, and where it is not."""
    parts = [
        "In how many windows the interval of fivefold's difference from a method lies above 0, and where not:",
        "",
        "| data set | method | Gini above | capture above | Gini not above | capture not above |",
        "|---|---|---|---|---|---|",
    ]
    for finding in findings:
        for method in finding.methods:
            if method == FIVEFOLD:
                continue
            counts, others = zip(*(_above(finding, method, figure) for figure in (GINI, CAPTURE)), strict=True)
            parts.append(f"| {finding.data_set.title} | {method} | {' | '.join(counts)} | {' | '.join(others)} |")
    worse = [text for finding in findings for text in behind(finding)]
    worse = [f"Where {FIVEFOLD} is behind, by the means over the windows:\n", *(worse or ["- nowhere"]), ""]
    return [*parts, "", *worse, f"{LIMITS}\n"]


def behind(finding: Finding) -> list[str]:
    """Say by the means over windows where ranks are surely below a rival's, and whose money is better calibrated."""
    parts = []
    for figure, title in TITLES.items():
        for method in finding.methods:
            less = finding.cell(MEAN, method, figure + LESS)
            if less is not None and less["high"] < 0:
                parts.append(f"- {finding.data_set.title}, {title}: {method}, {_text(less, '+')}")
    own = finding.cell(MEAN, FIVEFOLD, ERROR)
    for method in finding.methods:
        cell = finding.cell(MEAN, method, ERROR)
        if own is not None and cell is not None and cell["estimate"] < own["estimate"]:
            words = f"{cell['estimate']:.3f} to {own['estimate']:.3f}"
            parts.append(f"- {finding.data_set.title}, {MONEY_TITLES[ERROR]}: {method}, {words}")
    return parts


def _above(finding: Finding, method: str, figure: str) -> tuple[str, str]:
    cells = {window: finding.cell(window, method, figure + LESS) for window in finding.windows}
    judged = {window: cell for window, cell in cells.items() if cell}
    others = [
        f"{window} ({'below 0' if cell['high'] < 0 else 'holds 0'})"
        for window, cell in judged.items()
        if cell["low"] <= 0
    ]
    return f"{len(judged) - len(others)} of {len(judged)}", ", ".join(others) or "-"


def section(finding: Finding) -> list[str]:
    """Write the tables of one data set."""
    data_set, windows = finding.data_set, finding.windows
    rivals = [method for method in finding.methods if method != FIVEFOLD]
    parts = [
        f"## {data_set.title}\n",
        f"{data_set.about}. Value over {HORIZON_DAYS} days: {data_set.value_text}, in {data_set.currency}.\n",
        *_chosen(finding),
        f"Means over {len(windows)} windows, from {windows[0]} to {windows[-1]}:\n",
        *_table(finding, finding.methods, (*TITLES.items(), *MONEY_TITLES.items())),
        f"{FIVEFOLD} less each, means over the same windows:\n",
        *_table(finding, rivals, ((figure + LESS, title) for figure, title in TITLES.items()), "+"),
    ]
    for figure, title in (*TITLES.items(), *MONEY_TITLES.items()):
        parts += [f"### {data_set.title}: {title}, window by window\n", *_by_window(finding, finding.methods, figure)]
        if figure in {GINI, CAPTURE}:
            parts += [f"{FIVEFOLD} less each:\n", *_by_window(finding, rivals, figure + LESS, "+")]
    if finding.reasons:
        parts += ["Without figures, and why:\n", *(f"- {reason}" for reason in finding.reasons), ""]
    return parts


def _chosen(finding: Finding) -> list[str]:
    """Say which preset fivefold chose in each window; nothing where that is not known."""
    if not finding.chosen:
        return []
    windows = ", ".join(f"`{preset}` ({window})" for window, preset in finding.chosen.items())
    return [f"Presets that {FIVEFOLD} chose: {windows}.\n"]


def _table(finding: Finding, methods: list[str], figures: Iterable[tuple[str, str]], sign: str = "") -> list[str]:
    columns = list(figures)
    head = ["| method | " + " | ".join(title for _, title in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    rows = [
        f"| {method} | " + " | ".join(_text(finding.cell(MEAN, method, figure), sign) for figure, _ in columns) + " |"
        for method in methods
    ]
    return [*head, *rows, ""]


def _by_window(finding: Finding, methods: list[str], figure: str, sign: str = "") -> list[str]:
    windows = finding.windows
    head = ["| method | " + " | ".join(windows) + " |", "|---" * (len(windows) + 1) + "|"]
    rows = [
        f"| {method} | " + " | ".join(_text(finding.cell(window, method, figure), sign) for window in windows) + " |"
        for method in methods
    ]
    return [*head, *rows, ""]


def _text(cell: dict[str, float] | None, sign: str = "") -> str:
    """Write a figure and its interval; a dash where there is none."""
    if cell is None:
        return "-"
    return f"{cell['estimate']:{sign}.3f} ({cell['low']:{sign}.3f} to {cell['high']:{sign}.3f})"
