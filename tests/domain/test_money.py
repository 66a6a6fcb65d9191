"""Exchange rates: the European Central Bank's, and the operator's own."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError
from fivefold.domain.money import Rate, RateTable, base_only, ecb_rates, ecb_rates_of_days
from fivefold.domain.rate_files import DatedRate, DatedRates, read_rates

DAY = date(2024, 6, 28)
HEAD = "currency,date,rate\n"


@pytest.fixture(scope="module")
def euros() -> RateTable:
    return ecb_rates("EUR", DAY)


@pytest.mark.parametrize(
    ("day", "code", "units_per_euro"),
    [
        (DAY, "USD", 1.0705),
        (DAY, "GBP", 0.84638),
        (DAY, "JPY", 171.94),
        (date(1999, 1, 4), "USD", 1.1789),  # the first of all
        (date(2008, 7, 15), "USD", 1.5990),
        (date(2022, 3, 1), "RUB", 117.2010),  # the last of this one
        (date(2022, 12, 30), "HRK", 7.5365),
    ],
)
def test_the_published_rates(day: date, code: str, units_per_euro: float) -> None:
    rate = ecb_rates("EUR", day).rates[code]
    assert rate.per_unit == pytest.approx(1 / units_per_euro, rel=1e-12)
    assert rate.known_on == day


@pytest.mark.parametrize(
    "text", ["currency;date;rate\nUSD;2024-06-28;0,9341\n", "rate\tcurrency\tdate\n0.9341\tUSD\t2024-06-28\n"]
)
def test_a_table_as_a_spreadsheet_saves_it_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(text)
    assert read_rates(path, "EUR", DAY).rates == {"USD": Rate(0.9341, DAY)}


@pytest.mark.parametrize("rate", ["1.234,5", "0,93,41", ",5"])
def test_what_is_no_number_with_a_decimal_comma_is_refused(tmp_path: Path, rate: str) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(f"currency;date;rate\nUSD;2024-06-28;{rate}\n")
    with pytest.raises(ConfigError, match="line 2: rate is"):
        read_rates(path, "EUR", DAY)


@pytest.mark.parametrize("day", [date(2024, 6, 29), date(2024, 6, 30)])
def test_a_weekend_has_fridays_rates(day: date, euros: RateTable) -> None:
    weekend = ecb_rates("EUR", day)
    assert weekend.as_known_on == day
    assert weekend.rates == euros.rates


@pytest.mark.parametrize(("code", "last", "units_per_euro"), [("RUB", date(2022, 3, 1), 117.2010)])
def test_a_currency_without_rates_any_more_keeps_its_last(code: str, last: date, units_per_euro: float) -> None:
    table = ecb_rates("EUR", DAY)
    assert table.rates[code] == Rate(1 / units_per_euro, last)
    assert code in table.stale()


JOINED = [  # the Council of the EU's conversion rates, by the first day of the euro
    ("SIT", date(2007, 1, 1), 239.640),
    ("CYP", date(2008, 1, 1), 0.585274),
    ("MTL", date(2008, 1, 1), 0.429300),
    ("SKK", date(2009, 1, 1), 30.1260),
    ("EEK", date(2011, 1, 1), 15.6466),
    ("LVL", date(2014, 1, 1), 0.702804),
    ("LTL", date(2015, 1, 1), 3.45280),
    ("HRK", date(2023, 1, 1), 7.53450),
    ("BGN", date(2026, 1, 1), 1.95583),
]


@pytest.mark.parametrize(("code", "first", "units_per_euro"), JOINED)
def test_a_currency_that_became_the_euro_has_its_fixed_rate_on_every_day_since(
    code: str, first: date, units_per_euro: float
) -> None:
    later = date(2026, 6, 27)
    for day in (first, first + timedelta(days=1), later):
        assert ecb_rates("EUR", day).rates[code] == Rate(1 / units_per_euro, first)
    eve = ecb_rates("EUR", first - timedelta(days=1)).rates[code]
    assert eve == Rate(pytest.approx(1 / units_per_euro, rel=3e-4), eve.known_on), "the last rate is nearly the fixed"
    assert first - timedelta(days=4) < eve.known_on < first
    yen, friday = ecb_rates("JPY", later), date(2026, 6, 26)
    assert yen.rates[code] == Rate(pytest.approx(yen.per_unit("EUR") / units_per_euro, rel=1e-14), friday)
    into_it = ecb_rates(code, later)
    assert into_it.rates["JPY"] == Rate(pytest.approx(units_per_euro / yen.per_unit("EUR"), rel=1e-14), friday)
    assert into_it.rates["EUR"] == Rate(pytest.approx(units_per_euro, rel=1e-14), first)


def test_of_two_fixed_rates_the_later_first_day_is_that_of_their_rate() -> None:
    assert ecb_rates("HRK", DAY).rates["EEK"] == Rate(pytest.approx(7.5345 / 15.6466), date(2023, 1, 1))
    assert ecb_rates("EEK", DAY).rates["HRK"] == Rate(pytest.approx(15.6466 / 7.5345), date(2023, 1, 1))


def test_a_gap_of_years_is_not_taken_for_a_rate_of_the_day() -> None:
    """Iceland's krona had no market, and no reference rate, from December 2008 to January 2018."""
    krona = ecb_rates("EUR", date(2015, 6, 1)).rates["ISK"]
    assert krona == Rate(1 / 290.0, date(2008, 12, 9))
    assert "ISK" in ecb_rates("EUR", date(2015, 6, 1)).stale()
    assert "ISK" not in ecb_rates("EUR", DAY).stale()


