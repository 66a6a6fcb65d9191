"""What a statement may show: nothing of what others found, unless its author says so, and nothing undisclosed."""

import json
from typing import Any

import pytest

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.governance.disclosure import is_disclosable, is_whole
from fivefold.risk.governance.lint.ruleset import lint
from fivefold.risk.language.reading import read_ruleset

Data = dict[str, Any]
CASH: Data = {"sum": "amount", "where": {"field": "country", "in_list": "hot"}, "over": "30 days"}
PASS_THROUGH: Data = {"pattern": "pass-through", "within": "3 days", "share": "80%", "minimum": 1000, "at_least": 3}


def analysed(own: Data | None, when: Any, more: Data | None = None, **changed: Any) -> AnalysedRuleset:
    rule = {"id": "one", "title": "One", "category": "other", "cases": [{"when": when, "points": 5}], **(more or {})}
    document = {
        "ruleset": "ours",
        "entity_type": "customer",
        "fields": {"income": "number", "country": "country"},
        "transaction_fields": {"country": "country"},
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [10, 30]}},
        "max_recompute_interval": "180 days",
        "rules": [rule if own is None else {**rule, "input": own}],
        **changed,
    }
    return AnalysedRuleset(read_ruleset(json.dumps(document)))


def shown(made: AnalysedRuleset) -> tuple[bool, bool]:
    return is_disclosable(made.ruleset.rules[0], made), is_whole(made)


@pytest.mark.parametrize(
    ("own", "when", "is_shown"),
    [
        ({"field": "income"}, {"at_least": 3}, True),
        (CASH, {"at_least": 3}, True),
        ({"screening": "pep"}, "present", False),
        ({"count": "cases"}, {"at_least": 1}, False),
        ({"days_since": "alerts"}, {"at_least": 1}, False),
        ({**PASS_THROUGH, "over": "180 days"}, "present", False),
        ({"ratio": [{"count": "cases"}, {"field": "income"}]}, {"above": 1}, False),
        ({"field": "income"}, {"below": {"count": "cases"}}, False),
        (None, {"all": [{"field": "income", "above": 3}, {"tag": "watch", "is": "absent"}]}, False),
    ],
)
def test_what_others_found_is_shown_where_the_author_says_so_alone(own: Data | None, when: Any, is_shown: bool) -> None:
    assert shown(analysed(own, when)) == (is_shown, is_shown)
    assert shown(analysed(own, when, {"disclosable": True})) == (True, True)
    assert shown(analysed(own, when, {"disclosable": False})) == (False, False)


def test_what_is_undisclosed_keeps_a_rule_out_whatever_it_says() -> None:
    said = {"disclosable": True}
    income: Data = {"field": "income"}
    assert shown(analysed(CASH, {"above": 1}, said, undisclosed={"lists": ["hot"]})) == (False, False)
    assert shown(analysed({"field": "country"}, {"in_list": "hot"}, said, undisclosed={"lists": ["hot"]})) == (
        False,
        False,
    )
    assert shown(analysed(income, {"above": 1}, said, undisclosed={"inputs": [income]})) == (False, False)
    ratio = {"ratio": [CASH, income]}
    assert shown(analysed(ratio, {"above": 1}, said, undisclosed={"inputs": [income]})) == (False, False)
    calculated = {"twice": {"unit": "count", "multiply": [income, 2]}}
    made = analysed(
        {"calculation": "twice"}, {"above": 1}, said, undisclosed={"inputs": [income]}, calculate=calculated
    )
    assert shown(made) == (False, False)


@pytest.mark.parametrize("part", ["applies_to", "lists"])
def test_a_predicate_that_asks_what_is_hidden_hides_totals(part: str) -> None:
    asked: Any = (
        {"not": {"tag": "watch", "is": "present"}} if part == "applies_to" else {"field": "country", "in_list": "hot"}
    )
    made = analysed({"field": "income"}, {"above": 1}, applies_to=asked, undisclosed={"lists": ["hot"]})
    assert shown(made) == (True, False)


def test_lint_finds_what_has_no_effect_and_what_tips_off() -> None:
    income: Data = {"field": "income"}

    def found(made: AnalysedRuleset) -> list[str]:
        return [str(one) for one in lint(made) if "disclos" in str(one)]

    assert (
        len(found(analysed(income, {"above": 1}, undisclosed={"lists": ["cold"], "inputs": [{"tag": "watch"}]}))) == 2
    )
    assert len(found(analysed({"count": "cases"}, {"above": 1}, {"disclosable": True}))) == 1
    assert len(found(analysed(income, {"above": 1}, {"disclosable": True}, undisclosed={"inputs": [income]}))) == 1
    assert found(analysed(income, {"above": 1}, {"disclosable": True})) == []


def test_a_ruleset_that_says_nothing_of_it_keeps_its_hash() -> None:
    plain = analysed({"field": "income"}, {"above": 1})
    spelled = analysed({"field": "income"}, {"above": 1}, undisclosed={"inputs": [], "lists": []})
    assert spelled.ruleset.content_hash == plain.ruleset.content_hash
    assert "disclos" not in plain.ruleset.canonical
    hidden = analysed({"field": "income"}, {"above": 1}, {"disclosable": True})
    assert hidden.ruleset.content_hash != plain.ruleset.content_hash
