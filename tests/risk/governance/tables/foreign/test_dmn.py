"""Decision tables of DMN: what rules can say is read, hit policies are kept, and the rest is refused by name."""

from typing import Any
from xml.sax.saxutils import escape

import pytest

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.risk.governance.tables.foreign.dmn import read_dmn
from fivefold.risk.governance.tables.foreign.translation import can_meet, translate
from fivefold.risk.governance.tables.foreign.unary import System, read_unary
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.ruleset import Rule
from tests.risk.conftest import Refusal
from tests.risk.engine.small import assessed, case, rule, ruleset

SPACE = "https://www.omg.org/spec/DMN/20191111/MODEL/"
INPUTS = ("country", "n0", "opened_on")
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


def model(
    *rows: tuple[str, ...],
    policy: str = "UNIQUE",
    default: str = "",
    inside: str = "",
    inputs: tuple[str, ...] = INPUTS,
    outputs: tuple[str, ...] = ("points",),
    space: str = SPACE,
    attributes: str = "",
    of_model: str = "",
    of_decision: str = "",
) -> bytes:
    """Write a model with one decision that is a table; rows have a cell for each column."""
    names = [f"<input><inputExpression><text>{escape(each)}</text></inputExpression></input>" for each in inputs]
    given = f"<defaultOutputEntry><text>{default}</text></defaultOutputEntry>" if default else ""
    names += [f'<output name="{each}">{given}</output>' for each in outputs]
    made = []
    for row in rows:
        words = ["inputEntry"] * len(inputs) + ["outputEntry"] * (len(row) - len(inputs))
        cells = (f"<{word}><text>{escape(cell)}</text></{word}>" for word, cell in zip(words, row, strict=True))
        made.append(f"<rule>{''.join(cells)}<annotationEntry><text>Why</text></annotationEntry></rule>")
    table = f'<decisionTable hitPolicy="{policy}" {attributes}>{"".join(names)}{"".join(made)}</decisionTable>'
    decision = f'<decision id="d" name="risk" {of_decision}>{inside}{table}</decision>'
    return f'{HEAD}<definitions xmlns="{space}" name="m" {of_model}>{decision}</definitions>'.encode()


def translated(content: bytes, **names: str) -> tuple[Rule, tuple[str, ...]]:
    made = ruleset(rule("of-a-table", case("present", 1), input={"field": "n0"}, otherwise={"points": 3}))
    changed, notes = translate(read_dmn(content, "t.dmn"), made, "of-a-table", names, "t.dmn")
    assert assessed(changed, {"country": "NO"}).outcomes["status"].to_list()
    return changed.rule("of-a-table"), notes


def plain(made: Rule) -> list[Any]:
    return [each["when"] for each in made.model_dump(mode="json", by_alias=True, exclude_none=True)["cases"]]


N, T, D = ValueType.NUMBER, ValueType.TEXT, ValueType.MOMENT


