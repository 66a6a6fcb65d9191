"""What makes a ruleset or a policy unusable; every message with its line is in tests/risk/governance/defects.txt."""

from decimal import Decimal
from typing import Any

import pytest

from fivefold.risk.compiler.analysis import AnalysedPolicy, AnalysedRuleset
from fivefold.risk.compiler.checks import (
    actions_at,
    is_missing_text,
    literal_diagnostics,
    type_of,
    value_type_at,
    weight_diagnostics,
)
from fivefold.risk.compiler.diagnostics import Diagnostic, Severity, findings
from fivefold.risk.compiler.locations import Location
from fivefold.risk.compiler.value_types import UnknownNameError, inputs_of_policy_rule, vocabulary
from fivefold.risk.language.documents import Document
from fivefold.risk.language.expressions import FieldInput, TagInput, ValueInput, input_key
from fivefold.risk.language.fields import OneOf, ValueType
from fivefold.risk.language.policy import StepInput
from tests.golden import compare
from tests.risk.compiler.rulesets_made import made
from tests.risk.conftest import Refusal
from tests.risk.engine.policies_small import policy

FIELDS = {"country": "country", "income": "number", "kind": {"one_of": ["a", "b"]}, "words": ["text"], "born": "date"}


def paths(when: Any, **rule: Any) -> list[Any]:
    ruleset = made({"cases": [{"when": when}], **rule}, fields=FIELDS, transaction_fields={"cash": "flag"})
    return [
        fault.path[4:] if fault.path[2] == "cases" else fault.path[2:]
        for fault in AnalysedRuleset(ruleset).draft_diagnostics
    ]


@pytest.mark.parametrize(
    ("when", "path"),
    [
        ({"field": "income", "at_least": 5}, None),
        ({"field": "income", "at_least": "5"}, ("when", "at_least")),
        ({"field": "incomes", "at_least": 5}, ("when", "field")),
        ({"not": {"field": "country", "above": "NO"}}, ("when", "not", "above")),
        ({"all": ["present", {"any": [{"field": "kind", "in": ["a", "c"]}]}]}, ("when", "all", 1, "any", 0, "in", 1)),
        ({"field": "words", "is": "absent"}, None),
        ({"field": "born", "between": ["2024-01-01", "2023-01-01"]}, ("when", "between")),
        ({"mean": "amount", "where": {"field": "amount", "at_least": 5}, "above": 5}, None),
        ({"mean": "amount", "where": {"field": "amount", "in": [5]}, "above": 5}, ("when", "where", "in")),
        ({"count": "transactions", "where": {"field": "cash", "equals": True}, "above": 5}, None),
        ({"count": "cases", "where": {"field": "cash", "equals": True}, "above": 5}, ("when", "where", "field")),
        ({"count": "cases", "where": "present", "above": 5}, ("when", "where")),
        ({"ratio": [{"count": "cases", "where": {"tag": "x", "is": "present"}}, {"count": "cases"}], "above": 1},
         ("when", "ratio", 0, "where")),
        ({"count": "cases", "where": {"value": "segment", "equals": "top"}, "above": 1}, ("when", "where")),
        ({"value": "segment", "in": ["top", "tops"]}, ("when", "in", 1)),
        ({"value": "score", "at_least": 4}, None),
        ({"tag": "y", "equals": "yes"}, ("when", "equals")),
    ],
)  # fmt: skip
def test_a_test_fits_what_it_tests(when: Any, path: Any) -> None:
    assert paths(when) == ([] if path is None else [path])


def test_inputs_of_rules_and_of_decay_are_looked_at() -> None:
    assert paths("present", input={"sum": "currency"}) == [("input", "sum")]
    decay = {"half_life": "1 day", "signal": {"count": "cases", "where": {"field": "nothing", "is": "present"}}}
    assert paths("present", decay=decay) == [("decay", "signal", "where", "field")]
    assert paths("present", input=None) == [("when",)]


def test_a_ruleset_without_faults_can_be_used() -> None:
    assert AnalysedRuleset(made()).errors == ()
    (finding,) = AnalysedRuleset(made(applies_to="present")).errors
    assert (finding.where, finding.fatal) == ("applies_to", True)


def test_what_a_subject_is_depends_on_where_it_stands(refusal: Refusal) -> None:
    names = vocabulary(made(fields={"amount": "text"}))
    inside = Location((), None, source="transactions")
    amount = FieldInput(field="amount")
    assert (value_type_at(amount, Location((), None), names), value_type_at(amount, inside, names)) == (
        ValueType.TEXT,
        ValueType.MONEY,
    )
    assert (type_of(amount, Location((), None), names), type_of(amount, inside, names)) == ("text", "number")
    assert isinstance(type_of(ValueInput(value="segment"), Location((), None), names), OneOf)
    assert type_of(TagInput(tag="x"), Location((), None), names) is None
    with refusal(UnknownNameError):
        value_type_at(amount, Location((), None, source="cases"), names)


