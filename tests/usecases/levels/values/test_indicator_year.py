"""The year behind a value: the last number is the explanation's, each month is what the model sees as of its end."""

from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US, from_microseconds, to_microseconds
from fivefold.domain.errors import NotFoundError
from fivefold.features.stored import stored_histories
from fivefold.models.value_model import ValueModel
from fivefold.store.levels import bulk_reads as loading
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.portfolio import read_transactions
from fivefold.usecases.levels.value_scores import MONTHS, EntityScorer, ValueView, moments_of_year, read_value
from tests.console.test_queries import statements
from tests.models.making import converting_model, model_of_amounts, value_model
from tests.store.filling import filled_once
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank

WHOLE = {"user_balance": 500.0, "user_created": "2025-01-01", "user_category": "WEB"}
FIRST_US = to_microseconds(date(2026, 6, 15))


@cache
def settled_later() -> ValueModel:
    return converting_model(definition={**value_model().definition, "settlement_lag_days": 3})


@pytest.fixture(scope="module")
def model() -> ValueModel:
    return settled_later()


@filled_once
def with_payments(engine: Engine) -> Bank:
    made = Bank(engine)
    made.valuer = EntityScorer(settled_later(), "fivefold-value", 3)
    made.activate(banks.document({"country": banks.COUNTRY}))
    made.put("known")
    moments = (from_microseconds(at_us).isoformat()[:19] for at_us in range(FIRST_US, made.now, 10 * DAY_US))
    rows = [
        platforms.transaction(number, "known", transaction_amount=40.0 * (number + 1), transaction_date=at, **WHOLE)
        for number, at in enumerate(moments)
    ]
    add_transactions(made.context, rows, "customer")
    made.settle()
    made.valuer = None  # it would be copied as well
    return made


@pytest.fixture
def bank(engine: Engine, model: ValueModel) -> Bank:
    """A customer who has paid in since June, every ten days."""
    bank = with_payments(engine)
    bank.valuer = EntityScorer(model, "fivefold-value", 3)
    return bank


def value(bank: Bank, name: str = "known") -> ValueView:
    found = read_value(bank.context, "customer", name, valuer=bank.valuer, over_year=True)
    assert found is not None
    return found


def scored(bank: Bank) -> int:
    with bank.engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM value_scores").scalar_one())


def test_the_last_number_is_that_of_the_explanation(bank: Bank, model: ValueModel) -> None:
    bank.wait(4)
    shown = value(bank)
    assert shown.breakdown is not None
    assert shown.indicators is not None
    assert shown.indicators.moments_us[-1] == shown.as_of_us == bank.now - 4 * DAY_US
    assert shown.breakdown.total == pytest.approx(shown.score, abs=1e-9)
    assert {part.name: part.value for part in shown.breakdown.contributions} == {
        name: line.values[-1] for name, line in shown.indicators.lines.items()
    }
    assert set(shown.indicators.lines) == set(model.indicators)


def test_a_value_that_is_not_read_over_the_year_has_the_last_number_alone(bank: Bank) -> None:
    over_year, alone = value(bank), read_value(bank.context, "customer", "known", valuer=bank.valuer)
    assert alone is not None
    assert alone.breakdown == over_year.breakdown
    assert alone.indicators is not None
    assert over_year.indicators is not None
    assert alone.indicators.moments_us == (alone.as_of_us,)
    assert alone.indicators.lines == {
        name: replace(line, values=line.values[-1:]) for name, line in over_year.indicators.lines.items()
    }


def test_each_month_is_what_the_model_sees_as_of_its_end(bank: Bank, model: ValueModel) -> None:
    year = value(bank).indicators
    assert year is not None
    assert len(year.moments_us) == MONTHS + 1
    with bank.context.reading() as session:
        whose = loading.fact_owners(session, [bank.id_of("known")])
        histories = stored_histories(read_transactions(session, whose, bank.now, for_value=True), model.rates)
    for place, moment_us in enumerate(year.moments_us):
        matrix, counts = model.matrix(histories, moment_us)
        assert (counts[0] == 0) == (place < year.before_first)
        expected = [None if np.isnan(number) or not counts[0] else number for number in matrix[0].tolist()]
        assert [line.values[place] for line in year.lines.values()] == expected


