"""Cases written as a table and read back are the same cases, and the text around them is as it was."""

import json
from decimal import Decimal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.governance.tables.cases import RuleCases, with_cases
from fivefold.risk.governance.tables.draft import draft_text
from fivefold.risk.governance.tables.grid import Grid, guarded, unguarded
from fivefold.risk.governance.tables.read import read_table
from fivefold.risk.governance.tables.write import table_of
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset
from fivefold.usecases.portfolio_files.bundled import bundled_ruleset, bundled_rulesets, bundled_text
from tests.risk.engine.drawn.rulesets import Data, rulesets

SMALL = """
ruleset: small
entity_type: customer
fields: {word: text, words: [text], amount: number, born: date, open: flag, kind: {one_of: [a, b]}}
levels: [low, medium, high]
score: {points: {thresholds: [10, 20]}}
max_recompute_interval: 30 days
rules:
  - id: first
    title: First
    category: other
    input: {field: word}
    cases:
      # of the first
      - when: {equals: a}   # beside it
        points: 1
      # of the second
      - {when: {equals: b}, points: 2, floor: high}

      - {when: absent, points: 3}
    # before the rest
    otherwise: {points: 4}
  - id: second
    title: Second
    category: other
    cases:
      - {when: {field: kind, equals: a}, points: 5}
"""


def as_text(grid: Grid) -> Grid:
    """Give a table as a CSV holds it."""
    return Grid([[None if cell is None else str(cell) for cell in row] for row in grid.rows])


def changed(text: str, rule: str, *rows: list[str | None]) -> str:
    """Give the draft in which a rule has other rows."""
    ruleset = read_ruleset(text)
    after = read_table(Grid(rows), ruleset, rule, "t")
    return draft_text(text, ruleset, after, [each.id for each in ruleset.rules].index(rule), ["because"])


def test_every_rule_that_ships_comes_back() -> None:
    for name in bundled_rulesets():
        ruleset, text = bundled_ruleset(name), bundled_text(name)
        for position, rule in enumerate(ruleset.rules):
            back = read_table(as_text(table_of(rule)), ruleset, rule.id, "t")
            assert back.content_hash == ruleset.content_hash
            if position == 1:  # reading a draft takes a second
                assert draft_text(text, ruleset, back, position, []).endswith(f"\n{text}")


@given(rulesets())
def test_every_rule_of_any_ruleset_comes_back(made: Data) -> None:
    text = json.dumps(made, default=float, indent=1)
    ruleset = read_ruleset(text)
    for position, rule in enumerate(ruleset.rules):
        for grid in (table_of(rule), as_text(table_of(rule))):
            assert read_table(grid, ruleset, rule.id, "t").content_hash == ruleset.content_hash
        if position:  # reading a draft takes long
            continue
        given = {word: made["rules"][position]["cases"][0].get(word) for word in ("points", "floor")}
        outcome = {word: value for word, value in given.items() if value is not None}
        one = {"when": {"tag": "x", "is": "present"}, **outcome}
        other = with_cases(ruleset, position, RuleCases((one,), outcome, outcome), "t", str)
        assert draft_text(text, ruleset, other, position, ["why"]).endswith("}")


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
AWKWARD = st.sampled_from(
    [
        *("=1+1", "+1", "-1", "@a", "'=a", "''", "a, b", "1,5", "007", "1E5", "MAR1", "true", "any", "x and y", '"a"'),
        *(
            "{a}",
            "10..20",
            "> 1",
            " a",
            "a\tb",
            "a\nb",
            "_x0041_",
            "_x005F_x",
            "in list a",
            "not a",
            "“a”",
            "\u00a0",
            "-",
            "a  b",
            "say “hi”",
            "#N/A",
        ),
    ]
)
texts = AWKWARD | ANY_TEXT


@st.composite
def awkward_rulesets(draw: st.DrawFn) -> Ruleset:
    """Draw a ruleset whose texts are awkward for cells."""
    several = st.lists(texts, min_size=1, max_size=3)
    tests = st.one_of(
        *(
            texts.map(lambda one, word=word: {word: one})
            for word in ("equals", "not_equals", "starts_with", "contains")
        ),
        *(several.map(lambda some, word=word: {word: some}) for word in ("in", "not_in")),
        texts.map(lambda one: {"fuzzy": {"to": one, "scorer": "ratio", "at_least": 90}}),
    )
    titles = texts.filter(lambda one: one.strip() != "")
    lists = st.one_of(texts.map(lambda one: {"contains": one}), several.map(lambda some: {"contains_any": some}))
    cases = [
        {"when": {"all": [{**draw(tests), **draw(tests)}, {"field": "words", **draw(lists)}]}, "title": draw(titles)},
        {"when": draw(tests), "floor": draw(st.sampled_from(["low", "007", "true", 2]))},
    ]
    data = {
        "ruleset": "awkward",
        "entity_type": "customer",
        "fields": {"word": "text", "words": ["text"]},
        "levels": ["low", "007", "true"],
        "score": {"points": {"thresholds": [10, 20]}},
        "max_recompute_interval": "30 days",
        "rules": [{"id": "a", "title": "A", "category": "other", "input": {"field": "word"}, "cases": cases}],
    }
    return read_ruleset(json.dumps(data))


