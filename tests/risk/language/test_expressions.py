"""Conditions: read, written, and taken apart."""

from typing import Any

from hypothesis import given
from pydantic import TypeAdapter

from fivefold.risk.language.expressions import Condition, OwnTest, branches, input_of_test
from fivefold.risk.language.expressions import tests_in as all_tests_in
from fivefold.risk.language.inputs import PLAIN_INPUTS, Input, input_key
from fivefold.risk.language.operators import OPERATOR_KINDS
from tests.risk.language.documents_made import Data, conditions, plain_inputs

condition = TypeAdapter[Any](Condition)
any_input = TypeAdapter[Any](Input)
WORDS = set(PLAIN_INPUTS)


@given(conditions)
def test_a_condition_is_written_as_it_is_read(data: Any) -> None:
    made = condition.validate_python(data)
    written = condition.dump_python(made, mode="json", by_alias=True, exclude_none=True)
    assert condition.validate_python(written) == made


@given(conditions)
def test_every_test_of_a_condition_is_found(data: Any) -> None:
    """As many as there are leaves, in the order written."""

    def leaves(at: Any) -> list[Any]:
        if isinstance(at, dict):
            for join in ("all", "any"):
                if join in at:
                    return [leaf for part in at[join] for leaf in leaves(part)]
            if "not" in at:
                return leaves(at["not"])
        return [at]

    found = list(all_tests_in(condition.validate_python(data)))
    wanted = [{"is": leaf} if isinstance(leaf, str) else leaf for leaf in leaves(data)]
    assert [set(dict(test.comparisons())) for test in found] == [
        set(leaf) & set(OPERATOR_KINDS) - WORDS for leaf in wanted
    ]


@given(plain_inputs)
def test_a_test_knows_the_input_that_it_names(data: Data) -> None:
    test = condition.validate_python({**data, "is": "present"})
    subject = input_of_test(test)
    assert subject is not None
    assert subject == any_input.validate_python(data)
    assert input_key(subject) == input_key(any_input.validate_python(data))


def test_a_comparison_alone_is_of_the_rules_own_input() -> None:
    assert input_of_test(condition.validate_python({"at_least": 3})) is None
    assert isinstance(condition.validate_python({"at_least": 3}), OwnTest)
    assert branches(condition.validate_python({"at_least": 3})) == ()
