"""Examples beside a ruleset: compared with what was expected, and counted for coverage."""

import json
from decimal import Decimal
from typing import Any

import pytest

from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.facts.portfolio import read_list
from fivefold.risk.governance.examples.run import run_examples
from fivefold.risk.language.documents import Document
from fivefold.risk.language.reading import read_document, read_ruleset
from fivefold.risk.language.ruleset import Ruleset
from tests.risk.conftest import Refusal
from tests.risk.governance.linted import HERE

Data = dict[str, Any]
DAY = parse_moment("2024-07-01")
LISTS = {
    "watched": read_list(
        "list: watched\ntitle: Watched\nsource: a test\nversions:\n"
        "  - {since: 2024-01-01, members: [IR]}\n  - {since: 2024-06-01, members: [KP]}\n"
    )
}
RULES: list[Data] = [
    {
        "id": "country",
        "title": "Country",
        "category": "geography",
        "input": {"field": "country"},
        "cases": [
            {"when": {"in_list": "watched"}, "points": 40, "floor": "high"},
            {"when": {"equals": "NO"}, "points": -5},
        ],
        "on_unknown": {"points": 10.5},
    },
    {
        "id": "income",
        "title": "Income",
        "category": "other",
        "input": {"field": "income"},
        "cases": [{"when": {"at_least": 100}, "points": 31}],
        "otherwise": {"points": 1},
    },
]


def ruleset(*examples: Data, **parts: Any) -> Ruleset:
    whole = {
        "ruleset": "small",
        "entity_type": "customer",
        "fields": {"country": "country", "income": "number"},
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [31, 61]}},
        "max_recompute_interval": "180 days",
        "cooldown": "30 days",
        "rules": RULES,
        "examples": [{"name": f"example {number}", **one} for number, one in enumerate(examples)],
        **parts,
    }
    return read_ruleset(json.dumps(whole))


def example(given: Data, as_of: str | None = None, **expect: Any) -> Data:
    return {"given": given, "expect": expect} | ({} if as_of is None else {"as_of": as_of})


def differences(*examples: Data) -> list[tuple[str, ...]]:
    return [result.differences for result in run_examples(AnalysedRuleset(ruleset(*examples)), LISTS, DAY).results]


def test_expectations_that_are_met() -> None:
    watched = {"level": "high", "floor_by": "country", "total": 41, "cases": {"country": 1, "income": "otherwise"}}
    assert (
        differences(
            example({"country": "KP", "income": 5}, **watched),
            example({"country": "NO", "income": 100}, total=26, level=1, cases={"country": 2, "income": 1}),
            example({"income": 5}, total=11.5, cases={"country": "unknown"}, status="assessed"),
            example({"country": "NO", "income": "much"}, status="failed"),
        )
        == [()] * 4
    )


def test_an_example_that_expects_nothing_does_not_pass() -> None:
    assert [told[0].split(",")[0] for told in differences(example({}), example({"income": 100}, cases={}))] == [
        "expects nothing"
    ] * 2


def test_expectations_that_are_not_met_say_what_came() -> None:
    assert differences(
        example({"country": "NO", "income": 100}, level="high", total=30.5, status="failed", floor_by="country"),
        example({"country": "NO", "income": "much"}, level="low", cases={"income": 1, "country": "otherwise"}),
    ) == [
        (
            "level is low, not high",
            "total is 26, not 30.5",
            "status is assessed, not failed",
            "floor_by is None, not country",
        ),
        ("level is none, not low", "case of income is failed, not 1", "case of country is 2, not otherwise"),
    ]


def test_a_weighted_total_is_expected_as_the_difference_writes_it() -> None:
    """Points and weights have two decimals each, so a total has up to six of a point."""
    weights = {"all": {"country": 33.33, "income": 66.67}}
    by_weight = {
        "score": {"weighted": {"bands": [31, 61], "weights": weights, "weights_by": [{"use": "all"}]}},
        "rules": [
            {**RULES[0], "cases": [{"when": {"equals": "NO"}, "points": 5.25}], "otherwise": {"points": 1}},
            {**RULES[1], "cases": [{"when": {"at_least": 100}, "points": 31.11}]},
        ],
    }
    for total, come in ((22.49, ("total is 22.490862, not 22.49",)), (22.490862, ())):
        read = ruleset(example({"country": "NO", "income": 100}, total=total), **by_weight)
        assert [each.differences for each in run_examples(AnalysedRuleset(read), LISTS, DAY).results] == [come]
    with pytest.raises(InvalidRulesetError, match="has more than six decimals"):
        ruleset(example({"income": 100}, total=22.4908621), **by_weight)


