"""What several aggregates need of a group is computed once; constants divide exactly."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from risk.facts.partials import Partials, quotient
from risk.facts.source import Facts
from risk.facts.windows import Masks
from risk.language.conditions import Condition
from risk.language.fields import TRANSACTION_FIELDS
from risk.language.inputs import Aggregate, Window, key_of

FORMS: TypeAdapter[Window] = TypeAdapter(Aggregate)
assert Condition is not None  # the forms know what a condition is once its module is imported


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["sum", "mean"], {"@money amount", "@count time"}),
        (["min", "max"], {"@min amount", "@max amount"}),
        (["distinct"], {"@distinct amount"}),
    ],
)
def test_what_several_need_is_computed_once(words: list[str], parts: set[str]) -> None:
    facts = Facts(pl.LazyFrame(), TRANSACTION_FIELDS, base="EUR")
    partials = Partials(facts, Masks(facts, {}))
    for word in words:
        made = FORMS.validate_python({word: "amount"})
        partials.add(key_of(made), made, signal=False)
        partials.add(key_of(made), made, signal=False)
    assert {" ".join(name.split()[:2]) for name in partials.sums} == parts
    assert partials.used <= {*partials.masks.parts, *partials.masks.wholes}


@given(st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=50), st.sampled_from([10**9, 86_400_000_000, 7]))
def test_constants_divide_as_python_does(values: list[int], by: int) -> None:
    floats = pl.DataFrame({"value": values}, schema={"value": pl.Float64})
    assert floats.select(quotient(pl.col("value"), by)).to_series().to_list() == [value / by for value in values]
    assert floats[:1].select(quotient(pl.col("value"), by)).item() == values[0] / by


def test_the_unknown_stays_unknown() -> None:
    assert (
        pl.DataFrame({"value": [None]}, schema={"value": pl.Float64}).select(quotient(pl.col("value"), 3)).item()
        is None
    )
