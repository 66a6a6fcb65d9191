"""Proposed points: within the rules as they are written, judged on customers who were not learnt from."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError, InvalidRulesetError, NotEnoughDataError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import COMPUTED, STATUS, Assessments
from fivefold.risk.engine.program import TOTAL
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.governance.points import learning
from fivefold.risk.governance.points.draft import draft_text
from fivefold.risk.governance.points.learning import LEAST_GOT, PENALTIES, learn_points
from fivefold.risk.governance.points.outcomes import slots_of, with_cuts, written_points
from fivefold.risk.governance.points.propose import ALIKE, IN_ORDER, LEARNT, PointsProposal, propose_points
from fivefold.risk.governance.reports.points import points_page
from fivefold.risk.governance.validate.ranking import ConfidenceInterval
from fivefold.risk.governance.validate.run import ValidationOptions
from fivefold.risk.language.quantities import POINT_UNITS
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset
from tests.depth import examples
from tests.risk.conftest import Refusal
from tests.risk.governance.making import AS_OF, DAY, TIERED_TEXT, analysed, mixed, portfolio

COUNT = 1_200
RULE = """\
  - id: {name}
    title: {name}
    category: other
    rationale: Ours.
    input: {{field: {name}}}
    cases:
{cases}
    otherwise: {{points: {otherwise}}}
    on_unknown: {{points: {unknown}}}
"""
HEAD = """\
# Ours.
ruleset: learnt
entity_type: customer
fields: {a: number, b: number}
levels: [low, medium, high]
score:
  points: {thresholds: [10, 20]}
