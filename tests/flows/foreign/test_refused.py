"""What of a graph flows cannot say exactly is refused by its node, all at once; what can be said reads plainly."""

import json
from itertools import pairwise
from typing import Any

import pytest

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.flows.foreign.importing import ImportedFlow, ImportOptions, import_graph
from tests.flows.foreign.graphs import INPUT, OUTPUT, Data, expressions, graph, node, switch, table

ROWS = [({"n": "> 5"}, {"p": "'big'"}), ({}, {"p": "'small'"})]
SIZE = table("size", ["n"], ["p"], ROWS)


def imported(nodes: list[Data], ways: list[Any], **wanted: Any) -> ImportedFlow:
    return import_graph(json.dumps(graph(nodes, ways)).encode(), "g.json", ImportOptions(name="drawn", **wanted))


def through(*between: Data, **wanted: Any) -> ImportedFlow:
    """Import a graph of one way through some nodes."""
    names = ["in", *(each["id"] for each in between), "out"]
    return imported([INPUT, *between, OUTPUT], [*pairwise(names)], **wanted)


def sized(*rows: Any, **content: Any) -> Data:
    return table("size", ["n"], ["p"], rows, **content)


LAST = ({}, {"p": "'small'"})


@pytest.mark.parametrize(
    ("between", "problem"),
    [
        (node("f", "functionNode"), "node f: is a functionNode: flows have no functions in JavaScript"),
        (node("d", "decisionNode"), "node d: is a decisionNode: another graph"),
        (node("c", "customNode"), "node c: is a customNode"),
        (node("s", "sqlNode"), "node s: is a sqlNode: nodes that can be read:"),
        (
            {**SIZE, "name": "The size", "content": {**SIZE["content"], "hitPolicy": "collect"}},
            r"size \(The size\): .*collect",
        ),
        (sized(*ROWS, inputField="customer"), "has inputField 'customer'"),
        (sized(*ROWS, outputPath="result"), "has outputPath 'result'"),
        (sized(*ROWS, executionMode="loop"), "has executionMode 'loop'"),
        (sized(ROWS[0]), "node size: has no last row without conditions"),
        (sized(LAST, LAST), "node size, row 1: holds for everyone"),
        (sized(({"n": "> 5"}, {}), LAST), "node size, row 1, p: gives nothing"),
        (sized(({"n": "> 5"}, {"p": "n * 2"}), LAST), "node size, row 1, p: 'n \\* 2' is not a plain value"),
        (sized(ROWS[0], ({}, {"p": "null"})), "node size, row 2, p: 'null' is not a plain value; write what it is"),
        (sized(ROWS[0], ({}, {"p": "[3]"})), r"node size, row 2, p: '\[3\]' cannot be read from \[ on$"),
        (
            sized(({"n": "> 5"}, {"p": "1"}), ({}, {"p": "100000000000000.5"})),
            "g.json is not valid:\nnode size, row 2, p: .* is not read: 100000000000000.5 has too many digits",
        ),
        (
            sized(({"n": "> 1.1234567890123456"}, {"p": "1"}), ({}, {"p": "2"})),
            "node size, row 1, n: .* is not read: 1.1234567890123456 has too many digits; at most 15$",
        ),
        (expressions("e", ("x", "n + 1.1234567890123456")), "node e, x: .* has too many digits; at most 15$"),
        (sized(({"n": "> 5"}, {"p": "2"}), LAST), r"node size, p: gives values of several kinds \(number, text\)"),
        (sized(({"n": "= 5"}, {"p": "'a'"}), LAST), "node size, row 1, n: '= 5' has ="),
        (sized(({"n": "len($) > 1"}, {"p": "'a'"}), LAST), "calls the function len"),
        (sized(*ROWS, ({"n": "'a'"}, {"p": "'a'"}), LAST), "takes the field n for a text, and it is a number"),
        (table("size", ["date(n)"], ["p"], [({}, {"p": "1"})]), "input date.n.: is an expression"),
        (expressions("e", ("x", "n / m")), "node e, x: 'n / m' divides by something other than a plain number"),
        (expressions("e", ("x", "n / 3")), "whose quotients have no end"),
        (expressions("e", ("x", "n / 0")), "divides by 0"),
        (expressions("e", ("x", "n % 2")), "no remainder"),
        (expressions("e", ("x", "n ^ 2")), "no powers"),
        (expressions("e", ("x", "round(n)")), "calls the function round"),
        (expressions("e", ("x", "n ?? 0")), "on_unknown"),
        (expressions("e", ("x", "null")), "is null"),
        (expressions("e", ("x", "$.y + 1")), "which this node does not give before"),
        (expressions("e", ("x", "$root.n")), "has \\$"),
        (expressions("e", ("x", "n > 1 ? n : 0")), "chooses what is not a plain value"),
        (expressions("e", ("x", "n > 1 ? 'a' : 0")), "values of several kinds"),
        (expressions("e", ("a.b", "1")), "a plain name"),
        (expressions("e", ("x", "1"), ("x", "2")), "is given twice"),
        (expressions("e", ("x", "kind > 'a'")), "puts texts in order"),
        (expressions("e", ("x", "n > 1 or n == 'a'")), "takes the field n for a text"),
        (expressions("e", ("x", "n == m")), "nothing says what they are"),
        (expressions("e", ("x", "a.b > 1"), ("y", "a > 1")), "one of the two is not a plain value"),
        (expressions("e", ("x", "a.b > 1"), ("y", "a_b > 1")), "is the field a_b here, as a.b is"),
        (expressions("e", ("x", "n > 1 > m")), "compares a comparison"),
    ],
)
def test_a_node_that_says_what_flows_do_not_is_refused_by_its_name(between: Data, problem: str) -> None:
    with pytest.raises(InvalidRulesetError, match=problem):
        through(between)


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("n >", "ends too early"),
        ("n > 5 && m", "zen silently never finds it true; write and"),
        ("n > 5 || m", "write or"),
        ("n not in[1, 2]", "write not in "),
        ("n not  in (1..5)", "write not in "),
        ("n not in\t[1]", "write not in "),
        ("n > 5\r\nand m > 5", r"cannot be read from '\\r' on"),
        ("n > .5", "cannot be read from"),
        ("not n > 5", "zen denies the first value alone"),
        ("n + 1 > 5", "calculate it in an expression node before"),
        ("n in m", "cannot be read from m"),
        ("n in [1, null]", "has a list with null"),
        ("true", "is always true"),
        ("kind == ''", "has an empty text"),
        ("((((((((((" * 6, "brackets"),
    ],
)
def test_a_statement_that_flows_cannot_ask_is_refused(condition: str, problem: str) -> None:
    with pytest.raises(InvalidRulesetError, match=f"node s, statement 1: .*{problem}"):
        imported([INPUT, switch("s", condition), OUTPUT], [("in", "s"), ("s", "out", "s-0")])


