"""A compiled ruleset: the predicate, floors, failures, and names that are free."""

from typing import Any

import polars as pl
import pytest

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.explain.breakdown import explain
from fivefold.risk.engine.program import (
    APPLIES,
    FAILED,
    FLOOR,
    HARD_FLOOR,
    TOTAL,
    TOTAL_LEVEL,
    compile_ruleset,
    program_for,
)
from fivefold.risk.facts.portfolio import AS_OF
from fivefold.risk.language.expressions import FieldInput, input_key
from fivefold.risk.language.fields import ValueType
from tests.risk.engine.small import DAY, assessed, case, exactly, rule, ruleset

Data = dict[str, Any]
FLAG: Data = {"field": "flag", "equals": True}
OWN = (TOTAL, "floor", "level", "status", "applies", "failed", "computed", "entered", "withheld", "overridden")


def test_rules_may_have_the_names_of_the_engines_own_columns() -> None:
    rules = [rule(name, case(FLAG, 1, "medium" if name == "floor" else None)) for name in OWN]
    found = assessed(ruleset(*rules), {"flag": True}, {"flag": False}, {"flag": "bad"})
    assert found.table()["score"].to_list() == [len(OWN), 0, 0]
    assert found.table()["level"].to_list() == ["medium", "low", None]
    assert found.table()["floor_by"].to_list() == ["floor", None, None]
    assert [one.rule for one in explain(found, 0).rules] == list(OWN)


@pytest.mark.parametrize(
    ("kind", "flag", "status"),
    [
        ("person", None, "assessed"),
        ("company", False, "not applicable"),
        (None, False, "undetermined"),  # unknown is neither true nor false
        (None, True, "assessed"),
        ("robot", False, "failed"),  # what cannot be read is no reason to let go
        ("robot", True, "failed"),
    ],
)
def test_predicate(kind: Any, flag: Any, status: str) -> None:
    asked = {"any": [{"field": "kind", "equals": "person"}, FLAG]}
    made = ruleset(exactly(0), applies_to=asked)
    found = assessed(made, {"kind": kind, "flag": flag, "n0": 31}, previous=3)
    held = {"assessed": "medium", "failed": "high", "undetermined": "high", "not applicable": None}
    assert found.table()["status"].item() == status
    assert found.table()["level"].item() == held[status]


def test_predicate_that_is_false_whatever_could_not_be_read_lets_go() -> None:
    asked = {"all": [{"field": "kind", "equals": "person"}, FLAG]}
    found = assessed(ruleset(exactly(0), applies_to=asked), {"kind": "robot", "flag": False})
    assert found.table()["status"].item() == "not applicable"


def test_predicate_that_failed_is_named() -> None:
    found = assessed(ruleset(exactly(0), applies_to={"field": "kind", "equals": "person"}), {"kind": "robot"})
    wanted = "whom the ruleset applies to: kind is robot, which is not one of person, company"
    assert explain(found, 0).failures == (wanted,)
    assert "failed in whom the ruleset applies to: there is no level yet" in explain(found, 0).line


def test_highest_floor_holds_and_hard_ones_are_told_apart() -> None:
    soft = rule("soft", case(FLAG, 1, "high"), overridable=True)
    hard = rule("hard", case(FLAG, 1, 2))
    row = assessed(ruleset(soft, hard), {"flag": True}, {"flag": False}).outcomes
    assert row[FLOOR].to_list() == [3, 0]
    assert row[HARD_FLOOR].to_list() == [2, 0]
    assert assessed(ruleset(soft), {"flag": True}).outcomes[HARD_FLOOR].to_list() == [0]
    assert assessed(ruleset(exactly(0)), {"n0": 1}).outcomes[FLOOR].to_list() == [0]


def test_failed_rule_stops_no_other() -> None:
    made = ruleset(exactly(0), exactly(1), rule("floored", case(FLAG, 20, "medium")))
    found = assessed(made, {"n0": "x", "n1": 30, "flag": True}, {"n0": 1, "n1": 30, "flag": False}, previous=1)
    assert found.table()["status"].to_list() == ["failed", "assessed"]
    assert found.table()["score"].to_list() == [50, 31]
    assert found.table()["score_level"].to_list() == [None, "medium"]
    assert found.table()["level"].to_list() == ["medium", "medium"]
    held = assessed(made, {"n0": "x", "n1": -50, "flag": True}, previous=3)
    assert held.table()["level"].item() == "high"
    assert explain(held, 0).failures == ("N0: n0 is 'x', which is no finite number",)
    assert "nothing lowers the level, so High stays" in explain(held, 0).line


def test_money_is_in_minor_units_of_its_currency() -> None:
    made = ruleset(
        rule("eur", case({"at_least": 1}, 1), input={"sum": "amount"}),
        rule("yen", case({"at_least": 1}, 1), input={"sum": "amount", "in_currency": "JPY"}),
        rule("kind", case({"field": "kind", "equals": "person"}, 1)),
    )
    columns = list(program_for(AnalysedRuleset(made), {}, "EUR").inputs.values())
    assert [(column.kind, column.units) for column in columns] == [
        (ValueType.MONEY, 100),
        (ValueType.MONEY, 1),
        (ValueType.TEXT, 1),
    ]


def test_program_runs_on_a_frame_of_inputs() -> None:
    program = compile_ruleset(AnalysedRuleset(ruleset(exactly(0))), {}, "EUR")
    key = input_key(FieldInput(field="n0"))
    made = program.run(pl.DataFrame({key: [31.0, None], AS_OF: [DAY, DAY]}))
    assert made.columns == program.outputs
    assert made.select(TOTAL, TOTAL_LEVEL, APPLIES, FAILED).rows() == [(3100, 2, True, False), (0, 1, True, False)]


def test_many_rows_come_to_the_same_as_few() -> None:
    few = [{"n0": points} for points in (-50, 0, 31, None, "x")]
    made = ruleset(exactly(0), rule("floored", case({"field": "n0", "equals": 31}, 0, "high")))
    many = assessed(made, *(few * 300)).outcomes.drop("entity_id")
    assert many[:5].equals(assessed(made, *few).outcomes.drop("entity_id"))
    assert many[-5:].equals(many[:5])
