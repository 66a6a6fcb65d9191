"""The choice among presets against the best preset by hand: python -m benchmarks.value.presets --data FOLDER.

Every preset is judged on the last windows of each data set, and so is the one that `fivefold train` would have chosen
before each window. Berka and CDNOW are the sets by which the presets were made; the simulated ones had no part in that.

With --short they are judged on the first windows instead, before which there is too little history to try any.
"""

import argparse
import time
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks.yardstick.data_sets import DATA_SETS, HORIZON_DAYS, SHOP, THREADS
from benchmarks.yardstick.methods import as_configured
from benchmarks.yardstick.protocol import WINDOWS, Window, windows
from benchmarks.yardstick.protocol import window as window_at
from fivefold.domain.clock import DAY_US
from fivefold.training.config import TrainingConfig, TreeSettings
from fivefold.training.data import TransactionSource, sampling_keys
from fivefold.training.judging.metrics import calibration_error, calibration_table, rank_metrics
from fivefold.training.presets.choose import choose_preset
from fivefold.training.presets.named import PRESETS, Preset
from fivefold.training.simulation.simulator import Simulation, simulate

SEASON = (0.5, 0.5, 0.6, 0.7, 0.8, 0.7, 0.4, 0.4, 0.7, 0.8, 1.0, 1.0)
"""The share of the purchases of each month, January first, that a seasonal shop keeps."""
SHAPES = ("shop", "season")
SIMULATED_WINDOWS = 2
MOST_GINI_SHORT, MOST_CAPTURE_SHORT = 0.003, 0.005
"""The aim: by so much the chosen preset may be behind the best by hand."""
SHORT_DAYS = (185, 205, 225, 245, 265)
"""Days after the first transaction at which a window begins that has too little history before it to try presets."""


def shop(customers: int = 10_000) -> pa.Table:
    """Purchases alone over two years: the payments of simulated customers, without balances or anything else."""
    return _purchases(Simulation(customers=customers, seed=11, rows_per_customer_mean=20))


def season(customers: int = 20_000) -> pa.Table:
    """Few purchases over three years, most of them before Christmas."""
    table = _purchases(
        Simulation(customers=customers, seed=12, start=date(2022, 1, 1), end=date(2025, 1, 1), rows_per_customer_mean=9)
    )
    rows = pl.from_arrow(table)
    assert isinstance(rows, pl.DataFrame)
    shares = np.array(SEASON)[rows["transaction_date"].dt.month().to_numpy() - 1]
    marks = sampling_keys(pa.array(rows["user_id"] + rows["transaction_date"].cast(pl.String)), 12)
    return rows.filter(pl.Series(marks < shares)).to_arrow()


def _purchases(simulation: Simulation) -> pa.Table:
    rows = pl.from_arrow(pa.concat_tables(simulate(simulation)))
    assert isinstance(rows, pl.DataFrame)
    return (
        rows.filter((pl.col("transaction_amount") < 0) & pl.col("transaction_state").is_in(["COMPLETED", "SUCCEEDED"]))
        .select(
            "user_id",
            "transaction_date",
            -pl.col("transaction_amount").alias("transaction_amount"),
            pl.lit("EUR").alias("transaction_currency"),
        )
        .to_arrow()
    )


def judged(window: Window, preset: Preset) -> dict[str, float]:
    """Judge a preset on a window, as a run that was given its name is judged."""
    answer = as_configured(window.task, preset.over(window.task.config))
    predicted = answer.values
    figures = rank_metrics(predicted, window.realised)
    return {
        "gini": figures.normalised_gini,
        "capture": figures.top_decile_capture,
        "calibration": calibration_error(calibration_table(predicted, window.realised)),
        "rounds": float(answer.report["rounds"]),
    }


def short_windows(table: pa.Table, config: TrainingConfig) -> Iterator[Window]:
    """Give the windows of `SHORT_DAYS`."""
    whole = TransactionSource(table, config.rate_table())
    summary = whole.summary(config.seed)
    for days in SHORT_DAYS:
        yield window_at(table, config, whole, summary, summary.period.first + days * DAY_US)


