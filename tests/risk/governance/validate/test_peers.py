"""A peer's figures: what is read, and how two figures of different customers compare."""

from typing import Any

import numpy as np
import pytest

from fivefold.domain.errors import ConfigError
from fivefold.risk.governance.validate.measures import level_rows
from fivefold.risk.governance.validate.peers import (
    PeerFigures,
    compare_with_peer,
    independent_difference,
    read_peer,
)
from fivefold.risk.governance.validate.ranking import ConfidenceInterval, Ranking, share

GINI = {"estimate": 0.6, "low": 0.5, "high": 0.7}


def ranking(estimate: float, low: float, high: float) -> Ranking:
    interval = ConfidenceInterval(estimate, low, high)
    return Ranking(entities=900, confirmed=90, auc=interval, gini=interval)


def test_figures_are_read_from_a_validation_and_from_what_a_person_wrote() -> None:
    validation = {
        "kind": "validation",
        "ruleset": "theirs",
        "ranking": {"gini": GINI},
        "level_ranking": None,
        "capture": {"captured": GINI, "missed": GINI},
        "levels": [{"level": "low", "entities": 30}, {"level": "high", "entities": 10}],
    }
    interval = ConfidenceInterval(0.6, 0.5, 0.7)
    shares = {"shares.low": share(30, 40), "shares.high": share(10, 40)}
    read = dict.fromkeys(("gini", "captured", "missed"), interval) | shares
    assert read_peer(validation, "f") == PeerFigures("theirs", read)
    written = read_peer({"name": "North", "gini": 0.6, "captured": {"hits": 40, "of": 50}}, "f")
    assert written.name == "North"
    assert written.figures == {"gini": ConfidenceInterval(0.6, 0.6, 0.6), "captured": share(40, 50)}


def test_figures_are_read_from_a_validation_of_several_rulesets() -> None:
    validation = {
        "kind": "families-validation",
        "families": [{"family": "companies"}, {"family": "people"}],
        "level_ranking": {"gini": GINI},
        "capture": {"captured": GINI, "missed": GINI},
        "levels": [{"level": "low", "entities": 30}, {"level": "high", "entities": 10}],
        "judged": 40,
    }
    read = read_peer(validation, "f")
    assert read.name == "companies, then people"
    assert sorted(read.figures) == ["captured", "level_gini", "missed", "shares.high", "shares.low"]
    assert read.figures["level_gini"] == ConfidenceInterval(0.6, 0.5, 0.7)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {},
        {"gini": "high"},
        {"gini": True},
        {"gini": {"estimate": 0.8, "low": 0.1, "high": 0.7}},
        {"gini": {"hits": 1, "of": 2}},
        {"captured": 1.2},
        {"captured": -0.1},
        {"captured": {"hits": 5, "of": 4}},
        {"captured": {"hits": 0, "of": 0}},
        {"captured": {"hits": 1.5, "of": 4}},
        {"gini": float("nan")},
        {"gini": 0.5, "captued": 0.5},
        {"gini": 0.5, "shares": 0.2},
        {"shares": {"high": 2}},
        {"conversion": {"high": {"hits": 3, "of": 2}}},
    ],
)
def test_what_is_no_figure_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError):
        read_peer(wrong, "peer.json")


def test_figures_that_both_have_are_compared_and_no_others() -> None:
    peer = PeerFigures(
        "North", {"gini": ConfidenceInterval(0.5, 0.4, 0.6), "missed": ConfidenceInterval(0.2, 0.1, 0.3)}
    )
    found = compare_with_peer(peer, ranking(0.6, 0.55, 0.65), None, None)
    assert found is not None
    (line,) = found.lines
    assert (line.figure, line.own.estimate, line.peer.estimate) == ("gini", 0.6, 0.5)
    assert line.difference is not None
    assert line.difference.low < 0 < line.difference.estimate < line.difference.high


def test_what_has_another_name_is_named_with_the_nearest_unless_it_was_kept_before() -> None:
    written = {"name": "North", "gini": 0.5, "captued": 0.5, "zzz": 1}
    with pytest.raises(ConfigError, match=r"f has 'captued' \(perhaps captured is meant\), 'zzz'; beside name it may"):
        read_peer(written, "f")
    assert set(read_peer(written, "f", lenient=True).figures) == {"gini"}


@pytest.mark.parametrize(
    "kept",
    [
        {"gini": 0.5, "conversion": 0.12},
        {"gini": 0.5, "conversion": "12 %", "shares": [0.2, 0.8]},
        {"gini": 0.5, "shares": {"high": "3 %", "low": {"hits": 3, "of": 2}}},
        {"kind": "validation", "ranking": {"gini": 0.5}, "levels": [{"level": "low", "entities": -1}, {"entities": 3}]},
    ],
)
def test_what_was_passed_over_when_a_file_was_kept_is_no_fault_of_it_later(kept: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        read_peer(kept, "f")
    assert "gini" in read_peer(kept, "f", lenient=True).figures


def test_a_figure_that_is_null_is_not_given() -> None:
    assert set(read_peer({"gini": 0.5, "missed": None, "conversion": None, "shares": None}, "f").figures) == {"gini"}


def test_shares_by_level_are_compared_and_what_has_nothing_beside_it_says_why() -> None:
    peer = read_peer({"shares": {"low": 0.7, "severe": 0.1}, "conversion": {"low": 0.2}, "captured": 0.5}, "f")
    levels = level_rows(np.array([1, 1, 2, 1]), np.array([False, False, True, False]), ["low", "high"])
    found = compare_with_peer(peer, None, None, None, levels)
    assert found is not None
    assert [(line.figure, line.own.estimate) for line in found.lines] == [("shares.low", 0.75)]
    assert {gap.figure: gap.why for gap in found.gaps} == {
        "captured": "nobody who was judged is confirmed, or everybody is",
        "shares.severe": "no level has the name severe here",
        "conversion.low": "a validation of files counts no alerts",
    }
    assert [row.of_confirmed for row in levels] == [share(0, 1), share(1, 1)]


def test_a_figure_without_an_interval_gives_no_interval_of_the_difference() -> None:
    peer = read_peer({"gini": 0.5}, "f")
    found = compare_with_peer(peer, ranking(0.6, 0.55, 0.65), None, None)
    assert found is not None
    (line,) = found.lines
    assert line.difference is None


def test_the_interval_of_a_difference_covers_it_as_often_as_it_says() -> None:
    random, covered = np.random.default_rng(7), 0
    for first, second in zip(random.binomial(80, 0.8, 400), random.binomial(120, 0.7, 400), strict=True):
        sides = share(int(first), 80), share(int(second), 120)
        assert sides[0] is not None
        assert sides[1] is not None
        difference = independent_difference(sides[0], sides[1])
        covered += difference.low <= 0.1 <= difference.high
    assert 0.92 <= covered / 400 <= 0.98
