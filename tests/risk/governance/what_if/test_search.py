"""The smallest changes that move a level, against every combination of values, each assessed as a customer."""

import json
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import combinations, product
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import COMPUTED, STATUS
from fivefold.risk.engine.levels import HELD_FLOOR
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.governance.what_if.options import Option
from fivefold.risk.governance.what_if.search import (
    ChangedAssessment,
    WantedDirection,
    Wish,
    floor_from_before,
    level_of_any_floor,
    level_said,
    search,
)
from fivefold.risk.language.expressions import Condition, Input, input_key
from fivefold.risk.language.reading import read_ruleset
from tests.depth import examples
from tests.risk.governance.making import AS_OF, DAY

Data = dict[str, Any]
_INPUT: TypeAdapter[Any] = TypeAdapter(Input)
assert Condition is not None  # the forms know what a condition is once its module is imported
NUMBERS = [0, 100, 200, 300]
INCOMES = [None, 0.0, 99.0, 99.99999, 100.0, 100.00001, 150.0, 199.5, 200.0, 200.5, 299.0, 300.0, 301.0]
CENTS = [0, 1, 9_999, 10_000, 10_001, 15_000, 19_999, 20_000, 20_001, 29_999, 30_000, 30_001]
KINDS = ["person", "company", "trust"]
FLAGS = [None, False, True]
CASH = {"sum": "amount", "where": {"field": "direction", "equals": "withdrawal"}, "over": "180 days"}
VALUES: Mapping[str, list[Any]] = {"income": INCOMES, "cash": CENTS, "kind": KINDS, "resident": FLAGS}
INPUTS: Mapping[str, Data] = {
    "income": {"field": "income"},
    "cash": CASH,
    "kind": {"field": "kind"},
    "resident": {"field": "resident"},
}
"""A customer of these tests: four values, of which cash is one withdrawal of so many cents."""
ORDERED = frozenset({"income", "cash"})

_number_tests = st.one_of(
    st.sampled_from(["above", "at_least", "below", "at_most", "equals"]).flatmap(
        lambda word: st.sampled_from(NUMBERS).map(lambda number: {word: number})
    ),
    st.sampled_from([{"between": [100, 200]}, {"is": "present"}, {"is": "absent"}]),
)
_tests: Mapping[str, st.SearchStrategy[Data]] = {
    "income": _number_tests,
    "cash": _number_tests,
    "kind": st.sampled_from([{"equals": "company"}, {"in": ["trust", "company"]}, {"not_equals": "person"}]),
    "resident": st.sampled_from([{"equals": True}, {"equals": False}, {"is": "absent"}]),
}
_named = st.sampled_from(list(VALUES)).flatmap(lambda name: _tests[name].map(lambda test: {**INPUTS[name], **test}))
_outcomes = st.fixed_dictionaries(
    {"points": st.sampled_from([-5, 0, 0, 5, 10, 15, 15])},
    optional={"floor": st.sampled_from(["low", "low", "medium", "high"])},
)


@st.composite
def rules(draw: Any, number: int) -> Data:
    """Draw a rule of one of the four values, perhaps of another one too."""
    name = draw(st.sampled_from(list(VALUES)))
    own = _tests[name]
    conditions = st.one_of(own, own, st.tuples(own, _named).map(lambda two: {"all": list(two)}))
    cases = draw(st.lists(st.tuples(conditions, _outcomes), min_size=1, max_size=2))
    ways = ["up", "down", "either"] if name in ORDERED else ["either"]
    rule = {
        "id": f"rule-{number}",
        "title": f"Rule {number}",
        "category": "other",
        "input": INPUTS[name],
        "cases": [{"when": condition, **outcome} for condition, outcome in cases],
        "otherwise": draw(_outcomes),
    }
    way = draw(st.sampled_from([*ways, *ways, None]))
    return rule if way is None else {**rule, "changeable": way}


@st.composite
def documents(draw: Any) -> Data:
    count = draw(st.integers(2, 4))
    return {
        "ruleset": "drawn",
        "entity_type": "customer",
        "fields": {"kind": {"one_of": KINDS}, "income": "number", "resident": "flag"},
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": draw(st.sampled_from([[5, 20], [10, 25], [20, 30]]))}},
        "max_recompute_interval": "180 days",
        "rules": [draw(rules(number)) for number in range(count)],
    }


customers = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in VALUES.items()})


def read(document: Data) -> AnalysedRuleset:
    return AnalysedRuleset(read_ruleset(json.dumps(document)))


def portfolio(people: list[Data]) -> Portfolio:
    """Give a portfolio of customers; cash is one withdrawal, in the currency."""
    names = [f"c{number}" for number in range(len(people))]
    fields = {name: [person[name] for person in people] for name in ("kind", "income", "resident")}
    types = {"kind": pl.String, "income": pl.Float64, "resident": pl.Boolean}
    entities = pl.DataFrame({"entity_id": names, **fields, "as_of": [AS_OF] * len(people)}, schema_overrides=types)
    paid = [(name, -person["cash"] / 100) for name, person in zip(names, people, strict=True) if person["cash"]]
    rows = {
        "entity_id": [name for name, _ in paid],
        "transaction_amount": [amount for _, amount in paid],
        "transaction_currency": ["EUR"] * len(paid),
        "transaction_date": [AS_OF - DAY] * len(paid),
    }
    return Portfolio(entities, base_only("EUR", date(2024, 7, 1)), rows_of(rows))


