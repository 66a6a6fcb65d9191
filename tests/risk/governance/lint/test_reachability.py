"""Cases that are never reached: what is told is so, and what is so is told."""

from dataclasses import replace
from itertools import product
from typing import Any
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fivefold.risk.compiler.conditions import Compiler
from fivefold.risk.compiler.diagnostics import Severity
from fivefold.risk.compiler.locations import Location
from fivefold.risk.compiler.value_types import InputColumn, Vocabulary
from fivefold.risk.governance.lint import in_order, reachability
from fivefold.risk.governance.lint.in_order import Effort
from fivefold.risk.governance.lint.reachability import (
    LintScope,
    order_diagnostics,
    rest_diagnostics,
    subjects_of,
    try_conditions,
)
from fivefold.risk.governance.lint.representative_values import Domain
from fivefold.risk.language.expressions import Condition, FieldInput, input_key
from fivefold.risk.language.fields import ValueType

condition = TypeAdapter[Any](Condition)
SCOPE = LintScope(
    Vocabulary(entity={"a": "number", "b": "number", "t": "text"}, transaction={}, case={}), {}, all_lists=True
)
OWN = FieldInput(field="a")
bounds = st.integers(0, 3)
tests: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.sampled_from(["present", "absent"]),
        *(st.fixed_dictionaries({word: bounds}) for word in ("equals", "above", "at_least", "below", "at_most")),
        st.tuples(bounds, bounds).map(lambda pair: {"between": sorted(pair)}),
        st.lists(bounds, min_size=1, max_size=2).map(lambda few: {"not_in": few}),
    ),
    lambda below: st.one_of(
        st.lists(below, min_size=1, max_size=2).map(lambda parts: {"all": parts}),
        st.lists(below, min_size=1, max_size=2).map(lambda parts: {"any": parts}),
        below.map(lambda part: {"not": part}),
    ),
    max_leaves=3,
)


def places(made: list[Any]) -> list[Location]:
    return [
        Location(("rules", 0, "cases", number, "when"), condition.validate_python(data), OWN)
        for number, data in enumerate(made)
    ]


def faults(*made: Any) -> list[tuple[Any, str, Severity]]:
    return [
        (fault.path[3], fault.problem, fault.severity) for fault in order_diagnostics(places(list(made)), SCOPE, "case")
    ]


@given(st.lists(tests, min_size=1, max_size=4))
def test_a_case_is_told_as_never_reached_when_no_value_reaches_it(made: list[Any]) -> None:
    """Against every quarter from -1 to 4, and unknown."""
    frame = pl.DataFrame({input_key(OWN): [*np.arange(-1, 4.25, 0.25).tolist(), None]})
    compiler = Compiler(lambda _: InputColumn("", ValueType.NUMBER), {}, InputColumn(input_key(OWN), ValueType.NUMBER))
    first: list[int | None] = [None] * len(frame)
    for number, place in enumerate(places(made)):
        holds = frame.select(compiler.condition(place.condition)).to_series()
        first = [number if now is None and held else now for now, held in zip(first, holds, strict=True)]
    assert {place for place, *_ in faults(*made)} == set(range(len(made))) - set(first)


def test_why_a_case_is_never_reached_is_told() -> None:
    warning = Severity.WARNING
    assert faults({"at_least": 1}, {"at_least": 2}) == [(1, "is never reached: case 1 holds whenever it does", warning)]
    assert faults({"below": 1}, {"at_least": 1}, {"equals": 2}) == [
        (2, "is never reached: case 2 holds whenever it does", warning)
    ]
    assert faults({"below": 1}, {"above": 1}, {"between": [0, 1]}, {"between": [0, 2]}) == [
        (3, "is never reached: those before it hold whenever it does", warning)
    ]
    assert faults({"any": ["present", "absent"]}, "present") == [(1, "is never reached: case 1 always holds", warning)]
    assert faults({"all": ["absent", {"above": 1}]}) == [(0, "never holds, whatever the values", warning)]


def test_cases_about_several_inputs_are_decided_together() -> None:
    either = {"any": [{"field": "a", "above": 1}, {"field": "b", "above": 1}]}
    assert faults(either, {"field": "b", "above": 0}) == []
    assert faults({"field": "b", "above": 1}, {"all": [{"field": "a", "above": 1}, {"field": "b", "above": 2}]}) == [
        (1, "is never reached: case 1 holds whenever it does", Severity.WARNING)
    ]


