"""BG/NBD × Gamma-Gamma as a rival: how often customers come back, times what they are worth when they do.

Sources: Fader, Hardie and Lee, "Counting Your Customers the Easy Way" (2005), and Fader and Hardie, "The Gamma-Gamma
Model of Monetary Value" (2013). pymc-marketing fits them, in an environment of its own (docs/decisions/0050).

A purchase is a day with a settled row that the value counts. Days are counted back from the as-of, as the indicators
count them. What a purchase is worth is the value of a customer after the first such day, over the number of later ones:
where the value is a share of what is bought, this is the mean purchase of the papers; margins are in it too.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError
from fivefold.features.histories import Floats, Histories
from fivefold.features.schema import DEPOSIT, WITHDRAWAL
from fivefold.training.config import ValueSettings
from fivefold.training.target import realised_values

DAYS_A_WEEK = 7
HERE = Path(__file__).parent
SCRIPT, REQUIREMENTS = HERE / "purchases_fit.py", HERE / "purchases_requirements.txt"
LEAST_PYTHON = (3, 12)
"""The oldest Python that pymc-marketing 1.3 runs on."""
MOST_SECONDS = 1_800
NO_PURCHASES = 0.0
"""What is predicted for customers who bought nothing yet: the model knows customers by their first purchase."""


@dataclass(frozen=True)
class PurchasePredictions:
    """What the model says of n customers.

    Attributes:
        money: n expected values over the horizon.
        reasons: why these are not to be used; empty where both models converged.
        report: parameters and counts of the fits.
    """

    money: Floats
    reasons: tuple[str, ...]
    report: dict[str, float]


def summarise(part: Histories, as_of: int, value: ValueSettings) -> pl.DataFrame:
    """Sum up the purchases of n customers up to *as_of* (microseconds), a row for each in their order.

    Columns: `frequency` (later days with a purchase), `recency` and `age` (weeks from the first day to the last, and to
    the as-of), `money` (the value of a later day). All are null without a purchase, and `money` with one day alone.
    """
    days = pl.DataFrame(
        {
            "customer": np.repeat(np.arange(part.customers), np.diff(part.offsets)),
            "back": (as_of - part.time) // DAY_US,
            "counts": _is_purchase(part, value) & (part.time <= as_of),
        }
    )
    histories = (
        days.filter("counts")
        .group_by("customer")
        .agg(pl.col("back").n_unique() - 1, first=pl.col("back").max(), last=pl.col("back").min())
        .rename({"back": "frequency"})
    )
    every = pl.DataFrame({"customer": np.arange(part.customers)}).join(
        histories, "customer", "left", maintain_order="left"
    )
    return every.select(
        pl.col("frequency").cast(pl.Int64),
        recency=(pl.col("first") - pl.col("last")) / DAYS_A_WEEK,
        age=pl.col("first") / DAYS_A_WEEK,
        money=pl.Series(_later_values(part, as_of, value, every)).fill_nan(None) / pl.col("frequency"),
    )


def _is_purchase(part: Histories, value: ValueSettings) -> np.ndarray:
    kinds = [kind for kind, fee in ((DEPOSIT, value.deposit_fee), (WITHDRAWAL, value.withdrawal_fee)) if fee > 0]
    return np.isin(part.kind, kinds or [DEPOSIT, WITHDRAWAL])


def _later_values(part: Histories, as_of: int, value: ValueSettings, every: pl.DataFrame) -> Floats:
    """Give the value of each customer after the first day with a purchase; NaN without a later one."""
    values = np.full(part.customers, np.nan)
    again = every.filter(pl.col("frequency") > 0)
    for (first,), alike in again.group_by("first"):
        customers = alike["customer"].to_numpy()
        days = int(str(first))
        start = np.array([as_of - days * DAY_US], dtype=np.int64)
        values[customers] = realised_values(part.take(customers), start, days, value)[:, 0]
    return values


def predict(summary: pl.DataFrame, horizon_days: int, python: Path) -> PurchasePredictions:
    """Predict the money of customers as `summarise` gives them, with the Python of `environment`."""
    bought = summary["frequency"].is_not_null().to_numpy()
    money = np.full(len(summary), NO_PURCHASES)
    again = int((summary["money"] > 0).sum())
    if again < 2:
        return PurchasePredictions(money, (f"{again} of {len(summary)} customers bought a second time",), {})
    with TemporaryDirectory() as folder:
        customers, predictions, report = (Path(folder) / name for name in ("customers.csv", "money.csv", "report.json"))
        summary.filter(bought).write_csv(customers)
        command = [python, SCRIPT, customers, predictions, report, "--horizon", str(horizon_days / DAYS_A_WEEK)]
        settings = os.environ | {"OMP_NUM_THREADS": "1", "PYTENSOR_FLAGS": f"base_compiledir={python.parents[1]}/var"}
        settings.pop("PYTHONPATH", None)
        try:
            done = subprocess.run(
                command, env=settings, capture_output=True, text=True, check=False, timeout=MOST_SECONDS
            )
        except subprocess.TimeoutExpired:
            return PurchasePredictions(money, (f"{SCRIPT.name} had no result after {MOST_SECONDS} seconds",), {})
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            return PurchasePredictions(money, (f"{SCRIPT.name} ended with {done.returncode}: {last}",), {})
        answer = json.loads(report.read_text(encoding="utf-8"))
        money[bought] = pl.read_csv(predictions)["money"].cast(pl.Float64).to_numpy()
    return PurchasePredictions(money, tuple(answer.pop("reasons")), answer)


def environment(folder: Path, interpreter: Path | None = None) -> Path:
    """Give the Python of the model's environment in *folder*, which is made where it is not there.

    *interpreter* is a Python of 3.12 or later to make it with; by default this one, or one that uv finds. ConfigError
    where it cannot be made.
    """
    python = folder / "bin" / "python"
    complete = folder / "complete.txt"
    pins = REQUIREMENTS.read_text(encoding="utf-8")
    if complete.is_file() and complete.read_text(encoding="utf-8") == pins:
        return python
    uv = shutil.which("uv") or shutil.which("uv", path=sysconfig.get_path("scripts"))
    if uv is None:
        raise ConfigError(f"BG/NBD × Gamma-Gamma needs an environment in {folder}, and uv to make it: install uv")
    least = ".".join(map(str, LEAST_PYTHON))
    wanted = interpreter or (sys.executable if sys.version_info >= LEAST_PYTHON else f">={least}")
    for step in (
        ["venv", "--quiet", "--clear", "--no-python-downloads", "--python", str(wanted), str(folder)],
        ["pip", "install", "--quiet", "--python", str(python), "--requirement", str(REQUIREMENTS)],
    ):
        done = subprocess.run([uv, *step], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ConfigError(
                f"the environment of BG/NBD × Gamma-Gamma cannot be made in {folder} (it takes a Python of {least} or "
                f"later): {done.stderr.strip()}"
            )
    complete.write_text(pins, encoding="utf-8")
    return python
