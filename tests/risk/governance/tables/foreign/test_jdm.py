"""Decision tables of JDM say the same here as in the engine that they are for, or are refused."""

import json
from typing import Any

import pytest
import zen
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.risk.governance.tables.foreign.jdm import read_jdm
from fivefold.risk.governance.tables.foreign.translation import translate
from fivefold.risk.language.ruleset import Ruleset
from tests.depth import examples
from tests.risk.conftest import Refusal
from tests.risk.engine.small import assessed, case, rule, ruleset

Data = dict[str, Any]
INPUTS = ["country", "n0", "flag"]


def graph(*rows: Data, **content: Any) -> Data:
    """Write a graph with one table between input and output; rows have cells by the names of their columns."""
    table = {
        "hitPolicy": "first",
        "inputs": [{"id": f"i-{name}", "name": name, "field": name} for name in INPUTS],
        "outputs": [
            {"id": "o-points", "name": "Points", "field": "points"},
            {"id": "o-f", "name": "F", "field": "floor"},
        ],
        "rules": [
            {
                "_id": f"r{number}",
                **{f"i-{name}": row.get(name, "") for name in INPUTS},
                "o-points": row.get("points", "1"),
                "o-f": row.get("floor", ""),
                "_description": row.get("title", ""),
            }
            for number, row in enumerate(rows)
        ],
        **content,
    }
    nodes = [
        {"id": "in", "type": "inputNode", "name": "request", "content": {}},
        {"id": "t", "type": "decisionTableNode", "name": "risk", "content": table},
        {"id": "out", "type": "outputNode", "name": "response", "content": {}},
    ]
    edges = [
        {"id": f"{one}-{other}", "type": "edge", "sourceId": one, "targetId": other}
        for one, other in (("in", "t"), ("t", "out"))
    ]
    return {"contentType": "application/vnd.gorules.decision", "nodes": nodes, "edges": edges}


def base(**parts: Any) -> Ruleset:
    return ruleset(rule("of-a-table", case({"field": "n1", "equals": 1}, 1), input={"field": "country"}, **parts))


def translated(made: Data, names: Data | None = None, name: str | None = None, **parts: Any) -> tuple[Ruleset, Any]:
    table = read_jdm(json.dumps(made).encode(), "t.json", name)
    return translate(table, base(**parts), "of-a-table", names or {}, "t.json")


_NUMBERS = st.sampled_from(["0", "1", "2.5", "-3", "10"])
_TEXTS = st.sampled_from(['"NO"', "'DE'", '"IR"'])
_SIGNS = st.sampled_from(["> ", ">=", "<", "<= ", "!= ", "== ", ""])
_COMPARED = st.tuples(_SIGNS, _NUMBERS).map("".join)
_SORTED = st.lists(_NUMBERS, min_size=2, max_size=2).map(lambda two: sorted(two, key=float))
_RANGES = st.tuples(st.sampled_from("[("), _SORTED, st.sampled_from("])")).map(
    lambda parts: f"{parts[0]}{parts[1][0]}..{parts[1][1]}{parts[2]}"
)
_SEPARATORS = st.sampled_from([" and ", " or ", ", ", ",\n", "\tand "])


