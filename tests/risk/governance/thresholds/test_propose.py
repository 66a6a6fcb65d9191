"""Proposed thresholds: nearest to the targets, exact, and honest about ties."""

from decimal import Decimal
from itertools import combinations, pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError, NotEnoughDataError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.governance.thresholds import propose as thresholds
from fivefold.risk.governance.thresholds.cuts import LevelThresholds, present_cuts, whole_points
from fivefold.risk.governance.thresholds.propose import (
    LEAST_ENTITIES,
    PortfolioTotals,
    ThresholdProposal,
    movers,
    propose_for_totals,
    propose_thresholds,
)
from fivefold.risk.governance.validate.labels import match_labels
from fivefold.risk.governance.validate.run import ValidationOptions, validate
from fivefold.risk.language.ruleset import Ruleset
from tests.depth import examples
from tests.risk.conftest import Refusal
from tests.risk.governance.making import (
    AS_OF,
    SCORE,
    TEXT,
    TIERED_TEXT,
    WEIGHTED_TEXT,
    analysed,
    mixed,
    portfolio,
    ruleset,
)

STEPS = ("", "a", "b", "c", "d", "e", "f", "g", "h")
SPREAD = """
ruleset: spread
entity_type: customer
fields: {word: text, mark: text}
levels: [low, medium, high, critical]
score: {points: {thresholds: [1, 2, 3]}}
max_recompute_interval: 180 days
rules:
  - id: word
    title: Word
    category: other
    input: {field: word}
    cases:
""" + "".join(
    f"      - {{when: {{equals: {word}}}, points: {number * 7.25}}}\n" for number, word in enumerate(STEPS) if word
)
FLOORED = (
    SPREAD
    + """
  - id: mark
    title: Mark
    category: other
    input: {field: mark}
    cases:
      - {when: {equals: high}, floor: high}
      - {when: {equals: critical}, floor: critical}
"""
)


def spread(words: list[str], marks: list[str] | None = None) -> Assessments:
    rows = [{"word": word, "mark": mark} for word, mark in zip(words, marks or [""] * len(words), strict=True)]
    return assess(analysed(FLOORED if marks else SPREAD), portfolio(rows), AS_OF)


def moved(text: str, values: tuple[Decimal, ...]) -> Ruleset:
    return ruleset(text.replace("[1, 2, 3]", str([float(value) for value in values])))


def test_the_shares_that_are_promised_are_those_that_come() -> None:
    words = [STEPS[number % 9] for number in range(900)]
    marks = ["high" if number % 10 == 0 else "critical" if number % 33 == 0 else "" for number in range(900)]
    found = propose_thresholds(spread(words, marks), [0.4, 0.3, 0.2, 0.1])
    people = portfolio([{"word": word, "mark": mark} for word, mark in zip(words, marks, strict=True)])
    after = assess(AnalysedRuleset(moved(FLOORED, found.values)), people, AS_OF)
    before = assess(analysed(FLOORED), people, AS_OF)
    counts = after.outcomes["computed"].value_counts(normalize=True, name="share").sort("computed")["share"]
    assert [level.proposed for level in found.levels] == pytest.approx(counts.to_list())
    assert found.moved == (after.outcomes["computed"] != before.outcomes["computed"]).sum()
    reached = np.cumsum([level.proposed for level in found.levels])[:-1]
    assert [cut.reached_below for cut in found.cuts] == pytest.approx(reached)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(st.sampled_from(STEPS), min_size=8, max_size=40).filter(lambda words: len(set(words)) >= 4),
    st.lists(st.integers(1, 9), min_size=4, max_size=4),
    st.booleans(),
)
def test_no_other_thresholds_come_nearer(words: list[str], parts: list[int], floors: bool) -> None:
    """Every other choice of three cuts between the totals that there are, tried one by one."""
    targets = [part / sum(parts) for part in parts]
    marks = [("high", "critical", "", "", "")[number % 5] for number in range(len(words))] if floors else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thresholds, "LEAST_ENTITIES", 1)
        side = spread(words, marks)
        found = propose_thresholds(side, targets)
    totals, lows = side.outcomes["total"].to_numpy(), side.outcomes["floor"].to_numpy()
    below = np.cumsum(targets)[:-1]

    def distance(cuts: tuple[int, ...]) -> float:
        levels = np.maximum(1 + sum((totals >= cut).astype(int) for cut in cuts), lows)
        return float(sum(abs((levels <= number + 1).mean() - below[number]) for number in range(3)))

    places = np.unique(totals)[1:]
    assert distance(tuple(int(value * 100) for value in found.values)) == pytest.approx(
        min(distance(cuts) for cuts in combinations(places.tolist(), 3))
    )
    assert all(low < high for low, high in pairwise(found.values))


