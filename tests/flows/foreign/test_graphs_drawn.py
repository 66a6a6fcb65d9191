"""Graphs that are drawn: the imported flow answers what zen-engine answers, and a missing value is unknown."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import zen
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fivefold.domain.errors import InvalidRulesetError
from fivefold.domain.money import base_only
from fivefold.flows.foreign.importing import ImportedFlow, ImportOptions, import_graph
from fivefold.flows.foreign.scope import ValueOrigin
from fivefold.flows.run import run_flow
from fivefold.flows.steps import LAST, STOP, Stop
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.language.expressions import CalculationInput, input_key
from fivefold.risk.language.policy import StepInput
from tests.depth import examples
from tests.flows.foreign.graphs import INPUT, OUTPUT, Data, expressions, graph, switch, table

AS_OF = 1_700_000_000_000_000
FACTS = ("n", "m", "kind", "flag")
ENTITIES: list[Data] = [
    {"n": n, "m": m, "kind": kind, "flag": flag}
    for n, m in ((0, 1), (2.5, -3), (7, 7), (10, 2), (3, 0.1))
    for kind in ("a", "b")
    for flag in (True, False)
]

_NUMBERS = st.sampled_from(["0", "1", "2.5", "-3", "7", "10"])
_TEXTS = st.sampled_from(["'a'", '"b"', "'c'"])
_NAMES = st.sampled_from(["n", "m"])
_SIGNS = st.sampled_from([">", ">=", "<", "<=", "==", "!="])
_RANGES = st.sampled_from(["[0..7]", "(0..7]", "[2.5..10)", "(1..3)"])
_TESTS = st.one_of(
    st.tuples(_NAMES, _SIGNS, _NUMBERS).map(" ".join),
    st.tuples(_NUMBERS, _SIGNS, _NAMES).map(" ".join),
    st.tuples(_NAMES, _SIGNS, _NAMES).filter(lambda parts: parts[0] != parts[2]).map(" ".join),
    st.tuples(st.just("kind"), st.sampled_from(["==", "!="]), _TEXTS).map(" ".join),
    st.tuples(_NAMES, st.sampled_from([" in ", " not in "]), _RANGES).map("".join),
    st.sampled_from(
        ["n in [1, 7, 10]", "kind not in ['a', 'c']", 'kind in ["b"]', "flag", "not flag", "flag == false"]
    ),
)
CONDITIONS = st.recursive(
    _TESTS,
    lambda below: st.one_of(
        st.tuples(below, st.sampled_from([" and ", " or "]), below).map("".join),
        below.map(lambda inner: f"({inner})"),
        below.map(lambda inner: f"not ({inner})"),
    ),
    max_leaves=4,
)
NUMBERS = st.recursive(
    st.one_of(_NAMES, _NUMBERS),
    lambda below: st.one_of(
        st.tuples(below, st.sampled_from([" + ", " - ", " * "]), below).map(lambda parts: f"({''.join(parts)})"),
        st.tuples(below, st.sampled_from(["2", "4", "0.5", "-10"])).map(lambda parts: f"{parts[0]} / {parts[1]}"),
        below.map(lambda inner: f"abs({inner})"),
        st.tuples(st.sampled_from(["min", "max"]), below, below).map(
            lambda parts: f"{parts[0]}([{parts[1]}, {parts[2]}])"
        ),
        below.map(lambda inner: f"-({inner})"),
    ),
    max_leaves=4,
)
_UNARY_NUMBERS = st.one_of(
    st.tuples(_SIGNS.filter(lambda sign: sign != "=="), _NUMBERS).map(" ".join), _NUMBERS, _RANGES
)
_MORE_NUMBERS = st.tuples(st.sampled_from([" and ", " or ", ", "]), _UNARY_NUMBERS).map("".join)
_UNARY = {
    "n": st.one_of(st.just(""), _UNARY_NUMBERS, st.tuples(_UNARY_NUMBERS, _MORE_NUMBERS, _MORE_NUMBERS).map("".join)),
    "kind": st.sampled_from(["", "'a'", "'a', 'b'", "!= 'a'", "not in ['b']"]),
    "flag": st.sampled_from(["", "true", "false"]),
    "": st.one_of(st.just(""), CONDITIONS),
}
PASSES = st.sampled_from([True, True, True, False])
_GIVEN = {"p": _NUMBERS, "q": _TEXTS, "r": st.sampled_from(["true", "false"])}


@st.composite
def tables(draw: st.DrawFn, name: str) -> Data:
    """Draw a table whose last row asks nothing."""
    columns = draw(st.lists(st.sampled_from([*_UNARY]), min_size=1, max_size=3, unique=True))
    outputs = draw(st.lists(st.sampled_from([*_GIVEN]), min_size=1, max_size=2, unique=True))
    rows = []
    for _ in range(draw(st.integers(0, 3))):
        cells = {column: draw(_UNARY[column]) for column in columns}
        if any(cells.values()):
            rows.append((cells, {output: draw(_GIVEN[output]) for output in outputs}))
    rows.append(({}, {output: draw(_GIVEN[output]) for output in outputs}))
    return table(name, columns, outputs, rows, passThrough=draw(PASSES))


@st.composite
def expression_nodes(draw: st.DrawFn, name: str) -> Data:
    """Draw an expression node."""
    values: dict[str, st.SearchStrategy[str]] = {
        "x": NUMBERS,
        "y": st.one_of(_TEXTS, st.tuples(CONDITIONS, _TEXTS, _TEXTS).map(lambda parts: "{} ? {} : {}".format(*parts))),
        "z": st.one_of(CONDITIONS, st.sampled_from(["kind", "flag", "true"])),
        "n": NUMBERS,
        "w": st.one_of(NUMBERS, st.sampled_from(["$.x * 2", "$.x > 3 ? 1 : 0"])),
    }
    keys = draw(st.lists(st.sampled_from([*values]), min_size=1, max_size=3, unique=True))
    pairs = [(key, draw(values[key])) for key in sorted(keys, key=lambda key: key == "w")]
    return expressions(name, *pairs, passThrough=draw(PASSES))


@st.composite
def graphs(draw: st.DrawFn) -> Data:
    """Draw a graph: one node or two, a choice between ways, and a node in which the ways meet again."""
    number = iter(range(20))

    def node() -> Data:
        name = f"node {next(number)}"
        return draw(st.one_of(tables(name), expression_nodes(name)))

    nodes, ways, last = [INPUT, OUTPUT], list[Any](), "in"
    for _ in range(draw(st.integers(0, 2))):
        nodes.append(node())
        ways.append((last, nodes[-1]["id"]))
        last = nodes[-1]["id"]
    if draw(st.booleans()):
        conditions = draw(st.lists(CONDITIONS, min_size=1, max_size=2))
        choice = switch("choice", *conditions, *([""] if draw(st.booleans()) else []))
        nodes.append(choice)
        ways.append((last, "choice"))
        meeting = node() if draw(st.booleans()) else OUTPUT
        for statement in choice["content"]["statements"]:
            way = node() if draw(st.booleans()) else meeting
            nodes += [each for each in (way,) if each not in nodes]
            ways.append(("choice", way["id"], statement["id"]))
            ways += [(way["id"], meeting["id"])] if way is not meeting else []
        if meeting is not OUTPUT:
            nodes += [meeting] if meeting not in nodes else []
            ways.append((meeting["id"], "out"))
    else:
        ways.append((last, "out"))
    return graph(nodes, ways)


def imported(drawn: Data) -> ImportedFlow:
    """Import a graph; one that is refused, as it reads what does not come there, is drawn anew."""
    flow = _tried(drawn)
    assume(isinstance(flow, ImportedFlow))
    assert isinstance(flow, ImportedFlow), "an assumption that fails ends the example"
    return flow


def _tried(drawn: Data) -> ImportedFlow | None:
    try:
        return import_graph(json.dumps(drawn).encode(), "drawn.json", ImportOptions(name="drawn"))
    except InvalidRulesetError as refused:
        strange = [str(each) for each in refused.findings if not any(word in str(each) for word in EXPECTED)]
    if strange:
        raise AssertionError("; ".join(strange))
    return None


EXPECTED = (
    "passThrough off",
    "nothing says what it is",
    "nothing says what they are",
    "does not give before",
    "is always",
    "takes the",
    "holds for everyone",
    "is not reached",
    "of which one is calculated",
)
"""Why a graph that is drawn may be refused."""


def answered(flow: ImportedFlow, row: Data, entity: Data) -> Data:
    """Give what the graph answers, by what the run of the flow came to."""
    end = flow.analysed.flow.steps[row[LAST]].id
    answers = flow.answers[end]
    given = {name: value_of(flow, origin, row, entity) for name, origin in answers.values.items()}
    return {**(entity if answers.inputs else {}), **given}


def value_of(flow: ImportedFlow, origin: ValueOrigin, row: Data, entity: Data) -> Any:
    if origin.constant is not None:
        return origin.constant
    if "calculation" in origin.data:
        return row[input_key(CalculationInput(**origin.data))]
    if "step" in origin.data:
        return row[input_key(StepInput(**origin.data))]
    return entity.get(str(origin.fact))


def plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal | int | float) and not isinstance(value, bool) else value


def runs(flow: ImportedFlow, entities: list[Data]) -> list[Data]:
    """Run the flow for every entity; the columns of each run."""
    kinds = {"number": pl.Float64, "text": pl.String, "flag": pl.Boolean}
    declared = flow.analysed.flow.fields
    columns = {name: kinds[str(declared[name])] for name in flow.inputs.values()}
    data = [{ours: entity.get(theirs) for theirs, ours in flow.inputs.items()} for entity in entities]
    frame = pl.DataFrame(data, schema=columns) if columns else pl.DataFrame()
    names = pl.Series("entity_id", [str(number) for number in range(len(entities))])
    everyone = frame.with_columns(names) if columns else pl.DataFrame([names])
    rates = base_only("EUR", date(2023, 11, 14))
    done = run_flow(flow.analysed, Portfolio(everyone, rates), AS_OF)
    return done.outcomes.hstack(
        done.facts.own.drop([name for name in done.facts.own.columns if name in done.outcomes.columns])
    ).to_dicts()


SLOW = [HealthCheck.filter_too_much, HealthCheck.too_slow]


@settings(max_examples=examples(40), suppress_health_check=SLOW, deadline=None)
@given(graphs())
def test_the_flow_answers_what_zen_answers(drawn: Data) -> None:
    flow = imported(drawn)
    decision = zen.ZenEngine().create_decision(json.dumps(drawn))
    for entity, row in zip(ENTITIES, runs(flow, ENTITIES), strict=True):
        assert row[STOP] == Stop.ENDED
        theirs = {name: plain(value) for name, value in decision.evaluate(entity)["result"].items()}
        ours = {name: plain(value) for name, value in answered(flow, row, entity).items()}
        assert ours == theirs, (entity, flow.text)


@settings(max_examples=examples(20), suppress_health_check=SLOW, deadline=None)
@given(graphs(), st.sampled_from(FACTS), st.sampled_from(ENTITIES))
def test_a_missing_value_never_decides(drawn: Data, missing: str, entity: Data) -> None:
    """Where a run comes to an end without a value, it comes to the same answers whatever the value is."""
    flow = imported(drawn)
    (row,) = runs(flow, [{name: value for name, value in entity.items() if name != missing}])
    if row[STOP] != Stop.ENDED:
        assert row[STOP] == Stop.FAILED
        return
    others = {json.dumps(entity | {missing: each[missing]}): entity | {missing: each[missing]} for each in ENTITIES}
    last = {each[LAST] for each in runs(flow, [*others.values()])}
    assert last == {row[LAST]}, flow.text
