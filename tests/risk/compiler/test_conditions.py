"""The compiler: which columns a condition reads. What its expressions come to is in test_operators.py."""

from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter

from fivefold.risk.compiler.conditions import Compiler
from fivefold.risk.compiler.values import Column
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import Condition
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.inputs import input_key

condition = TypeAdapter[Any](Condition)


def compiler(own: Column | None = None) -> Compiler:
    return Compiler(resolve, {}, own)


def resolve(made: LanguageModel) -> Column:
    return Column(input_key(made), ValueType.NUMBER)


A, B = '{"field":"a"}', '{"field":"b"}'
FRAME = pl.DataFrame({A: [1.0, 1.0, None], B: [None, 2.0, 2.0], "own": [5.0, None, 5.0]})


@pytest.mark.parametrize(
    ("data", "truths", "reads"),
    [
        ({"field": "a", "equals": 1}, [True, True, None], [A]),
        ({"at_least": 5}, [True, None, True], ["own"]),
        ("absent", [False, True, False], ["own"]),
        ({"all": [{"field": "a", "equals": 2}, {"field": "b", "equals": 2}]}, [False, False, None], [A, B]),
        ({"any": [{"field": "a", "equals": 1}, {"field": "b", "equals": 1}]}, [True, True, None], [A, B]),
        ({"not": {"field": "b", "above": 2}}, [None, True, True], [B]),
        ({"field": "a", "above": 0, "below": 1}, [False, False, None], [A]),
    ],
)
def test_a_condition_reads_what_it_names(data: Any, truths: list[bool | None], reads: list[str]) -> None:
    made = compiler(Column("own", ValueType.NUMBER))
    found = FRAME.select(made.condition(condition.validate_python(data)).alias("it"))["it"].to_list()
    assert (found, list(made.reads)) == (truths, reads)


def test_what_it_read_is_collected_over_conditions() -> None:
    made = compiler()
    for name in ("a", "b", "a"):
        made.condition(condition.validate_python({"field": name, "above": 0}))
    assert list(made.reads) == [A, B]


def test_a_comparison_without_anything_to_compare_is_a_fault_of_the_program() -> None:
    with pytest.raises(AssertionError):
        compiler().condition(condition.validate_python({"above": 0}))
