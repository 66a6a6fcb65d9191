"""What several aggregates need of a group is computed once; constants divide exactly."""

from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fivefold.risk.facts.aggregates import NUMBER_UNITS, Partials, billionths, in_numbers, quotient
from fivefold.risk.facts.linked import LinkedFacts
from fivefold.risk.facts.windows import Masks
from fivefold.risk.language.expressions import Condition, Input, Window, input_key
from fivefold.risk.language.fields import TRANSACTION_FIELDS

FORMS: TypeAdapter[Window] = TypeAdapter(Input)
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
    facts = LinkedFacts(pl.LazyFrame(), TRANSACTION_FIELDS, base="EUR")
    partials = Partials(facts=facts, masks=Masks(facts, {}))
    for word in words:
        made = FORMS.validate_python({word: "amount"})
        partials.add(input_key(made), made, signal=False)
        partials.add(input_key(made), made, signal=False)
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


WRITTEN = st.integers(1, 15).flatmap(
    lambda digits: st.tuples(st.integers(-(10**digits) + 1, 10**digits - 1), st.integers(0, min(digits, 9)))
)
"""Numbers of up to 15 digits, with up to nine of them behind the point."""


@given(st.lists(WRITTEN.map(lambda pair: Decimal(pair[0]).scaleb(-pair[1])), min_size=1, max_size=20))
def test_numbers_are_added_as_they_were_written(written: list[Decimal]) -> None:
    """Sums of a few hundred million with cents were some billionths away from what paper says."""
    frame = pl.DataFrame({"value": [float(one) for one in written]})
    units = frame.select(billionths(pl.col("value"))).to_series().to_list()
    assert [Fraction(one, NUMBER_UNITS) for one in units] == [Fraction(one) for one in written]
    total = sum(written)
    added = frame.select(in_numbers(billionths(pl.col("value")).sum())).item()
    assert added == pytest.approx(float(total), rel=2**-52, abs=0)
    if abs(total) < 10**15 and total == round(total, 2):
        assert round(Decimal(repr(added)), 2) == total or abs(total) > 10**13


def test_three_hundred_million_and_three_cents() -> None:
    frame = pl.DataFrame({"value": [100_000_000.01] * 3})
    assert frame.select(in_numbers(billionths(pl.col("value")).sum())).item() == 300_000_000.03
