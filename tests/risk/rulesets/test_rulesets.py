"""The rulesets that ship: they are what their descriptions say, their examples pass, and every rule has its reason."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fivefold.domain.clock import parse_moment
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.risk.compiler.value_types import inputs_of_rule
from fivefold.risk.governance.examples import run as examples
from fivefold.risk.governance.mutation.run import mutate
from fivefold.risk.language.expressions import Count, FieldInput, IndicatorInput, Ratio, ScreeningInput, Sum, TagInput
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Category, PointsScore, Rule, Ruleset, TiersScore, WeightedScore
from fivefold.usecases.portfolio_files.bundled import bundled_lists, bundled_ruleset, bundled_rulesets, bundled_text
from tests.risk.linted import lint

RETAIL, WEIGHTED, SESSION = "fatf-retail", "eu-bank-weighted", "session-verification"
MONITORING = "transaction-monitoring"
TODAY = parse_moment("2026-11-20", "today")
PAGE = Path(__file__).parents[3] / "docs" / "rulesets.md"

every_ruleset = pytest.mark.parametrize("name", bundled_rulesets())


@cache
def run(name: str) -> examples.ExampleResults:
    return examples.run_examples(AnalysedRuleset(bundled_ruleset(name)), bundled_lists(), TODAY)


@every_ruleset
def test_examples_come_out_as_expected(name: str) -> None:
    found = {result.name: (result.differences, result.explanation.line) for result in run(name).results}
    assert not {example: said for example, said in found.items() if said[0]}


@every_ruleset
def test_examples_reach_every_rule_and_what_the_ruleset_asks_of_cases(name: str) -> None:
    assert run(name).rule_share == 100
    assert run(name).passed(bundled_ruleset(name)), run(name).missing()


@pytest.mark.parametrize(
    "name", [SESSION, *(pytest.param(name, marks=pytest.mark.full) for name in (RETAIL, WEIGHTED, MONITORING))]
)
def test_examples_notice_the_changes_that_the_page_counts(name: str) -> None:
    counts = mutate(AnalysedRuleset(bundled_ruleset(name)), bundled_lists(), TODAY).counts
    row = next(
        line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| `{name}` | ") and "%" in line
    )
    tried, noticed, missed, no_effect = (int(cell.split()[0]) for cell in row.split("|")[2:-1])
    assert counts == {"noticed": noticed, "unnoticed": missed, "no effect": no_effect, "not tried": 0}
    assert tried == sum(counts.values())


@every_ruleset
def test_lint_finds_nothing(name: str) -> None:
    assert not list(map(str, lint(AnalysedRuleset(bundled_ruleset(name)), bundled_lists())))


def test_lint_notes_that_an_unknown_kind_fails_which_is_meant() -> None:
    notes = {
        name: lint(AnalysedRuleset(bundled_ruleset(name)), bundled_lists(), notes=True) for name in bundled_rulesets()
    }
    assert [note.problem for note in notes[WEIGHTED]] == [
        "has no choice without a condition: an entity for which none holds fails, visibly"
    ]
    less = {name: [note.where for note in notes[name] if "has no on_unknown" in note.problem] for name in notes}
    assert less.pop(RETAIL) == ["rule cash-in-share", "rule purpose-deviation"]
    assert less.pop(SESSION) == ["rule attempts", "rule hidden-place", "rule disposable-email"]
    assert not any(less.values())
    assert [len(notes[name]) for name in (RETAIL, SESSION)] == [2, 3]


def test_only_the_fastest_customers_are_shown_here_and_not_in_an_example() -> None:
    """It takes fifty transactions in one day to be one; they are made below."""
    assert [run(name).missing() for name in (RETAIL, SESSION)] == [[], []]
    assert run(WEIGHTED).missing() == ["rule velocity, case 1", "rule velocity, case 2"]


@every_ruleset
def test_every_example_names_its_day(name: str) -> None:
    """Lists have versions and windows end: without a day an example would come out otherwise tomorrow."""
    assert not [example.name for example in bundled_ruleset(name).examples if example.as_of is None]


@every_ruleset
def test_every_rule_has_a_reason_and_its_source(name: str) -> None:
    for rule in bundled_ruleset(name).rules:
        reason, _, source = (rule.rationale or "").partition(" Source: ")
        assert len(reason.split()) >= 8, rule.id
        assert source.endswith("."), rule.id


def source_of(rule: Rule) -> str:
    return (rule.rationale or "").partition(" Source: ")[2].removesuffix(".")


@every_ruleset
def test_the_page_names_every_rule_with_its_source(name: str) -> None:
    rows = PAGE.read_text(encoding="utf-8").splitlines()
    missing = [
        row
        for rule in bundled_ruleset(name).rules
        if (row := f"| `{rule.id}` | {rule.category} | {source_of(rule)} |") not in rows
    ]
    assert not missing


@every_ruleset
def test_a_change_of_what_decides_changes_the_hash_and_a_comment_does_not(name: str) -> None:
    text = bundled_text(name)
    same = read_ruleset(f"# ours\n{text}")
    changed, count = re.subn(r"points: 20\b|points: 30\b", "points: 21", text, count=1)
    assert count == 1
    assert same.content_hash == bundled_ruleset(name).content_hash
    assert read_ruleset(changed).content_hash != same.content_hash


def test_retail_has_all_categories_and_all_kinds_of_inputs() -> None:
    ruleset = bundled_ruleset(RETAIL)
    made = [each for rule in ruleset.rules for each in inputs_of_rule(rule)]
    assert isinstance(ruleset.score, PointsScore)
    assert ruleset.score.points.thresholds == (31, 61, 86)
    assert {rule.category for rule in ruleset.rules} == set(Category.__args__)
    assert {FieldInput, Sum, Ratio, TagInput, ScreeningInput, Count, IndicatorInput} <= set(map(type, made))
    assert {each.count for each in made if isinstance(each, Count)} == {"transactions", "cases", "alerts"}
    assert len({each.pattern for each in made if hasattr(each, "pattern")}) == 6


def floors(rule: Rule) -> list[Any]:
    return [case.floor for case in rule.cases]


def test_retail_floors_are_what_law_and_the_fatf_ask_for() -> None:
    ruleset = bundled_ruleset(RETAIL)
    assert floors(ruleset.rule("politically-exposed")) == ["high"]
    assert floors(ruleset.rule("sanctions")) == ["critical"]
    assert floors(ruleset.rule("country-of-residence"))[0] == "high"
    assert floors(ruleset.rule("sanctions-programme")) == ["high", "medium"]
    soft = [rule.id for rule in ruleset.rules if rule.overridable]
    assert soft == ["adverse-media"]


def test_points_that_are_taken_away_never_come_near_a_level() -> None:
    """Good signs together take away less than one strong reason gives."""
    ruleset = bundled_ruleset(RETAIL)
    best = [min([*(case.points or 0 for case in rule.cases), 0]) for rule in ruleset.rules]
    assert sum(best) == -20


def weighted(ruleset: Ruleset) -> Any:
    assert isinstance(ruleset.score, WeightedScore)
    return ruleset.score.weighted


def test_the_weights_are_those_of_the_description() -> None:
    """Its table has one weight for the type of customer, which who the customer is and what it does share here."""
    score = weighted(bundled_ruleset(WEIGHTED))
    order = ("geography", "customer-type", "business-activity", "product", "behavioural-deviation", "velocity")
    table = {
        "retail": [15, 10, 10, 25, 40],
        "sme": [20, 15, 20, 25, 20],
        "large-corporate": [25, 20, 25, 20, 10],
        "pep-or-high-risk": [30, 35, 15, 15, 5],
    }
    for column, weights in score.weights.items():
        geography, who, activity, *others = (int(weights[factor]) for factor in order)
        assert min(who, activity) >= 5
        assert [geography, who + activity, *others] == table[column]
    assert score.weights.keys() == table.keys()
    assert score.bands == (31, 61, 86)


def test_factors_score_from_1_to_100_and_are_told_when_nothing_holds() -> None:
    ruleset = bundled_ruleset(WEIGHTED)
    for factor in weighted(ruleset).weights["retail"]:
        rule = ruleset.rule(factor)
        outcomes = [*rule.cases, rule.otherwise, *([rule.on_unknown] if rule.on_unknown else [])]
        assert all(outcome.points is not None and 1 <= outcome.points <= 100 for outcome in outcomes), factor


def test_a_factor_that_fades_never_scores_less_than_an_ordinary_customer() -> None:
    """The signal is inside the window, so the last half of a half-life that fits is the lowest that a case can come to.

    Without this an old deviation would count for less than none.
    """
    ruleset = bundled_ruleset(WEIGHTED)
    fading = [rule for rule in ruleset.rules if rule.decay]
    assert [rule.id for rule in fading] == ["behavioural-deviation", "velocity"]
    for rule in fading:
        assert rule.decay
        window: Any = getattr(rule.input, "over", None)
        halvings = -(-int(window.days) // int(rule.decay.half_life.days)) - 1
        assert halvings == 1
        lowest = min(case.points or 0 for case in rule.cases) / 2**halvings
        assert lowest >= (rule.otherwise.points or 0)


def test_whoever_gets_the_column_of_high_risk_has_a_floor() -> None:
    """That column gives velocity 5 % instead of 40 %: without a floor a worse customer could have a lower level."""
    ruleset = bundled_ruleset(WEIGHTED)
    assert floors(ruleset.rule("politically-exposed")) == ["high"]
    assert floors(ruleset.rule("geography"))[:3] == ["high", "high", "high"]
    choice = weighted(ruleset).weights_by[0]
    assert choice.use == "pep-or-high-risk"
    assert len(choice.when.any) == 4


def busy(count: int, *, known: bool = True) -> str:
    """An example with so many transactions in one day, across five counterparties; or it is not *known* across whom."""
    begin = datetime(2026, 11, 2, tzinfo=UTC)
    rows = ",\n".join(
        f'{{time: "{(begin + timedelta(minutes=10 * number)).isoformat()}", amount: 1'
        f"{f', counterparty_id: c{number % 5}' if known else ''}}}"
        for number in range(count)
    )
    return f"""
  - name: busy
    as_of: 2026-11-20
    given: {{kind: person, country: DE, resident: true, onboarding: branch, products: [], expected_turnover: 3000,
            screening: [], transactions: [{rows}]}}
    expect: {{}}
