"""What a statement may show: nothing of what others found, unless its author says so, and nothing undisclosed."""

import json
from collections.abc import Callable
from time import process_time
from typing import Any
from unittest.mock import Mock

import pytest

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.governance.disclosure import is_disclosable, is_whole
from fivefold.risk.governance.what_if import changeable
from fivefold.risk.governance.what_if.changeable import linked_inputs
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.reading import read_ruleset
from tests.risk.linted import lint

Data = dict[str, Any]
MOST_SECONDS = 10.0
"""Of the processor; a walk along each way through the calculations takes longer than anybody waits."""
CASH: Data = {"sum": "amount", "where": {"field": "country", "in_list": "hot"}, "over": "30 days"}
PASS_THROUGH: Data = {"pattern": "pass-through", "within": "3 days", "share": "80%", "minimum": 1000, "at_least": 3}
PURPOSE: Data = {"pattern": "purpose-deviation", "transaction_field": "payer", "declared": "said", "share": "10%"}


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


@pytest.mark.parametrize(
    ("length", "other", "is_same"),
    [
        ("30 days", "720 hours", True),
        ("2 weeks", "14 days", True),
        ("1 year", "12 months", True),
        ("30 days", "1 month", False),
        ("30 days", "31 days", False),
    ],
)
def test_an_undisclosed_input_is_the_same_in_other_units(length: str, other: str, is_same: bool) -> None:
    def own(text: str) -> Data:
        return {"ratio": [{"sum": "amount", "over": text, "ending": f"{text} ago"}, {"field": "income"}]}

    hidden = {"undisclosed": {"inputs": [own(other)]}}
    made = analysed(own(length), {"above": 1}, {"disclosable": True}, **hidden)
    assert shown(made) == (not is_same, not is_same)
    warned = "names an input that no rule reads" in str(lint(made))
    assert warned != is_same


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


@pytest.mark.parametrize(
    ("own", "undisclosed"),
    [
        ({"days_since": "referred"}, {"field": "referred"}),
        ({"ratio": [{"days_since": "referred"}, {"field": "income"}]}, {"field": "referred"}),
        ({"sum": "fee"}, {"field": "fee"}),
        ({"count": "transactions", "where": {"field": "fee", "above": 3}}, {"field": "fee"}),
        ({"count": "transactions", "where": {"field": "fee", "above": {"field": "cost"}}}, {"field": "cost"}),
        ({"count": "tags", "where": {"field": "tag", "equals": "watch"}}, {"tag": "watch"}),
        ({"days_since": "screenings", "where": {"field": "screening", "equals": "pep"}}, {"screening": "pep"}),
    ],
)
def test_an_aggregate_reads_what_it_counts_from_and_what_its_condition_names(own: Data, undisclosed: Data) -> None:
    fields = {"income": "number", "referred": "date"}
    of_transactions = {"fee": "number", "cost": "number"}
    more: Data = {"fields": fields, "transaction_fields": of_transactions, "undisclosed": {"inputs": [undisclosed]}}
    made = analysed(own, {"above": 1}, {"disclosable": True}, **more)
    assert shown(made) == (False, False)
    assert "has no effect: it reads what undisclosed names" in [each.problem for each in lint(made)]
    asked = analysed({"field": "income"}, {"above": 1}, applies_to={**own, "above": 1}, **more)
    assert shown(asked) == (True, False)


@pytest.mark.parametrize(
    ("own", "named"),
    [
        ({"pattern": "velocity"}, "counterparty_id"),
        ({"pattern": "fan-in", "at_least": 3, "counterparty": "payer"}, "payer"),
        (PURPOSE, "said"),
        (PURPOSE, "payer"),
    ],
)
def test_a_pattern_reads_the_fields_that_it_names(own: Data, named: str) -> None:
    more: Data = {
        "fields": {"said": ["text"]},
        "transaction_fields": {"counterparty_id": "text", "payer": "text", "channel": "text"},
    }
    rule = {**own, "over": "30 days"}
    said = {"disclosable": True}
    assert shown(analysed(rule, {"above": 1}, said, **more, undisclosed={"inputs": [{"field": "channel"}]})) == (
        True,
        True,
    )
    made = analysed(rule, {"above": 1}, said, **more, undisclosed={"inputs": [{"field": named}]})
    assert shown(made) == (False, False)
    problems = [each.problem for each in lint(made)]
    assert "has no effect: it reads what undisclosed names" in problems
    assert "names an input that no rule reads" not in problems


@pytest.mark.parametrize(
    "asked",
    [
        {"not": {"tag": "watch", "is": "present"}},
        {"field": "country", "in_list": "hot"},
        {**CASH, "above": 1},
        {"calculation": "cash", "above": 1},
    ],
)
def test_a_predicate_that_asks_what_is_hidden_hides_totals(asked: Data) -> None:
    calculated = {"cash": {"unit": "money", "of": CASH}}
    more: Data = {"calculate": calculated, "undisclosed": {"lists": ["hot"]}}
    made = analysed({"field": "income"}, {"above": 1}, applies_to=asked, **more)
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


@pytest.mark.parametrize(
    ("count", "operation"),
    [
        (100, lambda part: {"add": [part, 1]}),
        (40, lambda part: {"multiply": [part, part]}),
        (100, lambda part: {"greatest_of": [part, {"multiply": [part, 0.5]}]}),
    ],
    ids=["chain", "diamonds", "nested"],
)
def test_calculations_made_of_each_other_are_looked_at_once_each(count: int, operation: Callable[[Data], Data]) -> None:
    calculate = {"c0": {"unit": "ratio", "of": {"field": "income"}}} | {
        f"c{number}": {"unit": "ratio", **operation({"calculation": f"c{number - 1}"})} for number in range(1, count)
    }
    of_last = {"calculation": f"c{count - 1}"}
    declared = {"undisclosed": {"inputs": [{"field": "income"}]}}
    began = process_time()
    made = analysed(of_last, {"at_least": 3}, {"disclosable": True}, calculate=calculate, **declared)
    assert "has no effect: it reads what undisclosed names" in [each.problem for each in lint(made)]
    assert shown(made) == (False, False)
    assert linked_inputs(made) == {input_key(each) for each in made.inputs}
    assert process_time() - began < MOST_SECONDS


def test_what_a_person_can_change_is_looked_at_once_for_all_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    keyed = Mock(side_effect=input_key)
    monkeypatch.setattr(changeable, "input_key", keyed)

    def keys_of_lint(count: int) -> int:
        keyed.reset_mock()
        own = {"changeable": "down"}
        sums = [{**CASH, "over": f"{number + 1} days"} for number in range(count)]
        rule = analysed(sums[0], {"at_least": 3}, own).ruleset.model_dump(mode="json", by_alias=True, exclude_none=True)
        first = rule["rules"][0]
        rules = [{**first, "id": f"r{number}", "input": each} for number, each in enumerate(sums)]
        lint(AnalysedRuleset(read_ruleset(json.dumps({**rule, "rules": rules}))))
        return keyed.call_count

    assert keys_of_lint(40) <= 2 * keys_of_lint(20)