def test_ties_cannot_be_split_and_it_is_said_what_can_be_reached() -> None:
    found = propose_thresholds(spread(["a"] * 700 + ["b"] * 200 + ["c"] * 60 + ["d"] * 40), [0.5, 0.3, 0.15, 0.05])
    first = found.cuts[0]
    assert (first.target_below, first.reached_below, first.next_below) == (0.5, 0.7, (0.0, 0.9))
    assert [level.proposed for level in found.levels] == pytest.approx([0.7, 0.2, 0.06, 0.04])


def test_a_threshold_that_parts_them_already_stays() -> None:
    side = assess(analysed(SPREAD.replace("[1, 2, 3]", "[3, 10.2, 16.5]")), portfolio(
        [{"word": STEPS[number % 4]} for number in range(800)]
    ), AS_OF)  # fmt: skip
    found = propose_thresholds(side, [0.25, 0.25, 0.25, 0.25])
    assert [str(cut.proposed) for cut in found.cuts] == ["3", "10.2", "16.5"]
    assert found.moved == 0
    (caution,) = found.cautions
    assert caution.startswith("Shares say how the portfolio is spread"), (
        "equal thresholds are no nearer, and none lacks"
    )


def test_weights_are_cut_on_the_scale_that_thresholds_have() -> None:
    side = assess(analysed(WEIGHTED_TEXT), mixed(1000), AS_OF)
    found = propose_thresholds(side, [0.55, 0.2, 0.15, 0.1])
    text = WEIGHTED_TEXT.replace("[31, 61, 86]", str([float(value) for value in found.values]))
    after = assess(analysed(text), mixed(1000), AS_OF)
    full = after.outcomes.filter(after.outcomes["status"] == "assessed")
    shares = [(full["computed"] == number).sum() / len(full) for number in range(1, 5)]
    assert [level.proposed for level in found.levels] == pytest.approx(shares)
    assert found.left_out == {"failed": 100, "unclassified": 0, "undetermined": 0, "not applicable": 100}
    assert any("100 entities could not be assessed" in caution for caution in found.cautions)


def test_totals_that_no_tier_owns_are_left_out_and_told() -> None:
    narrow = TIERED_TEXT.replace("max: 200", "max: 60")
    found = propose_thresholds(assess(analysed(narrow), mixed(1000), AS_OF), [0.5, 0.2, 0.2, 0.1])
    assert isinstance(found, ThresholdProposal)
    assert found.left_out["unclassified"] == 100
    assert any("200 entities could not be assessed in full" in caution for caution in found.cautions)


@pytest.mark.parametrize(
    "targets",
    [
        [0.5, 0.5],
        [0.5, 0.5, 0.0, 0.0],
        [0.5, 0.2, 0.2, 0.2],
    ],
)
def test_targets_that_do_not_fit_are_refused(targets: list[float], refusal: Refusal) -> None:
    with refusal(ConfigError):
        propose_thresholds(assess(analysed(), mixed(1000), AS_OF), targets)


def test_too_little_is_refused(refusal: Refusal) -> None:
    with refusal(NotEnoughDataError):
        propose_thresholds(assess(analysed(), mixed(LEAST_ENTITIES), AS_OF))
    with refusal(NotEnoughDataError):
        propose_thresholds(spread([STEPS[number % 3] for number in range(600)]))


def test_the_least_entities_are_enough() -> None:
    words = [STEPS[number % 9] for number in range(LEAST_ENTITIES)]
    assert propose_thresholds(spread(words), resamples=100).entities == LEAST_ENTITIES


def test_levels_of_another_number_need_targets_of_their_own(refusal: Refusal) -> None:
    three = TEXT.replace(SCORE, "score: {points: {thresholds: [20, 40]}}\n").replace(", critical]", "]")
    with refusal(ConfigError):
        propose_thresholds(assess(analysed(three), mixed(1000), AS_OF))
    assert len(propose_thresholds(assess(analysed(three), mixed(1000), AS_OF), [0.6, 0.3, 0.1]).cuts) == 2