def test_stale_is_more_than_a_year_old(euros: RateTable) -> None:
    assert {"RUB", "ROL", "TRL"} <= set(euros.stale())
    assert not {"HRK", "CYP", "EEK", "LTL", "LVL", "MTL", "SIT", "SKK"} & set(euros.stale()), "fixed for ever"
    assert "HRK" in RateTable("EUR", DAY, {"HRK": Rate(0.13, date(2022, 12, 30))}, "own").stale(), "of before the euro"
    assert not {"USD", "GBP", "JPY", "CHF", "PLN", "CZK"} & set(euros.stale())
    assert list(euros.stale()) == sorted(euros.stale())
    ages = {"OLD": 366, "YOUNG": 365, "NEW": 0}
    rates = {code: Rate(1.0, DAY - timedelta(days=age)) for code, age in ages.items()}
    assert RateTable("EUR", DAY, rates, "tests").stale() == ("OLD",)


def test_the_newest_day_of_a_table_is_that_of_its_latest_rate() -> None:
    rates = {code: Rate(1.0, DAY - timedelta(days=age)) for code, age in {"GBP": 9, "CHF": 2, "USD": 30}.items()}
    assert RateTable("EUR", DAY, rates, "tests").newest == DAY - timedelta(days=2)
    assert base_only("EUR", DAY).newest == DAY


def test_nothing_later_than_the_day_is_known() -> None:
    early = ecb_rates("EUR", date(2004, 12, 31))
    assert not {"RON", "TRY", "CNY", "BRL"} & set(early.codes)  # they came in 2005 and after
    assert all(rate.known_on <= early.as_known_on for rate in early.rates.values())
    assert ecb_rates("EUR", date(1999, 1, 3)).codes == ("EUR",)


@pytest.mark.parametrize(("base", "day"), [("XYZ", DAY), ("USD", date(1998, 12, 31)), ("TRY", date(2000, 1, 1))])
def test_a_base_that_is_not_known_then_stands_alone(base: str, day: date) -> None:
    assert ecb_rates(base, day) == base_only(base, day)
    assert ecb_rates(base, day).codes == (base,)


def test_the_base_is_worth_one_and_comes_once(euros: RateTable) -> None:
    for base in ("EUR", "USD", "CZK"):
        table = ecb_rates(base, DAY)
        assert table.per_unit(base) == 1.0
        assert base not in table.rates
        assert table.codes == euros.codes
        assert list(table.codes) == sorted(set(table.codes))


def test_an_unknown_currency_is_a_key_error(euros: RateTable) -> None:
    with pytest.raises(KeyError, match="XAU"):
        euros.per_unit("XAU")


