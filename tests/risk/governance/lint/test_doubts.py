"""Doubts of single rules: each is found where it is, and not where it is not."""

import json
from typing import Any

import pytest

from fivefold.risk.compiler.diagnostics import Severity
from fivefold.risk.facts.portfolio import read_list
from fivefold.risk.governance.lint.doubts import doubt_diagnostics
from fivefold.risk.language.reading import read_ruleset
from tests.golden import compare

Data = dict[str, Any]
MEMBERS = {"names": read_list(
    "{list: names, title: N, source: us, versions: [{since: 2024-01-01, members: [Lech, X]}]}"
).versions[-1].members}  # fmt: skip


def doubts(rule: Data, *, without: Severity = Severity.NOTE, **parts: Any) -> list[str]:
    whole = {
        "ruleset": "small",
        "entity_type": "customer",
        "fields": {"name": "text", "income": "number"},
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [31, 61]}},
        "max_recompute_interval": "180 days",
        "rules": [{"id": "r", "title": "R", "category": "other", **rule}],
        **parts,
    }
    found = doubt_diagnostics(read_ruleset(json.dumps(whole)), MEMBERS)
    return [fault.problem for fault in found if fault.severity is not without]


def notes(rule: Data) -> list[str]:
    return doubts(rule, without=Severity.WARNING)


def cases(*conditions: Any, **parts: Any) -> Data:
    return {"input": {"field": "income"}, "cases": [{"when": when, "points": 1} for when in conditions], **parts}


HIT: Data = {"input": {"screening": "pep"}, "cases": [{"when": "present", "floor": "high"}]}
NAMED: Data = {"cases": [{"when": {"screening": "pep", "is": "present"}, "points": 5, "floor": "high"}]}


@pytest.mark.parametrize("rule", [HIT, NAMED])
def test_a_floor_by_a_screening_needs_a_word_for_who_was_never_screened(rule: Data) -> None:
    (told,) = doubts(rule)
    assert told == "is a floor by the screening for pep; without on_unknown who was never screened passes for clean"
    assert doubts({**rule, "on_unknown": {"floor": "medium"}}) == []
    assert doubts({**rule, "on_unknown": {"points": 0}}) == []


LESS = "has no on_unknown: where {} is not known it gives what otherwise gives, less than case {}"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"input": {"screening": "pep"}, "cases": [{"when": "present", "points": 5}]}, ("screening for pep", 1)),
        (cases({"above": 1}), ("income", 1)),
        (cases({"above": 1}, on_unknown={"points": 0}), None),
        (cases({"above": 1}, otherwise={"points": 1}), None),
        ({**cases(), "cases": [{"when": {"above": 1}, "points": -5}]}, None),
        ({"cases": [{"when": {"field": "income", "is": "absent"}, "points": 5}]}, None),
        ({"cases": [{"when": {"tag": "vip", "is": "present"}, "points": 5}]}, None),
        ({"cases": [{"when": {"sum": "amount", "at_least": 1}, "points": 5}]}, None),
        ({"input": {"pattern": "fan-in", "at_least": 2}, "cases": [{"when": "present", "points": 5}]}, ("fan in", 1)),
    ],
)
def test_a_rule_that_takes_unknown_for_no_is_noted_once(rule: Data, expected: tuple[str, int] | None) -> None:
    assert notes(rule) == ([] if expected is None else [LESS.format(*expected)])


def test_an_input_that_no_case_reads() -> None:
    named = {"field": "name", "equals": "x"}
    assert doubts(cases(named)) == ["is read by no case: each names an input of its own"]
    assert doubts(cases(named, {"above": 1})) == []
    assert doubts(cases({"not": {"any": [named, {"above": 1}]}})) == []
    assert doubts(cases("absent")) == []


def test_an_input_that_decay_counts_from_is_read() -> None:
    counted = {"input": {"count": "cases"}, "decay": {"half_life": "90 days"}}
    assert doubts({**cases({"field": "name", "equals": "x"}), **counted}) == []


def test_a_gap_between_two_ranges() -> None:
    def gaps(row: list[Any]) -> str:
        conditions = json.loads(json.dumps(row[1], default=float))
        return " | ".join(doubts({**cases(*conditions), "input": {"field": row[0]}})) or "no gap"

    compare("lint_gaps", gaps)


def test_what_otherwise_owns_is_no_gap_but_where_whole_numbers_were_thought_of() -> None:
    assert doubts(cases({"below": 100}, {"above": 200}, otherwise={"points": 0})) == []
    (told,) = doubts(cases({"between": [0, 30]}, {"between": [31, 70]}, otherwise={"points": 5}))
    assert told.endswith("is in no case, and gets what otherwise gives")


@pytest.mark.parametrize(("to", "found"), [("X", True), ("Ål", True), ("Lech", False)])
def test_a_part_of_one_letter_is_in_every_text(to: str, found: bool) -> None:
    fuzzy = {"to": to, "scorer": "partial", "at_least": 90}
    assert bool(doubts(cases({"field": "name", "fuzzy": fuzzy}, {"above": 1}))) == found
    assert doubts(cases({"field": "name", "fuzzy": {**fuzzy, "scorer": "ratio"}}, {"above": 1})) == []


def test_a_member_of_a_list_of_one_letter() -> None:
    (told,) = doubts(
        cases({"field": "name", "fuzzy": {"list": "names", "scorer": "partial", "at_least": 90}}, {"above": 1})
    )
    assert told == "looks for 'X' as a part of other text, and nearly every text has such a part; take token_set"


def test_coverage_that_is_switched_off_and_examples_that_expect_nothing() -> None:
    empty = {"name": "a", "given": {}, "expect": {}}
    told = doubts(cases({"above": 1}), coverage={"rules": 0, "cases": 0}, examples=[empty])
    assert [one.split(",")[0] for one in told] == [
        "asks that examples cover 0 % of rules",
        "asks that examples cover 0 % of cases",
        "is empty",
    ]
    assert doubts(cases({"above": 1}), coverage={"rules": 100, "cases": 100}) == []
