"""Policies as they are read: every input of rulesets, and two of their own."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.engine.assessments import Status
from fivefold.risk.language.expressions import NUMERIC_WORDS, PLAIN_INPUTS, input_key, input_of_test
from fivefold.risk.language.expressions import tests_in as all_tests_in
from fivefold.risk.language.policy import (
    POLICY_INPUTS,
    STATUSES,
    LevelInput,
    Policy,
    PolicyAll,
    PolicyAny,
    PolicyNot,
    PolicyNumber,
    PolicyRatio,
    PolicyRule,
    TransactionInput,
    read_policy,
)
from fivefold.risk.language.reading import read_ruleset, read_stored
from fivefold.usecases.levels.records import NO_RULESET
from tests.risk.conftest import Refusal

WRITTEN = """\
policy: payments
entity_type: customer
transaction_fields: {operation: text}
levels: [low, medium, high]
actions: [allow, review, block]
wins: first
rationale: Cash by risk.
rules:
  - id: cash
    title: Cash of high-risk customers
    rationale: They launder it.
    when:
      all:
        - {level: in_force, at_least: high}
        - {transaction: operation, equals: cash}
        - any: [{transaction: amount, above: 1000}, {value: score, below: 2}]
        - not: {ratio: [{transaction: amount}, {mean: amount, over: 90 days}], at_most: 10}
    unless: {tag: known, is: present}
    action: block
    on_unknown: review
otherwise: allow
"""


def refused(old: str, new: str) -> str:
    assert old in WRITTEN
    with pytest.raises(InvalidRulesetError) as told:
        read_policy(WRITTEN.replace(old, new))
    return str(told.value)


def test_everything_that_is_written_is_read() -> None:
    policy = read_policy(WRITTEN)
    (rule,) = policy.rules
    assert isinstance(rule.when, PolicyAll)
    assert isinstance(rule.when.all[2], PolicyAny)
    assert isinstance(rule.when.all[3], PolicyNot)
    assert [type(input_of_test(test)).__name__ for test in all_tests_in(rule.when)] == [
        "LevelInput",
        "TransactionInput",
        "TransactionInput",
        "ValueInput",
        "PolicyRatio",
    ]
    ratio: Any = input_of_test(rule.when.all[3].negated)
    assert isinstance(ratio, PolicyRatio)
    assert ratio.ratio[0] == TransactionInput(transaction="amount")
    assert input_of_test(rule.when.all[0]) == LevelInput(level="in_force")
    assert (rule.action, rule.on_unknown, policy.otherwise, policy.wins) == ("block", "review", "allow", "first")


def test_what_it_says_is_what_it_is() -> None:
    policy = read_policy(WRITTEN)
    same = read_stored(Policy, policy.canonical)
    assert repr(read_policy(policy.canonical)) == repr(same)
    assert (same, same.canonical, same.content_hash) == (policy, policy.canonical, policy.content_hash)
    assert read_policy(f"# a remark\n{WRITTEN}").content_hash == policy.content_hash
    assert read_policy(WRITTEN.replace("above: 1000", "above: 1001")).content_hash != policy.content_hash


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("wins: first", "", "wins: is missing"),
        ("wins: first", "wins: last", "line 6: wins: is 'last'; must be one of first, most severe"),
        ("otherwise: allow\n", "", "otherwise: is missing"),
        ("actions: [allow, review, block]", "actions: [allow]", "actions: has 1; there must be at least 2"),
        ("action: block", "acton: block", "rule cash, action: is missing"),
        ("level: in_force", "level: present", "line 14: rule cash, when, all 1, level: is 'present'; must be one of"),
        (
            "level: in_force, at_least: high",
            "level: in_force",
            "rule cash, when, all 1: compares with nothing",
        ),
        ("[{transaction: amount}, {", "[{tag: x}, {", "ratio 1: is not a number; it must have one of the words count"),
        ("mean: amount,", "mean: amount, where: {level: rules, equals: 1},", "level: is a word of the language, but"),
        ("equals: cash", "in_currency: EURO, equals: cash", "a currency is three capital letters"),
        ("{tag: known, is: present}", "{tag: known, ist: present}", "rule cash, unless, ist: is not a word"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(old: str, new: str, told: str) -> None:
    assert told in refused(old, new)


@pytest.mark.parametrize("text", ["", "[]", "policy"])
def test_what_is_no_mapping_is_no_policy(text: str, refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        read_policy(text)


def test_rulesets_have_no_levels_to_look_at(refusal: Refusal) -> None:
    text = """\
{ruleset: a, entity_type: b, levels: [x, y, z], score: {points: {thresholds: [1, 2]}}, max_recompute_interval: 1 day,
 rules: [{id: a, title: A, category: other, cases: [{when: {level: in_force, equals: x}, points: 1}]}]}
"""
    with refusal(InvalidRulesetError):
        read_ruleset(text)


assert PolicyRule is not None  # the forms know what a condition is once its module is imported
NUMBER = TypeAdapter[object](PolicyNumber)


def test_a_policy_looks_at_whatever_rulesets_do() -> None:
    assert set(POLICY_INPUTS) == {*PLAIN_INPUTS, "level", "transaction", "step"}


def test_the_statuses_are_those_that_there_are() -> None:
    assert {*STATUSES} == {*map(str, Status), NO_RULESET}


def test_numbers_may_be_of_the_level_and_the_transaction() -> None:
    assert NUMBER.validate_python({"transaction": "amount"}) == TransactionInput(transaction="amount")
    assert NUMBER.validate_python({"level": "age_days"}) == LevelInput(level="age_days")
    assert {"level", "transaction"}.isdisjoint(NUMERIC_WORDS)


@pytest.mark.parametrize("data", [{"tag": "x"}, {"level": "now"}, {"transaction": "a b"}, {}])
def test_what_is_no_number_is_refused(data: object) -> None:
    with pytest.raises(ValidationError):
        NUMBER.validate_python(data)


def test_amounts_in_different_currencies_are_different_inputs() -> None:
    keys = {input_key(TransactionInput(transaction="amount", in_currency=code)) for code in (None, "USD", "EUR")}
    assert len(keys) == 3