@pytest.mark.parametrize("base", ["USD", "JPY", "CZK", "RUB", "HRK", "EEK"])
@pytest.mark.parametrize("day", [DAY, date(2015, 6, 1), date(2008, 12, 31)])
def test_a_cross_rate_is_of_two_rates_of_one_day(base: str, day: date) -> None:
    table = ecb_rates(base, day)
    assert "EUR" in table.rates
    for code, rate in table.rates.items():
        then = ecb_rates("EUR", rate.known_on)
        assert rate.per_unit == pytest.approx(then.per_unit(code) / then.per_unit(base), rel=1e-14)
        assert ecb_rates(base, rate.known_on).rates[code] == rate, "the same as on its own day"
        back = ecb_rates(code, day).rates[base]
        assert (back.known_on, back.per_unit * rate.per_unit) == (rate.known_on, pytest.approx(1.0, rel=1e-14))


def test_a_currency_that_had_no_day_with_the_base_has_no_rate_into_it() -> None:
    """The old leu's rates ended in 2005, and the shekel's begin in 2011."""
    assert "ILS" not in ecb_rates("ROL", DAY).codes
    assert {"RON", "TRY"}.isdisjoint(ecb_rates("TRL", DAY).codes)


@pytest.mark.parametrize("base", ["EUR", "USD", "JPY", "CZK"])
def test_the_rate_of_a_day_itself_is_that_of_the_table_of_that_day(base: str) -> None:
    wanted = [(code, day) for code in ("EUR", "USD", "GBP") for day in (DAY, date(2008, 7, 15))]
    rates = ecb_rates_of_days(base, [*wanted, ("XAU", DAY)])
    assert rates == {(code, day): pytest.approx(ecb_rates(base, day).per_unit(code), rel=1e-14) for code, day in wanted}


def test_a_cross_rate_with_a_suspended_currency_is_of_its_last_day() -> None:
    """One USD was 105.4 RUB on 2022-03-01; by USD of 2024 and RUB of 2022 it would be 109.5."""
    assert ecb_rates("USD", DAY).rates["RUB"] == Rate(pytest.approx(1.1162 / 117.201, rel=1e-12), date(2022, 3, 1))
    roubles = ecb_rates("RUB", DAY)
    assert {rate.known_on for code, rate in roubles.rates.items() if code in {"EUR", "USD", "HRK", "EEK"}} == {
        date(2022, 3, 1)
    }
    assert roubles.per_unit("HRK") == pytest.approx(117.201 / 7.5690, rel=1e-3), "not the rate that was fixed later"
    assert "EUR" in roubles.stale()


codes = st.text("ABCDEFGH", min_size=3, max_size=3)
days = st.dates(date(1999, 1, 1), date(2030, 1, 1))
tables = st.builds(
    RateTable,
    codes,
    days,
    st.dictionaries(codes, st.builds(Rate, st.floats(5e-324, 1e308), days), max_size=5),
    st.text(max_size=20),
)


@given(tables)
def test_a_table_survives_json_bit_for_bit(table: RateTable) -> None:
    assert RateTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table


def test_the_same_table_is_the_same_text_in_whatever_order_its_rates_came() -> None:
    rates = {"USD": Rate(0.9, DAY), "CHF": Rate(1.1, DAY)}
    one, other = (RateTable("EUR", DAY, dict(pairs), "tests") for pairs in (rates.items(), sorted(rates.items())))
    assert json.dumps(one.to_dict()) == json.dumps(other.to_dict())


def test_the_published_table_survives_json_bit_for_bit(euros: RateTable) -> None:
    assert RateTable.from_dict(json.loads(json.dumps(euros.to_dict()))) == euros


# The operator's own table.


def written(folder: Path, text: str) -> Path:
    path = folder / "rates.csv"
    path.write_bytes(text.encode())
    return path