"""


@pytest.mark.parametrize(
    ("count", "case", "total"),
    [(10, "otherwise", "8"), (11, 3, "18"), (25, 3, "18"), (26, 2, "30"), (50, 2, "30"), (51, 1, "46")],
)
def test_more_than_fifty_transactions_a_day_is_the_highest_velocity(count: int, case: Any, total: str) -> None:
    found = explained(busy(count))
    assert {outcome.rule: outcome.case for outcome in found.rules}["velocity"] == case
    assert found.total == Decimal(total)


def explained(example: str) -> Any:
    head = bundled_text(WEIGHTED).split("\nexamples:\n")[0]
    made = analyse_text(f"{head}\nexamples:{example}")
    return examples.run_examples(made, bundled_lists(), TODAY).results[0].explanation


@pytest.mark.parametrize(("count", "case", "seen"), [(10, "otherwise", "0"), (51, "unknown", "unknown, as 51 {}")])
def test_a_burst_of_counterparties_that_are_not_known_is_no_good_news(count: int, case: str, seen: str) -> None:
    found = {outcome.rule: outcome for outcome in explained(busy(count, known=False)).rules}["velocity"]
    assert (found.case, found.seen) == (case, f"velocity is {seen.format('transactions lack counterparty id')}")


@pytest.mark.parametrize(
    ("points", "level"),
    [
        (-40, "low"),
        (0, "low"),
        (30.5, "low"),
        (30.99, "low"),
        (31, "medium"),
        (70.99, "medium"),
        (71, "high"),
        (1000, "high"),
    ],
)
def test_every_total_of_a_session_has_a_tier(points: float, level: str) -> None:
    """0-30, 31-70 and 71-100, with nothing that no tier owns below, above or between."""
    ruleset = bundled_ruleset(SESSION)
    assert isinstance(ruleset.score, TiersScore)
    owners = [
        tier
        for tier in ruleset.score.tiers
        if (tier.min is None or tier.min <= Decimal(str(points)))
        and (tier.max is None or Decimal(str(points)) <= tier.max)
    ]
    assert [tier.level for tier in owners] == [level]