def test_a_draft_that_is_further_from_the_targets_than_what_is_says_so() -> None:
    words = ["a"] * 300 + ["b"] * 100 + ["c"] * 200 + ["d"] * 200
    far = "The present thresholds come nearer to the targets"
    assert propose_thresholds(spread(words), [0.02, 0.02, 0.02, 0.94]).cautions[0].startswith(far)
    assert not any(line.startswith(far) for line in propose_thresholds(spread(words), [0.4, 0.1, 0.2, 0.3]).cautions)


def test_every_form_of_score_has_its_thresholds() -> None:
    assert present_cuts(ruleset()) == LevelThresholds((2000, 4000, 6000))
    assert present_cuts(ruleset(WEIGHTED_TEXT)) == LevelThresholds((3100, 6100, 8600))
    assert present_cuts(ruleset(TIERED_TEXT)) == LevelThresholds((2000, 4000, 6000), (0, 1, 2, 3))


def test_tiers_may_stand_in_any_order() -> None:
    lines = TIERED_TEXT.splitlines()
    at = next(number for number, line in enumerate(lines) if "title: Low" in line)
    lines[at], lines[at + 3] = lines[at + 3], lines[at]
    assert present_cuts(ruleset("\n".join(lines))).tiers == (3, 1, 2, 0)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("level: medium", "level: low"),
        ("max: 39.99, ", ""),
        ("min: 40", "min: 10"),
    ],
)
def test_tiers_that_no_threshold_can_stand_for_are_refused(old: str, new: str, refusal: Refusal) -> None:
    with refusal(ConfigError):
        present_cuts(ruleset(TIERED_TEXT.replace(old, new)))


def test_whole_points_are_told_from_parts() -> None:
    assert not whole_points(ruleset())
    assert whole_points(ruleset(TEXT.replace("10.5", "10.0")))
    decays = TEXT.replace("10.5", "10").replace(
        "    otherwise: {points: -5}",
        "    otherwise: {points: -5}\n    decay: {half_life: 90 days, signal: {field: since}}",
    )
    assert not whole_points(ruleset(decays.replace("income: number}", "income: number, since: date}")))


def test_an_interval_holds_the_threshold_and_one_total_alone_has_none_to_vary() -> None:
    """Far more entities than totals: chance moves no cut. Shares on the edge between two totals: it does."""
    sure = propose_thresholds(spread(["a"] * 700 + ["b"] * 200 + ["c"] * 60 + ["d"] * 40), [0.7, 0.2, 0.06, 0.04])
    assert [cut.interval for cut in sure.cuts] == [(cut.proposed, cut.proposed) for cut in sure.cuts]
    words = [STEPS[1 + number % 8] for number in range(800)]
    doubted = propose_thresholds(spread(words), [0.4375, 0.25, 0.1875, 0.125])
    low, high = doubted.cuts[0].interval or ("", "")
    assert Decimal(low) <= Decimal(doubted.cuts[0].proposed) <= Decimal(high)
    assert low != high
    assert propose_thresholds(spread(words), [0.4375, 0.25, 0.1875, 0.125]).cuts == doubted.cuts


def test_who_moves_adds_up() -> None:
    found = spread([STEPS[1 + number % 8] for number in range(800)])
    proposal = propose_thresholds(found, [0.5, 0.25, 0.125, 0.125], resamples=100)
    assert sum(move.entities for move in proposal.moves) == proposal.moved > 0
    who = movers(found, proposal)
    counted = who.group_by("present", "proposed").len().rows()
    assert sorted(counted) == sorted((move.present, move.proposed, move.entities) for move in proposal.moves)


def test_thresholds_stay_only_where_every_share_is_near_enough() -> None:
    found = assess(analysed(), mixed(1000), AS_OF)
    far = max(abs(row.present - row.target) for row in propose_thresholds(found, resamples=100).levels)
    assert propose_thresholds(found, within=far, resamples=100).kept
    assert not propose_thresholds(found, within=far - 0.001, resamples=100).kept
    assert not propose_thresholds(found, resamples=100).kept


