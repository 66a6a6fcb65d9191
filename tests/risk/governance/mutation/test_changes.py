"""Changes by one step: which there are, and that each changes what it says and nothing else."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from fivefold.risk.governance.diff import diff
from fivefold.risk.governance.mutation.changes import changes_of, plain_data, with_change
from fivefold.risk.language.reading import read_plain, read_ruleset
from fivefold.risk.language.ruleset import Ruleset
from tests.risk.engine.drawn.rulesets import read, rulesets
from tests.risk.governance.making import TEXT, TIERED_TEXT, WEIGHTED_TEXT

Data = dict[str, Any]


def changes(text: str) -> set[tuple[str, str, str]]:
    found = changes_of(read_ruleset(text))
    return {(".".join(map(str, change.path)), change.before, change.after) for change in found}


def of_rule(**parts: Any) -> set[tuple[str, str, str]]:
    """The changes of one rule of income, without those of the score."""
    rule = {"id": "income", "title": "Income", "category": "other", **parts}
    data = {**plain_data(read_ruleset(TEXT)), "rules": [rule]}
    ruleset = read_plain(Ruleset, data)
    assert ruleset is not None
    found = [change for change in changes_of(ruleset) if change.path[0] == "rules"]
    return {(".".join(map(str, change.path[2:])), change.before, change.after) for change in found}


def test_cuts_points_floors_bounds_and_operators_move_by_one_step() -> None:
    assert changes(TEXT) == {
        *(
            (f"score.points.thresholds.{n}", str(cut), str(cut + by))
            for n, cut in enumerate((20, 40, 60))
            for by in (-1, 1)
        ),
        *(("cooldown", "30 days", f"{days} days") for days in (29, 31)),
        ("applies_to.equals", "equals person", "not_equals person"),
        ("rules.0.cases.0.when.equals", "equals ZA", "not_equals ZA"),
        ("rules.0.cases.1.when.equals", "equals ZW", "not_equals ZW"),
        *(("rules.0.cases.0.points", "45", other) for other in ("44", "46")),
        *(("rules.0.cases.0.floor", "high", other) for other in ("medium", "critical")),
        *(("rules.0.cases.1.points", "25", other) for other in ("24", "26")),
        *(("rules.0.on_unknown.points", "10", other) for other in ("9", "11")),
        ("rules.1.cases.0.when.at_least", "at_least 1000", "above 1000"),
        ("rules.1.cases.1.when.at_least", "at_least 100", "above 100"),
        *(("rules.1.cases.0.when.at_least", "1000", other) for other in ("999", "1001")),
        *(("rules.1.cases.1.when.at_least", "100", other) for other in ("99", "101")),
        *(("rules.1.cases.0.points", "20", other) for other in ("19", "21")),
        *(("rules.1.cases.1.points", "10.5", other) for other in ("10.4", "10.6")),
        *(("rules.1.otherwise.points", "-5", other) for other in ("-6", "-4")),
    }


def test_a_calculation_that_is_placed_among_peers_alone_stays_with_its_parts() -> None:
    """Examples give the place, so that none could notice; what a case reads too is changed."""
    last = {"unit": "count", "of": {"count": "transactions", "over": "30 days"}}
    before = {"unit": "count", "of": {"count": "transactions", "over": "60 days"}}
    growth = {"unit": "ratio", "divide": [{"calculation": "last"}, {"calculation": "before"}]}
    place = {"peer_percentile": {"of": {"calculation": "growth"}, "among": "everyone"}}
    cases = [{"when": {"at_least": 90}, "points": 5}]
    rule = {"id": "growth", "title": "Growth", "category": "other", "input": place, "cases": cases}
    data = plain_data(read_ruleset(TEXT)) | {
        "reference": "peers",
        "calculate": {"last": last, "before": before, "growth": growth},
        "rules": [rule],
    }

    def changed(data: Data) -> set[str]:
        ruleset = read_plain(Ruleset, data)
        assert ruleset is not None
        return {str(change.path[1]) for change in changes_of(ruleset) if change.path[0] == "calculate"}

    assert changed(data) == set()
    reads = {**rule, "id": "many", "input": {"calculation": "last"}}
    assert changed({**data, "rules": [rule, reads]}) == {"last"}
    assert changed({**data, "rules": [rule, {**reads, "input": {"calculation": "growth"}}]}) == {"last", "before"}


def test_the_ends_of_tiers_move() -> None:
    found = {change for change in changes(TIERED_TEXT) if change[0].startswith("score")}
    assert ("score.tiers.0.max", "19.99", "20.00") in found
    assert ("score.tiers.1.min", "20", "19") in found
    assert len(found) == 16


def test_a_percent_goes_from_each_factor_to_the_next() -> None:
    found = {change for change in changes(WEIGHTED_TEXT) if "weights" in change[0]}
    assert found == {
        ("score.weighted.weights.all.country", "country 40, income 60", "country 39, income 61"),
        ("score.weighted.weights.all.income", "income 60, country 40", "income 59, country 41"),
    }


def test_windows_and_their_conditions_move() -> None:
    window = {"count": "cases", "over": "1 day", "where": {"field": "time", "above": "2024-03-01"}}
    cases = [{"when": {"at_least": 1}, "points": 5}]
    found = of_rule(input=window, cases=cases, decay={"half_life": "2 days"})
    assert {change for change in found if change[0].startswith(("input", "decay"))} == {
        ("input.over", "1 day", "2 days"),
        ("input.where.above", "above 2024-03-01", "at_least 2024-03-01"),
        ("input.where.above", "2024-03-01", "2024-02-29"),
        ("input.where.above", "2024-03-01", "2024-03-02"),
        ("decay.half_life", "2 days", "1 day"),
        ("decay.half_life", "2 days", "3 days"),
    }


@pytest.mark.parametrize(
    ("made", "moved"),
    [
        (
            {"percentile": 99.5, "of": "amount", "ending": "2 days ago"},
            {
                ("ending", "2 days ago", "1 day ago"),
                ("ending", "2 days ago", "3 days ago"),
                ("percentile", "99.5", "99.4"),
                ("percentile", "99.5", "99.6"),
            },
        ),
        ({"largest": "amount", "n": 3}, {("n", "3", "2"), ("n", "3", "4")}),
        (
            {
                "linked": {
                    "by": "a",
                    "steps": 2,
                    "where": {"field": "b", "above": 3},
                    "sum": {"sum": "c", "over": "9 days"},
                }
            },
            {
                ("linked.steps", "2", "1"),
                ("linked.steps", "2", "3"),
                ("linked.where.above", "above 3", "at_least 3"),
                ("linked.where.above", "3", "2"),
                ("linked.where.above", "3", "4"),
                ("linked.sum.over", "9 days", "8 days"),
                ("linked.sum.over", "9 days", "10 days"),
            },
        ),
    ],
)
def test_the_end_of_a_window_a_percentile_and_how_many_are_the_largest_move(
    made: Data, moved: set[tuple[str, str, str]]
) -> None:
    """In a rule's input, and in a calculation, whose `of` is another word."""
    cases = [{"when": {"above": 1}, "points": 5}]
    found = of_rule(input=made, cases=cases)
    assert {(path.partition("input.")[2], *rest) for path, *rest in found if path.startswith("input.")} == moved
    calculated = {**json.loads(read_ruleset(TEXT).canonical), "calculate": {"a": {"unit": "money", "of": made}}}
    paths = {".".join(map(str, each.path)) for each in changes_of(read_ruleset(json.dumps(calculated)))}
    assert {f"calculate.a.of.{path}" for path, *_ in moved} <= paths


