"""The figures of a day by hand: of customers whose values and intervals are known exactly."""

from statistics import NormalDist

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from fivefold.domain.clock import DAY_US, parse_moment
from fivefold.domain.segments import SEGMENTS
from fivefold.training.config import DueSettings, TrainingConfig, ValueSettings
from fivefold.training.dates import DataPeriod
from fivefold.training.judging.bootstrap import draws
from fivefold.training.judging.metrics import normalised_gini
from fivefold.training.judging.realised import FIGURES, RESAMPLES, Realised, compare_with_realised
from fivefold.training.on_engine import open_source
from tests.features.oracle.strategies import iso, row

AS_OF = parse_moment("2024-03-01")
HORIZON_DAYS, LAG_DAYS = 30, 2
NOW = AS_OF + (HORIZON_DAYS + LAG_DAYS) * DAY_US
CONFIG = TrainingConfig(
    horizon_days=HORIZON_DAYS,
    settlement_lag_days=LAG_DAYS,
    value=ValueSettings(deposit_fee=1.0, withdrawal_fee=0.0, yearly_margin=0.0),
)
"""A customer is worth what they deposit within the horizon."""
DUE = DueSettings(confidence=0.9)
CUSTOMERS, FEW = 330, 29
WORTHLESS = 98
OF_LEVEL = 300
PREDICTED = np.maximum(10.0 * np.arange(-32, CUSTOMERS - 32), 0.0)
WORTH = np.where(np.arange(CUSTOMERS) < WORTHLESS, 0.0, PREDICTED * np.resize([0.5, 0.9, 1.1, 1.25, 1.3], CUSTOMERS))
WITHOUT = [100, 101]
HAS_LEVEL = (np.arange(CUSTOMERS) < OF_LEVEL) & ~np.isin(np.arange(CUSTOMERS), WITHOUT)
INTERVAL = ("expected_value_low", "expected_value_high", "interval_level_percent")
IS_HELD = (WORTH == 0) | ((WORTH >= 0.9 * PREDICTED) & (WORTH <= 1.25 * PREDICTED))


def compared(
    *, few: int = FEW, now: int = NOW, learnt_until: int = 0, last: int = NOW - DAY_US, have_intervals: bool = True
) -> Realised:
    """Compare the predictions of two days: of *few* customers and one without a row yet, then of all and two others."""
    names = [f"c{number:03}" for number in range(CUSTOMERS)]
    first = AS_OF - LAG_DAYS * DAY_US
    begins = [first - DAY_US] * few + [first] * (CUSTOMERS - few)
    rows = [
        row(user_id=name, transaction_date=iso(begin), transaction_amount=5.0)
        for name, begin in zip(names, begins, strict=True)
    ]
    rows += [row(user_id="late", transaction_date=iso(first + 1), transaction_amount=5.0)]
    rows += [
        row(user_id=name, transaction_date=iso(AS_OF + DAY_US), transaction_amount=float(worth))
        for name, worth in zip(names, WORTH, strict=True)
        if worth
    ]
    day = pl.DataFrame(
        {
            "user_id": names,
            "category": [SEGMENTS[0]] * FEW + [SEGMENTS[1]] * (CUSTOMERS - FEW),
            "expected_value": PREDICTED,
            "expected_value_low": pl.Series(np.where(WORTH == 0, 0.0, 0.9 * PREDICTED)).scatter(WITHOUT, None),
            "expected_value_high": 1.25 * PREDICTED,
            "interval_level_percent": np.where(HAS_LEVEL, 80, 95),
            "as_of": AS_OF,
            "day": AS_OF // DAY_US,
        }
    )
    if not have_intervals:
        day = day.with_columns(pl.lit(None).cast(day.schema[name]).alias(name) for name in INTERVAL)
    absent = day[:2].with_columns(user_id=pl.Series(["late", "gone"]))
    earlier = day[: few + 1].with_columns(as_of=pl.lit(AS_OF - DAY_US, pl.Int64), day=pl.col("day") - 1)
    source = open_source(pa.Table.from_pylist(rows), CONFIG.rate_table(), NOW)
    return compare_with_realised(
        pl.concat([day, absent, earlier]), source, DataPeriod(first, last), CONFIG, DUE, now, learnt_until
    )


def means_by_hand(of: np.ndarray) -> dict[str, float]:
    """Give the means, and the ratio with its interval by the formula of Cochran, section 6.4."""
    predicted, realised = PREDICTED[of], WORTH[of]
    ratio = realised.sum() / predicted.sum()
    residuals = realised - ratio * predicted
    variance = sum(residuals**2) / (len(residuals) - 1) / len(residuals) / predicted.mean() ** 2
    reach = NormalDist().inv_cdf(0.95) * variance**0.5
    return {
        "predicted_mean": predicted.mean(),
        "realised_mean": realised.mean(),
        "ratio": ratio,
        "ratio_low": max(ratio - reach, 0.0),
        "ratio_high": ratio + reach,
    }


