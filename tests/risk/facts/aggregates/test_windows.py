"""Windows and conditions become columns, each once."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from pydantic import TypeAdapter

from fivefold.risk.compiler.value_types import column_of
from fivefold.risk.facts.linked import LinkedFacts
from fivefold.risk.facts.portfolio import AS_OF
from fivefold.risk.facts.windows import Masks, edges, end_of, fields_in, is_opening, opens_at, start_of
from fivefold.risk.language.expressions import Condition, Input, Window
from fivefold.risk.language.fields import TRANSACTION_FIELDS
from fivefold.risk.language.quantities import Duration, parse_duration

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
    """A month before 31 March is 29 February, and two months before it 31 January; days come one after the other."""
    march = int(datetime(2024, 3, 31, tzinfo=UTC).timestamp()) * 1_000_000
    for over, begin in (("1 month", "01-31"), ("1 day", "02-28")):
        made = form(count="transactions", over=over, ending="1 month ago")
        ends = pl.DataFrame({AS_OF: [march]}).select(**edges([made])).cast(pl.Datetime("us")).row(0)
        assert [f"{end:%m-%d}" for end in ends] == [begin, "02-29"]


@pytest.mark.parametrize(("length", "parts"), [("1 month", 12), ("6 months", 2), ("2 months", 6), ("1 year", 2)])
def test_windows_on_the_calendar_that_end_one_after_the_other_hold_each_moment_once(length: str, parts: int) -> None:
    begin = datetime(2023, 12, 25, 10, tzinfo=UTC)
    moments = [int((begin + timedelta(days=day)).timestamp()) * 1_000_000 for day in range(400)]
    each, unit = parse_duration(length).count, parse_duration(length).unit
    past = [form(count="transactions", over=length, ending=f"{each * place} {unit}s ago") for place in range(1, parts)]
    windows = [form(count="transactions", over=length), *past]
    at = pl.DataFrame({AS_OF: moments})
    made = at.select(**edges(windows))
    begins = [made[start_of(window)].to_list() for window in windows]
    assert begins[:-1] == [made[end_of(window)].to_list() for window in windows[1:]]
    whole = at.select(begin=Duration(each * parts, unit).before(pl.col(AS_OF)))
    assert begins[-1] == whole["begin"].to_list()
    assert [opens_at(windows[-1], moment) for moment in moments] == begins[-1]


def test_the_fields_that_an_aggregate_reads_are_found() -> None:
    made = form(sum="amount", where=CASH)
    assert (fields_in(made), column_of(made)) == ({"word", "sure"}, "amount")
    lone = form(count="transactions")
    assert (fields_in(lone), column_of(lone)) == (set(), None)
