"""Inputs resolved: one column each, in the order of the entities, with errors and signals beside."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.errors import FileFormatError, InvalidRulesetError
from fivefold.domain.money import Rate, RateTable
from fivefold.risk.compiler.ratios import decimals_of_ratio, divided, ratio_of, units_of_ratio
from fivefold.risk.compiler.value_types import Vocabulary
from fivefold.risk.facts.inputs import Needs, resolve, sources_of
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio, error_of, lacking_of, signal_of
from fivefold.risk.language.expressions import Condition, FieldInput, Input, input_key
from fivefold.risk.language.fields import CASE_FIELDS, TRANSACTION_FIELDS
from tests.risk.conftest import Refusal

FORMS: TypeAdapter[Any] = TypeAdapter(Input)
assert Condition is not None  # the forms know what a condition is once its module is imported
JULY = datetime(2024, 7, 1, tzinfo=UTC)
DAY = date(2024, 7, 1)
RATES = RateTable("EUR", DAY, {"JPY": Rate(0.25, DAY)}, "test")
FIELDS: dict[str, Any] = {"income": "number", "opened_on": "date", "declared": "number", "purposes": ("text",)}
OWN: dict[str, Any] = {"purpose": "text", "size": "number"}
NAMES = Vocabulary(entity=FIELDS, transaction={**OWN, **TRANSACTION_FIELDS}, case=CASE_FIELDS)
Data = dict[str, Any]


def made(written: Data) -> Any:
    return FORMS.validate_python(written)


def entities(count: int = 1, **columns: Any) -> pl.DataFrame:
    known = {"income": [None] * count, "opened_on": [None] * count, "declared": [None] * count}
    ids = [f"e{number}" for number in range(count)]
    return pl.DataFrame({ENTITY: ids, **known, "purposes": [None] * count, **columns}, strict=False)


def resolved(written: list[Data], portfolio: Portfolio, *signals: Data, lists: Any = None) -> pl.DataFrame:
    needs = Needs([made(one) for one in written], [made(one) for one in signals], NAMES)
    asked = portfolio.entities.with_columns(pl.lit(to_microseconds(JULY)).alias(AS_OF))
    return resolve(needs, portfolio, sources_of(needs, portfolio), lists or {}, asked)


def rows(*facts: Data) -> pl.DataFrame:
    usual = {"entity_id": "e0", "transaction_currency": "EUR", "transaction_date": JULY, "purpose": None, "size": None}
    schema = {
        "entity_id": pl.String,
        "transaction_amount": pl.Float64,
        "transaction_currency": pl.String,
        "transaction_date": pl.Datetime("us", "UTC"),
        "transaction_state": pl.String,
        "purpose": pl.String,
        "size": pl.String,
    }
    return pl.DataFrame([{**usual, **fact} for fact in facts], schema=schema)


def ratio(over: Data, under: Data) -> Data:
    return {"ratio": [over, under]}


DEPOSITS: Data = {"sum": "amount", "where": {"field": "direction", "equals": "deposit"}}
ALL: Data = {"sum": "amount"}


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_ratio_of_money_is_divided_once(part: int, rest: int) -> None:
    facts = rows({"transaction_amount": part / 100}, {"transaction_amount": -rest / 100})
    found = resolved([ratio(DEPOSITS, ALL)], Portfolio(entities(), RATES, facts))
    wanted = part / (part + rest) if part + rest else None
    assert found[input_key(made(ratio(DEPOSITS, ALL)))].item() == wanted


def test_ratio_of_different_units() -> None:
    yen, income = {"sum": "amount", "in_currency": "JPY"}, {"field": "income"}
    facts = rows({"transaction_amount": 3.0, "transaction_currency": "JPY"}, {"transaction_amount": 30.0})
    asked = [ratio(yen, ALL), ratio(ALL, income), ratio(income, ALL), ratio(income, {"count": "transactions"})]
    found = resolved(asked, Portfolio(entities(income=[0.5]), RATES, facts))
    assert [found[input_key(made(one))].item() for one in asked] == [3 / 30.75, 61.5, 0.5 / 30.75, 0.25]


@given(st.integers(-(10**7), 10**7), st.integers(1, 10**7), st.sampled_from([1, 10, 100, 1000, 10**6]))
@example(60, 2, 10)  # 0.6 over 0.2 is 3, and no hair less
@example(133_133, 10_241, 10)  # 1,331.33 EUR are 1.3 times 1,024.10
def test_ratio_of_numbers_with_decimals_is_that_of_the_numbers_as_written(part: int, rest: int, units: int) -> None:
    """Each side alone as a float would put one quotient in ten a hair above or below what it is."""
    income, declared = {"field": "income"}, {"field": "declared"}
    facts = rows({"transaction_amount": part / 100})
    known = entities(income=[part / 100], declared=[rest / units])
    asked = [
        ratio(income, declared),
        ratio({"sum": "signed_amount"}, declared),
        ratio(declared, {"sum": "signed_amount"}),
    ]
    found = resolved(asked, Portfolio(known, RATES, facts))
    exact = Fraction(part, 100) / Fraction(rest, units)
    wanted = [float(exact), float(exact), float(1 / exact) if part else None]
    assert [found[input_key(made(one))].item() for one in asked] == wanted


@given(st.floats(-1e15, 1e15), st.floats(-1e15, 1e15).filter(bool), st.sampled_from([(1, 1), (1, 100), (100, 1)]))
def test_a_ratio_of_one_row_is_that_of_columns(over: float, under: float, units: tuple[int, int]) -> None:
    times, by = units
    money, number = {"sum": "amount"}, {"field": "income"}
    asked = {
        (1, 1): ratio({"field": "declared"}, number),
        (1, 100): ratio(money, number),
        (100, 1): ratio(number, money),
    }
    form = made(asked[units])
    assert units_of_ratio(form, NAMES, "EUR") == units
    sides = [pl.Series(input_key(part), [value]) for part, value in zip(form.ratio, (over, under), strict=True)]
    found = pl.DataFrame(sides).select(ratio_of(form, NAMES, "EUR")).item()
    assert found == divided(over, under, times, by, decimals_of_ratio(form, NAMES))


def test_ratio_with_nothing_below_is_unknown_and_an_error_stays_one() -> None:
    asked = ratio({"count": "transactions"}, {"field": "income"})
    found = resolved([asked], Portfolio(entities(4, income=["0", "ten", None, "2"]), RATES, rows()))
    assert found[input_key(made(asked))].to_list() == [None, None, None, 0.0]
    assert found[error_of(input_key(made(asked)))].to_list() == [None, "ten", None, None]


def test_days_since_a_field_is_exact() -> None:
    asked = {"days_since": "opened_on"}
    moments = [JULY - timedelta(days=90), JULY - timedelta(hours=36), JULY + timedelta(days=1), None]
    found = resolved([asked], Portfolio(entities(4, opened_on=moments), RATES))
    assert found[input_key(made(asked))].to_list() == [90.0, 1.5, -1.0, None]


def test_error_found_with_the_rows_is_kept() -> None:
    frame = entities(2, income=[None, 5.0]).with_columns(pl.Series(error_of("income"), ["'ten'", None]))
    found = resolved([{"field": "income"}], Portfolio(frame, RATES))
    assert found[error_of(input_key(made({"field": "income"})))].to_list() == ["'ten'", None]
    assert found[input_key(made({"field": "income"}))].to_list() == [None, 5.0]


def test_signals_stand_beside_their_inputs() -> None:
    field, count = {"field": "opened_on"}, {"count": "transactions"}
    portfolio = Portfolio(entities(opened_on=["2024-06-01"]), RATES, rows({"transaction_amount": 1.0}))
    found = resolved([field, count], portfolio, field, count)
    assert found[signal_of(input_key(made(field)))].item() == to_microseconds(JULY) - 30 * DAY_US
    assert found[signal_of(input_key(made(count)))].item() == to_microseconds(JULY)


def test_values_by_entity_whatever_their_order() -> None:
    frame = pl.DataFrame({"entity_id": ["e2", "e0"], "account_age": [float("nan"), 5.0]})
    values = pl.DataFrame({"entity_id": ["e1"], "score": [3], "segment": ["top"], "expected_value": [1.5]})
    asked: list[Data] = [{"indicator": "account_age"}, {"value": "score"}, {"value": "segment"}]
    found = resolved(asked, Portfolio(entities(3), RATES, indicators=frame, values=values))
    assert found[input_key(made(asked[0]))].to_list() == [5.0, None, None]
    assert found[input_key(made(asked[1]))].to_list() == [None, 3.0, None]
    assert found[input_key(made(asked[2]))].to_list() == [None, "top", None]


def test_money_of_the_value_is_known_in_the_base_currency_alone() -> None:
    other = "USD" if RATES.base == "EUR" else "EUR"
    values = pl.DataFrame(
        {"entity_id": ["e0", "e1", "e2"], "score": [3.0, 4.0, None], "expected_value": [1.5, 2.5, None]}
    )
    values = values.with_columns(currency=pl.Series([RATES.base, other, other]))
    score, money = [{"value": "score"}, {"value": "expected_value"}]
    found = resolved([score, money], Portfolio(entities(3), RATES, values=values))
    assert found[input_key(made(score))].to_list() == [3.0, 4.0, None]
    assert found[input_key(made(money))].to_list() == [1.5, None, None]
    assert found[lacking_of(input_key(made(money)))].to_list() == [None, other, None]
    by_base = values.filter(pl.col("currency") == RATES.base)
    assert lacking_of(input_key(made(money))) not in resolved([money], Portfolio(entities(1), RATES, values=by_base))


def test_indicator_that_is_no_column_is_refused(refusal: Refusal) -> None:
    frame = pl.DataFrame({"entity_id": ["e0"]})
    with refusal(InvalidRulesetError):
        resolved([{"indicator": "account_age"}], Portfolio(entities(), RATES, indicators=frame))


def test_everything_missing_is_told_at_once_and_once() -> None:
    asked = [{"count": "cases"}, {"count": "cases", "over": "1 day"}, {"tag": "x"}, {"field": "gone"}]
    names = Vocabulary(entity={**FIELDS, "gone": "text"}, transaction=NAMES.transaction, case=NAMES.case)
    needs = Needs([made(one) for one in asked], [], names)
    with pytest.raises(InvalidRulesetError) as refused:
        sources_of(needs, Portfolio(entities(), RATES))
    assert [finding.where for finding in refused.value.findings] == ["tags", "cases", "field gone"]


@pytest.mark.parametrize("source", ["cases", "alerts"])
def test_an_error_of_cases_or_alerts_says_of_which(source: str) -> None:
    needs = Needs([made({"count": source})], [], NAMES)
    with pytest.raises(FileFormatError, match=f"^{source} have no opened"):
        sources_of(needs, Portfolio(entities(), RATES, **{source: pl.DataFrame({ENTITY: ["a"]})}))


STRUCTURING: Data = {"pattern": "structuring", "threshold": 100, "margin": "10%", "at_least": 2, "over": "30 days"}
NEAR: list[Data] = [{"transaction_amount": 95.0}, {"transaction_amount": 99.0}]
OLD = JULY - timedelta(days=31)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"transaction_amount": float("inf")}, "transaction_amount is inf; allowed: a finite number of at most 1e+15"),
        ({"transaction_amount": 1.0, "size": "huge"}, None),  # a field that it does not read
        ({"transaction_amount": float("inf"), "transaction_date": OLD}, None),  # outside the window
        ({"transaction_amount": float("inf"), "transaction_date": JULY + timedelta(days=1)}, None),
        ({"transaction_amount": float("inf"), "entity_id": "e1"}, None),
        ({"transaction_amount": float("inf"), "transaction_state": "FAILED"}, None),
    ],
)
def test_pattern_is_spoilt_by_what_it_reads_alone(wrong: Data, problem: str | None) -> None:
    asked = [STRUCTURING, {"sum": "size"}]
    found = resolved(asked, Portfolio(entities(), RATES, rows(*NEAR, wrong)))
    key = input_key(made(STRUCTURING))
    assert (found[error_of(key)].item() if error_of(key) in found.columns else None) == problem
    assert found[key].item() == (2.0 if problem is None else None)


def test_sleep_is_spoilt_by_what_was_before() -> None:
    asked: Data = {"pattern": "dormant-then-active", "dormant": "90 days", "active": "30 days", "at_least": 1}
    wrong = {"transaction_amount": float("inf"), "transaction_date": OLD}
    found = resolved([asked], Portfolio(entities(), RATES, rows(*NEAR, wrong)))
    assert found[error_of(input_key(made(asked)))].item() is not None


def test_declared_amount_that_cannot_be_read_fails_its_pattern() -> None:
    asked: Data = {
        "pattern": "volume-deviation", "expected_monthly": "declared", "factor": 2, "over": "30 days"
    }  # fmt: skip
    found = resolved([asked], Portfolio(entities(2, declared=["much", "10"]), RATES, rows(*NEAR)))
    assert found[error_of(input_key(made(asked)))].to_list() == ["declared is much", None]


def test_list_of_a_where_is_that_which_was_given() -> None:
    asked = {"count": "transactions", "where": {"field": "purpose", "in_list": "watched"}}
    facts = rows({"transaction_amount": 1.0, "purpose": "x"}, {"transaction_amount": 1.0, "purpose": "y"})
    found = resolved([asked], Portfolio(entities(), RATES, facts), lists={"watched": ("x",)})
    assert found[input_key(made(asked))].item() == 1


def test_parts_of_inputs_are_there_as_well() -> None:
    needs = Needs([made(ratio(DEPOSITS, {"field": "income"}))], [], NAMES)
    assert [input_key(one) for one in needs.everything()][1] == input_key(FieldInput(field="income"))
    assert len(needs.everything()) == 3