@pytest.mark.parametrize(
    ("nodes", "ways", "problem"),
    [
        (
            [INPUT, SIZE, {**SIZE, "id": "b"}, OUTPUT],
            [("in", "size"), ("in", "b"), ("size", "out"), ("b", "out")],
            "at once",
        ),
        ([INPUT, SIZE, OUTPUT], [("in", "size"), ("size", "size"), ("size", "out")], "node size: leads back to itself"),
        ([INPUT, SIZE], [("in", "size")], "node size: leads nowhere"),
        ([INPUT, SIZE, OUTPUT], [("in", "out"), ("size", "out")], "node size: is not reached"),
        ([SIZE, OUTPUT], [("size", "out")], "must have one input"),
        ([INPUT, SIZE, SIZE, OUTPUT], [("in", "size"), ("size", "out")], "appears twice"),
        ([INPUT, OUTPUT], [("in", "far"), ("in", "out")], "line 1: leads from 'in' to 'far'"),
        ([INPUT, switch("s", "n > 1", hitPolicy="collect"), OUTPUT], [("in", "s"), ("s", "out", "s-0")], "collect"),
        ([INPUT, switch("s", "n > 1"), OUTPUT], [("in", "s"), ("s", "out", "other")], "not one of its statements"),
        ([INPUT, switch("s", "", "n > 1"), OUTPUT], [("in", "s"), ("s", "out", "s-0")], "is never looked at"),
    ],
)
def test_ways_that_a_run_cannot_go_are_refused(nodes: list[Data], ways: list[Any], problem: str) -> None:
    with pytest.raises(InvalidRulesetError, match=problem):
        imported(nodes, ways)


@pytest.mark.parametrize(
    "between",
    [
        expressions("e", ("x", "a" + "+a" * 20_000)),
        expressions("e", ("x", f"a * {'9' * 5_000}")),
        expressions("e", ("x", "(" * 5_000)),
        sized(({"n": "9" * 6_000}, {"p": "1"}), LAST),
        sized(({"n": "5"}, {"p": "9" * 6_000}), LAST),
        sized(({"n": "5"}, {"p": "n + " * 2_000 + "n"}), LAST),
    ],
    ids=range(6),
)
def test_a_message_shows_the_beginning_of_a_long_text(between: Data) -> None:
    with pytest.raises(InvalidRulesetError) as refused:
        through(between)
    assert all(len(each.problem) < 300 for each in refused.value.findings)
    assert "...' " in str(refused.value)


