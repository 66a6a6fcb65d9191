"""Paired bootstrap by customer: it is the plain metrics on every draw, and it tells noise from a difference."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.features.histories import Floats
from fivefold.training.config import GateSettings
from fivefold.training.dates import Dates
from fivefold.training.judging.bootstrap import TENTHS, PredictedOrder, Tenths, draws, resample
from fivefold.training.judging.compare import Comparisons, compare_with_rivals, error_of_try, times_judged
from fivefold.training.judging.metrics import calibration_error, calibration_table, normalised_gini, rank_metrics

DATES = Dates(np.array([0], dtype=np.int64), 1_000 * DAY_US, 90)


def customers(count: int = 300, seed: int = 1, tied: bool = False) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    value = np.exp(random.normal(size=count)) * (random.random(count) < 0.6)
    predicted = value * np.exp(0.5 * random.normal(size=count)) + 0.1
    return (np.round(predicted) if tied else predicted), value


@pytest.mark.parametrize("tied", [False, True])
def test_a_draw_is_judged_as_if_its_customers_stood_there_so_often(tied: bool) -> None:
    predicted, realised = customers(tied=tied)
    drawn = list(draws(len(realised), seed=7, resamples=5))
    found = resample({"model": predicted}, realised, drawn, money=("model",))
    for number, times in enumerate(drawn):
        again = times.astype(np.int64)
        wanted = normalised_gini(np.repeat(predicted, again), np.repeat(realised, again))
        assert found.gini["model"][number] == pytest.approx(wanted, abs=1e-12)
    once = resample({"model": predicted}, realised, [np.ones(len(realised), dtype=np.uint16)], money=("model",))
    error = calibration_error(calibration_table(predicted, realised))
    assert once.tenths["model"].error == pytest.approx(error, rel=1e-9)
    assert np.abs(once.tenths["model"].drawn[0]).sum() == pytest.approx(error, rel=1e-9)


@pytest.mark.parametrize("tied", [False, True])
def test_the_gini_of_a_draw_is_that_of_the_plain_sums_bit_for_bit(tied: bool) -> None:
    """Sums are taken in the order of the ranks, so that a judgement made again gives the same figures."""
    predicted, realised = customers(tied=tied)
    (times,) = draws(len(realised), seed=3, resamples=1)
    total = area = all_drawn = 0.0
    for equal in sorted(set(predicted.tolist()), reverse=True):
        drawn = value = 0.0
        for customer in np.flatnonzero(predicted == equal):
            drawn += float(times[customer])
            value += float(times[customer]) * float(realised[customer])
        area += drawn * total + value * (drawn + 1.0) / 2.0
        all_drawn, total = all_drawn + drawn, total + value
    assert PredictedOrder(predicted, realised).gini(times) == (area / total - (all_drawn + 1.0) / 2.0) / all_drawn


@pytest.mark.parametrize("digits", [9, 1, 0, -2])
def test_the_money_of_a_draw_is_that_of_the_plain_sums_bit_for_bit(digits: int) -> None:
    """Equal predictions share what is realised, also where they stand in two tenths or more, or in all of them."""
    predicted, realised = customers()
    predicted = np.round(predicted, digits)
    (times,) = draws(len(realised), seed=3, resamples=1)
    order = np.argsort(predicted, kind="stable")
    money = np.zeros((2, TENTHS))
    for part, places in enumerate(np.array_split(order, TENTHS)):
        for customer in places:
            equal = order[predicted[order] == predicted[customer]]
            drawn = value = 0.0
            for other in equal:
                drawn += float(times[other])
                value += float(times[other]) * float(realised[other])
            shared = float(realised[customer]) if len(equal) == 1 else value / max(drawn, 1.0)
            money[0, part] += float(times[customer]) * float(predicted[customer])
            money[1, part] += float(times[customer]) * shared
    off = (money[0] - money[1]) / money[1].sum()
    assert Tenths(predicted, realised).off(times).tobytes() == off.tobytes()


def test_a_draw_of_nobody_has_a_gini_of_0() -> None:
    assert PredictedOrder(np.empty(0), np.empty(0)).gini(np.empty(0, dtype=np.uint16)) == 0.0


@pytest.mark.parametrize("worth", [0.1, 7.7, 29.97])
def test_a_gini_of_customers_who_are_all_worth_the_same_is_unknown_in_every_draw(worth: float) -> None:
    """A fee that is the same for everyone has no exact form in binary: what rounding leaves is no ranking."""
    for count in (49, 59, 100):
        drawn = draws(count, seed=1, resamples=50)
        ginis = resample({"model": np.arange(count, dtype=np.float64)}, np.full(count, worth), drawn).gini["model"]
        assert np.isnan(ginis).all()


def test_the_same_seed_draws_the_same_customers() -> None:
    one, other = (np.stack(list(draws(50, seed, 4))) for seed in (1, 2))
    assert np.array_equal(one, np.stack(list(draws(50, 1, 4))))
    assert not np.array_equal(one, other)
    assert (one.sum(axis=1) == 50).all()


def test_draws_in_32_bits_are_those_in_64() -> None:
    """Figures of earlier versions were drawn in 64 bits, and a judgement made again gives the same."""
    for customers_drawn in (1, 7, 50, 100_001):
        (times,) = draws(customers_drawn, seed=5, resamples=1)
        positions = np.random.default_rng(5).integers(customers_drawn, size=customers_drawn)
        assert np.array_equal(times, np.bincount(positions, minlength=customers_drawn))


def test_draws_in_which_all_are_worth_the_same_say_nothing() -> None:
    found = resample({"model": np.array([1.0, 2.0])}, np.array([0.0, 0.0]), draws(2, 1, 10))
    assert np.isnan(found.gini["model"]).all()


def compared(model: Floats, champion: Floats, realised: Floats, times: int = 1, **gate: Any) -> Comparisons:
    predictions = {"model": model, "champion": champion}
    metrics = {name: rank_metrics(predicted, realised) for name, predicted in predictions.items()}
    names, category = ("model", "champion"), np.full(len(realised), "low")
    return compare_with_rivals(predictions, realised, metrics, category, names, GateSettings(**gate), times, 1)


def test_the_same_model_with_other_noise_is_not_surely_better() -> None:
    """Ten challengers that differ from the champion by noise alone: some rank a little better, none surely."""
    predicted, realised = customers(2_000)
    random = np.random.default_rng(3)
    better = 0
    for _ in range(10):
        found = compared(predicted * np.exp(0.02 * random.normal(size=2_000)), predicted, realised, resamples=200)
        better += found.gini["champion"].difference > 0
        assert found.gini["champion"].low <= 0
    assert better


def test_a_model_that_knows_more_is_surely_better() -> None:
    predicted, realised = customers(2_000)
    found = compared(np.sqrt(predicted * (realised + 0.1)), predicted, realised)
    assert found.gini["champion"].difference > found.gini["champion"].low > 0


def test_each_further_look_at_a_window_asks_for_more() -> None:
    predicted, realised = customers(500)
    model = np.sqrt(predicted * (realised + 0.1))
    found = {times: compared(model, predicted, realised, times) for times in (1, 5, 50)}
    bounds = [each.gini["champion"].low for each in found.values()]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > bounds[-1]
    assert found[5].confidence == pytest.approx(1 - 0.05 / 30)


def test_a_further_look_at_a_window_refuses_the_same_money() -> None:
    predicted, realised = customers(500)
    right = predicted * realised.sum() / predicted.sum()
    found = [compared(1.4 * right, right, realised, times) for times in (1, 3, 9)]
    assert found[0].calibration > 0
    assert len({(each.calibration, each.calibration_worse, each.money_confidence) for each in found}) == 1
    assert found[0].money_confidence == GateSettings().confidence


@given(st.floats(0.001, 0.5), st.integers(1, 10_000))
def test_all_tries_on_a_window_have_no_more_than_the_whole_chance_of_error(error: float, tries: int) -> None:
    parts = [error_of_try(error, number) for number in range(1, tries + 1)]
    assert sum(parts) <= error
    assert parts == sorted(parts, reverse=True)


def test_one_of_ten_models_without_an_advantage_passes_by_chance_as_rarely_as_is_allowed() -> None:
    """Each passes with the chance of its try; with a part of one through the number of the try it was 13.8 %."""
    chance = np.random.default_rng(1).random((50_000, 10))
    passed = chance < [error_of_try(0.05, number) for number in range(1, 11)]
    assert 0.035 < passed.any(axis=1).mean() <= 0.05


def test_money_doubled_is_surely_worse_calibrated_than_the_champion_s() -> None:
    predicted, realised = customers(2_000)
    right = predicted * realised.sum() / predicted.sum()
    found = compared(2 * right, right, realised)
    assert found.gini["champion"].difference == 0
    assert found.calibration_worse is not None
    assert found.calibration_worse.low > 0.5
    assert found.calibration > 0.5


def registry_with(*tested_days: int, horizon_days: int = 90) -> Any:
    params = {"horizon_days": str(horizon_days)}
    runs = [a_run(f"run {day}", "FINISHED", params=params, test_as_of=str(day * DAY_US)) for day in tested_days]
    return registry_of(*runs, a_run("died early", "FAILED"))  # that was before it was judged


def a_run(run_id: str, status: str, params: dict[str, str] | None = None, **tags: str) -> Any:
    info = SimpleNamespace(run_id=run_id, status=status)
    return SimpleNamespace(info=info, data=SimpleNamespace(tags=tags, params=params or {}))


def registry_of(*runs: Any) -> Any:
    client = SimpleNamespace(search_runs=lambda *_, **__: runs)
    return SimpleNamespace(client=client, name="value", experiment=lambda name: name)


def judged(registry: Any) -> int:
    return times_judged(registry, DATES, "model", "data")


@pytest.mark.parametrize(
    ("days", "times"), [((), 1), ((1_000,), 2), ((1_000, 1_000, 999), 4), ((911, 1_089), 3), ((910, 1_090), 1)]
)
def test_a_window_that_shares_a_day_counts_as_judged_on(days: tuple[int, ...], times: int) -> None:
    assert judged(registry_with(*days)) == times


@pytest.mark.parametrize(("day", "times"), [(900, 2), (636, 2), (635, 1)])
def test_an_earlier_window_that_was_longer_shares_days_too(day: int, times: int) -> None:
    """A year from day 900 on has all of the 90 days from day 1,000 on."""
    assert judged(registry_with(day, horizon_days=365)) == times


@pytest.mark.parametrize(
    ("status", "content_hash", "digest", "times"),
    [
        ("RUNNING", "model", "data", 1),
        ("FAILED", "model", "data", 1),
        ("FAILED", "another", "data", 3),
        ("FAILED", "model", "others", 3),
        ("FINISHED", "model", "data", 3),
    ],
)
def test_a_run_that_died_does_not_count_where_the_same_model_is_judged_again(
    status: str, content_hash: str, digest: str, times: int
) -> None:
    """Nor do its origins, each a run within it that came to its end."""
    moment = str(DATES.test)
    run = a_run("one", status, test_as_of=moment, judged_content_hash=content_hash, data_digest=digest)
    origin = a_run("two", "FINISHED", test_as_of=moment)
    origin.data.tags["mlflow.parentRunId"] = "one"
    assert judged(registry_of(run, origin)) == times