def test_of_each_currency_the_latest_rate_up_to_the_day_holds(tmp_path: Path) -> None:
    dollars = "USD,2024-01-02,0.9\nUSD,2024-06-28,0.93\nUSD,2024-06-29,9\nUSD,2024-01-03,0.8\n"
    others = "GBP,2023-01-01,1.1\nEUR,2024-01-01,1\n"
    table = read_rates(written(tmp_path, HEAD + dollars + others), "EUR", DAY)
    assert table.rates == {"USD": Rate(0.93, DAY), "GBP": Rate(1.1, date(2023, 1, 1))}
    assert table.per_unit("EUR") == 1.0
    assert table.stale() == ("GBP",)
    assert "rates.csv" in table.source


def test_two_rates_of_one_day_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, HEAD + "USD,2024-01-02,0.9\nUSD,2024-01-02,0.8\n")
    with pytest.raises(ConfigError, match="two rates of USD of 2024-01-02"):
        read_rates(path, "EUR", DAY)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffcurrency,date,rate\nUSD,2024-01-02,0.9\n",
        "rate,currency,date\r\n0.9, USD ,2024-01-02\r\n",
        "currency,date,rate,\nUSD,2024-01-02,0.9,\n",
        'currency,date,rate\n"USD","2024-01-02","0.9"\n\n',
        "currency,date,rate\n,,\nUSD,2024-01-02,0.9\n , ,\n,,,\n",
        "currency;date;rate\nUSD;2024-01-02;0,9\n;;\n",
        "currency,date,rate\nUSD,2024-01-02,0.9,\n",
        "currency,date,rate\nUSD,2024-01-02,0.9, ,\n",
    ],
)
def test_the_table_as_people_write_it(text: str, tmp_path: Path) -> None:
    assert read_rates(written(tmp_path, text), "EUR", DAY).rates == {"USD": Rate(0.9, date(2024, 1, 2))}


def test_an_empty_table_knows_the_base(tmp_path: Path) -> None:
    assert read_rates(written(tmp_path, HEAD), "EUR", DAY).codes == ("EUR",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("usd,2024-01-01,1", "currency is 'usd'; it must be three capital letters"),
        ("US,2024-01-01,1", "currency is 'US'"),
        (",2024-01-01,1", "currency is ''"),
        ("U5D,2024-01-01,1", "currency is 'U5D'"),
        ("USD,01.01.2024,1", "rate is '1' and date '01.01.2024'; they must be a number and an ISO date"),
        ("USD,2024-02-30,1", "they must be a number and an ISO date"),
        ("USD,,1", "they must be a number and an ISO date"),
        ('USD,2024-01-01,"1,5"', "rate is '1,5'"),
        ("USD,2024-01-01,", "rate is ''"),
        ("USD,2024-01-01", "it has 2 fields, and the header has 3 columns"),
        ("USD", "it has 1 field, and the header has 3 columns"),
        ("USD,2024-01-01,1,17", "it has 4 fields, and the header has 3 columns with a name; a number with a decimal"),
        ("USD,2024-01-01,0", "rate is 0; it must be positive, and from 1e-12 to 1e[+]12"),
        ("USD,2024-01-01,-1", "rate is -1; it must be positive"),
        ("USD,2024-01-01,nan", "they must be a number"),
        ("USD,2024-01-01,inf", "they must be a number"),
        ("USD,2024-01-01,1e400", "rate is inf; it must be positive"),
        ("USD,2024-01-01,1e300", "rate is 1e[+]300; it must be positive"),
        ("USD,2024-01-01,1e-300", "rate is 1e-300; it must be positive"),
        ("USD,2024-01-01,1_000", "rate is '1_000'"),
        ("USD,2024-01-01,\N{FULLWIDTH DIGIT ONE}", "they must be a number"),
        ("USD,2026-W10,1", "date '2026-W10'; they must be a number and an ISO date"),
        ("USD,20260302,1", "date '20260302'"),
        ("USD,2099-01-01,x", "they must be a number"),  # also where it would not be used
        ("EUR,2024-01-01,x", "they must be a number"),
        (f"{'U' * 5000},2024-01-01,1", "currency is 'U{38}[.]{3}; it must"),  # a long cell is shown by its beginning
        (f"USD,{'2' * 5000},{'x' * 5000}", "rate is 'x{38}[.]{3} and date '2{38}[.]{3}; they must"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEAD}GBP,2024-01-01,1.1\n{line}\nUSD,2024-01-01,0.9\n")
    with pytest.raises(ConfigError, match=message) as caught:
        read_rates(path, "EUR", DAY)
    assert str(caught.value).startswith(f"{path}, line 3: ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "currency,rate\nUSD,1\n",
        "currency:date:rate\nUSD:2024-01-01:1\n",
        "rate,note,currency,date\n0.9,x,USD,2024-01-02\n",
        "[" * 3_000,
    ],
)
def test_a_table_without_the_columns_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it must have currency, date, rate") as refused:
        read_rates(written(tmp_path, text), "EUR", DAY)
    assert len(str(refused.value)) < 1_000


