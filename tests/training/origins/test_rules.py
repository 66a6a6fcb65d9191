"""What the gate asks of several origins, case by case, and the figures over origins as properties."""

from dataclasses import replace
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US, day_text
from fivefold.features.histories import Floats
from fivefold.training.config import GateSettings
from fivefold.training.dates import Dates
from fivefold.training.judging.gate import GateVerdict, with_origins
from fivefold.training.judging.metrics import Metrics, rank_metrics
from fivefold.training.origins.judge import JudgedOrigin
from fivefold.training.origins.rolling import GINI, FigureDifference, Rolling, roll

PASSED = GateVerdict(True, True, ("the last origin passed",))
QUICK = GateSettings(resamples=100)


def moment(number: int) -> int:
    return (1000 + 90 * number) * DAY_US


def judged(number: int, gini: dict[str, float], left_out: str = "", times: int = 1) -> JudgedOrigin:
    dates = Dates(np.array([moment(number - 1)]), moment(number), 90)
    by_name = {name: Metrics(value, 0.5, 0.5) for name, value in gini.items()}
    return JudgedOrigin(
        dates=dates,
        rows=500,
        rounds=40,
        times_judged=times,
        champion_left_out=left_out,
        predictions={},
        realised=np.ones(100),
        by_name=by_name,
        calibration_error=0.1,
    )


def rolling(*origins: JudgedOrigin) -> Rolling:
    """Give the means that the rules read, without any draws, among differences that they do not read."""
    both = [each for each in origins if "champion" in each.by_name]
    less = [each.by_name["model"].normalised_gini - each.by_name["champion"].normalised_gini for each in both]
    parts = [
        FigureDifference("champion", GINI, each.moment, 1, one, one, one) for each, one in zip(both, less, strict=True)
    ]
    if less:
        parts.append(FigureDifference("champion", GINI, None, len(less), float(np.mean(less)), nan, nan))
    others = [("persistence", GINI), ("champion", "top_decile_capture")]
    unread = [FigureDifference(*other, each.moment, 1, -0.9, nan, nan) for each in origins for other in others]
    return Rolling(origins, (*unread, *parts), 0.95)


def four(*model: float, persistence: float = 0.7, champion: float | None = None) -> Rolling:
    rivals = {"persistence": persistence, "rfm": 0.5} | ({} if champion is None else {"champion": champion})
    return rolling(*(judged(number, {"model": gini, **rivals}) for number, gini in enumerate(model)))


def test_one_origin_alone_leaves_the_verdict_as_it_is() -> None:
    assert with_origins(PASSED, None, GateSettings()) is PASSED


@pytest.mark.parametrize(
    ("found", "gate", "promote", "says"),
    [
        (four(0.8, 0.8, 0.8, 0.8), {}, True, "beats persistence at 4 of 4 origins"),
        (four(0.6, 0.8, 0.8, 0.8), {}, True, f"not at {day_text(moment(0))} (0.6000 against 0.7000)"),
        (four(0.6, 0.8, 0.7, 0.8), {}, False, "beats persistence at 2 of 4 origins, not at"),
        (four(0.6, 0.8, 0.7, 0.8), {"least_beaten_share": 0.5}, True, "beats persistence at 2 of 4 origins"),
        (four(0.8, 0.6, 0.8), {"least_beaten_share": 1.0}, False, "3 are asked for (gate.least_beaten_share)"),
        (four(0.8, 0.6, 0.8, 0.8), {"least_beaten_share": 0.751}, False, "4 are asked for (gate.least_beaten_share)"),
        (four(0.8, 0.6, 0.8), {"least_gini": 0.65}, False, f"the worst origin is {day_text(moment(1))}"),
        (four(0.8, 0.75), {"least_gini": 0.75}, True, "with normalised Gini 0.7500"),
        (four(0.8, 0.8, champion=0.8), {}, True, "is +0.0000 from the champion's"),
        (four(0.9, 0.72, champion=0.82), {}, False, f"lowest at {day_text(moment(1))}, -0.1000"),
        (four(0.9, 0.73998, champion=0.82), {}, False, "is -0.00001 from the champion's, and may be 0 at the least"),
        (four(0.9, 0.72, champion=0.82), {"most_below_champion": 0.005}, False, "and may be -0.005 at the least"),
        (four(0.9, 0.72, champion=0.82), {"most_below_champion": 0.02}, True, "is -0.0100 from the champion's"),
        (four(0.8, nan), {}, False, f"is not defined at origin {day_text(moment(1))}"),
        (four(0.8, nan), {"least_beaten_share": 0.5}, False, f"is not defined at origin {day_text(moment(1))}"),
        (four(0.8, 0.8, persistence=nan), {}, False, "(0.8000 against no figure)"),
    ],
)
def test_a_refusal_names_the_origin_and_the_figure(
    found: Rolling, gate: dict[str, float], promote: bool, says: str
) -> None:
    verdict = with_origins(PASSED, found, GateSettings(**gate))
    assert verdict.promote == promote
    assert says in str(verdict)
    assert verdict.reasons[0] == "the last origin passed"


def test_where_nothing_is_refused_each_baseline_and_the_worst_origin_have_a_sentence() -> None:
    assert with_origins(PASSED, four(0.9, 0.8, 0.85), GateSettings()).reasons == (
        "the last origin passed",
        "beats persistence at 3 of 3 origins",
        "beats rfm at 3 of 3 origins",
        f"the worst origin is {day_text(moment(1))} with normalised Gini 0.8000",
    )


