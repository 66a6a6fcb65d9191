"""Predictions whose horizon has passed, compared with what the customers were worth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.domain.segments import SEGMENTS
from fivefold.features.histories import Floats, Histories
from fivefold.models.certainty.intervals import Ends, covered
from fivefold.training.config import DueSettings, TrainingConfig
from fivefold.training.data import TransactionSource
from fivefold.training.dates import DataPeriod, is_window_covered, until_known_us
from fivefold.training.judging.bootstrap import draws, resample
from fivefold.training.judging.coverage import tenths
from fivefold.training.judging.groups import LEAST_CUSTOMERS
from fivefold.training.judging.metrics import Metrics, calibration_table, rank_metrics
from fivefold.training.target import floor_at_zero, realised_values

RESAMPLES = 200
"""Draws for the bound of the Gini: enough for a bound that is read to two digits."""
_COLUMNS_AT_ONCE = 4
"""Numbers kept for each customer and moment while values are summed."""
FIGURES: dict[str, Any] = {
    "by": pl.String,
    "group": pl.String,
    "customers": pl.Int64,
    "predicted_mean": pl.Float64,
    "realised_mean": pl.Float64,
    "ratio": pl.Float64,
    "ratio_low": pl.Float64,
    "ratio_high": pl.Float64,
    "covered_share": pl.Float64,
}


@dataclass(frozen=True)
class RealisedDay:
    """The predictions that one version made on one day, against realised values.

    Attributes:
        day_us: midnight UTC of the day, microseconds.
        customers: number of predicted customers who are in the data.
        gone: number of predicted customers who are not in the data by then, such as erased ones; they are in no figure.
        metrics: metrics of the ranking; NaN for fewer than `LEAST_CUSTOMERS` customers.
        gini_high: upper bound of the normalised Gini, with the confidence of the settings; NaN if it has none.
        level_percent: the level of the intervals, or of several levels the one that most predictions have. None without
            intervals.
        figures: a row for all (`by` is all), for each segment as predicted, and for each tenth by prediction, lowest
            first, in the columns of `FIGURES`: means of money, realised over predicted money with its interval, and the
            share of values within the interval of the prediction, for customers with an interval of that level. For
            fewer than `LEAST_CUSTOMERS` customers all but their number is null; for fewer such intervals, the share.
        most_held_share: the largest share of the values that intervals of that level may rightly hold: the level, or in
            a tenth where more customers were worth nothing, the share of these, since an interval that holds 0 holds
            them all. NaN without intervals.
        interval_customers: number of customers with an interval of that level.
    """

    day_us: int
    customers: int
    gone: int
    metrics: Metrics
    gini_high: float
    level_percent: int | None
    figures: pl.DataFrame
    most_held_share: float = float("nan")
    interval_customers: int = 0

    @property
    def whole(self) -> dict[str, Any]:
        """The row for all."""
        return self.figures.row(0, named=True)


@dataclass(frozen=True)
class Realised:
    """The predictions of one version against realised values.

    Attributes:
        days: days whose horizon has passed and is in the data, earliest first.
        waiting: number of predictions whose horizon has not passed yet.
        uncovered: number of predictions whose horizon has passed, but is not covered by the data.
        learnt: number of predictions as of a moment before *learnt_until* (microseconds): the model learnt from the
            time after them, so they are in no figure and no other count.
    """

    days: tuple[RealisedDay, ...]
    waiting: int = 0
    uncovered: int = 0
    learnt: int = 0
    learnt_until: int = 0


def compare_with_realised(
    scores: pl.DataFrame,
    portfolio: TransactionSource,
    period: DataPeriod,
    config: TrainingConfig,
    due: DueSettings,
    now: int,
    learnt_until: int,
) -> Realised:
    """Compare the predictions of one version with what its customers were worth, by the definition of training.

    Args:
        scores: the predictions of one model, as `past_scores.read_scores` returns them.
        portfolio: the transactions, with the rates of the model.
        period: the period of the transactions.
        config: the settings of the version, see `recalibrate.config_of_version`.
        due: the confidence of the bounds.
        now: the present, microseconds; a horizon that ends later, with the settlement lag, has not passed.
        learnt_until: see `ValueModel.learnt_until`; predictions as of an earlier moment are not compared.
    """
    unlearnt = scores.filter(pl.col("as_of") >= learnt_until)
    learnt = len(scores) - len(unlearnt)
    ends = pl.col("as_of") + until_known_us(config.horizon_days, config.settlement_lag_days)
    passed = unlearnt.filter(ends <= now)
    moments = sorted(passed["as_of"].unique().to_list())
    over = [one for one in moments if is_window_covered(config, period, one)]
    ready = passed.filter(pl.col("as_of").is_in(over))
    counts = (len(unlearnt) - len(passed), len(passed) - len(ready), learnt, learnt_until)
    if not len(ready):
        return Realised((), *counts)
    values = pl.concat(_values(portfolio, np.array(over, dtype=np.int64), config, ready.select("user_id").unique()))
    joined = ready.join(values, on=["user_id", "as_of"], how="left").sort("day", "user_id")
    days = [_day(part, config, due) for part in joined.partition_by("day", maintain_order=True)]
    return Realised(tuple(days), *counts)


def _values(
    portfolio: TransactionSource, moments: npt.NDArray[np.int64], config: TrainingConfig, predicted: pl.DataFrame
) -> Iterator[pl.DataFrame]:
    """Yield the value of every predicted customer after each moment at which the customer was known."""
    yield pl.DataFrame(schema={"user_id": pl.String, "as_of": pl.Int64, "realised": pl.Float64})
    work = _ValuesWork(moments, config)
    for values in portfolio.made_of("what customers were worth", len(moments), _COLUMNS_AT_ONCE, work):
        yield values.join(predicted, on="user_id", how="semi")


@dataclass(frozen=True)
class _ValuesWork:
    """Computes what a few customers were worth after each moment at which they were known."""

    moments: npt.NDArray[np.int64]
    config: TrainingConfig

    def __call__(self, part: Histories) -> pl.DataFrame:
        moments, config = self.moments, self.config
        values = floor_at_zero(realised_values(part, moments, config.horizon_days, config.value))
        has_rows = part.time[part.offsets[:-1], None] <= moments - config.settlement_lag_days * DAY_US
        customers, places = np.nonzero(has_rows)
        user_ids = pl.Series("user_id", part.user_ids, dtype=pl.String)
        return pl.DataFrame(
            {"user_id": user_ids.gather(customers), "as_of": moments[places], "realised": values[customers, places]}
        )


def _day(joined: pl.DataFrame, config: TrainingConfig, due: DueSettings) -> RealisedDay:
    """Judge the predictions of one day."""
    there, day_us = joined.drop_nulls("realised"), int(joined["day"][0]) * DAY_US
    if len(there) < LEAST_CUSTOMERS:
        nan = float("nan")
        figures = pl.DataFrame([{"by": "all", "group": "all", "customers": len(there)}], schema=FIGURES)
        return RealisedDay(day_us, len(there), len(joined) - len(there), Metrics(nan, nan, nan), nan, None, figures)
    predicted, realised = there["expected_value"].to_numpy(), there["realised"].to_numpy()
    drawn = draws(len(predicted), config.seed, RESAMPLES)
    gini = resample({"model": predicted}, realised, drawn).gini["model"]
    coverage = _coverage(there, realised)
    return RealisedDay(
        day_us,
        len(there),
        len(joined) - len(there),
        rank_metrics(predicted, realised),
        float(np.nanquantile(gini, due.confidence)) if np.isfinite(gini).any() else float("nan"),
        None if coverage is None else coverage.level_percent,
        _figures(there, predicted, realised, coverage, due.confidence),
        float("nan") if coverage is None else _most_held(predicted, realised, coverage),
        0 if coverage is None else int(coverage.has_interval.sum()),
    )


@dataclass(frozen=True)
class _Coverage:
    """Which of n values lay in the interval of their prediction.

    Attributes:
        level_percent: the level of the intervals.
        has_interval: marks the customers with an interval of that level.
        covered: marks the values that lay in it.
    """

    level_percent: int
    has_interval: npt.NDArray[np.bool_]
    covered: npt.NDArray[np.bool_]

    def share(self, of: npt.NDArray[np.bool_]) -> float | None:
        """Return the share of the marked customers' values in their intervals; None if too few have an interval."""
        members = of & self.has_interval
        return float(self.covered[members].mean()) if members.sum() >= LEAST_CUSTOMERS else None


