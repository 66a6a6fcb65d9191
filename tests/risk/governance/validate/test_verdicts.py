"""Verdicts on both sides of every floor."""

from typing import Any

import numpy as np
import pytest

from fivefold.risk.governance.validate.measures import captured_share, level_rows
from fivefold.risk.governance.validate.ranking import ConfidenceInterval, Ranking
from fivefold.risk.governance.validate.verdicts import (
    AcceptanceLimits,
    LimitVerdict,
    VerdictAnswer,
    interval_words,
    verdicts,
)

NAMES = ("low", "medium", "high", "critical")


def judged(
    gini: ConfidenceInterval,
    hits: int = 90,
    low: int = 10,
    others: tuple[int, int, int, int] = (60, 22, 10, 4),
    ranked: tuple[int, int] | None = None,
) -> Any:
    """*hits* confirmed in high, *low* confirmed in low, and others that are not confirmed, ten of each number.

    *ranked* of the confirmed and of the others were assessed in full; all, unless it is said.
    """
    level = np.repeat([3, 1, 1, 2, 3, 4], [hits, low, *(10 * count for count in others)])
    confirmed = np.arange(len(level)) < hits + low
    confirmed_ranked, others_ranked = ranked or (hits + low, 10 * sum(others))
    ranking = Ranking(confirmed_ranked + others_ranked, confirmed_ranked, gini, gini)
    return verdicts(
        ranking,
        captured_share(level, confirmed, NAMES),
        hits + low,
        level_rows(level, confirmed, NAMES),
        AcceptanceLimits(),
    )


def by_name(found: tuple[LimitVerdict, ...], start: str) -> LimitVerdict:
    return next(verdict for verdict in found if verdict.what.startswith(start))


@pytest.mark.parametrize(
    ("gini", "answer", "sure"),
    [
        (ConfidenceInterval(0.7, 0.66, 0.74), VerdictAnswer.MET, True),
        (ConfidenceInterval(0.7, 0.64, 0.76), VerdictAnswer.MET, False),
        (ConfidenceInterval(0.65, 0.61, 0.65), VerdictAnswer.NOT_MET, True),
        (ConfidenceInterval(0.60, 0.55, 0.65), VerdictAnswer.NOT_MET, False),
        (ConfidenceInterval(0.59, 0.5, 0.599), VerdictAnswer.RECALIBRATE, True),
    ],
)
def test_gini_is_held_against_both_floors(gini: ConfidenceInterval, answer: VerdictAnswer, sure: bool) -> None:
    verdict = by_name(judged(gini), "Gini")
    assert (verdict.answer, verdict.sure) == (answer, sure)
    assert verdict.measured == interval_words(gini)


@pytest.mark.parametrize(
    ("hits", "low", "captured", "missed"),
    [(80, 20, VerdictAnswer.MET, VerdictAnswer.MET), (79, 21, VerdictAnswer.NOT_MET, VerdictAnswer.RECALIBRATE)],
)
def test_capture_and_misses_meet_at_their_floors(
    hits: int, low: int, captured: VerdictAnswer, missed: VerdictAnswer
) -> None:
    found = judged(ConfidenceInterval(0.7, 0.7, 0.7), hits, low)
    assert by_name(found, "Confirmed in high and critical").answer == captured
    assert by_name(found, "Confirmed below").answer == missed


def test_what_arithmetic_forbids_is_unreachable() -> None:
    """A hundred confirmed and room for fifty."""
    found = judged(ConfidenceInterval(0.7, 0.7, 0.7), 40, 60, (10, 10, 1, 0))
    assert by_name(found, "Confirmed in").answer == VerdictAnswer.UNREACHABLE
    assert by_name(found, "Confirmed below").answer == VerdictAnswer.UNREACHABLE
    room = "16.1 % of the portfolio is in high and critical, and 32.3 % of it is confirmed"
    assert by_name(found, "Confirmed in").because == f"{room}, so at most 50.0 % can be captured"
    assert by_name(found, "Confirmed below").because == f"{room}, so at least 50.0 % must be missed"


