"""What is said of a decision: every rule, in words that agree with what it came to."""

from typing import Any

import polars as pl
from hypothesis import given

from fivefold.domain.canonical import canonical_json
from fivefold.risk.engine.explain.policies import explain_decisions
from fivefold.risk.facts.portfolio import error_of
from tests.risk.engine.policies_small import COLUMNS, drawn_rules, outcome_of, policy, program, rows

CASH: dict[str, Any] = {
    "when": {"all": [{"level": "in_force", "at_least": "high"}, {"transaction": "amount", "above": 1000}]},
    "unless": {"tag": "known", "is": "present"},
    "action": "block",
}


def said(*rules: Any, row: tuple[Any, ...], **more: Any) -> Any:
    frame = pl.DataFrame([row], schema=COLUMNS, orient="row").with_columns(**more)
    (made,) = explain_decisions(program(policy(*rules)), frame, "EUR")
    return made


def test_a_rule_that_holds_says_what_it_saw_and_asked() -> None:
    made = said(CASH, row=(3, None, 120_050, None, False))
    assert (made.action, made.decided_by, made.line) == ("block", "r0", "Block, by R0")
    assert made.rules[0].sentence == (
        "R0: level is high, amount of the transaction is 1,200.50 EUR, tag known is absent. "
        "Holds, as level is at least high and amount of the transaction is above 1,000: block"
    )


def test_a_rule_that_is_suppressed_is_still_told_to_hold() -> None:
    made = said(CASH, row=(3, None, 120_050, None, True))
    assert (made.action, made.decided_by) == ("allow", None)
    assert made.line == "Allow, as no rule gives an action; suppressed: R0"
    assert made.rules[0].outcome == "suppressed"
    assert made.rules[0].action is None
    assert "Holds, as level is at least high" in made.rules[0].sentence
    assert made.rules[0].sentence.endswith(", and is suppressed, as tag known is present: no action")


def test_what_is_unknown_is_named() -> None:
    made = said(CASH, {**CASH, "on_unknown": "review"}, row=(None, None, 120_050, None, False))
    assert (made.action, made.decided_by) == ("review", "r1")
    assert made.line == "Review, by R1; not known: R0, R1"
    assert [rule.missing for rule in made.rules] == [("level",), ("level",)]
    assert [rule.action for rule in made.rules] == [None, "review"]
    assert "Not known is level, so whether level is at least high" in made.rules[0].sentence


def test_what_is_unknown_beside_what_is_known_to_fail_is_not_named() -> None:
    low = {"all": [{"level": "in_force", "at_least": "high"}, {"value": "score", "at_least": 4}]}
    rule = {**CASH, "when": {"any": [low, {"tag": "known", "is": "present"}]}}
    (found,) = said(rule, row=(1, None, 120_050, None, None)).rules
    assert (found.outcome, found.missing) == ("unknown", ("tag known",))


def test_nothing_is_missing_of_an_exception_that_is_known_to_fail() -> None:
    both = {"all": [{"tag": "known", "is": "present"}, {"value": "score", "at_least": 4}]}
    rules = [{**CASH, "unless": unless} for unless in (both, {"value": "score", "is": "present"})]
    found = said(*rules, row=(3, None, 120_050, None, False)).rules
    assert [(rule.outcome, rule.missing) for rule in found] == [("held", ()), ("held", ())]


def test_what_leaves_open_whether_a_rule_is_suppressed_is_named() -> None:
    rule = {**CASH, "unless": {"value": "score", "at_least": 4}}
    (found,) = said(rule, row=(3, None, 120_050, None, False)).rules
    assert (found.outcome, found.action, found.missing) == ("held", "block", ("value score",))


def test_a_value_that_could_not_be_read_is_unknown_and_told_as_it_was_met() -> None:
    key = '{"level":"in_force"}'
    (found,) = said(CASH, row=(None, None, 120_050, None, False), **{error_of(key): pl.lit("odd")}).rules
    assert (found.outcome, found.missing) == ("unknown", ("level",))
    assert found.seen.startswith("level cannot be read: odd, ")


@given(rules=drawn_rules, drawn=rows)
def test_words_agree_with_outcomes(rules: list[Any], drawn: list[tuple[Any, ...]]) -> None:
    made = explain_decisions(program(policy(*rules)), pl.DataFrame(drawn, schema=COLUMNS, orient="row"), "EUR")
    for row, one in zip(drawn, made, strict=True):
        assert [(rule.outcome, rule.action) for rule in one.rules] == [outcome_of(rule, row) for rule in rules]
        assert all((rule.outcome == "unknown") <= bool(rule.missing) for rule in one.rules)
        assert canonical_json(one.as_json())