def _coverage(there: pl.DataFrame, realised: Floats) -> _Coverage | None:
    """Compute the coverage at the level that most predictions have, the lower of equals; None without intervals.

    So one customer who was scored again at another level does not leave a day without a figure.
    """
    level = pl.when(pl.col("expected_value_low").is_not_null()).then(pl.col("interval_level_percent"))
    levels = there.select(level).to_series()
    counts = levels.drop_nulls().value_counts(name="customers").sort("customers", levels.name, descending=[True, False])
    if counts.is_empty():
        return None
    most = int(counts[levels.name][0])
    ends = Ends(*(there[f"expected_value_{end}"].fill_null(np.nan).to_numpy() for end in ("low", "high")))
    return _Coverage(most, (levels == most).fill_null(value=False).to_numpy(), covered(ends, realised))


def _most_held(predicted: Floats, realised: Floats, coverage: _Coverage) -> float:
    """Return the share of values that intervals of a level may hold: see `RealisedDay.most_held_share`.

    >>> zero, most = np.zeros(20), np.ones(20, dtype=np.bool_)
    >>> of_worthless = _most_held(np.arange(20.0), zero, _Coverage(80, most, most))
    >>> of_others = _most_held(np.arange(20.0), zero, _Coverage(80, most, ~most))
    >>> round(of_worthless, 12), round(of_others, 12)
    (1.0, 0.8)
    """
    level, members = coverage.level_percent / 100, coverage.has_interval
    worthless = coverage.covered[members] & (realised[members] == 0)
    shares = [of.sum() * max(level, float(worthless[of].mean())) for _, of in tenths(predicted[members]) if of.any()]
    return float(sum(shares)) / int(members.sum())


