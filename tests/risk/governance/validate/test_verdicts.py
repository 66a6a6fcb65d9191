"""Verdicts on both sides of every floor."""

import numpy as np
import pytest

from fivefold.risk.governance.validate.levels import capture, level_rows
from fivefold.risk.governance.validate.ranking import Interval
from fivefold.risk.governance.validate.verdicts import Answer, Floors, Verdict, interval_words, verdicts

NAMES = ("low", "medium", "high", "critical")


def judged(found: Interval | None, hits: int = 90, low: int = 10, others: tuple[int, int, int, int] = (60, 22, 10, 4)):  # type: ignore[no-untyped-def]  # noqa: ANN201 (a tuple of verdicts)
    """*hits* confirmed in high, *low* confirmed in low, and others that are not confirmed, ten of each number."""
    level = np.repeat([3, 1, 1, 2, 3, 4], [hits, low, *(10 * count for count in others)])
    confirmed = np.arange(len(level)) < hits + low
    return verdicts(found, capture(level, confirmed, NAMES), hits + low, level_rows(level, confirmed, NAMES), Floors())


def by_name(found: tuple[Verdict, ...], start: str) -> Verdict:
    return next(verdict for verdict in found if verdict.what.startswith(start))


@pytest.mark.parametrize(
    ("gini", "answer", "sure"),
    [
        (Interval(0.7, 0.66, 0.74), Answer.MET, True),
        (Interval(0.7, 0.64, 0.76), Answer.MET, False),
        (Interval(0.65, 0.61, 0.65), Answer.NOT_MET, True),
        (Interval(0.60, 0.55, 0.65), Answer.NOT_MET, False),
        (Interval(0.59, 0.5, 0.599), Answer.RECALIBRATE, True),
    ],
)
def test_gini_is_held_against_both_floors(gini: Interval, answer: Answer, sure: bool) -> None:
    verdict = by_name(judged(gini), "Gini")
    assert (verdict.answer, verdict.sure) == (answer, sure)
    assert verdict.measured == interval_words(gini)


@pytest.mark.parametrize(
    ("hits", "low", "captured", "missed"),
    [(80, 20, Answer.MET, Answer.MET), (79, 21, Answer.NOT_MET, Answer.RECALIBRATE)],
)
def test_capture_and_misses_meet_at_their_floors(hits: int, low: int, captured: Answer, missed: Answer) -> None:
    found = judged(Interval(0.7, 0.7, 0.7), hits, low)
    assert by_name(found, "Confirmed in high and critical").answer == captured
    assert by_name(found, "Confirmed below").answer == missed


def test_what_arithmetic_forbids_is_unreachable() -> None:
    """A hundred confirmed and room for fifty."""
    found = judged(Interval(0.7, 0.7, 0.7), 40, 60, (10, 10, 1, 0))
    assert by_name(found, "Confirmed in").answer == Answer.UNREACHABLE
    assert by_name(found, "Confirmed below").answer == Answer.UNREACHABLE
    assert "at most 50.0 % can be captured" in by_name(found, "Confirmed in").because


def test_few_labels_give_no_verdict_but_the_numbers() -> None:
    found = judged(Interval(0.9, 0.8, 0.95), 40, 9)
    for start in ("Gini", "Confirmed in", "Confirmed below"):
        verdict = by_name(found, start)
        assert verdict.answer == Answer.TOO_FEW
        assert "at least 50 are needed: with these the 95 % interval of a capture of 80 %" in verdict.because
    assert by_name(found, "Gini").measured == "0.900 (0.800 to 0.950)"
    assert by_name(judged(Interval(0.9, 0.8, 0.95), 41, 9), "Gini").answer == Answer.MET


def test_without_labels_nothing_is_measured() -> None:
    rows = level_rows(np.array([1]), np.array([False]), NAMES)
    found = verdicts(None, None, 0, rows, Floors())
    assert {verdict.answer for verdict in found[:3]} == {Answer.TOO_FEW}


def test_shares_are_held_against_the_bands_of_four_levels() -> None:
    found = judged(Interval(0.7, 0.7, 0.7), 0, 60, (60, 24, 10, 4))
    answers = {verdict.what: verdict.answer for verdict in found if verdict.what.startswith("Portfolio")}
    assert answers == {
        "Portfolio in low": Answer.MET,
        "Portfolio in medium": Answer.MET,
        "Portfolio in high": Answer.MET,
        "Portfolio in critical": Answer.MET,
    }
    three = level_rows(np.array([1, 2, 3]), np.array([False] * 3), NAMES[:3])
    assert not [each for each in verdicts(None, None, 0, three, Floors()) if each.what.startswith("Portfolio")]
    empty = level_rows(np.array([1] * 99 + [0]), np.array([False] * 100), NAMES)
    assert by_name(verdicts(None, None, 0, empty, Floors()), "Portfolio in low").answer == Answer.NOT_MET
