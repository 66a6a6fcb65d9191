"""Own exchange rates: two people let them hold, nothing is lost without them, and each rate says of which day it is."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.domain.money import Rate, ecb_rates_of_days
from fivefold.domain.rate_files import DatedRate, DatedRates
from fivefold.usecases.accounts.rate_tables import (
    RateTableLine,
    differences_in,
    list_rate_tables,
    put_rates_in,
    rates_from_rows,
    show_rates,
)
from fivefold.usecases.changes.asks import put_rates
from fivefold.usecases.changes.proposals import approve_proposal
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.monitoring.statistics import PlatformFigures
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.rates import rates_for
from tests.store.filling import filled_once
from tests.usecases import banks, platforms
from tests.usecases.at_once import change_settings
from tests.usecases.banks import Bank

DIRHAM = {"currency": "AED", "date": "2024-06-28", "rate": 0.25}
PAID = {"input": {"sum": "amount"}, "cases": [{"when": {"at_least": 1000}, "points": 40}]}


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    made = Bank(engine)
    made.put("a")
    made.settle()
    return made


def own(*rows: dict[str, Any]) -> DatedRates:
    return rates_from_rows(rows or [DIRHAM], "our treasury")


def test_money_without_a_rate_is_known_once_two_people_gave_one(bank: Bank) -> None:
    """A level is held where the money is unknown, and follows it as soon as a rate is approved."""
    bank.activate(banks.document({"paid": PAID}))
    bank.mark("a")
    bank.settle()
    assert bank.level() == 1
    dirhams = platforms.transaction(1, "a", transaction_currency="AED", transaction_amount=8000.0)
    assert add_transactions(bank.context, [dirhams]).without_rate == 1
    bank.settle()
    assert (bank.assessments()[-1].status, bank.level()) == ("failed", 1)
    assert show_rates(bank.context).without_rate == {"AED": 1}
    bank.wait(1)

    writer, other = (Actor(bank.of, f"member:{number}") for number in (7, 8))
    made = put_rates(Context(bank.engine, writer).at(bank.now), own(), "the treasury's")
    assert (made.result is None, made.proposal is not None) == _needs_two(bank)
    if made.proposal is not None:
        assert list_rate_tables(bank.context) == []
        with pytest.raises(ConflictError, match="another person approves it"):
            approve_proposal(Context(bank.engine, writer).at(bank.now), made.proposal.id, "fine")
        approve_proposal(Context(bank.engine, other).at(bank.now), made.proposal.id, "fine")
    bank.settle()
    assert (bank.assessments()[-1].status, bank.level()) == ("assessed", 2)
    shown = show_rates(bank.context)
    assert shown.without_rate == {}
    (dirham,) = [rate for rate in shown.rates if rate.currency == "AED"]
    assert (dirham.per_unit, dirham.known_on, dirham.stale) == (0.25, "2024-06-28", True)


def _needs_two(bank: Bank) -> tuple[bool, bool]:
    """A ruleset that the test put in place straight away has no activation, so nothing decides as far as is written."""
    from fivefold.store.changes.proposals import needs_two_people

    with Session(bank.engine) as session:
        decided = needs_two_people(session, bank.of)
    return decided, decided


def test_the_newest_table_holds_each_currency_at_its_latest_rate_by_the_day(bank: Bank) -> None:
    rows = [DIRHAM, {**DIRHAM, "date": "2024-06-30", "rate": 0.26}, {**DIRHAM, "currency": "USD", "rate": 0.5}]
    put_rates(bank.context, own(), "")
    made = put_rates(bank.context, own(*rows), "").result
    assert isinstance(made, RateTableLine)
    assert (made.number, made.currencies, made.last_day) == (2, ("AED", "USD"), "2024-06-30")
    with Session(bank.engine) as session:
        table = rates_for(session, bank.of, "EUR", date(2024, 6, 29))
    assert (table.per_unit("AED"), table.per_unit("USD")) == (0.25, 0.5)
    assert table.known_on("JPY") == date(2024, 6, 28), "what it lacks is the ECB's"
    with Session(bank.engine) as session:
        assert "AED" not in rates_for(session, bank.of, "EUR", date(2024, 6, 1)).rates


def test_a_file_of_the_ecb_is_kept_in_the_base_currency(bank: Bank) -> None:
    """Each day that has a rate of the base; a currency that became the euro has its fixed rate on those since."""
    change_settings(bank.context, base_currency="JPY")
    friday, saturday = date(2024, 6, 28), date(2024, 6, 29)
    euros = [("JPY", friday, 170.0), ("JPY", date(2010, 12, 30), 100.0), ("USD", friday, 1.25)]
    others = [("EEK", date(2010, 12, 30), 16.0), ("USD", date(2024, 6, 27), 9.0), ("RUB", date(2010, 12, 30), 40.0)]
    rows = tuple(DatedRate(code, day, 1 / units) for code, day, units in [*euros, *others])
    put_rates(bank.context, DatedRates("EUR", rows, "file"), "")
    with Session(bank.engine) as session:
        late, early = (rates_for(session, bank.of, "JPY", day).rates for day in (saturday, date(2010, 12, 31)))
    assert early["EEK"] == Rate(pytest.approx(100 / 16), date(2010, 12, 30))
    assert late["EEK"] == Rate(pytest.approx(170 / 15.6466), friday)
    assert late["EUR"] == Rate(pytest.approx(170), friday)
    assert late["USD"] == Rate(pytest.approx(170 / 1.25), friday), "the day before has no rate of the base"
    assert late["RUB"] == Rate(pytest.approx(100 / 40), date(2010, 12, 30))


def test_a_file_of_the_ecb_into_the_euro_has_fixed_rates_once(bank: Bank) -> None:
    days = [date(2022, 12, 30), date(2023, 1, 2), date(2023, 1, 3)]
    rows = [DatedRate("USD", day, 0.9) for day in days] + [DatedRate("HRK", days[0], 1 / 7.5365)]
    put_rates(bank.context, DatedRates("EUR", tuple(rows), "file"), "")
    (table,) = list_rate_tables(bank.context)
    assert (table.rows, table.last_day) == (5, "2023-01-03")
    with Session(bank.engine) as session:
        kuna = [rates_for(session, bank.of, "EUR", day).rates["HRK"] for day in days]
    assert kuna == [Rate(1 / 7.5365, days[0]), *[Rate(1 / 7.5345, date(2023, 1, 1))] * 2]


def test_rates_that_are_stored_stay_as_they_were_stored(bank: Bank) -> None:
    """An earlier release kept the last rate of the kuna; what was assessed by it is to be computed again."""
    with Session(bank.engine) as session, session.begin():
        content = canonical_json([["HRK", "2022-12-30", repr(1 / 7.5365)]])
        put_rates_in(session, bank.context, "EUR", "file", content, bank.now)
    with Session(bank.engine) as session:
        kuna = rates_for(session, bank.of, "EUR", date(2024, 6, 28)).rates["HRK"]
    assert kuna == Rate(1 / 7.5365, date(2022, 12, 30))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: own({**DIRHAM, "date": "2999-01-01"}), "the rate of AED is of 2999-01-01, which is in the future"),
        (lambda: own({**DIRHAM, "currency": "aed"}), "rate 0: currency is 'aed'"),
        (lambda: own({**DIRHAM, "rate": 0}), "rate 0: rate is 0; it must be positive"),
        (lambda: own({**DIRHAM, "rate": "1_000"}), "rate 0: rate is '1_000'"),
        (lambda: own({**DIRHAM, "rate": True}), "rate 0: rate is 'True'"),
        (lambda: own({**DIRHAM, "rate": 1e300}), "rate 0: rate is 1e[+]300"),
        (lambda: own({**DIRHAM, "date": "2024-W10"}), "rate 0: .* date '2024-W10'"),
        (lambda: own({**DIRHAM, "extra": 2}), "rate 0: it has extra; a rate has currency, date, rate and nothing else"),
        (lambda: own({**DIRHAM, "currency": "JPY", "rate": 171.9}), "the table has the wrong direction"),
        (lambda: own(DIRHAM, {**DIRHAM, "rate": 0.1}), "two rates of AED of"),
        (lambda: own({**DIRHAM, "currency": "EUR"}), "and EUR is the base: leave it out"),
        (lambda: DatedRates(None, (), "our treasury"), "our treasury has no rates"),
        (lambda: DatedRates("EUR", (DatedRate("EUR", date(2024, 6, 28), 1.0),), "file"), "file has no rates"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(bank: Bank, make: Callable[[], DatedRates], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        put_rates(bank.context, make(), "")
    assert list_rate_tables(bank.context) == []


def test_a_file_of_the_ecb_without_the_base_is_refused(bank: Bank) -> None:
    change_settings(bank.context, base_currency="JPY")
    with pytest.raises(ConfigError, match="file has no rate of JPY, the base currency"):
        put_rates(bank.context, DatedRates("EUR", own().rows, "file"), "")
    assert list_rate_tables(bank.context) == []


def test_the_age_of_the_newest_rate_is_watched(bank: Bank) -> None:
    (before,) = PlatformFigures(bank.engine, lambda: bank.now).read()
    today = from_microseconds(bank.now).date()
    put_rates(bank.context, own({**DIRHAM, "date": today.isoformat()}), "")
    (after,) = PlatformFigures(bank.engine, lambda: bank.now).read()
    assert before.rates_age_days > 0
    assert after.rates_age_days == 0


def test_rates_come_from_a_file(tmp_path: Path, bank: Bank) -> None:
    from fivefold.domain.rate_files import read_dated_rates

    (tmp_path / "rates.csv").write_text("currency,date,rate\nAED,2024-06-28,0.25\n")
    put_rates(bank.context, read_dated_rates(tmp_path / "rates.csv"), "")
    assert [line.rows for line in list_rate_tables(bank.context)] == [1]


@pytest.mark.parametrize("base", ["EUR", "USD"])
def test_a_first_table_differs_from_the_rates_that_ship(base: str, bank: Bank) -> None:
    """The ECB's own history changes nothing, so only the rates that are not its own are counted."""
    fridays = [date(2024, 6, day) for day in (14, 21, 28)]
    history = ecb_rates_of_days(base, [("JPY", day) for day in fridays])
    rows = [["JPY", day.isoformat(), repr(rate)] for (_, day), rate in history.items()]
    others = [["JPY", "2024-06-20", "0.005"], ["AED", "2024-06-20", "0.25"], ["AED", "2024-06-15", "0.26"]]
    now_us = (fridays[-1] - date(1970, 1, 1)).days * DAY_US
    with Session(bank.engine) as session:
        same, other = (
            differences_in(session, bank.of, base, "ours", canonical_json(table), now_us)
            for table in (rows, [*rows, *others])
        )
    assert (len(rows), same["currencies"], same["earlier"]) == (3, [], 0)
    assert other["earlier"] == 2, "the newest of AED is today's"
