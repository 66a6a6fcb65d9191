"""Inputs, conditions and values in plain words."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fivefold.risk.compiler.value_types import InputColumn
from fivefold.risk.engine.explain.describe import condition_words, input_words, value_words
from fivefold.risk.language.expressions import Condition, Input, word_of
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.policy import POLICY_INPUTS
from tests.depth import examples
from tests.golden import compare


def any_input(data: dict[str, Any]) -> Any:
    form = POLICY_INPUTS.get(word_of(data, POLICY_INPUTS) or "", TypeAdapter(Input))
    return form.validate_python(data) if isinstance(form, TypeAdapter) else form.model_validate(data)


def test_input() -> None:
    compare("inputs", lambda data: input_words(any_input(data)))


def test_a_level_goes_by_its_name() -> None:
    assert value_words(2, InputColumn("it", ValueType.LEVEL, levels=("low", "high"))) == "high"


def test_condition() -> None:
    compare("conditions", lambda when: condition_words(TypeAdapter(Condition).validate_python(when)))


MONEY, YEN, NUMBER = (
    InputColumn("m", ValueType.MONEY, 100),
    InputColumn("y", ValueType.MONEY),
    InputColumn("n", ValueType.NUMBER),
)


def test_value() -> None:
    compare("values", lambda row: value_words(of_json(row[0]), InputColumn("it", ValueType(row[1]), row[2]), "EUR"))


def of_json(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


near = st.floats(-0.01, 0.01, allow_subnormal=False)


@given(st.sampled_from([0, 1, 31, 100, 10000]), near, st.sampled_from([MONEY, NUMBER]))
def test_value_is_shown_on_its_own_side_of_a_cut(cut: int, beside: float, column: InputColumn) -> None:
    value = (cut + beside) * column.units
    shown = value_words(value, column, cuts=(Decimal(cut),)).replace(",", "")
    exact = Decimal(str(value)) / column.units
    assert Decimal(shown).compare(Decimal(cut)) == exact.compare(Decimal(cut))


def words_slowly(value: float, column: InputColumn, cuts: list[Decimal]) -> str:
    """Write a number as it reads: rounded, more finely as long as that would put it elsewhere beside a cut."""
    exact = Decimal(str(value)) / column.units
    money, size = column.kind is ValueType.MONEY, exact.adjusted()
    if not money and exact and not -15 <= size < 15:
        return str(value)
    minor = len(str(column.units)) - 1
    places = [minor + more for more in (0, 2, 4, 8)] if money else [max(n - max(size + 1, 0), 2) for n in (6, 9, 12)]
    sides = [exact.compare(cut) for cut in (*cuts, Decimal(0))]
    fit = (one for one in (round(exact, at) for at in places) if [one.compare(cut) for cut in (*cuts, 0)] == sides)
    shown = next(fit, exact)
    return f"{shown if money else shown.normalize():,f}"


all_cuts = st.lists(st.decimals(-1000, 1000, places=4), max_size=3)
numbers = st.one_of(st.floats(-1e17, 1e17), st.floats(-2, 2), st.integers(-(10**17), 10**17), st.integers(-1000, 1000))
COLUMNS = [MONEY, YEN, InputColumn("l", ValueType.MONEY, 10_000), NUMBER, InputColumn("f", ValueType.FINDING)]


@settings(max_examples=examples(250))
@given(numbers, all_cuts, st.sampled_from(COLUMNS), st.sampled_from([0, 1e-9, -1e-6, 0.004, -0.5]), st.booleans())
def test_number_is_what_it_reads_as(
    value: float, cuts: list[Decimal], column: InputColumn, beside: float, near: bool
) -> None:
    if near and cuts:
        value = (float(cuts[0]) + beside) * column.units
    assert value_words(value or 0, column, cuts=cuts) == words_slowly(value or 0, column, cuts)