def _joined(tests: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Join up to four tests of a cell, each to those before it by a separator of its own."""
    parts = st.lists(st.tuples(_SEPARATORS, tests), max_size=3)
    return st.tuples(tests, parts).map(lambda drawn: drawn[0] + "".join(map("".join, drawn[1])))


def _listed(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    words = st.sampled_from(["in ", "in", "in\n", "not in ", "not in  "])
    return st.tuples(words, st.lists(values, min_size=1, max_size=3)).map(
        lambda drawn: f"{drawn[0]}[{', '.join(drawn[1])}]"
    )


_NUMBER_TESTS = st.one_of(_COMPARED, _RANGES, _listed(_NUMBERS), _RANGES.map(lambda ends: f"not in {ends}"))
_TEXT_TESTS = st.one_of(
    _TEXTS, _listed(_TEXTS), _TEXTS.map(lambda text: f"!= {text}"), st.sampled_from(["null", "!= null"])
)
_SOME_NUMBERS = st.one_of(st.just(""), _joined(_NUMBER_TESTS))
_SOME_TEXTS = st.one_of(st.just(""), _joined(_TEXT_TESTS))
_STRANGE_TESTS = st.one_of(
    st.tuples(
        st.sampled_from(["not in", "not  in ", "not\tin ", "not\nin ", "not in\t", "not in\n"]),
        st.one_of(_RANGES, _NUMBERS.map(lambda number: f"[{number}]")),
    ).map("".join),
    st.one_of(_SIGNS, st.sampled_from(["in ", "not in "])).flatmap(
        lambda sign: st.one_of(_COMPARED, _RANGES, _listed(_NUMBERS)).map(lambda inner: f"in [{sign}{inner}, 1]")
    ),
    st.tuples(_COMPARED, st.sampled_from(["\r\n", "\xa0"]), st.just("and < 7")).map("".join),
)
_ROWS = st.fixed_dictionaries(
    {
        "country": _SOME_TEXTS,
        "n0": _SOME_NUMBERS,
        "flag": st.sampled_from(["", "true", "false", "!= true"]),
        "points": st.integers(-20, 60).map(str),
    }
).filter(lambda row: bool(row["country"] or row["n0"] or row["flag"]))
ENTITIES = [
    {"country": country, "n0": number, "flag": flag}
    for country in ("NO", "DE", "SE")
    for number in (-3, 0, 1, 2, 2.5, 7, 10, 11)
    for flag in (True, False)
]


@settings(max_examples=examples(25))
@given(st.lists(_ROWS, min_size=1, max_size=4), st.booleans())
def test_a_table_says_here_what_zen_says(rows: list[Data], has_last: bool) -> None:
    made = graph(*rows, *([{"points": "7"}] if has_last else []))
    changed, _ = translated(made)
    totals = assessed(changed, *ENTITIES).outcomes["total"].to_list()
    decision = zen.ZenEngine().create_decision(json.dumps(made))
    for entity, total in zip(ENTITIES, totals, strict=True):
        result = decision.evaluate(entity)["result"] or {}
        assert total == 100 * result.get("points", 0), (entity, result)


@settings(max_examples=examples(25))
@given(st.lists(st.one_of(_NUMBER_TESTS, _STRANGE_TESTS), min_size=1, max_size=3).map(" or ".join))
def test_a_cell_that_zen_reads_otherwise_is_refused(cell: str) -> None:
    made = graph({"n0": cell, "points": "1"}, {"points": "0"})
    try:
        changed, _ = translated(made)
    except InvalidRulesetError:
        return
    decision = zen.ZenEngine().create_decision(json.dumps(made))
    theirs = [100 * decision.evaluate(entity)["result"]["points"] for entity in ENTITIES]
    assert assessed(changed, *ENTITIES).outcomes["total"].to_list() == theirs


def test_a_missing_value_is_a_row_less_there_and_unknown_here() -> None:
    made = graph({"country": '"NO"', "points": "5"}, {"n0": "> 3", "points": "10"}, {"points": "1"})
    changed, notes = translated(made, on_unknown={"points": 20})
    entities = [{"country": "NO"}, {"n0": 4}, {"n0": 1}, {}]
    assert assessed(changed, *entities).outcomes["total"].to_list() == [500, 1000, 2000, 2000]
    decision = zen.ZenEngine().create_decision(json.dumps(made))
    assert [decision.evaluate(each)["result"]["points"] for each in entities] == [5, 10, 1, 1]
    assert "on_unknown" in notes[0]
    assert len(notes) == 1


def test_what_is_not_something_holds_there_for_a_missing_value_and_the_note_says_so() -> None:
    made = graph({"country": 'not in ["NO"]', "points": "5"}, {"points": "1"})
    changed, notes = translated(made)
    assert assessed(changed, {}).outcomes["total"].to_list() == [100]
    assert zen.ZenEngine().create_decision(json.dumps(made)).evaluate({})["result"]["points"] == 5
    assert "risk, row 1" in notes[1]


def test_columns_are_named_and_titles_and_floors_kept() -> None:
    made = graph({"country": '"NO"', "points": "5", "floor": '"high"', "title": "Norway"}, {"n0": "> 3", "floor": "2"})
    made["nodes"][1]["content"]["inputs"][1]["field"] = "customer.turnover"
    made["nodes"][1]["content"]["outputs"].append({"id": "x", "name": "Why", "field": "reason"})
    names = {"customer.turnover": "sum: amount, over: 30 days", "reason": "-"}
    changed, notes = translated(made, names)
    cases = changed.rule("of-a-table").model_dump(mode="json", by_alias=True, exclude_none=True)["cases"]
    assert cases[0] == {"points": 5, "floor": "high", "when": {"equals": "NO"}, "title": "Norway"}
    assert cases[1]["when"] == {"above": 3, "sum": "amount", "over": "30 days"}
    assert cases[1]["floor"] == 2
    assert "reason" in notes[-1]


ROW = {"country": '"NO"'}


@pytest.mark.parametrize(
    ("made", "names"),
    [
        *(
            (graph({"country": '"NO"', column: cell}), {})
            for column, cell in [
                ("country", "NO"),
                ("country", '"NO'),
                ("country", '""'),
                ("country", 'not("NO")'),
                ("country", 'startsWith($, "N")'),
                ("country", '"a\\b"'),
                ("country", "> 3"),
                ("country", "-"),
                ("n0", "= 5"),
                ("n0", "]1..5["),
                ("n0", ".5"),
                ("n0", "1_000"),
                ("n0", "1e3"),
                ("n0", "> limits.low"),
                ("n0", "> 5 +"),
                ("n0", "[1..null]"),
                ("n0", "> null"),
                ("n0", '"5"'),
                ("n0", "> date('2024-01-01')"),
                ("flag", "1"),
                ("points", "n0 * 2"),
                ("points", "sum([1])"),
                ("points", "> 3"),
                ("floor", "'terrible'"),
                ("points", "1.005"),
            ]
        ),
        (graph(*({"points": "1"} for _ in range(2))), {}),
        (graph({"points": "1"}), {}),
        (graph(), {}),
        (graph(ROW, inputs=[{"id": "i-country", "name": "C", "field": "customer.country"}]), {}),
        (graph(ROW, inputs=[{"id": "i-country", "name": "C"}]), {}),
        (graph(ROW, inputs=[{"id": "i-country", "field": "a"}, {"id": "b", "field": "country"}]), {"a": "country"}),
        (graph(ROW, outputs=[{"id": "o-points", "name": "P", "field": "risk"}]), {}),
        (graph(ROW, outputs=[{"id": "o-points", "field": "risk"}, {"id": "b", "field": "points"}]), {"risk": "points"}),
        (graph(ROW), {"contry": "country"}),
        (graph(ROW), {"country": "sum: amuont"}),
        *(
            (graph({"n0": cell}), {})
            for cell in (
                "not in[1, 2]",
                "not  in [1, 2]",
                "in [> 5]",
                "in [1, [2..5]]",
                "in [1 or 2]",
                "> 1\r\nand < 3",
            )
        ),
    ],
)
def test_what_rules_cannot_say_is_refused_by_its_cell(made: Data, names: Data, refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        translated(made, names)


def _among(kind: str) -> Data:
    """Put a node before the table."""
    made = graph(ROW)
    made["nodes"].append({"id": "f", "type": kind, "name": "before", "content": {}})
    made["edges"].append({"id": "f-t", "type": "edge", "sourceId": "f", "targetId": "t"})
    return made


def _twice() -> Data:
    made = graph(ROW)
    made["nodes"].append({**made["nodes"][1], "id": "t2", "name": "other"})
    return made


@pytest.mark.parametrize(
    "made",
    [
        _among("functionNode"),
        _among("expressionNode"),
        _twice(),
        {"nodes": [graph(ROW)["nodes"][1]] * 2},
        graph(ROW, hitPolicy="collect"),
        graph(ROW, inputField="customer"),
        graph(ROW, executionMode="loop"),
        graph(ROW, inputs=[{"name": "no id"}]),
        graph(ROW, inputs=[{"id": "a", "field": "n0"}, {"id": "b", "field": "n0"}]),
        graph(ROW, inputs=[{"id": "a", "field": "n0", "defaultValue": "1"}]),
        graph(ROW, rules=["x"]),
        graph(ROW, rules=[{"i-country": 5}]),
        graph(ROW, rules=None),
        {"nodes": []},
        {"nodes": [{"type": "functionNode"}]},
        {"nodes": [{"type": "decisionTableNode", "name": "empty"}]},
        {"nodes": [{}] * 1001},
        {},
        [],
        {**graph(ROW), "edges": [{"sourceId": ["in"], "targetId": "t"}]},
        {**graph(ROW), "edges": [{"sourceId": "in", "targetId": {"id": "t"}}]},
        {**graph(ROW), "nodes": [*graph(ROW)["nodes"], {"id": ["x"]}]},
    ],
)
def test_a_graph_that_is_more_than_a_table_is_refused_by_its_node(made: Any, refusal: Refusal) -> None:
    with refusal(ConfigError):
        read_jdm(json.dumps(made).encode(), "t.json")


def test_one_of_several_tables_is_named(refusal: Refusal) -> None:
    assert read_jdm(json.dumps(_twice()).encode(), "t.json", "other").name == "other"
    with refusal(ConfigError):
        read_jdm(json.dumps(_twice()).encode(), "t.json", "third")


@pytest.mark.parametrize("content", [b"", b"\xff", b'{"a": 1, "a": 2}', b"[" * 100_000])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"t\.json"):
        read_jdm(content, "t.json")