@given(awkward_rulesets())
def test_awkward_texts_come_back(ruleset: Ruleset) -> None:
    assume(not AnalysedRuleset(ruleset).draft_diagnostics)  # blanks alone are no text that a value can be
    grid = table_of(ruleset.rules[0])
    assert "when" not in grid.rows[0]
    back = read_table(as_text(grid), ruleset, "a", "t")
    assert back.content_hash == ruleset.content_hash
    draft = draft_text(json.dumps(json.loads(ruleset.canonical)), ruleset, back, 0, [])
    assert read_ruleset(draft).content_hash == ruleset.content_hash


@example("\uff1d1+1")
@example("\n=1+1")
@given(texts)
def test_a_guarded_text_is_no_formula_and_comes_back(text: str) -> None:
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
    assert unguarded(guarded(text)) == text


def test_what_is_kept_keeps_its_text_and_its_remarks() -> None:
    header = ["case", "word", "points", "floor"]
    draft = changed(
        SMALL,
        "first",
        header,
        ["1", "a", "1", None],
        ["2", "in b, c", "2", "high"],
        [None, "starts with x", "7", None],
        ["3", "absent", "3", None],
        ["on_unknown", None, None, "medium"],
    )
    body = draft.partition("authors.\n")[2]
    assert body == SMALL.replace(
        "      - {when: {equals: b}, points: 2, floor: high}\n",
        "      - {when: {in: [b, c]}, points: 2, floor: high}\n      - {when: {starts_with: x}, points: 7}\n",
    ).replace("    otherwise: {points: 4}\n", "").replace(
        "      - {when: absent, points: 3}\n", "      - {when: absent, points: 3}\n    on_unknown: {floor: medium}\n"
    )
    again = changed(draft, "first", header, ["1", "a", "1", None])
    assert again.count("A DRAFT") == 1
    assert "# of the first\n" in again
    assert "# of the second" not in again


@pytest.mark.parametrize("indent", [None, 2])
def test_a_ruleset_in_json_stays_json(indent: int | None) -> None:
    text = json.dumps(json.loads(read_ruleset(SMALL).canonical), indent=indent)
    rows = [["case", "word", "points"], ["1", "a", "1"], ["2", "zł", "9"], ["on_unknown", None, "5"]]
    rule = json.loads(changed(text, "first", *rows))["rules"][0]
    assert [case["points"] for case in rule["cases"]] == [1, 9]
    assert "otherwise" not in rule
    assert rule["on_unknown"] == {"points": 5}


def test_cases_in_another_order_than_cells_can_say_stand_whole() -> None:
    """The order of what must hold together makes another hash, and columns have one order."""
    one, other = {"field": "kind", "equals": "a"}, {"field": "open", "equals": True}
    cases = [{"when": {"all": parts}, "points": 1} for parts in ([one, other], [other, one], [one])]
    ruleset = with_cases(read_ruleset(SMALL), 1, RuleCases(tuple(cases)), "t", str)
    grid = table_of(ruleset.rules[1])
    assert grid.rows[0] == ["case", "kind", "open", "when", "points", "floor"]
    assert [row[3] is None for row in grid.rows[1:]] == [True, False, False]
    assert read_table(grid, ruleset, "second", "t").content_hash == ruleset.content_hash


def test_a_column_is_put_where_every_case_can_use_it() -> None:
    one, other = {"field": "kind", "equals": "a"}, {"field": "open", "equals": True}
    cases = [{"when": one, "points": 1}, {"when": {"all": [other, one]}, "points": Decimal("2.5")}]
    ruleset = with_cases(read_ruleset(SMALL), 1, RuleCases(tuple(cases)), "t", str)
    assert table_of(ruleset.rules[1]).rows[0] == ["case", "open", "kind", "points", "floor"]


def test_a_rule_that_is_written_in_braces_is_changed_in_place_or_refused() -> None:
    text = SMALL.replace(
        """  - id: second
    title: Second
    category: other
    cases:
      - {when: {field: kind, equals: a}, points: 5}
""",
        "  - {id: second, title: Second, category: other, cases: [{when: {field: kind, equals: a}, points: 5}]}\n",
    )
    body = changed(text, "second", ["case", "kind", "points"], ["1", "b", "5"], ["otherwise", None, "2"])
    assert "cases: [{when: {field: kind, equals: b}, points: 5}], otherwise: {points: 2}}" in body


def test_another_ruleset_than_the_text_is_refused() -> None:
    ruleset = read_ruleset(SMALL)
    with pytest.raises(ConfigError):
        draft_text(SMALL.replace("points: 5", "points: 6"), ruleset, ruleset, 1, [])