def test_all_that_is_wrong_is_named_at_once() -> None:
    bad = [node("f", "functionNode"), sized(({"n": "= 5"}, {"p": "null"}), LAST), expressions("e", ("x", "n % 2"))]
    with pytest.raises(InvalidRulesetError) as refused:
        through(*bad)
    assert [each.where for each in refused.value.findings] == [
        "node f",
        "node size, row 1, n",
        "node size, row 1, p",
        "node e, x",
    ]


def ladder(steps: int) -> tuple[list[Data], list[Any]]:
    """A graph whose switches part the way by two values each, so that each step doubles the ways."""
    nodes, ways = [INPUT, OUTPUT], [("in", "s0")]
    for at in range(steps):
        parts = [expressions(f"{side}{at}", (f"y{at}", f"a + {side}"), passThrough=True) for side in "12"]
        nodes += [switch(f"s{at}", f"x{at} > 1", ""), *parts]
        for way, part in enumerate(parts):
            ways.append((f"s{at}", part["id"], f"s{at}-{way}"))
            ways.append((part["id"], f"s{at + 1}" if at + 1 < steps else "out"))
    return nodes, ways


def test_a_graph_of_more_steps_than_a_flow_is_refused_by_their_number() -> None:
    with pytest.raises(InvalidRulesetError) as refused:
        imported(*ladder(12))
    problem = "the graph: has more than 100 steps, each way by itself; a flow has fewer"
    assert str(refused.value).splitlines()[1:] == [problem]
    nodes, ways = ladder(12)
    with pytest.raises(InvalidRulesetError, match=problem):
        imported([*nodes, *(expressions(f"far{at}", ("z", "a + 1")) for at in range(200))], ways)
    with pytest.raises(InvalidRulesetError, match=problem):
        imported([expressions(f"e{at}", ("z", "a + 1")) for at in range(101)], [])


def test_a_way_of_too_many_nodes_is_refused() -> None:
    with pytest.raises(InvalidRulesetError, match="the graph: has a way of too many nodes, one behind the other"):
        through(*(table(f"t{at}", ["n"], ["p"], [({}, {"p": "1"})], passThrough=True) for at in range(450)))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"nodes": {}}', b'{"nodes": [], "edges": {}}', b"[" * 100_000]
)
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"g\.json"):
        import_graph(content, "g.json", ImportOptions(name="drawn"))


def test_inputs_are_what_a_person_says_they_are() -> None:
    cell = [({"customer.turnover": "> 5"}, {"p": "'big'"}), ({}, {"p": "'small'"})]
    asks = table("size", ["customer.turnover"], ["p"], cell)
    assert through(asks).inputs == {"customer.turnover": "customer_turnover"}
    assert through(asks, names={"customer.turnover": "income"}).inputs == {"customer.turnover": "income"}
    summed = through(asks, names={"customer.turnover": "sum: amount, over: 30 days"})
    assert "sum: amount, over: 30 days, above: 5" in summed.text
    assert summed.inputs == {}
    for names, kinds, problem in (
        ({"customer.tunrover": "income"}, {}, "--map: names customer.tunrover"),
        ({}, {"other": "text"}, "--kind: names other"),
        ({"customer.turnover": "sum: amuont"}, {}, "--map customer.turnover"),
        ({"customer.turnover": "days_since: born"}, {}, "--map customer.turnover"),
    ):
        with pytest.raises(InvalidRulesetError, match=problem):
            through(asks, names=names, kinds=kinds)
    assert "same" in through(expressions("e", ("same", "n == m")), kinds={"n": "text"}).text


def test_the_schema_of_the_input_says_what_values_are() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "string"}, "m": {"type": "string"}}}
    begins = {**INPUT, "content": {"schema": json.dumps(schema)}}
    compares = expressions("e", ("same", "n == m"))
    flow = imported([begins, compares, OUTPUT], [("in", "e"), ("e", "out")])
    assert flow.analysed.flow.fields == {"n": "text", "m": "text"}


def test_what_is_left_to_a_person_is_said() -> None:
    flow = through(SIZE)
    assert any("unless on_unknown is written: at size" in note for note in flow.notes)
    assert any("The end out answers p is the output p of the step size" in note for note in flow.notes)
    assert "No end has actions" in flow.notes[-1]
    assert all(f"# {note.split(' ')[0]}" in flow.text for note in flow.notes)
    assert any("no written rationale" in each.problem for each in flow.left)
    assert not any(each.fatal for each in flow.left)
