"""When a version is due for training: only where a figure is surely out of its bounds, of enough customers."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from fivefold.training.config import DueSettings
from fivefold.training.judging.due import due_verdict
from fivefold.training.judging.metrics import Metrics
from fivefold.training.judging.realised import FIGURES, Realised, RealisedDay, _means

DUE = DueSettings()
DAY = 20_000 * 86_400_000_000


def day(
    customers: int = 1_000,
    gini: float = 0.8,
    gini_high: float = 0.82,
    day_us: int = DAY,
    most_held_share: float = 0.8,
    interval_customers: int | None = None,
    level_percent: int | None = 80,
    gone: int = 0,
    **row: Any,
) -> RealisedDay:
    figures = {"by": "all", "group": "all", "customers": customers, "predicted_mean": 10.0, "realised_mean": 10.0}
    figures |= {"ratio": 1.0, "ratio_low": 0.9, "ratio_high": 1.1, "covered_share": 0.8, **row}
    table = pl.DataFrame([figures], schema=FIGURES)
    metrics, held = Metrics(gini, 0.9, 0.9), customers if interval_customers is None else interval_customers
    return RealisedDay(day_us, customers, gone, metrics, gini_high, level_percent, table, most_held_share, held)


def state(*days: RealisedDay, card: float | None = 0.8, **counts: int) -> str:
    return due_verdict(Realised(days, **counts), DUE, card).state


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({}, "holds"),
        ({"ratio": 1.2, "ratio_low": 1.1, "ratio_high": 1.3}, "due"),
        ({"ratio": 1.2, "ratio_low": 0.95, "ratio_high": 1.45}, "holds"),  # chance may have moved it
        ({"ratio": 1.2, "ratio_low": 1.0, "ratio_high": 1.4}, "holds"),  # just so
        ({"ratio": 1.1, "ratio_low": 1.05, "ratio_high": 1.15}, "holds"),  # surely off, by less than is allowed
        ({"ratio": 0.7, "ratio_low": 0.6, "ratio_high": 0.8}, "due"),
        ({"ratio": 0.7, "ratio_low": 0.4, "ratio_high": 1.0}, "holds"),
        ({"ratio": None, "ratio_low": None, "ratio_high": None}, "holds"),
        ({"covered_share": 0.76}, "due"),
        ({"covered_share": 0.84}, "due"),
        ({"covered_share": 0.775}, "holds"),
        ({"covered_share": 0.92, "most_held_share": 0.9}, "holds"),  # most were worth nothing, as in a shop
        ({"covered_share": 0.94, "most_held_share": 0.9}, "due"),
        ({"covered_share": 0.76, "most_held_share": 0.9}, "due"),
        ({"covered_share": 0.765, "customers": 501}, "holds"),  # of 501 customers chance moves it by 3.5 points
        ({"covered_share": None, "level_percent": None, "interval_customers": 0}, "holds"),
        ({"covered_share": 0.6, "interval_customers": 500}, "due"),
        ({"covered_share": 0.6, "interval_customers": 499}, "holds"),  # too few have one of that level
        ({"gini": 0.7, "gini_high": 0.74}, "due"),
        ({"gini": 0.7, "gini_high": 0.76}, "holds"),
        ({"gini": 0.7, "gini_high": 0.75}, "holds"),  # as much lower as is allowed
        ({"gini": 0.7, "gini_high": float("nan")}, "holds"),
        ({"customers": 500, "ratio": 3.0, "ratio_low": 2.0, "ratio_high": 4.0}, "due"),
        ({"customers": 499, "ratio": 3.0, "ratio_low": 2.0, "ratio_high": 4.0}, "unknown"),
    ],
)
def test_a_figure_must_be_surely_out_of_its_bounds(found: dict[str, Any], expected: str) -> None:
    assert state(day(**found)) == expected


def test_money_that_is_off_by_as_much_as_is_allowed_holds() -> None:
    for allowed in (0.1, 0.15, 0.25, 0.3):  # 1 - 0.85 and 1.1 - 1 are more than 0.15 and 0.1 by rounding alone
        for ratio in (1 - allowed, 1 + allowed):
            realised = Realised((day(ratio=ratio, ratio_low=ratio - 0.01, ratio_high=ratio + 0.01),))
            assert due_verdict(realised, DueSettings(most_off_share=allowed), 0.8).state == "holds"
            assert due_verdict(realised, DueSettings(most_off_share=allowed - 0.001), 0.8).state == "due"


def test_a_ranking_that_fell_by_as_much_as_is_allowed_holds() -> None:
    for card in (0.46, 0.53, 0.8):  # 0.53 - 0.05 is more than 0.48 by rounding alone
        fallen = Realised((day(gini=0.5, gini_high=round(card - 0.05, 2)),))
        assert due_verdict(fallen, DUE, card).state == "holds"
        assert due_verdict(fallen, DueSettings(most_gini_fall=0.049), card).state == "due"


@pytest.mark.parametrize(
    ("found", "most", "words"),
    [
        ((1.1530, 1.0099, 1.2961), 0.15, "1.153 of the predicted (surely 1.01 to 1.30), and 15 % off is allowed"),
        ((1.2, 1.0012, 1.4), 0.15, "1.20 of the predicted (surely 1.001 to 1.40), and 15 % off is allowed"),
        ((0.9703, 0.9456, 0.9951), 0.025, "0.970 of the predicted (surely 0.95 to 0.995), and 2.5 % off is allowed"),
        ((0.9749, 0.9656, 0.99), 0.025, "0.9749 of the predicted (surely 0.97 to 0.99), and 2.5 % off is allowed"),
    ],
)
def test_a_sentence_does_not_round_a_figure_to_its_bound(
    found: tuple[float, float, float], most: float, words: str
) -> None:
    figures = dict(zip(("ratio", "ratio_low", "ratio_high"), found, strict=True))
    verdict = due_verdict(Realised((day(**figures),)), DueSettings(most_off_share=most), 0.8)
    assert verdict.reasons == (f"realised money is {words}",)


def test_a_sentence_about_intervals_or_the_ranking_has_the_digits_that_decide() -> None:
    """77 to 83 % of 80 may be held, and a Gini of 0.75 is as much below the card as is allowed."""
    found = day(customers=10_000, covered_share=0.7698, gini=0.74, gini_high=0.749981)
    assert due_verdict(Realised((found,)), DueSettings(), 0.8).reasons == (
        "intervals of 80 % held 76.98 % of the values, and the settings and chance allow 77.0 % to 83.0 %",
        "normalised Gini is 0.7400 (surely below 0.74998), on the card 0.8000; a fall by 0.05 is allowed",
    )


def test_where_chance_or_what_was_held_before_reaches_further_the_sentence_about_intervals_names_that_bound() -> None:
    """Chance moves the share of 501 customers by 3.5026 points; of a shop 90 % was held when it was measured."""
    found = day(customers=501, covered_share=0.76496, most_held_share=0.9)
    assert due_verdict(Realised((found,)), DueSettings(), 0.8).reasons == (
        "intervals of 80 % held 76.496 % of the values, and the settings and chance allow 76.5 % to 93.5 %",
    )


def test_nothing_realised_has_no_interval_and_is_said_as_it_is() -> None:
    """Values that are all 0 have no spread: an interval from it would have no width, as if chance played no part."""
    assert _means(np.array([2.0, 4.0]), np.zeros(2), 0.8, {}) == {
        "predicted_mean": 3.0, "realised_mean": 0.0, "ratio": 0.0,
    }  # fmt: skip
    verdict = due_verdict(Realised((day(ratio=0.0, ratio_low=None, ratio_high=None),)), DueSettings(), 0.8)
    assert (verdict.state, verdict.reasons) == ("due", ("nothing of the predicted money was realised",))


def test_the_latest_day_decides() -> None:
    off: dict[str, Any] = {"ratio": 2.0, "ratio_low": 1.8, "ratio_high": 2.2}
    later = DAY + 86_400_000_000
    assert state(day(), day(day_us=later, **off)) == "due"
    assert state(day(**off), day(day_us=later)) == "holds"
    assert state(day(**off), day(18, day_us=later)) == "due", "of a small later file nothing can be said"


def test_where_most_of_the_customers_are_not_in_the_data_another_day_decides() -> None:
    off: dict[str, Any] = {"ratio": 2.0, "ratio_low": 1.8, "ratio_high": 2.2}
    assert state(day(gone=1_000, **off)) == "due", "half of them are enough"
    verdict = due_verdict(Realised((day(gone=1_001, **off),)), DUE, 0.8)
    gone = "1,001 of the 2,001 customers predicted on 2024-10-04 are not in the data: are these the same customers?"
    assert (verdict.state, verdict.reasons) == ("unknown", (gone,))
    later = DAY + 86_400_000_000
    assert state(day(**off), day(gone=1_000, day_us=later)) == "holds"
    assert state(day(**off), day(gone=1_001, day_us=later)) == "due"
    assert state(day(**off), day(500, day_us=later)) == "holds", "the least customers are enough"


def test_a_horizon_of_which_the_data_hold_hardly_a_row_says_nothing() -> None:
    off: dict[str, Any] = {"ratio": 0.2, "ratio_low": 0.1, "ratio_high": 0.3}
    verdict = due_verdict(Realised((day(**off),)), DUE, 0.8, {DAY: "the 90 days after 2024-10-04 have 7 rows"})
    assert verdict.state == "unknown"
    assert "7 rows: is the export whole?" in str(verdict)
    assert due_verdict(Realised((day(**off),)), DUE, 0.8, {DAY: ""}).state == "due"


def test_without_a_day_nothing_is_due() -> None:
    assert state(waiting=5) == "waiting"
    assert state(waiting=5, uncovered=3) == "unknown"
    assert state() == "waiting"
    assert state(learnt=3) == "unknown"
    assert state(learnt=3, waiting=5) == "waiting"


def test_a_version_that_holds_says_that_the_data_end_before_later_horizons() -> None:
    verdict = due_verdict(Realised((day(),), uncovered=1_200), DUE, 0.8)
    assert verdict.state == "holds"
    assert "; 1,200 later predictions are not judged, for the data end before their horizons do" in str(verdict)
    assert "later predictions" not in str(due_verdict(Realised((day(),), waiting=5), DUE, 0.8))


def test_counts_of_one_are_of_one_thing() -> None:
    held = day(interval_customers=1)
    reasons = [
        *due_verdict(Realised((), waiting=1), DUE, 0.8).reasons,
        *due_verdict(Realised((), uncovered=1), DUE, 0.8).reasons,
        *due_verdict(Realised((day(1),)), DUE, 0.8).reasons,
        *due_verdict(Realised((held,), uncovered=1), DUE, 0.8).reasons,
    ]
    said = "; ".join(reasons)
    for words in (
        "the horizon of 1 prediction has",
        "of 1 horizon that",
        "of 1 customer, and below",
        "1 customer has one",
        "1 later prediction is not",
    ):
        assert words in said


def test_a_version_without_a_gini_on_its_card_is_judged_by_the_rest() -> None:
    assert state(day(gini=0.1, gini_high=0.2), card=None) == "holds"
    verdict = due_verdict(Realised((day(gini=0.1, gini_high=0.2, covered_share=0.5),)), DUE, 0.8)
    assert len(verdict.reasons) == 2
    assert str(verdict).startswith("due for training, because intervals of 80 % held 50")


@pytest.mark.parametrize(
    ("found", "card", "words"),
    [
        ({}, 0.8, None),
        (
            {"covered_share": None, "level_percent": None, "interval_customers": 0},
            0.8,
            "the intervals are not judged, for the predictions have none",
        ),
        (
            {"interval_customers": 499},
            0.8,
            (
                "the intervals are not judged, for 499 customers have one of 80 %, the level of most, and below 500 "
                "chance alone moves the share"
            ),
        ),
        (
            {"ratio": None, "ratio_low": None, "ratio_high": None},
            0.8,
            "the money is not judged, for all of the predicted is 0",
        ),
        ({}, None, "the ranking is not judged, for the card has no normalised Gini"),
        (
            {"gini_high": float("nan")},
            0.8,
            "the ranking is not judged, for the normalised Gini of values that are all the same is unknown",
        ),
    ],
)
def test_a_version_that_holds_says_what_could_not_be_judged(
    found: dict[str, Any], card: float | None, words: str | None
) -> None:
    verdict = due_verdict(Realised((day(**found),)), DUE, card)
    within = "of the predictions of 2024-10-04 no figure is surely out of its bounds"
    assert (verdict.state, verdict.reasons) == ("holds", (within, *([words] if words else [])))