def test_a_table_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv cannot be read"):
        read_rates(tmp_path / "none.csv", "EUR", DAY)
    (tmp_path / "rates.csv").write_bytes(HEAD.encode() + b"USD,2024-01-01,\xff\n")
    with pytest.raises(ConfigError, match=r"rates\.csv cannot be read"):
        read_rates(tmp_path / "rates.csv", "EUR", DAY)


ECB = "Date,USD,JPY,RUB,\n2024-06-28,1.0705,171.94,N/A,\n2024-06-27,1.0700,171.90,N/A,\n2022-03-01,1.11,128,117.201,\n"


def test_the_file_of_the_ecb_is_read_as_it_is_downloaded(tmp_path: Path, euros: RateTable) -> None:
    path = tmp_path / "eurofxref-hist.csv"
    path.write_text(ECB)
    table = read_rates(path, "EUR", DAY)
    assert table.per_unit("USD") == euros.per_unit("USD")
    assert table.rates["RUB"] == Rate(1 / 117.201, date(2022, 3, 1)), "each rate says of which day it is"
    dollars = read_rates(path, "USD", DAY)
    assert dollars.per_unit("EUR") == pytest.approx(1.0705)
    assert dollars.per_unit("JPY") == pytest.approx(1.0705 / 171.94)
    assert dollars.known_on("RUB") == date(2022, 3, 1)


def test_a_day_of_a_file_without_a_rate_of_the_base_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "Date,USD,ISK,\n2024-06-28,N/A,150,\n2024-06-27,1.07,149.5,\n")
    thursday = date(2024, 6, 27)
    assert read_rates(path, "EUR", DAY).rates["ISK"] == Rate(1 / 150, DAY)
    table = read_rates(path, "USD", DAY)
    assert table.rates["ISK"] == Rate(pytest.approx(1.07 / 149.5), thursday), "not the krona of one day by another's"
    assert table.rates["EUR"] == Rate(pytest.approx(1.07), thursday)


def test_a_file_whose_rates_end_before_the_euro_came_has_the_fixed_rate_from_then_on(tmp_path: Path) -> None:
    path = written(tmp_path, "Date,USD,HRK\n2024-06-28,1.0705,N/A\n2022-06-28,1.06,N/A\n2015-01-05,1.2,7.66\n")
    early, late = (read_rates(path, "USD", day).rates["HRK"] for day in (date(2022, 6, 28), DAY))
    assert early == Rate(pytest.approx(1.2 / 7.66), date(2015, 1, 5))
    assert late == Rate(pytest.approx(1.0705 / 7.5345), DAY)


def test_a_file_without_a_column_of_a_currency_has_no_rate_of_it(tmp_path: Path) -> None:
    path = written(tmp_path, "Date,USD,EUR\n2024-06-28,1.0705,1\n")
    assert read_rates(path, "EUR", DAY).codes == ("EUR", "USD")
    assert read_rates(path, "USD", DAY).rates == {"EUR": Rate(1.0705, DAY)}


ECB_CODES = ("USD", "JPY", "RUB", "HRK", "EEK")
ecb_days = st.sampled_from([date(year, 1, 1) + timedelta(days=days) for year in (2011, 2023) for days in range(-5, 6)])
ecb_files = st.dictionaries(
    st.tuples(st.sampled_from(ECB_CODES), ecb_days), st.floats(0.01, 100), min_size=1, max_size=30
)