def test_too_many_combinations_cannot_be_told() -> None:
    many = {"all": [{"field": name, "in": list(range(60))} for name in ("a", "b")]}
    assert faults(many) == [(0, "may be reachable or not: there are too many combinations to try", Severity.NOTE)]
    assert try_conditions(places([many]), SCOPE) is None


def rests(made: list[Any], *wanted: str) -> list[Any]:
    return [fault.path[2] for fault in rest_diagnostics(places(made), wanted, ("rules", 0), SCOPE)]


def test_what_is_given_where_no_case_holds_is_looked_at_too() -> None:
    both = ("otherwise", "on_unknown")
    assert rests([{"above": 1}], *both) == []
    assert rests([{"above": 1}, {"at_most": 1}], *both) == ["otherwise"]
    assert rests([{"above": 1}, "absent"], *both) == ["on_unknown"]
    assert rests(["present", "absent"], "otherwise") == ["otherwise"]
    assert rests(["present", "absent"]) == []


def test_a_condition_knows_what_it_is_about() -> None:
    made = condition.validate_python({"all": [{"field": "t", "equals": "x"}, {"field": "a", "above": 1}]})
    found = subjects_of(Location(("applies_to",), made), SCOPE)
    assert [subject.column.kind for subject in found.values()] == [ValueType.TEXT, ValueType.NUMBER]


TEXT = FieldInput(field="t")


def texts(*made: Any) -> list[Location]:
    return [replace(place, own=TEXT) for place in places(list(made))]


def test_cases_are_tried_together_and_not_each_with_all_before_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = Mock(side_effect=try_conditions)
    monkeypatch.setattr(reachability, "try_conditions", tried)
    assert list(order_diagnostics(texts(*({"equals": str(each)} for each in range(100))), SCOPE, "case")) == []
    assert tried.call_count == 1


def test_cases_before_one_that_cannot_be_decided_are_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = Mock(side_effect=try_conditions)
    monkeypatch.setattr(reachability, "try_conditions", tried)
    near = {"fuzzy": {"to": "abc", "scorer": "ratio", "at_least": 90}}
    equal = [{"equals": str(each)} for each in range(40)]
    made = texts(*equal, {"equals": "3"}, near, {"equals": "4"})
    assert [(fault.path[3], fault.severity) for fault in order_diagnostics(made, SCOPE, "case")] == [
        (40, Severity.WARNING),
        (42, Severity.NOTE),
    ]
    assert tried.call_count < 10


def test_too_much_to_compare_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    many = texts({"any": [{"starts_with": f"{each:04}"} for each in range(100)]})
    assert try_conditions(many, SCOPE) is not None
    monkeypatch.setattr(reachability, "MOST_COMPARED", 10_000)
    assert try_conditions(many, SCOPE) is None
    assert [fault.severity for fault in order_diagnostics(many, SCOPE, "case")] == [Severity.NOTE]


def test_likeness_of_long_texts_is_more_to_compare_than_that_of_names() -> None:
    def near(letters: int) -> list[Location]:
        fuzzy = {"scorer": "partial", "at_least": 90}
        return texts(*({"fuzzy": {"to": f"{each:03}".ljust(letters, "a"), **fuzzy}} for each in range(60)))

    assert try_conditions(near(20), SCOPE) is not None
    assert try_conditions(near(480), SCOPE) is None


def test_all_trials_of_one_text_take_a_bounded_effort(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_order, "MOST_COMPARED_OF_A_TEXT", 25_000)
    never, scope = places([{"all": ["absent", {"above": 1}]}]), replace(SCOPE, effort=Effort())
    told = [[fault.severity for fault in order_diagnostics(never, scope, "case")] for _ in range(3)]
    assert told == [[Severity.WARNING], [Severity.WARNING], [Severity.NOTE]]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_every_combination_of_values_is_tried_in_one_order(sizes: list[int]) -> None:
    domains = {str(key): Domain(pl.Series(range(size)), exact=True) for key, size in enumerate(sizes)}
    assert reachability.combined(domains).rows() == list(product(*map(range, sizes)))