@pytest.mark.parametrize(
    ("cell", "kind", "test"),
    [
        ("-", N, None),
        ("", T, None),
        ('"NO"', T, {"equals": "NO"}),
        ('"a\\"b"', T, {"equals": 'a"b'}),
        ('"NO","DE"', T, {"in": ["NO", "DE"]}),
        ('not("NO")', T, {"not_equals": "NO"}),
        ('not("NO", "DE")', T, {"not_in": ["NO", "DE"]}),
        ("not(null)", T, {"is": "present"}),
        ("null", N, {"is": "absent"}),
        ("]1..5[", N, {"above": 1, "below": 5}),
        ("(1..5]", N, {"above": 1, "at_most": 5}),
        ("[1.5..5]", N, {"between": [1.5, 5]}),
        ("[.5..2]", N, {"between": [0.5, 2]}),
        ("]-.5..10[", N, {"above": -0.5, "below": 10}),
        ("< 1, >= 5", N, {"any": [{"below": 1}, {"at_least": 5}]}),
        ("not(< 1)", N, {"not": {"below": 1}}),
        ("= 5", N, {"equals": 5}),
        (".5", N, {"equals": 0.5}),
        ('>= date("2024-01-31")', D, {"at_least": "2024-01-31"}),
        ('@"2024-01-31"', D, {"equals": "2024-01-31"}),
        ('< date and time("2024-01-31T12:00:00Z")', D, {"below": "2024-01-31T12:00:00Z"}),
        ('[date("2024-01-01")..date("2024-12-31")]', D, {"between": ["2024-01-01", "2024-12-31"]}),
        ('(@"2024-01-01"..@"2024-12-31T12:00:00Z"]', D, {"above": "2024-01-01", "at_most": "2024-12-31T12:00:00Z"}),
        ('date("2024-01-31"), null', D, {"any": [{"equals": "2024-01-31"}, {"is": "absent"}]}),
    ],
)
def test_a_cell_in_feel_is_read(cell: str, kind: ValueType, test: Any) -> None:
    found = read_unary(cell, kind, System.DMN)
    assert found == test or str(found).replace("Decimal('", "").replace("')", "") == str(test)


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("> 5", "<= 5", False),
        ("> 5", "< 5.01", True),
        ("[1..5]", "[5..9]", True),
        ("[1..5)", "[5..9]", False),
        ("[1..5]", "not(3)", True),
        ("3", "not(3)", False),
        ("not(3)", "null", True),
        ("> 3", "null", False),
        ("< 1, > 9", "[2..8]", False),
        ("-", "3", True),
    ],
)
def test_whether_two_cells_can_hold_together_is_known(one: str, other: str, meet: bool) -> None:
    cells = [read_unary(cell, N, System.DMN) for cell in (one, other)]
    assert can_meet(*cells, N) is meet
    assert can_meet(*reversed(cells), N) is meet


def test_dates_are_compared_as_moments_and_texts_that_look_like_them_as_texts() -> None:
    cells = [read_unary(cell, D, System.DMN) for cell in ('< date("2024-01-31")', '>= @"2024-01-31T00:00:00Z"')]
    assert not can_meet(*cells, D)
    texts = [read_unary(cell, T, System.DMN) for cell in ('"2024-01-31"', '"2024-01-31T00:00:00Z"')]
    assert not can_meet(*texts, T)


def test_a_table_with_unique_rows_is_read_and_its_default_is_otherwise() -> None:
    made, notes = translated(
        model(
            ('"NO"', "> 5", "-", "10"),
            ('"NO"', "<= 5", "-", "-5"),
            ('"DE"', "-", 'not(@"2024-01-31")', "2"),
            default="1",
        )
    )
    assert plain(made) == [
        {"all": [{"equals": "NO", "field": "country"}, {"above": 5}]},
        {"all": [{"equals": "NO", "field": "country"}, {"at_most": 5}]},
        {"all": [{"equals": "DE", "field": "country"}, {"not_equals": "2024-01-31", "field": "opened_on"}]},
    ]
    assert [each.points for each in made.cases] == [10, -5, 2]
    assert made.cases[0].title == "Why"
    assert made.otherwise.points == 1
    assert ["row 3" in note for note in notes] == [False, True]


def test_rows_of_first_are_tried_in_order_and_the_last_may_hold_for_everyone() -> None:
    made, _ = translated(model(("-", "> 5", "-", "10"), ('"NO"', "-", "-", "7"), ("-", "-", "-", "2"), policy="FIRST"))
    assert plain(made) == [{"above": 5}, {"equals": "NO", "field": "country"}]
    assert made.otherwise.points == 2


def test_rows_of_any_may_hold_together_where_they_give_the_same(refusal: Refusal) -> None:
    rows = (("-", "> 5", "-", "10"), ('"NO"', "-", "-", "10"))
    assert len(translated(model(*rows, policy="ANY"))[0].cases) == 2
    with refusal(InvalidRulesetError):
        translated(model(rows[0], (*rows[1][:3], "11"), policy="ANY"))


def test_rows_of_any_give_the_same_in_outputs_that_are_left_out_too() -> None:
    rows = (("-", "> 5", "-", "10", '"a"'), ('"NO"', "-", "-", "10", '"a"'))
    outputs = ("points", "note")
    assert len(translated(model(*rows, policy="ANY", outputs=outputs), note="-")[0].cases) == 2
    with pytest.raises(InvalidRulesetError, match="row 2: may hold together with row 1, which the hit policy ANY"):
        translated(model(rows[0], (*rows[1][:4], '"b"'), policy="ANY", outputs=outputs), note="-")