def test_origins_never_promote_what_the_last_one_would_not() -> None:
    refused = GateVerdict(False, True, ("no",))
    assert not with_origins(refused, four(0.9, 0.9), GateSettings()).promote


def test_a_champion_that_learnt_from_a_window_does_not_count_there() -> None:
    """It would be far ahead on the window that it learnt from; that it is left out there is said."""
    why = "champion 7 was trained inside the test window"
    plain = {"persistence": 0.1, "rfm": 0.1}
    found = rolling(
        judged(0, {"model": 0.5, **plain}, left_out=why), judged(1, {"model": 0.8, "champion": 0.79, **plain}, times=3)
    )
    verdict = with_origins(PASSED, found, GateSettings())
    assert verdict.promote
    aside = f"not counted at origin {day_text(moment(0))}: {why}"
    assert f"over 1 origin normalised Gini is +0.0100 from the champion's; {aside}" in str(verdict)
    nowhere = rolling(*(judged(number, {"model": 0.5, **plain}, left_out=why) for number in (0, 1)))
    assert "the champion is compared at no origin; not counted at origins" in str(
        with_origins(PASSED, nowhere, GateSettings())
    )


def test_windows_that_were_judged_on_before_are_named() -> None:
    gini = {"model": 0.8, "persistence": 0.1, "rfm": 0.1}
    found = rolling(judged(0, gini, times=2), judged(1, gini), judged(2, gini, times=3), judged(3, gini, times=5))
    said = str(with_origins(PASSED, found, GateSettings()))
    first, third = day_text(moment(0)), day_text(moment(2))
    assert said.endswith(f"judged on before: the windows from {first} 2 times, {third} 3 times")


def origin(number: int, first_rows: np.ndarray, predictions: dict[str, Floats]) -> JudgedOrigin:
    known = first_rows <= moment(number)
    realised = np.random.default_rng(number).exponential(size=len(first_rows))[known]
    predicted = {name: values[known] for name, values in predictions.items()}
    dates = Dates(np.array([moment(number - 1)]), moment(number), 90)
    by_name = {name: rank_metrics(values, realised) for name, values in predicted.items()}
    return JudgedOrigin(
        dates=dates,
        rows=5,
        rounds=4,
        times_judged=1,
        champion_left_out="",
        predictions=predicted,
        realised=realised,
        by_name=by_name,
        calibration_error=0.1,
    )


def two_origins(left_out: str) -> Rolling:
    """Give two origins with drawn intervals; at the first the champion is left out."""
    random = np.random.default_rng(1)
    first_rows = np.zeros(50, dtype=np.int64)
    predictions = {name: random.normal(size=50) for name in ("model", "persistence", "rfm")}
    first = replace(origin(0, first_rows, predictions), champion_left_out=left_out)
    second = origin(1, first_rows, predictions | {"champion": random.normal(size=50)})
    named = {name: second.by_name[name] for name in ("model", "champion", "persistence", "rfm")}
    return roll([first, replace(second, by_name=named)], first_rows, QUICK, seed=1)


@given(st.integers(0, 2**31), st.integers(12, 60), st.integers(2, 4))
def test_a_difference_is_the_mean_over_origins_and_that_from_oneself_is_nothing(
    seed: int, customers: int, count: int
) -> None:
    random = np.random.default_rng(seed)
    first_rows = random.integers(moment(-3), moment(count), customers)
    first_rows[:10] = moment(-3)
    own = random.normal(size=customers)
    predictions = {"model": own, "champion": own.copy(), "persistence": random.normal(size=customers)}
    origins = [origin(number, first_rows, predictions) for number in range(count)]
    found = roll(origins, first_rows, QUICK, seed=seed)
    for figure in ("normalised_gini", "top_decile_capture"):
        same = found.difference("champion", figure)
        assert same is not None
        assert (same.estimate, same.low, same.high) == (0.0, 0.0, 0.0)
        other = found.difference("persistence", figure)
        assert other is not None
        at_each = [found.difference("persistence", figure, each.moment) for each in origins]
        estimates = [one.estimate for one in at_each if one is not None]
        assert other.estimate == pytest.approx(float(np.mean(estimates)))
        assert other.low <= other.high
        # The mean of all is no less certain than the least certain of its parts.
        assert other.high - other.low <= max(one.high - one.low for one in at_each if one is not None) + 1e-12


def test_a_figure_that_is_not_defined_is_left_out_of_the_mean_and_of_the_counted_origins() -> None:
    first_rows = np.zeros(20, dtype=np.int64)
    predictions = {"model": np.arange(20.0), "persistence": np.arange(20.0)[::-1]}
    flat, other = origin(0, first_rows, predictions), origin(1, first_rows, predictions)
    same = np.ones(20)
    by_name = {name: rank_metrics(values, same) for name, values in predictions.items()}
    assert isnan(by_name["model"].normalised_gini)
    flat = JudgedOrigin(
        dates=flat.dates,
        rows=5,
        rounds=4,
        times_judged=1,
        champion_left_out="",
        predictions=predictions,
        realised=same,
        by_name=by_name,
        calibration_error=0.1,
    )
    found = roll([flat, other], first_rows, QUICK, seed=1)
    less = found.difference("persistence", GINI)
    assert less is not None
    assert less.origins == 1
    assert found.difference("persistence", GINI, flat.moment) is None
    assert found.mean("model", GINI) == other.by_name["model"].normalised_gini
    assert all(np.isfinite(value) for value in found.figures().values())
    assert all(np.isfinite(value) for value in found.figures_at(flat).values())