def _figures(
    there: pl.DataFrame,
    predicted: Floats,
    realised: Floats,
    coverage: _Coverage | None,
    confidence: float,
) -> pl.DataFrame:
    category = there["category"].to_numpy()
    calibration = calibration_table(predicted, realised).to_dicts()
    groups: list[tuple[str, str, npt.NDArray[np.bool_], Mapping[str, float]]] = [
        ("all", "all", np.ones(len(there), dtype=np.bool_), {}),
        *(("segment", segment, category == segment, {}) for segment in SEGMENTS),
        *(("decile", str(number), of, calibration[number - 1]) for number, of in tenths(predicted) if of.any()),
    ]
    rows = []
    for by, group, of, means in groups:
        row: dict[str, Any] = {"by": by, "group": group, "customers": int(of.sum())}
        if row["customers"] >= LEAST_CUSTOMERS:
            row |= _means(predicted[of], realised[of], confidence, means)
            row["covered_share"] = None if coverage is None else coverage.share(of)
        rows += [row] if row["customers"] else []
    return pl.DataFrame(rows, schema=FIGURES)


def _means(predicted: Floats, realised: Floats, confidence: float, means: Mapping[str, float]) -> dict[str, Any]:
    """Return means of money, and realised over predicted money with its interval.

    For a tenth, *means* are those of the calibration of training, where equal predictions share their value. Source of
    the interval: the linearised variance of a ratio, Cochran, "Sampling Techniques" (1977), section 6.4.
    """
    mean = float(means.get("predicted_mean", predicted.mean()))
    came = float(means.get("realised_mean", realised.mean()))
    if not mean:
        return {"predicted_mean": mean, "realised_mean": came}
    if not realised.any():  # without spread nothing is known of chance, and an interval of width 0 would deny chance
        return {"predicted_mean": mean, "realised_mean": came, "ratio": 0.0}
    ratio = came / mean
    off = realised - ratio * predicted
    error = float(off.std(ddof=1)) / (np.sqrt(len(off)) * mean)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return {
        "predicted_mean": mean,
        "realised_mean": came,
        "ratio": ratio,
        "ratio_low": max(ratio - reach, 0.0),
        "ratio_high": ratio + reach,
    }
