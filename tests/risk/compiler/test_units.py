"""The table of units in docs/rules-inputs.md: what products and quotients come to, and what is refused."""

import pytest

from fivefold.risk.compiler.analysis import analyse_text

HEAD = """\
ruleset: units
entity_type: customer
fields: {income: number, born: date}
levels: [low, medium, high]
score: {points: {thresholds: [10, 20]}}
max_recompute_interval: 180 days
rationale: Ours.
rules:
  - {id: a, title: A, category: other, rationale: W, input: {calculation: made}, cases: [{when: {above: 0}}]}
calculate:
"""
INPUTS = {
    "money": "{sum: amount}",
    "days": "{days_since: born}",
    "count": "{count: transactions}",
    "ratio": "{field: income}",
    "2": "2",
    "0.5": "0.5",
}


def unit_said(unit: str, operation: str) -> list[str]:
    text = f"{HEAD}  made: {{unit: {unit}, {operation}}}\n"
    return [diagnostic.problem for diagnostic in analyse_text(text).diagnostics]


@pytest.mark.parametrize(
    ("first", "sign", "second", "unit"),
    [
        ("money", "multiply", "count", "money"),
        ("money", "multiply", "ratio", "money"),
        ("money", "divide", "count", "money"),
        ("money", "divide", "ratio", "money"),
        ("money", "divide", "2", "money"),
        ("money", "divide", "money", "ratio"),
        ("days", "multiply", "count", "days"),
        ("days", "divide", "count", "days"),
        ("days", "divide", "ratio", "days"),
        ("days", "divide", "days", "ratio"),
        ("count", "multiply", "count", "count"),
        ("count", "multiply", "2", "count"),
        ("2", "multiply", "count", "count"),
        ("count", "multiply", "0.5", "ratio"),
        ("count", "multiply", "ratio", "ratio"),
        ("count", "divide", "count", "ratio"),
        ("count", "divide", "ratio", "ratio"),
        ("count", "divide", "2", "ratio"),
        ("ratio", "multiply", "2", "ratio"),
        ("ratio", "divide", "count", "ratio"),
        ("2", "divide", "count", "ratio"),
    ],
)
def test_a_product_or_quotient_is_of_one_unit_and_no_other_can_be_said(
    first: str, sign: str, second: str, unit: str
) -> None:
    operation = f"{sign}: [{INPUTS[first]}, {INPUTS[second]}]"
    assert {said for said in ("money", "count", "ratio", "days") if not unit_said(said, operation)} == {unit}


@pytest.mark.parametrize(
    ("made", "unit"),
    [
        ("{median: amount}", "money"),
        ("{standard_deviation: amount}", "money"),
        ("{percentile: 95, of: amount}", "money"),
        ("{largest: amount, n: 3, over: 30 days, ending: 30 days ago}", "money"),
        ("{new: counterparty_id, over: 30 days}", "count"),
        ("{share: amount, where: {field: direction, equals: deposit}}", "ratio"),
    ],
)
def test_an_aggregate_has_a_unit_of_its_own(made: str, unit: str) -> None:
    text = f"{HEAD}  made: {{unit: SAID, of: {made}}}\ntransaction_fields: {{counterparty_id: text}}\n"
    said = ("money", "count", "ratio", "days")
    fits = [each for each in said if not analyse_text(text.replace("SAID", each)).diagnostics]
    assert fits == [unit]


@pytest.mark.parametrize(("first", "second"), [("money", "days"), ("count", "days"), ("ratio", "money")])
def test_what_is_of_no_unit_is_refused_whatever_is_said(first: str, second: str) -> None:
    operation = f"divide: [{INPUTS[first]}, {INPUTS[second]}]"
    assert all(unit_said(said, operation) for said in ("money", "count", "ratio", "days"))