def test_months_before_the_first_transaction_are_absent_and_not_zero(bank: Bank) -> None:
    year = value(bank).indicators
    assert year is not None
    before = [each for each in year.moments_us if each - 3 * DAY_US < FIRST_US]
    assert len(before) == year.before_first == 7  # the ends of November to May
    deposits = year.lines["deposit_count_90d"].values
    assert deposits[:7] == (None,) * 7
    assert deposits[7:] == (2.0, 5.0, 8.0, 9.0, 9.0, 9.0)


def test_medians_are_those_of_the_reference_of_the_model_and_nothing_where_it_has_none(
    bank: Bank, model: ValueModel
) -> None:
    year = value(bank).indicators
    assert year is not None
    assert year.reference_us == model.test_as_of
    assert {name: line.median for name, line in year.lines.items()} == {
        name: model.reference.medians.get(name) for name in model.indicators
    }
    emptied = replace(model, reference=replace(model.reference, counts=model.reference.empty()))
    bank.wait(1)
    bank.valuer = EntityScorer(emptied, "fivefold-value", 4)
    bank.mark("known")
    bank.settle()
    year = value(bank).indicators
    assert year is not None
    assert {line.median for line in year.lines.values()} == {None}


@pytest.mark.full
def test_a_model_of_amounts_has_the_year_of_what_it_reads(bank: Bank, model: ValueModel) -> None:
    bank.wait(1)
    bank.valuer = EntityScorer(replace(model_of_amounts(), rates=model.rates), "fivefold-value", 4)
    bank.mark("known")
    bank.settle()
    shown = value(bank)
    assert shown.indicators is not None
    assert shown.breakdown is not None
    assert list(shown.indicators.lines) == list(bank.valuer.model.indicators)
    assert {part.name: part.value for part in shown.breakdown.contributions} == {
        name: line.values[-1] for name, line in shown.indicators.lines.items()
    }


def test_there_is_no_year_without_the_model_that_gave_the_score(bank: Bank, model: ValueModel) -> None:
    for other in (None, EntityScorer(model, "fivefold-value", 4)):
        bank.valuer = other
        shown = value(bank)
        assert (shown.breakdown, shown.indicators) == (None, None)
        assert "does not serve now" in shown.unexplained


def test_there_is_no_year_where_what_became_known_since_gives_another_score(bank: Bank) -> None:
    bank.pay(900, "known", **{**WHOLE, "user_balance": 90_000.0}, transaction_date="2026-11-01", transaction_amount=9e4)
    shown = value(bank)
    assert (shown.breakdown, shown.indicators) == (None, None)
    assert "became known since" in shown.unexplained


def test_of_who_was_erased_there_is_no_value(bank: Bank, tmp_path: Path) -> None:
    assert scored(bank) == 1
    bank.wait(2_000)  # records are kept for five years
    erase_entity(bank.context, "customer", "known", tmp_path / "erased.jsonl")
    assert scored(bank) == 0
    with pytest.raises(NotFoundError, match="there is no customer"):
        read_value(bank.context, "customer", "known", valuer=bank.valuer)


def test_more_transactions_take_no_more_statements(bank: Bank) -> None:
    with statements(bank.engine) as few:
        value(bank)
    rows = [platforms.transaction(number, "known", **WHOLE) for number in range(100, 130)]
    add_transactions(bank.context, rows, "customer")
    bank.wait(1)
    bank.settle()
    with statements(bank.engine) as many:
        assert value(bank).indicators is not None
    assert len(many) == len(few) <= 8


def test_months_end_in_a_leap_year_and_over_the_turn_of_a_year() -> None:
    ends = moments_of_year(to_microseconds(date(2024, 3, 1)))
    assert [from_microseconds(each).strftime("%m-%d") for each in ends[:-1]] == [
        "03-31", "04-30", "05-31", "06-30", "07-31", "08-31", "09-30", "10-31", "11-30", "12-31", "01-31", "02-29",
    ]  # fmt: skip
    assert all((end + 1) % DAY_US == 0 for end in ends[:-1])
    assert list(ends) == sorted(set(ends))