def test_parameters_of_patterns_move() -> None:
    pattern = {
        "pattern": "pass-through",
        "within": "3 days",
        "share": "80%",
        "minimum": Decimal("0.5"),
        "over": "9 days",
    }
    found = of_rule(input=pattern, cases=[{"when": "present", "points": 5}])
    assert {change for change in found if change[0].startswith("input.share")} == {
        ("input.share", "80%", "79%"),
        ("input.share", "80%", "81%"),
    }
    assert ("input.within", "3 days", "4 days") in found
    assert ("input.minimum", "0.5", "0.4") in found
    assert ("cases.0.when", "present", "absent") in found


def test_joins_turn_and_a_negation_goes() -> None:
    parts = [{"field": "income", "outside": [1, 2]}, {"not": {"field": "country", "in": ["ZA"]}}]
    found = of_rule(cases=[{"when": {"all": parts}, "points": 5}])
    assert {change for change in found if change[0].startswith("cases.0.when")} == {
        ("cases.0.when.all", "all", "any"),
        *(("cases.0.when.all.0.outside.0", "1", other) for other in ("0", "2")),
        *(("cases.0.when.all.0.outside.1", "2", other) for other in ("1", "3")),
        ("cases.0.when.all.1.not", "not", "without not"),
        ("cases.0.when.all.1.not.in", "in ZA", "not_in ZA"),
    }


@pytest.mark.parametrize("word", ["in", "not_in"])
def test_each_number_of_a_list_moves(word: str) -> None:
    found = of_rule(cases=[{"when": {"field": "income", word: [1000, 2000]}, "points": 5}])
    assert {change for change in found if change[0].startswith(f"cases.0.when.{word}.")} == {
        (f"cases.0.when.{word}.0", "1000", "999"),
        (f"cases.0.when.{word}.0", "1000", "1001"),
        (f"cases.0.when.{word}.1", "2000", "1999"),
        (f"cases.0.when.{word}.1", "2000", "2001"),
    }


@pytest.mark.parametrize("word", ["in", "not_in"])
def test_no_number_of_a_list_moves_to_another_one_of_it(word: str) -> None:
    found = of_rule(cases=[{"when": {"field": "income", word: [1000, 1001]}, "points": 5}])
    assert {change for change in found if change[0].startswith(f"cases.0.when.{word}.")} == {
        (f"cases.0.when.{word}.0", "1000", "999"),
        (f"cases.0.when.{word}.1", "1001", "1002"),
    }


def test_an_input_that_is_compared_with_moves_in_its_window() -> None:
    sums = [{"sum": "amount", "over": f"{days} days"} for days in (30, 90)]
    found = of_rule(input=sums[0], cases=[{"when": {"above": sums[1]}, "points": 5}])
    written = "{over: 90 days, sum: amount}"
    assert {change for change in found if change[0].startswith("cases.0.when")} == {
        ("cases.0.when.above", f"above {written}", f"at_least {written}"),
        ("cases.0.when.above.over", "90 days", "89 days"),
        ("cases.0.when.above.over", "90 days", "91 days"),
    }


@given(rulesets())
def test_a_change_is_one_place_of_the_ruleset_and_never_the_same_content(drawn: Data) -> None:
    ruleset = read(drawn)
    data = plain_data(ruleset)
    for change in changes_of(ruleset):
        changed = read_plain(Ruleset, with_change(data, change.node, change.value))
        if changed is not None:
            assert changed.content_hash != ruleset.content_hash
            assert diff(ruleset, changed).changes
