"""Policies as columns, against the book: three-valued rules, the first that wins, the most severe that wins."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.compiler.analysis import analyse_canonical_policy
from fivefold.risk.engine.explain.policies import OUTCOMES
from fivefold.risk.engine.policy_program import ACTION, DECIDED, PolicyOutcome, policy_program_for
from fivefold.risk.engine.single.rules import single_policy
from fivefold.risk.engine.totals import rule_column
from tests.risk.conftest import Refusal
from tests.risk.engine.policies_small import (
    ACTIONS,
    COLUMNS,
    decision_of,
    drawn_rules,
    outcome_of,
    policy,
    program,
    rows,
)

HIGH = {"level": "in_force", "at_least": "high"}


def frame(drawn: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(drawn, schema=COLUMNS, orient="row")


@pytest.mark.parametrize("wins", ["first", "most severe"])
@given(rules=drawn_rules, drawn=rows)
def test_a_policy_decides_as_the_book_does(wins: str, rules: list[Any], drawn: list[tuple[Any, ...]]) -> None:
    made = policy(*rules, wins=wins)
    found = program(made).run(frame(drawn))
    for row, out in zip(drawn, found.iter_rows(named=True), strict=True):
        decided = out[DECIDED]
        assert (ACTIONS[out[ACTION]], decided) == decision_of(rules, wins, row)
        for rule, told in zip(made.rules, rules, strict=True):
            assert OUTCOMES[PolicyOutcome(out[rule_column(rule.id)])] == outcome_of(told, row)[0]


@given(rules=drawn_rules, drawn=rows, wins=st.sampled_from(["first", "most severe"]))
def test_many_rows_at_once_come_to_the_same_as_each_alone(
    rules: list[Any], drawn: list[tuple[Any, ...]], wins: str
) -> None:
    made = program(policy(*rules, wins=wins))
    alone = [made.run(frame([row])).row(0) for row in drawn]
    assert made.run(frame(drawn)).rows() == alone


@given(rules=drawn_rules, drawn=rows, wins=st.sampled_from(["first", "most severe"]))
def test_one_entity_is_decided_on_in_plain_python_as_columns_do(
    rules: list[Any], drawn: list[tuple[Any, ...]], wins: str
) -> None:
    made = program(policy(*rules, wins=wins))
    single = single_policy(made)
    assert single is not None
    for row, columns in zip(frame(drawn).rows(named=True), made.run(frame(drawn)).rows(named=True), strict=True):
        assert single.run(row) == columns


def test_the_same_policy_is_compiled_once() -> None:
    made = policy({"when": HIGH, "action": "block"})
    assert program(made) is program(policy({"when": HIGH, "action": "block"}))
    assert program(made) is not policy_program_for(analyse_canonical_policy(made.canonical), {}, "USD")


def test_a_policy_that_is_wrong_is_not_compiled(refusal: Refusal) -> None:
    made = policy({"when": HIGH, "action": "blokc"}, {"when": {"field": "age", "above": 3}, "action": "block"})
    with refusal(InvalidRulesetError):
        program(made)
