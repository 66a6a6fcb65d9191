"""Telling: prepared once for a program, shared by those of whom the same was read, and by nobody else."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.explain import rules as tellers
from fivefold.risk.engine.explain.breakdown import explain, explain_all
from fivefold.risk.engine.explain.rules import RuleOutcome, explainer_of, rule_outcomes
from fivefold.risk.engine.program import program_for
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.facts.reading import entities_from_rows
from fivefold.risk.language.ruleset import Ruleset
from tests.risk.engine.small import DAY, Data, case, rule, ruleset

ASKS = rule("asks", case({"field": "name", "equals": "x"}, 5), case({"field": "income", "at_least": 1}, 1))
FIELDS: Data = {"name": "text", "income": "number", "products": ["text"]}


def assessed(made: Ruleset, *rows: Data, **parts: Any) -> Assessments:
    named = [{"entity_id": f"e{number}", **row} for number, row in enumerate(rows)]
    entities = entities_from_rows(named, made.fields)
    return assess(AnalysedRuleset(made), Portfolio(entities, base_only("EUR", date(2024, 7, 1)), **parts), DAY)


def told(made: Data, *rows: Data) -> list[RuleOutcome]:
    return [one.rules[0] for one in explain_all(assessed(ruleset(made, fields=FIELDS), *rows))]


def test_words_are_prepared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = assessed(ruleset(ASKS, fields=FIELDS), {"name": "x", "income": 2}, {"income": 3})
    before = [explain(found, 0), explain(found, 1)]
    for name in ("input_words", "condition_words", "input_key", "describe_inputs", "misfits_of"):
        monkeypatch.delattr(tellers, name)
    assert list(explain_all(found)) == before
    program = program_for(AnalysedRuleset(ruleset(ASKS, fields=FIELDS)), {}, "EUR")
    assert explainer_of(program, "EUR") is explainer_of(found.program, "EUR")


def test_money_is_in_the_base_currency() -> None:
    made = ruleset(rule("asks", case({"at_least": 1}, 1), input={"sum": "amount"}))
    program = program_for(AnalysedRuleset(made), {}, "EUR")
    described = [explainer_of(program, base).rules[0].descriptions[0] for base in ("EUR", "USD")]
    words = [one.words({one.key: 150}) for one in described]
    assert words == ["sum of amount is 1.50 EUR", "sum of amount is 1.50 USD"]


def test_those_of_whom_the_same_was_read_share_an_outcome() -> None:
    first, second, third = told(
        ASKS, {"name": "x", "income": 1}, {"name": "x", "income": 2}, {"name": "x", "income": 1}
    )
    assert first is third
    assert first.case_outcome is second.case_outcome
    assert (first.seen, second.seen) == ("name is x, income is 1", "name is x, income is 2")


def test_text_that_reads_like_no_value_is_not_taken_for_it() -> None:
    asks = rule("asks", case({"all": [{"field": "name", "equals": "x"}, {"field": "income", "at_least": 1}]}, 5))
    rows: list[Data] = [{"name": None, "income": 1}, {"name": "unknown", "income": 1}, {"name": "unknown"}]
    found = told(asks, *rows, {"name": None, "income": 1})
    assert [one.case for one in found] == ["unknown", "otherwise", "otherwise", "unknown"]
    assert found[0].seen == found[1].seen == "name is unknown, income is 1"
    assert [one.missing for one in found] == [("name",), (), (), ("name",)]
    assert found[2].seen == "name is unknown, income is unknown"


def test_value_that_could_not_be_read_is_its_own() -> None:
    asks = rule("asks", case({"at_least": 1}, 5), input={"field": "income"})
    found = told(asks, {"income": "ten"}, {"income": None}, {"income": "two"}, {"income": "ten"})
    wrong = [f"income is '{word}', which is no finite number" for word in ("ten", "two")]
    assert [one.errors for one in found] == [(wrong[0],), (), (wrong[1],), (wrong[0],)]
    assert [one.seen for one in found[:2]] == ["income is 'ten'", "income is unknown"]


def test_moment_that_is_missing_is_named_of_those_without_it_alone() -> None:
    decay = {"half_life": "1 day", "signal": {"sum": "amount"}}
    asks = rule("asks", case({"at_least": 1}, 8), input={"field": "income"}, decay=decay)
    transactions = pl.DataFrame(
        {
            "entity_id": ["e0", "e0"],
            "transaction_amount": [1.0, -1.0],
            "transaction_currency": ["EUR"] * 2,
            "transaction_date": ["2024-06-30"] * 2,
        }
    )
    rows: list[Data] = [{"income": 1}] * 2
    found = [one.rules[0] for one in explain_all(assessed(ruleset(asks), *rows, transactions=transactions))]
    assert [(one.case, one.points) for one in found] == [(1, 4), ("unknown", 0)]
    assert [one.missing for one in found] == [(), ("when the latest was, of sum of amount",)]
    assert found[0].sentence.endswith(": +4 points, 8 halved once (half-life 1 day)")
    assert "halved" not in found[1].sentence


def test_lists_are_seen_as_they_are() -> None:
    asks = rule("asks", case({"contains": "cash"}, 5), input={"field": "products"})
    rows: list[Data] = [{"products": made} for made in (["cash", "card"], ["card", "cash"], [], None, ["cash", "card"])]
    found = told(asks, *rows)
    seen = ["cash, card", "card, cash", "none", "unknown", "cash, card"]
    assert [one.seen for one in found] == [f"products is {words}" for words in seen]
    assert found[0] is found[4]


def test_outcomes_of_one_are_those_of_its_explanation() -> None:
    found = assessed(ruleset(ASKS, ASKS | {"id": "again"}, fields=FIELDS), {"name": "x"}, {"income": 2})
    for position in (0, 1):
        assert rule_outcomes(found, position) == explain(found, position).rules