max_recompute_interval: 30 days
rationale: Ours.
rules:
"""
QUICK = ValidationOptions(resamples=100)


def text_of(a: list[float], b: list[float], *, unknown: float = 3, otherwise: float = 0) -> str:
    """Write a ruleset of two rules; a case for each number of points, the first for the greatest values."""

    def cases(points: list[float]) -> str:
        return "\n".join(
            f"      - {{when: {{at_least: {len(points) - place}}}, points: {number}}}"
            for place, number in enumerate(points)
        )

    rules = [
        RULE.format(name=name, cases=cases(points), unknown=unknown, otherwise=otherwise)
        for name, points in (("a", a), ("b", b))
    ]
    return HEAD + "".join(rules)


def customers(seed: int = 1, count: int = COUNT, **columns: list[Any]) -> Portfolio:
    random = np.random.default_rng(seed)
    rows = pl.DataFrame({name: random.integers(0, 4, count).astype(float) for name in ("a", "b")} | columns)
    return replace(
        portfolio([{}]), entities=rows.with_columns(entity_id=pl.Series([f"c{number:05d}" for number in range(count)]))
    )


def found_by(text: str, who: Portfolio | None = None) -> Assessments:
    return assess(AnalysedRuleset(read_ruleset(text)), who or customers(), AS_OF)


def labels_of(who: Portfolio, seed: int = 2, weight: float = 1.2, day: str = "2024-09-01") -> pl.DataFrame:
    """Confirm customers by chance, the likelier the more of a they have; b says nothing."""
    a = who.entities["a"].fill_nan(0).to_numpy()
    hits = np.random.default_rng(seed).random(len(a)) < 1 / (1 + np.exp(3.2 - weight * a))
    return who.entities.select("entity_id", confirmed=pl.Series(hits), at=pl.lit(day))


def proposed(
    text: str, who: Portfolio | None = None, options: ValidationOptions = QUICK
) -> tuple[PointsProposal, Ruleset]:
    who = who or customers()
    return propose_points(found_by(text, who), labels_of(who), options)


SIDES = st.lists(st.integers(-30, 30), min_size=1, max_size=4)


@settings(max_examples=examples(30), deadline=None)
@given(SIDES, SIDES, st.integers(0, 3), st.integers(-20, 20), st.integers(-20, 20))
def test_signs_and_order_are_kept_and_points_are_whole(
    a: list[float], b: list[float], seed: int, unknown: int, otherwise: int
) -> None:
    found = found_by(text_of(a, b, unknown=unknown, otherwise=otherwise), customers(seed))
    marks = labels_of(customers(seed), seed)["confirmed"].to_numpy()
    before = written_points(found.program)
    try:
        after = learn_points(found, np.ones(COUNT, dtype=bool), marks, seed).points
    except NotEnoughDataError:  # nothing but zeros, or all against their side: nothing is learnt
        return
    assert set(after) == {outcome for outcome, units in before.items() if units}
    for outcome, points in after.items():
        assert points * before[outcome] >= 0
        assert isinstance(points, int)
    for rule in ("a", "b"):
        own = [(before[outcome], after.get(outcome, 0)) for outcome in before if outcome[0] == rule]
        for (low, low_after), (high, high_after) in ((one, two) for one in own for two in own if one[0] <= two[0]):
            assert low_after <= high_after
            assert low != high or low_after == high_after


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_gives_the_same_draft_whatever_the_order_of_the_customers(seed: int) -> None:
    text, who = text_of([8, 5, 2], [6, 4]), customers()
    order = np.random.default_rng(seed).permutation(COUNT).tolist()
    mixed_up = replace(who, entities=who.entities[order])
    labels = labels_of(who)[list(reversed(order))]
    options = ValidationOptions(seed=seed, resamples=100)
    one = propose_points(found_by(text, who), labels_of(who), options)
    two = propose_points(found_by(text, mixed_up), labels, options)
    assert one[1].canonical == two[1].canonical
    assert one[0].changes == two[0].changes
    assert one[0].verdict.capture == two[0].verdict.capture


def test_another_seed_learns_from_others() -> None:
    first, second = (
        proposed(text_of([8, 5, 2], [6, 4]), options=ValidationOptions(seed=seed, resamples=100)) for seed in (0, 1)
    )
    assert first[0].changes != second[0].changes


def test_what_ranks_gets_points_and_what_does_not_loses_them() -> None:
    proposal, made = proposed(text_of([3, 2, 1], [30, 20, 10]))
    a, b = ([int(case.points or 0) for case in rule.cases] for rule in made.rules)
    assert a[0] > a[1] > a[2] >= 0
    assert b[0] < a[0]
    assert proposal.verdict.recommended
    assert proposal.verdict.total.difference.low > 0
    assert proposal.verdict.total.first > proposal.verdict.total.second


def test_points_are_what_the_odds_say_less_what_is_held_back_and_totals_spread_as_before() -> None:
    """Each step of a doubles the odds of being confirmed; b says nothing of anyone."""
    steps = np.arange(COUNT) % 4
    who = customers(a=steps.astype(float).tolist(), b=[0.0] * COUNT)
    found, everyone = found_by(text_of([30, 5, 1], [1]), who), np.ones(COUNT, dtype=bool)
    confirmed = np.arange(COUNT) // 4 < np.array([30, 55, 92, 141])[steps]
    learnt, as_before = (learn_points(found, everyone, confirmed, 0, doubling=size) for size in (100, None))
    assert PENALTIES[0] < learnt.penalty < PENALTIES[-1]
    assert learnt.doubling == pytest.approx(100)
    points, own = ([0, *(one.points["a", 3 - step] for step in (1, 2, 3))] for one in (learnt, as_before))
    assert all(50 * step < value < 90 * step for step, value in enumerate(points) if step)
    assert own == [pytest.approx(value * as_before.doubling / 100, abs=1) for value in points]
    assert np.std(own) == pytest.approx(np.std([0, 1, 5, 30]), abs=0.5)


def few_labels(who: Portfolio, hits: int) -> pl.DataFrame:
    """Confirm the first of those who have the most of a."""
    most = who.entities["a"] == 3
    return who.entities.select(
        "entity_id", confirmed=most & (most.cast(pl.Int64).cum_sum() <= hits), at=pl.lit("2024-09-01")
    )


@pytest.mark.parametrize(("hits", "recommended"), [(98, False), (100, True)])
def test_nothing_is_recommended_by_fewer_than_a_verdict_on_a_gini_needs(hits: int, recommended: bool) -> None:
    who = customers()
    verdict = propose_points(found_by(text_of([3, 2, 1], [30, 20, 10]), who), few_labels(who, hits), QUICK)[0].verdict
    assert verdict.total.difference.low > 0
    assert (verdict.confirmed, verdict.recommended) == (hits // 2, recommended)
    assert recommended or verdict.because == (
        "of those who judge 49 are confirmed and 551 are not, and at least 50 of each are needed, as for every verdict "
        "on a Gini"
    )


def test_who_could_not_be_assessed_is_counted_with_the_confirmed_among_them() -> None:
    found = assess(analysed(), mixed(COUNT), AS_OF)
    hits = (pl.int_range(COUNT) % 10).is_in([3, 8])
    labels = found.outcomes.select("entity_id", confirmed=hits, at=pl.lit("2024-09-01"))
    told = propose_points(found, labels, QUICK)[0].cautions
    assert (
        "120 entities could not be assessed in full, 120 of them confirmed: nothing is learnt from them, and they "
        "judge nothing"
    ) in told
    none = proposed(text_of([8, 5, 2], [6, 4]))[0].cautions
    assert not any("assessed in full" in caution for caution in none)


def test_a_seed_that_was_chosen_is_cautioned_of() -> None:
    default, chosen = (
        proposed(text_of([8, 5, 2], [6, 4]), options=ValidationOptions(seed=seed, resamples=100))[0].cautions
        for seed in (0, 3)
    )
    assert not any("seed" in caution for caution in default)
    assert any("seed 3, which was chosen" in caution for caution in chosen)


def test_the_verdict_is_that_of_an_assessment_by_the_draft() -> None:
    """The figures come from sums over outcomes; the engine itself, given the draft, must come to the same levels."""
    text = text_of([3, 2, 1], [30, 20, 10], otherwise=-1)
    who = customers(b=[float("nan")] * 40 + [float(number % 4) for number in range(COUNT - 40)])
    proposal, made = propose_points(found_by(text, who), labels_of(who), QUICK)
    again = assess(AnalysedRuleset(made), who, AS_OF)
    confirmed = labels_of(who)["confirmed"].to_numpy()
    judged = proposal.verdict
    level = again.outcomes[COMPUTED].to_numpy()
    top = level >= 2
    assert judged.judged == COUNT // 2
    # Half of each kind judges, drawn by the seed from the customers in the order of their ids.
    random = np.random.default_rng(0)
    places = [np.flatnonzero(side) for side in (confirmed, ~confirmed)]
    drawn = np.concatenate([side[random.permutation(len(side))[: len(side) // 2]] for side in places])
    assert judged.capture.top_share == pytest.approx(top[drawn].mean())
    hits = drawn[confirmed[drawn]]
    assert judged.capture.captured.estimate == pytest.approx(top[hits].mean())


def test_each_change_says_what_it_does_to_the_capture() -> None:
    text = text_of([3, 2, 1], [30, 20, 10])
    proposal, _ = proposed(text)
    assert {change.source for change in proposal.changes} <= {LEARNT, ALIKE, IN_ORDER}
    change = next(each for each in proposal.changes if each.rule == "b" and each.outcome == 1)
    assert (change.before, change.asked) == ("30", "it is at least 3")
    assert change.entities > change.confirmed > 0
    assert any(each.capture for each in proposal.changes)


def test_levels_keep_their_shares_among_those_who_are_learnt_from() -> None:
    proposal, made = proposed(text_of([3, 2, 1], [30, 20, 10]))
    assert all(abs(cut.reached_below - cut.target_below) < 0.12 for cut in proposal.cuts)
    assert [str(cut) for cut in made.score.points.thresholds] == [cut.proposed for cut in proposal.cuts]  # type: ignore[union-attr]  # it scores points


def test_a_rule_that_never_holds_keeps_its_points() -> None:
    text = text_of([3, 2, 1], [30, 20, 10]).replace("at_least: 3}, points: 30", "at_least: 99}, points: 30")
    proposal, made = proposed(text)
    assert made.rule("b").cases[0].points == 30
    assert not [change for change in proposal.changes if (change.rule, change.outcome) == ("b", 1)]
    assert any(f"fewer than {LEAST_GOT}" in caution for caution in proposal.cautions)


def test_one_outcome_that_few_got_is_told_in_the_singular() -> None:
    proposal, _ = proposed(text_of([9, 3, 2, 1], [30, 20, 10], unknown=0))
    (caution,) = (each for each in proposal.cautions if f"fewer than {LEAST_GOT}" in each)
    assert caution.startswith("1 outcome was given to ")
    assert caution.endswith("; it keeps its points as far as the order of its rule and whole points admit.")


def test_the_end_of_an_interval_that_decides_is_not_written_as_nothing() -> None:
    proposal, _ = proposed(text_of([3, 2, 1], [30, 20, 10]))
    barely = replace(proposal.verdict.total, difference=ConfidenceInterval(0.0203, 0.0004, 0.04))
    page = points_page(replace(proposal, verdict=replace(proposal.verdict, total=barely)))
    table = page.sections[0].table
    assert table is not None
    assert table.rows[0][-1] == "0.020 (0.0004 to 0.040)"


def test_what_few_got_follows_the_order_of_the_others() -> None:
    """Case 2 of b never holds, between a case that loses its points and one that never had more."""
    text = text_of([3, 2, 1], [2, 30, 10]).replace("at_least: 2}, points: 30", "equals: 99}, points: 30")
    made = proposed(text)[1]
    strongest = made.rule("b").cases[1].points or 0
    assert strongest == 30
    assert all((case.points or 0) <= strongest for case in made.rule("b").cases)


def test_an_unknown_that_falls_with_the_others_though_few_got_it_is_named() -> None:
    """Of a nobody is unknown, and what ranks nothing loses its points: the unknown go with it."""
    proposal, made = proposed(text_of([30, 20, 10], [3, 2, 1], unknown=30))
    fallen = [rule for rule in ("a", "b") if (unknown := made.rule(rule).on_unknown) and unknown.points < 30]
    named = [caution for caution in proposal.cautions if "An unknown value would give fewer points" in caution]
    assert bool(named) == bool(fallen)
    assert all(rule in named[0] for rule in fallen)
    assert fallen


def test_nothing_is_recommended_that_may_be_chance() -> None:
    """Labels of chance alone: neither the rules nor what is learnt from them ranks."""
    who = customers()
    labels = labels_of(who, weight=0.0)
    try:
        proposal, _ = propose_points(
            found_by(text_of([8, 5, 2], [6, 4]), who), labels, ValidationOptions(resamples=300)
        )
    except NotEnoughDataError:
        return
    assert not proposal.verdict.recommended
    assert proposal.verdict.total.difference.low <= 0


def test_learning_as_of_an_earlier_moment_reads_labels_of_the_time_between() -> None:
    """Who became known before the moment of judging is learnt from, or left out of what judges; nobody is in both."""
    text, who = text_of([3, 2, 1], [30, 20, 10]), customers(count=2_400)
    early = labels_of(who, 2, day="2024-06-15").head(1_200)
    late = labels_of(who, 2, day="2024-09-01").tail(1_200)
    labels = pl.concat([early, late])
    found = found_by(text, who)
    before = assess(AnalysedRuleset(read_ruleset(text)), who, AS_OF - 30 * DAY)
    proposal, _ = propose_points(found, labels, QUICK, before)
    hits = int(early["confirmed"].sum())
    assert abs(proposal.learnt_confirmed - hits / 2) < hits / 4
    assert proposal.verdict.confirmed <= int(late["confirmed"].sum())
    assert proposal.learnt_from + proposal.verdict.judged <= 2_400
    assert not [caution for caution in proposal.cautions if "one moment" in caution]


@pytest.mark.parametrize("kind", ["few", "one kind", "none"])
def test_too_few_labels_are_refused_with_their_number(kind: str, refusal: Refusal) -> None:
    who = customers()
    labels = labels_of(who)
    if kind == "few":
        labels = labels.with_columns(confirmed=pl.int_range(pl.len()) < 39)
    elif kind == "one kind":
        labels = labels.with_columns(confirmed=pl.lit(True))
    else:
        labels = labels.head(0)
    with refusal(NotEnoughDataError):
        propose_points(found_by(text_of([3, 2], [3, 2]), who), labels, QUICK)


def test_what_cannot_be_learnt_is_refused(refusal: Refusal) -> None:
    """Nothing has points; or nobody got what has; or all of it is against its side."""
    with refusal(NotEnoughDataError):
        proposed(text_of([0, 0], [0], unknown=0))
    with refusal(NotEnoughDataError):
        proposed(text_of([-3, -2, -1], [0], unknown=0))


def test_other_scores_are_refused(refusal: Refusal) -> None:
    who = mixed(600)
    labels = who.entities.select("entity_id", confirmed=pl.int_range(pl.len()) % 10 < 3, at=pl.lit("2024-09-01"))
    with refusal(ConfigError):
        propose_points(assess(analysed(TIERED_TEXT), who, AS_OF), labels, QUICK)


def test_inputs_that_give_the_label_away_are_refused(refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        proposed(text_of([3, 2], [3, 2]), options=ValidationOptions(banned=("a",)))


def test_points_for_commerce_are_learnt_from_other_labels_than_cases(refusal: Refusal) -> None:
    text = text_of([3, 2], [3, 2]).replace("levels:", "purpose: both\npurposes: {fields: {a: both, b: both}}\nlevels:")
    with refusal(InvalidRulesetError):
        proposed(text)
    proposal, _ = proposed(text, options=replace(QUICK, made_of=()))
    assert proposal.learnt_confirmed


def test_who_fails_is_neither_learnt_from_nor_judges() -> None:
    who = customers()
    broken = replace(who, entities=who.entities.with_columns(a=pl.Series(["much"] * 100 + ["1"] * (COUNT - 100))))
    labels = labels_of(who)
    proposal, _ = propose_points(found_by(text_of([3, 2, 1], [30, 20, 10]), broken), labels, QUICK)
    assert proposal.learnt_from + proposal.verdict.judged == COUNT - 100


def test_the_draft_explains_every_change_and_keeps_the_rest() -> None:
    text = text_of([3, 2, 1], [30, 20, 10])
    found = found_by(text)
    proposal, made = propose_points(found, labels_of(customers()), QUICK)
    draft = draft_text(text, found.program, made, proposal)
    assert read_ruleset(draft).content_hash == made.content_hash
    assert draft.count("# proposed: ") == len(proposal.changes)
    assert "# Ours.\n" in draft
    again = propose_points(found_by(draft), labels_of(customers()), QUICK)
    twice = draft_text(draft, found_by(draft).program, again[1], again[0])
    assert twice.count("A DRAFT") == 1
    assert twice.count("# proposed: ") == len(again[0].changes)


def test_a_draft_of_another_text_is_refused(refusal: Refusal) -> None:
    text = text_of([3, 2, 1], [30, 20, 10])
    found = found_by(text)
    proposal, made = propose_points(found, labels_of(customers()), QUICK)
    with refusal(ConfigError):
        draft_text(text.replace("rationale: Ours.", "rationale: Theirs."), found.program, made, proposal)
    with refusal(ConfigError):
        draft_text("[]", found.program, made, proposal)


def test_the_unknown_get_otherwise_where_the_rule_says_nothing_of_them() -> None:
    text = text_of([3, 2, 1], [30, 20, 10], otherwise=5).replace("    on_unknown: {points: 3}\n", "")
    found = found_by(text, customers(a=[float("nan")] * COUNT))
    rule = found.program.rules[0]
    assert set(slots_of(found)["a"]) == {rule.otherwise}
    assert set(found.outcomes[STATUS]) == {"assessed"}
    cut = with_cuts(read_ruleset(text), [50, 5 * POINT_UNITS])
    assert [float(value) for value in cut.score.points.thresholds] == [0.5, 5.0]  # type: ignore[union-attr]  # it scores points
    assert found.outcomes[TOTAL].min() is not None


@pytest.mark.parametrize(("error", "chosen"), [(0.1, 1.0), (0.09, 0.3), (0.05, 0.01)])
def test_the_strongest_penalty_within_one_standard_error_of_the_best_is_taken(
    error: float, chosen: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """*error* is the standard error of the mean of five losses, whose variance is estimated around that mean."""
    means = dict(zip(PENALTIES, (3.0, 3.0, 3.0, 0.0, 0.09, 0.08, 0.085, 0.095), strict=True))
    around = (-1.0, -1.0, 0.0, 1.0, 1.0)  # a variance of 1: a sum of squares of 4 among 5 folds
    better = {learning.CASES: 0.0, learning.STEPS: 0.5}

    def loss(_problem: Any, fold: int, penalty: float, form: str) -> float:
        return 1.0 + means[penalty] + better[form] + error * 5**0.5 * around[fold]

    monkeypatch.setattr(learning, "_left_out", loss)
    for _ in range(2):
        assert learning._chosen(None) == (chosen, min(better, key=better.__getitem__))  # type: ignore[arg-type]  # the losses are given
        better[learning.CASES] = 1.0