@pytest.mark.parametrize(
    "content",
    [
        model(("-", "> 5", "-", "10"), ('"NO"', "-", "-", "10")),
        model(("-", "-", "-", "10"), ('"NO"', "-", "-", "10"), policy="FIRST"),
        model(("-", "-", "-", "10")),
        model(("NO", "-", "-", "10")),
        model(("'NO'", "-", "-", "10")),
        model(('starts with(?, "N")', "-", "-", "10")),
        model(("-", "? > 5", "-", "10")),
        model(("-", "> 5 and < 6", "-", "10")),
        model(("-", "!= 5, foo", "-", "10")),
        model(("-", "-", '"2024-01-31"', "10")),
        model(("-", "-", 'duration("P1D")', "10")),
        model(("-", "-", '< date("31.01.2024")', "10")),
        model(("-", "-", "date(2024)", "10")),
        model(('"\\q"', "-", "-", "10")),
        model((f'"{"a" * 10_000}"', "-", "-", "10")),
        model(('"NO"', "-", "-", "-")),
        model(('"NO"', "-", "-", "n0 + 1")),
        model(*((f'"{number}"', "-", "-", "1") for number in range(202))),
        model(*((", ".join(f'"{number}-{one}"' for one in range(250)), "-", "-", "1") for number in range(9))),
        model(('"NO"', "10"), inputs=("Country of residence",)),
        model(("-", "not(1), 2", "-", "10")),
        model(("-", "not(not(1))", "-", "10")),
        model(("-", "[1, 2]", "-", "10")),
        model(("-", "-", 'date("20240101")', "10")),
        model(("-", "-", 'date("2024-01-01T10:00:00")', "10")),
        model(("-", "-", '@"20240101"', "10")),
        model(('date("2024-01-01")', "-", "-", "10")),
    ],
)
def test_what_rules_cannot_say_is_refused_by_its_cell(content: bytes, refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        translated(content)


_ROW = ('"NO"', "-", "-", "10")


@pytest.mark.parametrize(
    "content",
    [
        *(model(_ROW, policy=each) for each in ("COLLECT", "PRIORITY", "RULE ORDER", "OUTPUT ORDER", "first")),
        model(_ROW, inside='<informationRequirement><requiredDecision href="#e"/></informationRequirement>'),
        model(_ROW, inside='<knowledgeRequirement><requiredKnowledge href="#e"/></knowledgeRequirement>'),
        model(_ROW, attributes='expressionLanguage="http://www.java.com/java"'),
        model(_ROW, inputs=("country", "n0 + 1", "opened_on")),
        model(_ROW, inputs=("country", "n0", "n0")),
        model(_ROW, inputs=("country", "", "opened_on")),
        model((*_ROW, "1")),
        model(_ROW, space="http://www.omg.org/spec/BPMN/20100524/MODEL"),
        b'<a xmlns="b"/>',
        b"<a>",
        b"",
        b"PK",
        f'{HEAD}<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode(),
        f'{HEAD}<definitions xmlns="{SPACE}"><decision name="d"><literalExpression/></decision></definitions>'.encode(),
        f'{HEAD}<definitions xmlns="{SPACE}"/>'.encode(),
        f'{HEAD}<definitions xmlns="{SPACE}"><decision name="d"/><decision name="d"/></definitions>'.encode(),
        model(_ROW, of_model='expressionLanguage="http://www.jcp.org/juel"'),
        model(_ROW, of_decision='expressionLanguage="http://www.jcp.org/juel"'),
    ],
)
def test_a_model_that_is_more_than_a_table_is_refused_by_its_decision(content: bytes, refusal: Refusal) -> None:
    with refusal(ConfigError):
        read_dmn(content, "t.dmn")


def test_names_of_inputs_and_outputs_are_mapped(refusal: Refusal) -> None:
    content = model(('"NO"', "10", '"text"'), inputs=("Country of residence",), outputs=("risk", "note"))
    made, notes = translated(content, **{"Country of residence": "country", "risk": "points", "note": "-"})
    assert plain(made) == [{"equals": "NO", "field": "country"}]
    assert "note" in notes[-1]
    with refusal(ConfigError):
        read_dmn(content, "t.dmn", "another")
