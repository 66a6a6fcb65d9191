"""Forms that write into a text: what they add is read as it was meant, and all else stays to the byte."""

import json
from dataclasses import replace
from typing import Any

import pytest

from fivefold.domain.errors import ConfigError
from fivefold.risk.language.documents import Document
from fivefold.usecases.portfolio_files.bundled import bundled_rulesets, bundled_text
from fivefold.usecases.rulesets.text_forms import (
    OPERATORS,
    CaseForm,
    RuleForm,
    TierForm,
    outline_of,
    with_case,
    with_rule,
    with_thresholds,
    with_tiers,
    with_weights,
)
from tests.depth import DEPTH, some
from tests.serving.v1.rulesets.bank_rulesets import document as in_json
from tests.usecases.governed import document

CASE = CaseForm(operator="in_list", value="watched", points="12.50", floor="high")
RULE = RuleForm(id="new", title='It is: "new"', category="geography", rationale="", field="country", case=CASE)
ADDED = {"when": {"in_list": "watched"}, "points": 12.5, "floor": "high"}
SHIPPED = sorted(map(bundled_text, bundled_rulesets()), key=len)
TEXTS = [document(), in_json(), document().rstrip("\n"), *some(SHIPPED, len(SHIPPED))]


def data(text: str) -> Any:
    return json.loads(json.dumps(Document(text).data, default=float))