def test_what_can_never_be() -> None:
    def problem(row: list[Any]) -> str:
        operator, value, kind, declared = row
        declared = OneOf(**declared) if isinstance(declared, dict) else declared
        found = list(literal_diagnostics(("when",), operator, of_json(value), ValueType(kind), declared))
        return " | ".join(fault.problem for fault in found) or "fits"

    compare("literals", problem)


def test_what_a_step_gives_is_never_missing() -> None:
    step = StepInput(step="ask", output="answer")
    assert is_missing_text("", FieldInput(field="name"), "text", None)
    assert not is_missing_text("", step, OneOf(one_of=("", "yes")), None)


def of_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(of_json, value))
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


def test_faults_are_written_in_the_order_of_the_file() -> None:
    document = Document("ruleset: made\nlevels: [a]\nrules:\n  - id: one\n    title: T\n")
    faults = [Diagnostic(("rules", 0, "title"), "is odd", Severity.WARNING), Diagnostic(("levels", 0), "is wrong")]
    found = findings([*faults, faults[0]], made(), document)
    assert [str(finding) for finding in found] == ["line 2: level 1: is wrong", "line 5: rule one, title: is odd"]
    assert [finding.fatal for finding in found] == [True, False]
    assert [str(finding) for finding in findings(faults, made())] == ["rule one, title: is odd", "level 1: is wrong"]


GOOD: dict[str, Any] = {
    "when": {"all": [{"level": "in_force", "at_least": "high"}, {"transaction": "amount", "above": 1000}]},
    "unless": {"tag": "known", "is": "present"},
    "action": "block",
    "on_unknown": "review",
}


def test_in_a_good_one_there_is_nothing_to_find() -> None:
    good = AnalysedPolicy(policy(GOOD, {**GOOD, "when": {"transaction": "operation", "equals": "cash"}}))
    assert good.errors == ()
    good.require_usable()


def test_what_is_wrong_is_found_at_its_place() -> None:
    def errors(row: list[Any]) -> str:
        found = AnalysedPolicy(policy({**GOOD, **row[0]}, **row[1])).draft_diagnostics
        return " | ".join(f"{'.'.join(map(str, fault.path))}: {fault.problem}" for fault in found)

    compare("policy_errors", errors)


def test_two_rules_do_not_share_a_name() -> None:
    assert "there is a rule r0 already" in str(AnalysedPolicy(policy(GOOD, {**GOOD, "id": "r0"})).errors[0])


def test_what_it_reads_and_comes_to_is_listed() -> None:
    made = policy(GOOD, {"when": {"level": "in_force", "equals": 1}, "action": "note"})
    keys = ['{"level":"in_force"}', '{"transaction":"amount"}', '{"tag":"known"}']
    assert [input_key(each) for each in AnalysedPolicy(made).inputs] == keys
    assert [input_key(each) for each in inputs_of_policy_rule(made.rules[1])] == keys[:1]
    assert [action for _, action in actions_at(made)] == ["block", "review", "note", "allow"]


WEIGHTS: Any = {"a": {"one": 40, "two": 60}, "b": {"one": 100, "two": 0}}


def weight_paths(one: Any = None, other: Any = None, weights: Any = None, use: str = "a") -> list[Any]:
    score = {"bands": [31, 61], "weights": weights or WEIGHTS, "weights_by": [{"use": use}]}
    factor = {"input": {"tag": "x"}, "otherwise": {"points": 1}}
    floor = {"id": "three", "input": {"tag": "x"}, "cases": [{"when": "present", "floor": 2}]}
    rules = [{**factor, "id": "one", **(one or {})}, {**factor, "id": "two"}, {**floor, **(other or {})}]
    return [fault.path for fault in weight_diagnostics(made(rules=rules, score={"weighted": score}))]


def test_what_fits_has_no_fault() -> None:
    assert weight_paths() == []
    assert list(weight_diagnostics(made())) == []


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"weights": {**WEIGHTS, "b": {"one": 100}}}, ("score", "weighted", "weights", "b")),
        ({"weights": {"a": {"one": 40, "two": 50, "four": 10}}}, ("score", "weighted", "weights", "a", "four")),
        ({"use": "c"}, ("score", "weighted", "weights_by", 0, "use")),
        ({"one": {"otherwise": {}}}, ("rules", 0, "otherwise")),
        ({"one": {"otherwise": {"points": 100.01}}}, ("rules", 0, "otherwise", "points")),
        ({"one": {"on_unknown": {"points": 0.99}}}, ("rules", 0, "on_unknown", "points")),
        ({"one": {"on_unknown": {"floor": 2}}}, ("rules", 0, "on_unknown")),
        ({"one": {"cases": [{"when": "present"}]}}, ("rules", 0, "cases", 0)),
        ({"other": {"otherwise": {"points": 1}}}, ("rules", 2, "otherwise", "points")),
    ],
)
def test_a_fault_is_found_where_it_is(changed: Any, path: Any) -> None:
    assert weight_paths(**changed) == [path]


def test_a_rule_without_a_weight_may_give_no_points_in_words() -> None:
    assert weight_paths(other={"otherwise": {"points": 0}}) == []
