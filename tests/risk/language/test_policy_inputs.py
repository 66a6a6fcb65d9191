"""What a policy looks at beside what rulesets do."""

import pytest
from pydantic import TypeAdapter, ValidationError

from fivefold.risk.engine.assessments import Status
from fivefold.risk.language.inputs import NUMERIC_WORDS, PLAIN_INPUTS, input_key
from fivefold.risk.language.policy import PolicyRule
from fivefold.risk.language.policy_inputs import POLICY_INPUTS, STATUSES, LevelInput, PolicyNumber, TransactionInput
from fivefold.usecases.levels.records import NO_RULESET

assert PolicyRule is not None  # the forms know what a condition is once its module is imported
NUMBER = TypeAdapter[object](PolicyNumber)


def test_a_policy_looks_at_whatever_rulesets_do() -> None:
    assert set(POLICY_INPUTS) == {*PLAIN_INPUTS, "level", "transaction"}


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