def lines(name: str, judged_on: Iterable[Window]) -> Iterator[dict[str, object]]:
    """Give a line for each window and preset, with the one that was chosen and how long choosing took."""
    for window in judged_on:
        task = window.task
        begun = time.perf_counter()
        choice = choose_preset(task.source, task.config, task.summary, task.dates.test, PRESETS)
        seconds = time.perf_counter() - begun
        for each in PRESETS:
            begun = time.perf_counter()
            figures = judged(window, each)
            yield {
                "set": name,
                "window": window.day[:10],
                "preset": each.name,
                "chosen": each.name == choice.preset,
                **figures,
                "mark": choice.mark(each.name) if choice.trials else None,
                "origins": len(choice.origins),
                "choosing_seconds": seconds,
                "seconds": time.perf_counter() - begun,
            }


def main() -> None:
    """Judge, write every figure to a CSV file, and print the chosen preset against the best by hand."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the public data sets")
    parser.add_argument("--sets", nargs="+", default=["berka", "cdnow", *SHAPES])
    parser.add_argument("--output", type=Path, required=True, help="CSV file of every figure")
    parser.add_argument("--short", action="store_true", help="windows with too little history to try presets")
    options = parser.parse_args()
    table: list[dict[str, object]] = []
    for name in options.sets:
        rows, config, wanted = data_of(name, options.data)
        for line in lines(name, short_windows(rows, config) if options.short else windows(rows, config, wanted)):
            table.append(line)
            pl.DataFrame(table, infer_schema_length=None).write_csv(options.output)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=240, float_precision=4):
        compared = summary(pl.DataFrame(table, infer_schema_length=None))
        print(compared)
    print(f"The aim is reached in {compared['reached'].sum()} windows of {compared.height}.")


def data_of(name: str, folder: Path) -> tuple[pa.Table, TrainingConfig, int]:
    """Give a set's transactions, what is asked of it, and how many windows it is judged on."""
    if name in SHAPES:
        config = TrainingConfig(name=name, horizon_days=HORIZON_DAYS, value=SHOP, trees=TreeSettings(threads=THREADS))
        return shop() if name == "shop" else season(), config, SIMULATED_WINDOWS
    return DATA_SETS[name].table(folder), DATA_SETS[name].config(), WINDOWS


def summary(figures: pl.DataFrame) -> pl.DataFrame:
    """Compare, window by window, the chosen preset with the best by hand and with the default.

    The best by hand is the one preset with the best mark on the window itself, the simpler of equals. What the chosen
    one is short of is its figures less those of the chosen, so one of both may be below 0.
    """
    keys = ["set", "window"]
    mark = (pl.col("gini") + pl.col("capture")) / 2
    best = figures.group_by(keys, maintain_order=True).agg(
        pl.col("preset", "gini", "capture").sort_by(mark, descending=True, maintain_order=True).first()
    )
    default = figures.filter(pl.col("preset") == PRESETS[0].name).select(
        *keys, pl.col("gini", "capture", "calibration").name.prefix("default_")
    )
    chosen = figures.filter(pl.col("chosen")).select(
        *keys, "preset", "gini", "capture", "calibration", "origins", "choosing_seconds", "seconds"
    )
    named = {"preset": "best", "gini": "best_gini", "capture": "best_capture"}
    return (
        chosen.join(best.rename(named), on=keys, maintain_order="left")
        .join(default, on=keys, maintain_order="left")
        .with_columns(
            gini_short=pl.col("best_gini") - pl.col("gini"), capture_short=pl.col("best_capture") - pl.col("capture")
        )
        .with_columns(
            reached=(pl.col("gini_short") <= MOST_GINI_SHORT) & (pl.col("capture_short") <= MOST_CAPTURE_SHORT)
        )
    )


if __name__ == "__main__":
    main()