def some_of(rules: list[Any]) -> list[tuple[int, Any]]:
    """Give rules with their numbers: nine at full depth; in `make test` the first, the middle and the last one."""
    step = max(1, len(rules) // (2 if DEPTH == "quick" else 8))
    chosen = {*range(0, len(rules), step), len(rules) - 1}
    return [(number, rules[number]) for number in sorted(chosen)]


@pytest.mark.parametrize("text", TEXTS)
def test_a_rule_and_a_case_are_added_and_nothing_else_changes(text: str) -> None:
    outline, before = outline_of(text), data(text)
    field = "country" if "country" in outline.fields else next(iter(outline.fields), "country")
    form = RuleForm(**{**vars(RULE), "field": field})
    if outline.fields:
        after = data(with_rule(text, form))
        assert after["rules"][:-1] == before["rules"]
        assert {**after, "rules": 0} == {**before, "rules": 0}
        assert after["rules"][-1]["title"] == 'It is: "new"'
        assert after["rules"][-1]["input"] == {"field": field}
    else:  # such as one that looks at payments alone
        with pytest.raises(ConfigError, match="there is no field 'country'; there are none"):
            with_rule(text, form)
    for number, rule in some_of(before["rules"]):
        longer = with_case(text, rule["id"], CASE)
        found = data(longer)
        assert found["rules"][number]["cases"] == [*rule["cases"], ADDED]
        assert len(longer) > len(text)
        lines = longer.split("\n")
        assert not [line for line in text.split("\n") if line not in lines and not text.startswith("{")]
        found["rules"][number]["cases"].pop()
        assert found == before


def test_thresholds_are_written_where_they_stand() -> None:
    text = document()
    assert with_thresholds(text, "20, 60.5") == text.replace("[30, 60]", "[20, 60.5]")
    assert outline_of(text).thresholds == "30, 60"
    with pytest.raises(ConfigError, match="'many' is not a number"):
        with_thresholds(text, "20, many")
    with pytest.raises(ConfigError, match="has no thresholds"):
        with_thresholds("score: {}", "20")


TIERS = """\
levels: [low, high]
score:
  tiers:  # of the bank
    - title: Low risk
      max: 30.99  # as decided
      level: low
    - {title: High risk, min: 31, level: high}
rationale: So.
"""
LOW, HIGH = outline_of(TIERS).tiers


def test_tiers_are_written_where_they_stand_and_others_behind_them() -> None:
    assert (LOW.title, LOW.least, LOW.most, LOW.level) == ("Low risk", "", "30.99", "low")
    assert with_tiers(TIERS, [LOW, HIGH]) == TIERS
    more = TierForm(title="Nobody", least="9000", most="", level="high")
    text = with_tiers(TIERS, [LOW, replace(HIGH, least="32"), more])
    assert [line for line in text.split("\n") if line not in TIERS.split("\n")] == [
        '    - {"title": "High risk", "min": 32, "level": "high"}',
        '    - title: "Nobody"',
        "      min: 9000",
        '      level: "high"',
    ]
    assert data(text)["rationale"] == "So."
    changed = with_tiers(TIERS, [replace(LOW, most="31", title='"Low"'), HIGH])
    assert data(changed)["score"]["tiers"] == [
        {"title": '"Low"', "max": 31, "level": "low"},
        {"title": "High risk", "min": 31, "level": "high"},
    ]
    assert "# of the bank" in changed
    for tiers, problem in (
        ([LOW], "take one out in the text"),
        ([LOW, replace(HIGH, least="x")], "the tier High risk, min: 'x' is not a number"),
        ([LOW, replace(HIGH, title="")], "a tier needs a title and a level"),
    ):
        with pytest.raises(ConfigError, match=problem):
            with_tiers(TIERS, tiers)
    with pytest.raises(ConfigError, match="has no tiers"):
        with_tiers(document(), [LOW])


WEIGHTED = bundled_text("eu-bank-weighted")


@pytest.mark.full
def test_bands_and_weights_are_written_where_they_stand() -> None:
    outline = outline_of(WEIGHTED)
    assert with_thresholds(WEIGHTED, outline.thresholds or "").count("\n") == WEIGHTED.count("\n")
    before = data(WEIGHTED)
    for column, lines in outline.weights.items():
        assert with_weights(WEIGHTED, column, lines) == WEIGHTED
        first, *others = lines.split("\n")
        rule, _, weight = first.partition(": ")
        text = with_weights(WEIGHTED, column, "\n".join([f" {rule} : 1.25 ", "", *others]))
        before["score"]["weighted"]["weights"][column][rule] = 1.25
        assert data(text) == before
        assert len(text.split("\n")) == len(WEIGHTED.split("\n"))
        shorter = with_weights(WEIGHTED, column, "\n".join(others))
        del before["score"]["weighted"]["weights"][column][rule]
        assert data(shorter) == before
        before["score"]["weighted"]["weights"][column] = {
            rule: float(weight),
            **data(shorter)["score"]["weighted"]["weights"][column],
        }
        for wrong, problem in (
            ("none: 5", "there is no rule 'none'"),
            (f"{rule}: much", "'much' is not a number"),
            (f"{rule}: 1\n{rule}: 2", "twice"),
            (" ", "are empty"),
        ):
            with pytest.raises(ConfigError, match=problem):
                with_weights(WEIGHTED, column, wrong)
    with pytest.raises(ConfigError, match="no column of weights 'none'"):
        with_weights(WEIGHTED, "none", "a: 1")


@pytest.mark.parametrize(
    ("operator", "value", "field", "written"),
    [
        ("in", "KP, IR", "country", ["KP", "IR"]),
        ("at_least", "10000", "income", 10000),
        ("equals", "true", "pep", True),
        ("in_list", "watched", "country", "watched"),
    ],
)
def test_a_value_is_written_as_its_field_has_it(operator: str, value: str, field: str, written: Any) -> None:
    text = document().replace("  income: number\n", "  income: number\n  pep: flag\n")
    case = CaseForm(operator=operator, value=value, points="5")
    found = data(with_rule(text, RuleForm(**{**vars(RULE), "field": field, "case": case})))
    assert found["rules"][-1]["cases"] == [{"when": {operator: written}, "points": 5}]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"field": "size"}, "there is no field 'size'"),
        ({"id": "country"}, "there is a rule 'country' already"),
        ({"case": CaseForm(operator="is", value="x", points="1")}, "is not a comparison"),
        ({"case": CaseForm(operator="equals", value=" ", points="1")}, "the value is empty"),
        ({"case": CaseForm(operator="equals", value="x", points="NaN")}, "points: 'NaN' is not a number"),
        ({"field": "income", "case": CaseForm(operator="equals", value="x", points="1")}, "'x' is not a number"),
    ],
)
def test_what_cannot_be_written_is_said(changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        with_rule(document(), RuleForm(**{**vars(RULE), **changed}))
    with pytest.raises(ConfigError, match="there is no rule 'none'"):
        with_case(document(), "none", CASE)
    with pytest.raises(ConfigError, match="no list rules"):
        with_rule("fields: {country: country}", RULE)


def test_a_text_that_cannot_be_read_offers_nothing() -> None:
    for text in ("a: [", "- a", "fields: 1\nlevels: x\nrules: {}\nscore: {points: 1}"):
        outline = outline_of(text)
        assert (dict(outline.fields), outline.levels, dict(outline.rules), outline.thresholds) == ({}, (), {}, None)
        assert (outline.tiers, dict(outline.weights)) == ((), {})
    assert "equals" in OPERATORS


@pytest.mark.parametrize("sign", ["\x85", "\u2028", "\u202e"])
def test_a_character_that_is_not_seen_is_written_by_its_number(sign: str) -> None:
    text = with_rule(document(), RuleForm(**{**vars(RULE), "title": f"Zoë{sign}s rule"}))
    assert f'"Zoë\\u{ord(sign):04x}s rule"' in text
    assert data(text)["rules"][-1]["title"] == f"Zoë{sign}s rule"