@given(ecb_files, st.sampled_from(("EUR", *ECB_CODES)), ecb_days)
def test_a_table_has_the_last_rates_of_the_history_that_is_stored(
    rates: dict[tuple[str, date], float], base: str, day: date
) -> None:
    """Commands ask for a day, and the platform stores all days; both are what the definition says, word by word."""
    rows = tuple(DatedRate(*place, rate) for place, rate in rates.items())
    euros = DatedRates("EUR", rows, "file").euro_rates()
    table = euros.table(base, day)
    history = euros.history(base, {row.day for row in rows})
    stored = DatedRates(base, tuple(DatedRate(*place, rate) for place, rate in history.items()), "stored")
    assert stored.table(base, day).rates == table
    assert {code: rate.per_unit for code, rate in table.items()} == by_the_words(rates, base, day)


def by_the_words(rates: dict[tuple[str, date], float], base: str, day: date) -> dict[str, float]:
    fixed = {code: (first, 1 / units) for code, first, units in JOINED}
    has = {code: min(on for other, on in rates if other == code) for code, _ in rates}

    def known(code: str, on: date) -> float | None:
        if code in fixed and on >= fixed[code][0] and has.get(code, date.max) <= on:
            return fixed[code][1]
        return 1.0 if code == "EUR" else rates.get((code, on))

    answer: dict[str, float] = {}
    for code in {"EUR", *has} - {base}:
        for on in (day - timedelta(days=days) for days in range((day - date(2010, 12, 1)).days)):
            euros, anchor = known(code, on), known(base, on)
            if euros is not None and anchor is not None:
                answer[code] = euros / anchor
                break
    return answer


def test_the_file_of_the_ecb_needs_the_base(tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text(ECB)
    with pytest.raises(ConfigError, match="has no rate of AED by 2024-06-28; it has JPY, RUB, USD"):
        read_rates(tmp_path / "rates.csv", "AED", DAY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Date,USD,JPY,\n2024-06-28,1,0705,171.94,\n", "line 2: it has 5 fields, and the header has 3 columns"),
        ("Date,USD,\n2024-06-28,1,0705\n", "line 2: it has 3 fields, and the header has 2 columns"),
        ("Date,USD,JPY,\n2024-06-28,1.0705,\n", "line 2: it has 3 fields"),
        ("Date,USD,JPY\n2024-06-28,1,0705,\n", "line 2: it has 4 fields"),
        ("Date,USD,USD,\n2024-06-28,1.0705,1.07,\n", "has the column USD more than once"),
    ],
)
def test_a_line_of_the_ecb_with_other_fields_than_the_header_is_refused(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_rates(written(tmp_path, text), "EUR", DAY)


def test_a_table_that_is_the_wrong_way_round_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text(HEAD + "USD,2024-06-28,1.0705\nJPY,2024-06-28,171.94\n")
    with pytest.raises(
        ConfigError, match=r"the rate of JPY is 171\.94, where about 0\.00581598 would be right: the table"
    ):
        read_rates(tmp_path / "rates.csv", "EUR", DAY)


def test_what_has_no_order_of_magnitude_is_not_refused(tmp_path: Path) -> None:
    (tmp_path / "rates.csv").write_text(HEAD + "USD,2024-06-28,1.0705\nAED,2024-06-28,0.25\nJPY,2024-06-28,9\n")
    assert read_rates(tmp_path / "rates.csv", "EUR", DAY).codes == ("AED", "EUR", "JPY", "USD")


def test_own_rates_stand_over_others(euros: RateTable) -> None:
    own = RateTable("EUR", DAY, {"AED": Rate(0.25, DAY), "USD": Rate(0.9, DAY)}, "ours")
    both = own.over(euros)
    assert (both.per_unit("AED"), both.per_unit("USD"), both.per_unit("JPY")) == (0.25, 0.9, euros.per_unit("JPY"))
    assert both.source == "ours; what it lacks: European Central Bank reference rates"


def test_a_table_is_read_once_for_a_day() -> None:
    """The whole history is unpacked for it."""
    assert ecb_rates("EUR", DAY) is ecb_rates("EUR", DAY)
