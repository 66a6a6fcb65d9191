"""Types and names; every message with its line is in tests/risk/governance/defects.txt."""

from decimal import Decimal
from typing import Any

import pytest

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.checks import literal_diagnostics, type_of, value_type_at
from fivefold.risk.compiler.locations import Location
from fivefold.risk.compiler.value_types import UnknownNameError, vocabulary
from fivefold.risk.language.expressions import FieldInput, TagInput, ValueInput
from fivefold.risk.language.fields import FieldType, OneOf, ValueType
from tests.risk.compiler.rulesets_made import made

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


def test_what_a_subject_is_depends_on_where_it_stands() -> None:
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
    with pytest.raises(UnknownNameError, match="which cases do not have"):
        value_type_at(amount, Location((), None, source="cases"), names)


AB = OneOf(one_of=("a", "b"))


@pytest.mark.parametrize(
    ("operator", "value", "kind", "declared", "told"),
    [
        ("equals", "a", ValueType.TEXT, AB, None),
        ("equals", "c", ValueType.TEXT, AB, "it is one of a, b"),
        ("not_in", ("a", "c"), ValueType.TEXT, AB, "compares with 'c', which it can never be"),
        ("starts_with", "c", ValueType.TEXT, AB, None),
        ("in_list", "c", ValueType.TEXT, AB, None),
        ("equals", "NO", ValueType.TEXT, "country", None),
        ("equals", "no", ValueType.TEXT, "country", "two capital letters"),
        ("in", ("NO", "NOR"), ValueType.TEXT, "country", "compares a country with 'NOR'"),
        ("in", ("NO", Decimal(47)), ValueType.TEXT, "country", "compares a text with 47"),
        ("contains_any", ("x",), ValueType.TEXTS, None, None),
        ("above", "x", ValueType.NUMBER, "number", "compares a number with 'x'"),
        ("between", (Decimal(5), Decimal(5)), ValueType.MONEY, None, None),
        ("between", (Decimal(6), Decimal(5)), ValueType.MONEY, None, "runs from 6 to 5; the lower end comes first"),
        ("between", ("2024-01-02", "2024-01-01T23:00:00Z"), ValueType.MOMENT, "date", "the lower end comes first"),
        ("between", ("2024-01-02", "x"), ValueType.MOMENT, "date", "compares a date with 'x'"),
        ("at_least", "b", ValueType.LEVEL, AB, None),
        ("at_least", Decimal(2), ValueType.LEVEL, AB, None),
        ("at_least", Decimal(3), ValueType.LEVEL, AB, "there is no level 3; there are a, b (1 to 2)"),
        ("in", ("a", "c"), ValueType.LEVEL, AB, "there is no level c"),
        ("between", ("a", Decimal(2)), ValueType.LEVEL, AB, None),
        ("between", ("b", "a"), ValueType.LEVEL, AB, "runs from b to a; the lower end comes first"),
        ("equals", True, ValueType.LEVEL, AB, "compares a level with true"),
    ],
)
def test_what_can_never_be_is_told(
    operator: str, value: Any, kind: ValueType, declared: FieldType | None, told: str | None
) -> None:
    found = list(literal_diagnostics(("when",), operator, value, kind, declared))
    assert [told in fault.problem for fault in found if told is not None] == ([] if told is None else [True])
    assert len(found) == (told is not None)
