"""Types and names; every message with its line is in tests/risk/governance/defects.txt."""

from decimal import Decimal
from typing import Any

import pytest

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.checks import literal_diagnostics, type_of, value_type_at
from fivefold.risk.compiler.locations import Location
from fivefold.risk.compiler.value_types import UnknownNameError, vocabulary
from fivefold.risk.language.expressions import FieldInput, TagInput, ValueInput
from fivefold.risk.language.fields import OneOf, ValueType
from tests.golden import compare
from tests.risk.compiler.rulesets_made import made
from tests.risk.conftest import Refusal

FIELDS = {"country": "country", "income": "number", "kind": {"one_of": ["a", "b"]}, "words": ["text"], "born": "date"}


def paths(when: Any, **rule: Any) -> list[Any]:
    ruleset = made({"cases": [{"when": when}], **rule}, fields=FIELDS, transaction_fields={"cash": "flag"})
    return [
        fault.path[4:] if fault.path[2] == "cases" else fault.path[2:] for fault in AnalysedRuleset(ruleset).diagnostics
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


def of_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(of_json, value))
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value