@pytest.mark.parametrize(("top", "confirmed", "everyone"), [(44, 55, 100), (40, 50, 1000), (48, 60, 1234)])
def test_levels_with_room_for_just_the_floor_can_reach_it(top: int, confirmed: int, everyone: int) -> None:
    """Four fifths of the confirmed fill the top levels: of shares, 0.44 / 0.55 is less than 0.8."""
    level, marks = np.repeat([3, 1], [top, everyone - top]), np.arange(everyone) < confirmed
    found = verdicts(None, captured_share(level, marks, NAMES), confirmed, (), AcceptanceLimits())
    for start, words in (("Confirmed in", "at most 80.0 % can"), ("Confirmed below", "at least 20.0 % must")):
        verdict = by_name(found, start)
        assert verdict.answer == VerdictAnswer.MET
        assert words in verdict.because


def test_few_labels_give_no_verdict_but_the_numbers() -> None:
    found = judged(ConfidenceInterval(0.9, 0.8, 0.95), 40, 9)
    for start in ("Gini", "Confirmed in", "Confirmed below"):
        verdict = by_name(found, start)
        assert verdict.answer == VerdictAnswer.TOO_FEW
        assert "at least 50 are needed: with these the 95 % interval of a capture of 80 %" in verdict.because
    assert by_name(found, "Gini").measured == "0.900 (0.800 to 0.950)"
    assert by_name(judged(ConfidenceInterval(0.9, 0.8, 0.95), 41, 9), "Gini").answer == VerdictAnswer.MET


def test_a_gini_that_rests_on_few_has_no_verdict() -> None:
    """A hundred are confirmed, but most of them could not be assessed in full."""
    gini = ConfidenceInterval(0.1, -0.1, 0.3)
    for ranked in ((49, 900), (95, 49)):
        found = judged(gini, ranked=ranked)
        verdict = by_name(found, "Gini")
        assert (verdict.answer, verdict.measured) == (VerdictAnswer.TOO_FEW, "0.100 (-0.100 to 0.300)")
        assert f"{ranked[0]} are confirmed and {ranked[1]} are not; at least 50 of each are needed" in verdict.because
        assert by_name(found, "Confirmed in").answer == VerdictAnswer.MET
    assert by_name(judged(gini, ranked=(50, 50)), "Gini").answer == VerdictAnswer.RECALIBRATE


def test_without_labels_nothing_is_measured() -> None:
    rows = level_rows(np.array([1]), np.array([False]), NAMES)
    found = verdicts(None, None, 0, rows, AcceptanceLimits())
    assert {verdict.answer for verdict in found[:3]} == {VerdictAnswer.TOO_FEW}


def test_shares_are_held_against_the_bands_of_four_levels() -> None:
    found = judged(ConfidenceInterval(0.7, 0.7, 0.7), 0, 60, (60, 24, 10, 4))
    answers = {verdict.what: verdict.answer for verdict in found if verdict.what.startswith("Portfolio")}
    assert answers == {
        "Portfolio in low": VerdictAnswer.MET,
        "Portfolio in medium": VerdictAnswer.MET,
        "Portfolio in high": VerdictAnswer.MET,
        "Portfolio in critical": VerdictAnswer.MET,
    }
    three = level_rows(np.array([1, 2, 3]), np.array([False] * 3), NAMES[:3])
    assert not [
        each for each in verdicts(None, None, 0, three, AcceptanceLimits()) if each.what.startswith("Portfolio")
    ]
    empty = level_rows(np.array([1] * 99 + [0]), np.array([False] * 100), NAMES)
    assert (
        by_name(verdicts(None, None, 0, empty, AcceptanceLimits()), "Portfolio in low").answer == VerdictAnswer.NOT_MET
    )


def test_what_is_measured_never_reads_as_the_floor_that_it_misses() -> None:
    """2,399 of 3,000 captured are 79.97 %, and the floor is 80 %."""
    verdict = judged(ConfidenceInterval(0.64996, 0.6, 0.70004), 2399, 601)
    assert by_name(verdict, "Gini").measured == "0.64996 (0.600 to 0.700)"
    assert by_name(verdict, "Confirmed in high").measured.startswith("79.97 % (")
    assert by_name(verdict, "Confirmed below").measured.startswith("20.03 % (")
    rows = level_rows(np.repeat([1, 2, 3, 4], [7003, 2000, 800, 197]), np.zeros(10_000, dtype=np.bool_), NAMES)
    low, medium, *_ = verdicts(None, None, 0, rows, AcceptanceLimits())[3:]
    assert (low.answer, low.measured, low.floor) == (VerdictAnswer.NOT_MET, "70.03 %", "60 to 70 %")
    assert (medium.answer, medium.measured) == (VerdictAnswer.MET, "20.0 %")
