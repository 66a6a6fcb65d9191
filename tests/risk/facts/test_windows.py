"""Windows and conditions become columns, each once."""

from datetime import UTC, datetime

import polars as pl
from pydantic import TypeAdapter

from fivefold.risk.compiler.value_types import column_of
from fivefold.risk.facts.linked import LinkedFacts
from fivefold.risk.facts.portfolio import AS_OF
from fivefold.risk.facts.windows import Masks, edges, fields_in, is_opening, start_of
from fivefold.risk.language.expressions import Condition, Input, Window
from fivefold.risk.language.fields import TRANSACTION_FIELDS

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
    made = pl.DataFrame({AS_OF: [0]}).select(**edges([*windows, form(count="transactions")]))
    assert made.row(0, named=True) == {"@after 1 month": -31 * 86_400_000_000, "@after 30 days": -30 * 86_400_000_000}
    assert all(map(is_opening, made.columns))
    assert start_of(windows[1]) in made.columns


def test_a_window_that_ends_in_the_past_has_an_end_of_its_own() -> None:
    """Counted one after the other: a month before 31 March is 29 February, and a month before that 29 January."""
    made = form(count="transactions", over="1 month", ending="1 month ago")
    march = int(datetime(2024, 3, 31, tzinfo=UTC).timestamp()) * 1_000_000
    ends = pl.DataFrame({AS_OF: [march]}).select(**edges([made])).cast(pl.Datetime("us")).row(0)
    assert [f"{end:%m-%d}" for end in ends] == ["01-29", "02-29"]


def test_the_fields_that_an_aggregate_reads_are_found() -> None:
    made = form(sum="amount", where=CASH)
    assert (fields_in(made), column_of(made)) == ({"word", "sure"}, "amount")
    lone = form(count="transactions")
    assert (fields_in(lone), column_of(lone)) == (set(), None)