def test_what_labels_say_counts_who_was_not_known_before() -> None:
    found = assess(analysed(), mixed(1000), AS_OF)
    ids = found.outcomes["entity_id"]
    labels = pl.DataFrame({"entity_id": ids[:400], "at": ["2024-01-01"] * 100 + ["2024-09-01"] * 300})
    matched = match_labels(labels, found.outcomes)
    capture = propose_thresholds(found, labels=matched, resamples=100).capture
    assert capture is not None
    assert capture.present.prevalence == capture.proposed.prevalence == pytest.approx(270 / 810)
    assert (capture.confirmed, capture.failed, capture.failed_confirmed) == (270, 90, 30)


def test_labels_that_confirm_nobody_are_a_caution_and_so_are_those_counted_nowhere() -> None:
    found = assess(analysed(), mixed(1000), AS_OF)
    rows = {"entity_id": ["stranger", found.outcomes["entity_id"][0]], "at": ["2024-09-01", "2024-01-01"]}
    proposal = propose_thresholds(found, labels=match_labels(pl.DataFrame(rows), found.outcomes), resamples=100)
    assert proposal.capture is None
    assert proposal.cautions[-2:] == (
        "Confirmed, but not in the portfolio, so counted nowhere: 1",
        "The labels confirm no entity that is judged here, so the draft's effect on them is unknown",
    )


def test_what_the_present_thresholds_capture_is_what_a_validation_measures() -> None:
    found = assess(analysed(), mixed(1000), AS_OF)
    ids = found.outcomes["entity_id"]
    hits = [place % 10 in {3, 8} or place % 50 == 1 for place in range(1000)]  # who has an 8 could not be assessed
    labels = pl.DataFrame({"entity_id": ids, "confirmed": hits, "at": ["2024-09-01"] * 1000})
    validated = validate(found, labels, ValidationOptions(resamples=100))
    proposal = propose_thresholds(found, labels=match_labels(labels, found.outcomes), resamples=100)
    assert proposal.capture is not None
    assert proposal.capture.present == validated.capture
    population = validated.population
    assert proposal.capture.confirmed == population.confirmed == 220
    assert (proposal.capture.failed, proposal.capture.failed_confirmed) == (population.failed, 100) == (100, 100)
    assert proposal.cautions[-1] == (
        "100 entities could not be assessed in full, 100 of them confirmed: of those who were confirmed later, they "
        "count as missed without a level"
    )


@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(st.sampled_from(STEPS), min_size=8, max_size=40).filter(lambda words: len(set(words)) >= 4),
    st.lists(st.lists(st.integers(0, 6000), min_size=3, max_size=3, unique=True).map(sorted), min_size=1, max_size=3),
)
def test_with_earlier_thresholds_they_are_the_means(words: list[str], past: list[list[int]]) -> None:
    """To the hundredth of a point, however far from the totals; the shares beside them are those that come of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thresholds, "LEAST_ENTITIES", 1)
        side = spread(words)
        targets = [0.4, 0.3, 0.2, 0.1]
        alone = propose_thresholds(side, targets).values
        earlier = [[Decimal(units) / 100 for units in each] for each in past]
        found = propose_thresholds(side, targets, earlier=earlier)
        whole = PortfolioTotals.of(side)
        joined = PortfolioTotals.joined([PortfolioTotals.of(spread(words[first::2])) for first in (0, 1)])
        both = [propose_for_totals(each, targets, earlier=earlier).cuts for each in (whole, joined)]
    assert both[0] == both[1]
    assert [Decimal(str(cut.alone)) for cut in found.cuts] == list(alone)
    means = np.mean([*past, [int(value * 100) for value in alone]], axis=0)
    chosen = [int(value * 100) for value in found.values]
    assert all(low < high for low, high in pairwise(chosen))
    assert np.abs(means - chosen).max() <= 2.5, "half a hundredth, and one for each threshold that would be the same"
    totals = side.outcomes["total"].to_numpy()
    assert [cut.reached_below for cut in found.cuts] == pytest.approx([(totals < units).mean() for units in chosen])


def test_earlier_thresholds_of_other_levels_are_refused() -> None:
    with pytest.raises(ConfigError, match="has 1 thresholds, and there are 4 levels"):
        propose_thresholds(spread([STEPS[number % 9] for number in range(900)]), earlier=[[Decimal(5)]])