def rows_of(rows: Data) -> pl.DataFrame:
    types = {"entity_id": pl.String, "transaction_amount": pl.Float64, "transaction_currency": pl.String}
    frame = pl.DataFrame(rows, schema={**types, "transaction_date": pl.Int64})
    return frame.with_columns(pl.col("transaction_date").cast(pl.Datetime("us", "UTC")))


def said(analysed: AnalysedRuleset, people: list[Data]) -> list[int | None]:
    """Give the level of each customer, assessed by itself."""
    return level_said(assess(analysed, portfolio(people), AS_OF).outcomes) if people else []


def subject_of(analysed: AnalysedRuleset, person: Data) -> ChangedAssessment:
    return ChangedAssessment.of(assess(analysed, portfolio([person]), AS_OF), 0)


def ways(document: Data) -> dict[str, set[str]]:
    """Tell in which ways each value may go; those that may go nowhere are left out."""
    allowed: dict[str, set[str]] = {}
    for rule in document["rules"]:
        if "changeable" in rule:
            name = next(name for name, made in INPUTS.items() if made == rule["input"])
            way = {"up", "down"} if rule["changeable"] == "either" else {rule["changeable"]}
            allowed[name] = allowed.get(name, {"up", "down"}) & way
    return {name: way for name, way in allowed.items() if way}


def neighbours(person: Data, allowed: Mapping[str, set[str]]) -> Iterator[Data]:
    """Give every change of one value or of two that a person can make, among the values of these tests."""
    for size in (1, 2):
        for names in combinations(allowed, size):
            for values in product(*[list(_moves(name, person[name], allowed[name])) for name in names]):
                yield dict(zip(names, values, strict=True))


def _moves(name: str, before: Any, way: set[str]) -> Iterator[Any]:
    for value in VALUES[name]:
        if value is None or value == before:
            continue
        if name not in ORDERED or before is None or ("up" if value > before else "down") in way:
            yield value


def at_most(smaller: Data, change: Data, person: Data) -> bool:
    """Tell whether a change is part of another one, and no further from what there is; of unordered values unsure."""
    return all(
        name in change
        and (name not in ORDERED or person[name] is None or (value - person[name]) * (change[name] - value) >= 0)
        for name, value in smaller.items()
    )


def plain(change: tuple[tuple[str, Option], ...], names: Mapping[str, str]) -> Data:
    return {names[key]: option.value for key, option in change}


NAMES = {input_key(_INPUT.validate_python(made)): name for name, made in INPUTS.items()}


@given(documents(), customers, st.sampled_from(WantedDirection))
@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow])
def test_the_smallest_changes_are_found_and_no_others(document: Data, person: Data, direction: WantedDirection) -> None:
    analysed = read(document)
    (present,) = said(analysed, [person])
    assert present is not None
    wish = Wish(direction, present + (1 if direction is WantedDirection.UP else -1))
    found = [plain(change, NAMES) for change in search(subject_of(analysed, person), wish).changes]
    allowed = ways(document)
    # Each answer moves the level where a customer has these values.
    for level in said(analysed, [{**person, **change} for change in found]):
        assert level is not None
        assert wish.granted(level)
    for change in found:
        assert set(change) <= set(allowed)
    tried = list(neighbours(person, allowed))
    levels = said(analysed, [{**person, **change} for change in tried])
    moving = [change for change, level in zip(tried, levels, strict=True) if level and wish.granted(level)]
    # Nothing that moves it is missing: of everything that does, a part that is no greater is among the answers.
    for change in moving:
        assert any(at_most(answer, change, person) for answer in found), change
    # Nothing smaller than an answer moves it.
    for answer in found:
        ordered = {name: value for name, value in answer.items() if name in ORDERED and person[name] is not None}
        for change in moving:
            smaller = set(change) < set(answer) or (set(change) == set(answer) == set(ordered) and change != answer)
            assert not (smaller and at_most(change, answer, person)), (change, answer)


def test_a_level_is_good_enough_at_the_wished_one_and_beyond_it() -> None:
    down, up = (Wish(direction, 2) for direction in (WantedDirection.DOWN, WantedDirection.UP))
    assert [down.granted(level) for level in (1, 2, 3)] == [True, True, False]
    assert [up.granted(level) for level in (1, 2, 3)] == [False, True, True]


def test_a_floor_from_before_counts_above_the_level_of_the_rules_alone() -> None:
    computed, floors = [2, 2, 2, 2, None], [1, 2, 3, None, 3]
    status = ["assessed"] * 4 + ["failed"]
    outcomes = pl.DataFrame({STATUS: status, COMPUTED: computed, HELD_FLOOR: floors})
    assert level_said(outcomes) == [2, 2, 3, 2, None]
    assert level_of_any_floor(outcomes) == [2, 2, None, None, None]
    assert floor_from_before(outcomes) == [None, None, 3, None, None]