def test_each_example_has_its_own_moment() -> None:
    assert (
        differences(
            example({"country": "IR"}, "2024-05-31T23:59:59Z", cases={"country": 1}),
            example({"country": "IR"}, "2024-06-01", cases={"country": "otherwise"}),
            example({"country": "IR"}, cases={"country": "otherwise"}),
        )
        == [()] * 3
    )


def test_level_held_before_stays_for_the_cooldown() -> None:
    held = {"level": "high", "entered": "2024-06-01"}
    assert (
        differences(
            example({"country": "NO", "previous": held}, level="low"),
            example({"country": "NO", "previous": held}, "2024-06-30T23:59:59Z", level="high"),
            example({"country": "NO", "income": "x", "previous": held}, level="high", status="failed"),
        )
        == [()] * 3
    )


@pytest.mark.parametrize(
    ("expect", "missing"),
    [
        ({"cases": {"country": 1, "income": 1}}, []),
        ({"total": 71}, []),
        ({"cases": {"income": 1}}, ["country"]),
        ({"floor_by": "country"}, ["income"]),
        ({"level": "high"}, ["country", "income"]),  # either of them alone would make it high: 40 with a floor, or 71
        ({"status": "assessed"}, ["country", "income"]),
    ],
)
def test_a_case_counts_where_an_example_expects_something_of_it(expect: Data, missing: list[str]) -> None:
    rules = [
        {**RULES[0], "cases": RULES[0]["cases"][:1]},
        {**RULES[1], "cases": [{"when": {"at_least": 100}, "points": 31, "floor": "high"}]},
    ]
    made = ruleset(example({"country": "KP", "income": 100}, **expect), rules=rules)
    tested = run_examples(AnalysedRuleset(made), LISTS, DAY)
    assert tested.results[0].differences == ()
    assert [rule for rule, cases in tested.rules.items() if not cases] == missing
    said = " (holds in an example that expects nothing of it)"
    assert tested.missing() == [f"rule {rule}, case 1{said}" for rule in missing]


def test_a_level_expects_something_of_the_case_without_which_it_would_be_another() -> None:
    made = ruleset(example({"country": "NO", "income": 100}, level="low"), example({"income": 100}, level="medium"))
    tested = run_examples(AnalysedRuleset(made), LISTS, DAY)
    assert tested.rules == {"country": {2}, "income": {1}}  # 31 - 5 is low, and without the first it would be medium


def test_coverage_counts_rules_and_cases() -> None:
    made = ruleset(example({"country": "NO", "income": 5}, total=-4), example({"country": "NO"}, total=-4))
    tested = run_examples(AnalysedRuleset(made), LISTS, DAY)
    assert (tested.rule_share, round(tested.case_share, 2)) == (Decimal(50), Decimal("33.33"))
    assert tested.missing() == ["rule country, case 1", "rule income, case 1"]
    assert not tested.passed(made)


def test_ruleset_passes_where_enough_is_covered_and_all_is_as_expected() -> None:
    reaching = [example({"country": "KP"}, level="high"), example({"country": "NO", "income": 100}, total=26)]
    made = ruleset(*reaching)
    assert run_examples(AnalysedRuleset(made), LISTS, DAY).passed(made)
    made = ruleset(*reaching, example({}, level="high"))
    assert not run_examples(AnalysedRuleset(made), LISTS, DAY).passed(made)
    both = example({"country": "KP", "income": 100}, total=71)
    made = ruleset(both)  # both rules, two of three cases
    assert not run_examples(AnalysedRuleset(made), LISTS, DAY).passed(made)
    made = ruleset(both, coverage={"cases": 66})
    assert run_examples(AnalysedRuleset(made), LISTS, DAY).passed(made)


def test_ruleset_without_examples_reaches_nothing() -> None:
    made = ruleset()
    tested = run_examples(AnalysedRuleset(made), LISTS, DAY)
    assert (tested.results, tested.rule_share, tested.passed(made)) == ((), 0, False)


def test_example_that_gives_what_is_unknown_is_refused(refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        run_examples(AnalysedRuleset(ruleset(example({"contry": "NO"}))), LISTS, DAY)
    text = (HERE / "clean-points.yaml").read_text(encoding="utf-8")
    document = Document(text.replace("given: {kind:", "given: {kin:"))
    with pytest.raises(InvalidRulesetError) as refused:
        run_examples(AnalysedRuleset(read_document(Ruleset, document, "a test")), LISTS, DAY, document)
    assert [finding.line for finding in refused.value.findings] == [76]