def test_a_day_has_the_figures_of_its_customers_and_of_no_others() -> None:
    realised = compared()
    assert (realised.waiting, realised.uncovered, realised.learnt) == (0, 0, 0)
    few, day = realised.days
    assert (few.day_us, day.day_us) == (AS_OF - DAY_US, AS_OF)
    assert (day.customers, day.gone, day.level_percent, day.interval_customers) == (CUSTOMERS, 2, 80, OF_LEVEL - 2)
    everyone = np.ones(CUSTOMERS, dtype=np.bool_)
    assert {name: day.whole[name] for name in means_by_hand(everyone)} == pytest.approx(means_by_hand(everyone))
    assert day.whole["covered_share"] == pytest.approx(IS_HELD[HAS_LEVEL].mean())
    small, large, *tenths = day.figures.rows(named=True)[1:]
    assert (small["group"], small["customers"], small["ratio"], small["covered_share"]) == (
        SEGMENTS[0],
        FEW,
        None,
        None,
    )
    of = np.arange(CUSTOMERS) >= FEW
    assert (large["group"], large["customers"]) == (SEGMENTS[1], CUSTOMERS - FEW)
    assert {name: large[name] for name in means_by_hand(of)} == pytest.approx(means_by_hand(of))
    assert large["covered_share"] == pytest.approx(IS_HELD[of & HAS_LEVEL].mean())
    assert [tenth["group"] for tenth in tenths] == [str(number) for number in range(1, 11)]
    for tenth, members in zip(tenths, np.array_split(np.arange(CUSTOMERS), 10), strict=True):
        of = np.isin(np.arange(CUSTOMERS), members)
        if WORTH[of].any():
            assert {name: tenth[name] for name in means_by_hand(of)} == pytest.approx(means_by_hand(of))
        else:
            ratio = 0.0 if PREDICTED[of].any() else None
            assert [tenth[name] for name in ("realised_mean", "ratio", "ratio_low")] == [0.0, ratio, None]
        held = None if tenth["group"] == "10" else pytest.approx(IS_HELD[of & HAS_LEVEL].mean())
        assert tenth["covered_share"] == held, "of the last tenth only three have an interval of that level"
    assert tenths[2]["ratio_low"] == 0 < tenths[2]["ratio"], "one customer alone was worth something"


def test_a_day_says_what_chance_and_the_worthless_account_for() -> None:
    day = compared().days[1]
    assert day.metrics.normalised_gini == pytest.approx(normalised_gini(PREDICTED, WORTH))
    ginis = [
        normalised_gini(np.repeat(PREDICTED, times), np.repeat(WORTH, times))
        for times in draws(CUSTOMERS, CONFIG.seed, RESAMPLES)
    ]
    assert day.gini_high == pytest.approx(np.quantile(ginis, DUE.confidence))
    tenths = np.array_split(WORTH[HAS_LEVEL] == 0, 10)
    shares = [len(tenth) * max(0.8, tenth.mean()) for tenth in tenths]
    assert day.most_held_share == pytest.approx(sum(shares) / (OF_LEVEL - 2))


def test_of_fewer_than_thirty_nothing_but_their_number_is_said() -> None:
    few = compared().days[0]
    assert (few.customers, few.gone, few.level_percent, few.interval_customers) == (FEW, 1, None, 0)
    only = {"by": "all", "group": "all", "customers": FEW}
    assert few.figures.rows(named=True) == [{**dict.fromkeys(FIGURES), **only}]
    assert np.isnan([few.gini_high, few.most_held_share, few.metrics.normalised_gini]).all()
    enough = compared(few=FEW + 1).days[0]
    assert (enough.whole["ratio"], enough.whole["covered_share"], enough.most_held_share) == (None, 1, 1)
    assert np.isnan([enough.gini_high, enough.metrics.normalised_gini]).all(), "none of them was worth anything"


def test_predictions_without_an_interval_are_judged_by_all_but_what_intervals_held() -> None:
    day = compared(have_intervals=False).days[1]
    assert (day.level_percent, day.interval_customers) == (None, 0)
    assert np.isnan(day.most_held_share)
    assert set(day.figures["covered_share"]) == {None}
    assert day.whole["ratio"] == pytest.approx(WORTH.sum() / PREDICTED.sum())
    assert day.metrics.normalised_gini == pytest.approx(normalised_gini(PREDICTED, WORTH))


def test_what_a_model_learnt_from_and_what_has_not_passed_are_in_no_figure() -> None:
    learnt = compared(learnt_until=AS_OF)
    assert ([day.day_us for day in learnt.days], learnt.learnt, learnt.learnt_until) == ([AS_OF], FEW + 1, AS_OF)
    short = compared(last=NOW - DAY_US - 1)
    assert ([day.day_us for day in short.days], short.uncovered) == ([AS_OF - DAY_US], CUSTOMERS + 2)
    early = compared(now=NOW - 1)
    assert ([day.day_us for day in early.days], early.waiting) == ([AS_OF - DAY_US], CUSTOMERS + 2)
