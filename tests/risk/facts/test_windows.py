"""Windows and conditions become columns, each once."""

import polars as pl
from pydantic import TypeAdapter

from fivefold.risk.facts.linked import LinkedFacts
from fivefold.risk.facts.portfolio import AS_OF
from fivefold.risk.facts.windows import Masks, fields_in, is_opening, start_of, starts, value_field
from fivefold.risk.language.expressions import Condition, Input, Window
from fivefold.risk.language.fields import TRANSACTION_FIELDS
from fivefold.risk.language.quantities import parse_duration

FORMS: TypeAdapter[Window] = TypeAdapter(Input)
assert Condition is not None  # the forms know what a condition is once its module is imported
CASH = {"all": [{"field": "word", "equals": "cash"}, {"not": {"field": "sure", "equals": True}}]}
FACTS = LinkedFacts(
    pl.LazyFrame(),
    {"word": "text", "sure": "flag", **TRANSACTION_FIELDS},
    base="EUR",
    usual=pl.col("state") == "settled",
    usual_field="state",
)


def form(**written: object) -> Window:
    return FORMS.validate_python(written)


def test_shared_windows_and_conditions_are_computed_once() -> None:
    masks = Masks(FACTS, {})
    first = masks.of(form(count="transactions", over="30 days", where=CASH))
    assert first == masks.of(form(sum="amount", where=CASH, over="30 days"))
    assert first != masks.of(form(count="transactions", over="31 days", where=CASH))
    assert len(masks.parts) == 4  # two windows, one condition, and the usual
    assert len(masks.wholes) == 2


def test_a_condition_in_another_currency_is_another() -> None:
    masks = Masks(FACTS, {})
    where = {"field": "amount", "at_least": 10}
    assert masks.of(form(count="transactions", where=where)) != masks.of(
        form(count="transactions", where=where, in_currency="USD")
    )


def test_without_anything_to_ask_all_facts_that_have_a_time_count() -> None:
    masks = Masks(LinkedFacts(pl.LazyFrame(), {}), {})
    name = masks.of(form(count="cases"))
    made = pl.DataFrame({"time": [1, None]}).select(masks.parts[name])
    assert made.to_series().to_list() == [True, False]


def test_openings_are_one_for_each_length() -> None:
    windows = [form(count="transactions", over=over) for over in ("1 month", "30 days", "1 month")]
    made = pl.DataFrame({AS_OF: [0]}).select(**starts([*windows, form(count="transactions")]))
    assert made.row(0, named=True) == {"@after 1 month": -31 * 86_400_000_000, "@after 30 days": -30 * 86_400_000_000}
    assert all(map(is_opening, made.columns))
    assert start_of(parse_duration("30 days")) in made.columns


def test_the_fields_that_an_aggregate_reads_are_found() -> None:
    made = form(sum="amount", where=CASH)
    assert (fields_in(made), value_field(made)) == ({"word", "sure"}, "amount")
    lone = form(count="transactions")
    assert (fields_in(lone), value_field(lone)) == (set(), None)
