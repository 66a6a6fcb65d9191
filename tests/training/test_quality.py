"""Times without a row: what is usual is not named, and what an export lost is."""

from collections import Counter
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US, day_text, to_microseconds
from fivefold.domain.money import Rate, RateTable, base_only
from fivefold.features.histories import Histories, Stateless, Ties, ties
from fivefold.features.reading.sources import read_histories
from fivefold.models.reach import SimilarNames
from fivefold.models.registry import RegisteredVersion
from fivefold.training.config import CheckSettings
from fivefold.training.windows import Quality, RowGap, Windows, holes, lacking_rows, unusual_gaps

FIRST = (date(2023, 1, 2) - date(1970, 1, 1)).days
"""A Monday."""


@given(seed=st.integers(0, 10_000), rate=st.floats(0.05, 20))
def test_by_chance_alone_there_is_hardly_ever_a_gap(seed: int, rate: float) -> None:
    counts = np.random.default_rng(seed).poisson(rate, 730)
    gaps = unusual_gaps({FIRST + day: int(count) for day, count in enumerate(counts) if count})
    assert gaps == []


@given(begins=st.integers(30, 600), days=st.integers(3, 60), more=st.integers(0, 100))
def test_days_that_were_lost_are_named_whatever_else_is_there(begins: int, days: int, more: int) -> None:
    rows = {FIRST + day: 1 + more for day in range(730) if not begins <= day < begins + days}
    assert unusual_gaps(rows) == [RowGap(FIRST + begins, FIRST + begins + days - 1)]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["12", "12 "], "1 identifier looks like that of another customer, such as '12 ': "),
        (["a\u200b", "b", "\u00fc1", "u\u03081", "a"], "2 identifiers look like "),
        ([" a", "a ", "b"], "2 identifiers look like that of another customer, such as ' a' and 'a ': "),
        (["a  b", "a\tb", "a b "], "3 identifiers look like that of another customer, such as 'a\\tb'"),
        (["a", "A", "12", "0012", "b ", "1 23", "12 3", "123", "John Smith", "JohnSmith"], ""),
        ([], ""),
    ],
)
def test_identifiers_that_differ_by_what_cannot_be_seen_are_named(names: list[str], found: str) -> None:
    whole, parted = SimilarNames(), SimilarNames()
    whole.add(pl.Series(names, dtype=pl.String))
    for name in names:
        each = SimilarNames()
        each.add(pl.Series([name]))
        parted.include(each)
    assert parted.text == whole.text
    assert whole.text.startswith(found)
    assert bool(whole.text) is bool(found)


@pytest.mark.parametrize("closed", [{5, 6}, {6}, {1, 2, 3, 4, 5, 6}])
def test_days_of_the_week_on_which_nothing_ever_happens_are_no_gap(closed: set[int]) -> None:
    rows = {FIRST + day: 10 for day in range(730) if day % 7 not in closed}
    assert unusual_gaps(rows) == []
    lost = {day: count for day, count in rows.items() if not FIRST + 301 <= day < FIRST + 331}
    ((first, last),) = unusual_gaps(lost)
    assert first <= FIRST + 301 < FIRST + 330 <= last


def test_an_outage_is_named_before_the_gaps_of_a_slow_beginning() -> None:
    slow = {1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15}
    rows = {FIRST + day: 10 for day in range(730) if day not in slow and not 600 <= day < 614}
    assert [gap.last - gap.first + 1 for gap in unusual_gaps(rows)] == [14, 3, 3, 3, 3]
    quality = Quality(rows=sum(rows.values()), days=Counter(rows))
    _, warnings = quality.refusals_and_warnings(CheckSettings(), base_only("EUR", date(2024, 1, 1)))
    since = date(1970, 1, 1) + timedelta(FIRST + 600)
    assert any(f"the data lack rows from {since} to " in text and "and 2 more" in text for text in warnings)


def test_of_few_days_nothing_is_known() -> None:
    assert unusual_gaps({}) == []
    assert unusual_gaps({FIRST: 1, FIRST + 400: 1}) == []


def test_rows_lack_in_a_window_that_a_gap_reaches_into_and_in_no_other() -> None:
    rows = {FIRST + day: 10 for day in range(730) if not 400 <= day < 430}
    quality = Quality(rows=sum(rows.values()), days=Counter(rows))

    def lacks(day: int) -> str:
        return lacking_rows(quality, (FIRST + day) * DAY_US, 90)

    since = date(1970, 1, 1) + timedelta(FIRST + 400)
    assert f"the data lack rows from {since} to {since + timedelta(29)} (30 days)" in lacks(380)
    assert "lack rows" in lacks(425)
    assert "lack rows" in lacks(315)
    assert lacks(300) == lacks(430) == ""


@pytest.mark.parametrize(("lost", "has_holes"), [(66, True), (22, False), (23, True)])
def test_a_window_that_lacks_more_than_a_quarter_of_its_days_has_holes(lost: int, has_holes: bool) -> None:
    rows = {FIRST + day: 10 for day in range(730) if not 641 <= day < 641 + lost}
    quality = Quality(rows=sum(rows.values()), days=Counter(rows))
    text = holes(quality, (FIRST + 639) * DAY_US, 90)
    assert bool(text) is has_holes
    if has_holes:
        assert f"({lost} days)" in text
    assert holes(quality, (FIRST + 500) * DAY_US, 90) == ""


@pytest.mark.parametrize("years", [1, 3])
@pytest.mark.parametrize("rests", ["never", "at weekends"])
def test_a_window_in_which_a_business_closes_each_august_has_no_holes_once_a_year_is_known(
    years: int, rests: str
) -> None:
    days = [date(2023, 1, 2) + timedelta(days=number) for number in range(365 * years - 60)]
    is_open = [each.month != 8 and (rests == "never" or each.weekday() < 5) for each in days]
    rows = {FIRST + number: 10 for number, opened in enumerate(is_open) if opened}
    quality = Quality(rows=sum(rows.values()), days=Counter(rows))
    assert bool(holes(quality, (max(rows) - 90) * DAY_US, 90)) is (years == 1)


def days_of(*rows_a_day: int, days: int = 90) -> Quality:
    """Give so many rows on each day, for 90 days each."""
    rows = {FIRST + days * number + day: rows for number, rows in enumerate(rows_a_day) for day in range(days) if rows}
    return Quality(rows=sum(rows.values()), days=Counter(rows))


@pytest.mark.parametrize(
    ("rows_a_day", "usual"),
    [
        ((350, 100, 80, 82, 75, 65), ""),  # the purchases of a cohort: CDNOW
        ((350, 100), ""),
        ((20, 40, 80, 160, 320), ""),
        ((350, 100, 80, 82, 75, 10), "windows of 90 days before it, but for those with hardly a row, usually 7,290"),
        ((20, 40, 80, 160, 320, 25), "windows of 90 days before it, but for those with hardly a row, usually 10,800"),
        ((100, 100, 100, 2, 2), "windows of 90 days before it, but for those with hardly a row, usually 9,000"),
    ],
)
def test_few_rows_are_told_from_a_shop_that_slowed_by_the_year_before(rows_a_day: tuple[int, ...], usual: str) -> None:
    """An export that lost nearly all for longer than a horizon is told as well: what is hardly there is not usual."""
    start = (FIRST - 1 + 90 * (len(rows_a_day) - 1)) * DAY_US
    said = lacking_rows(days_of(*rows_a_day), start, 90)
    assert said == (usual and f"the 90 days after {day_text(start)} have {90 * rows_a_day[-1]:,} rows, and {usual}")


@pytest.mark.parametrize(("thin", "named"), [(40, False), (4, True)])
def test_training_windows_are_compared_with_what_is_usual_before_the_test_window(thin: int, named: bool) -> None:
    """After a start of ten times as many rows a window of less than half of the usual was one with hardly a row."""
    rows_a_day = (1_000, 100, thin, 100, 100, 100)
    as_of = np.array([(FIRST - 1 + 90 * number) * DAY_US for number in range(1, 6)])
    customers = np.full(5, 1_000)
    windows = Windows(as_of, 90, customers, np.array([90 * rows for rows in rows_a_day[1:]]), customers)
    refusals, warnings = windows.refusals_and_warnings(CheckSettings(), days_of(*rows_a_day))
    assert refusals == []
    assert warnings == ([f"hardly a row in 1 of 4 training windows: {windows.days_text(1)}"] if named else [])


def test_where_nothing_whole_came_before_the_busiest_time_is_usual() -> None:
    said = lacking_rows(days_of(1, 100), (FIRST - 1) * DAY_US, 90)
    assert said.endswith(" have 90 rows, and the busiest 90 days of the data 9,000")


def test_only_a_version_that_says_it_learnt_from_nearly_all_states_is_not_judged_without_many() -> None:
    few, many = (
        Quality(rows=1_000, days=Counter({FIRST - 90: 1_000}), stateless=Stateless({FIRST - 90: count}))
        for count in (5, 10)
    )

    def version(**tags: str) -> RegisteredVersion:
        return RegisteredVersion(1, 0, (), "", tags, {})

    assert few.lost_states_text(version(stateless_share="0.0"), FIRST * DAY_US, 30) == ""
    lost = many.lost_states_text(version(stateless_share="0.0"), FIRST * DAY_US, 30)
    assert lost.startswith("10 of 1,000 rows (1.0 %) have no transaction_state")
    assert many.lost_states_text(version(), FIRST * DAY_US, 30) == ""  # an earlier release did not count
    assert many.lost_states_text(version(stateless_share="0.3"), FIRST * DAY_US, 30) == ""
    assert many.lost_states_text(version(absent_columns="transaction_state"), FIRST * DAY_US, 30) == ""


def test_a_window_of_which_many_rows_lost_their_states_judges_no_version_that_learnt_with_them() -> None:
    """Five years of rows, the last 18 days without a state: below 1 % of all of them."""
    days, lost = 5 * 365, 18
    stateless = Stateless({FIRST + days - lost + day: 10 for day in range(lost)})
    quality = Quality(rows=days * 10, days=Counter({FIRST + day: 10 for day in range(days)}), stateless=stateless)
    assert quality.stateless_share < 0.01
    version = RegisteredVersion(1, 0, (), "", {"stateless_share": "0.0"}, {})
    start = (FIRST + days - 31) * DAY_US
    since = day_text((FIRST + days - lost) * DAY_US)
    assert quality.lost_states_text(version, start, 30) == (
        f"in the 30 days after {day_text(start)} 180 of 310 rows (58.1 %) have no transaction_state, the first at "
        f"{since}: each of them counts as settled"
    )
    assert quality.lost_states_text(version, start - 30 * DAY_US, 30) == ""
    parts = Quality(stateless=stateless)
    parts.include(Quality(stateless=stateless))
    assert parts.stateless.days == dict.fromkeys(stateless.days, 20)


def test_currencies_of_the_data_whose_rate_is_long_past_are_named_with_its_day() -> None:
    day, past = date(2024, 6, 30), date(2022, 12, 30)
    units = {"HRK": Rate(0.13, past), "RUB": Rate(0.01, past), "USD": Rate(0.93, day), "CYP": Rate(1.7, past)}
    rates = RateTable("EUR", day, units, "tests")

    def warned(**rows: int) -> list[str]:
        quality = Quality(rows=sum(rows.values()), currencies=Counter(rows), balances=1, kinds=Counter(deposits=1))
        return [text for text in quality.refusals_and_warnings(CheckSettings(), rates)[1] if "rate" in text]

    assert warned(EUR=3, USD=1) == []
    (text,) = warned(EUR=1, RUB=1, HRK=8)
    assert text == (
        "money is converted at a rate last known more than a year before 2024-06-30, the day of the exchange rates: "
        "HRK (rate of 2022-12-30, 80.0 % of the rows), RUB (rate of 2022-12-30, 10.0 % of the rows)"
    )
    assert Quality(currencies=Counter(RUB=2, EUR=9, HRK=1)).stale(rates) == ["RUB", "HRK"]


def tied_rows(**columns: list[Any]) -> Histories:
    """Read two customers: one has two rows of one moment, the other one row of that moment and one of the next day."""
    moments = ["2024-01-02", "2024-01-02", "2024-01-02", "2024-01-03"]
    rows = {
        "user_id": ["a", "a", "b", "b"],
        "transaction_date": moments,
        "transaction_amount": [10.0, -5.0, 1.0, 1.0],
        "user_balance": [10.0, 5.0, 1.0, 2.0],
        **columns,
    }
    return read_histories(pl.DataFrame(rows), base_only("EUR", date(2024, 1, 1)))


@pytest.mark.parametrize(
    ("columns", "unordered"),
    [
        ({}, 1),
        ({"transaction_id": ["1", "2", "3", "4"]}, 0),
        ({"transaction_id": ["1", None, "3", "4"]}, 1),
        ({"user_balance": [5.0, 5.0, 1.0, 2.0]}, 0),
        ({"user_balance": [None, None, None, None]}, 0),
    ],
)
def test_balances_whose_order_is_a_guess_are_counted_by_customer(columns: dict[str, list[Any]], unordered: int) -> None:
    histories = tied_rows(**columns)
    assert ties(histories) == Ties(0, unordered)
    quality = Quality()
    quality.add(histories, ("EUR",))
    quality.include(quality)
    _, warnings = quality.refusals_and_warnings(CheckSettings(), base_only("EUR", date(2024, 1, 1)))
    said = [text for text in warnings if "different balances at one moment" in text]
    assert bool(said) == bool(unordered)
    assert all(text.startswith("2 customers have ") for text in said)


@pytest.mark.parametrize(
    ("days", "seen_until", "unordered"),
    [
        ((2, 2, 2, 3), 9, 1),
        ((2, 2, 2, 2), 9, 2),
        ((2, 2, 2, 2), 1, 0),  # they come after the as-of
        ((2, 3, 3, 4), 9, 0),
        ((2, 3, 2, 2), 1, 0),
    ],
)
def test_a_last_balance_is_a_guess_at_the_last_moment_that_is_seen(
    days: tuple[int, ...], seen_until: int, unordered: int
) -> None:
    histories = tied_rows(transaction_date=[f"2024-01-{day:02}" for day in days])
    until = to_microseconds(date(2024, 1, seen_until))
    assert ties(histories, until) == Ties(0, unordered)


def test_after_a_moment_of_several_rows_a_single_row_says_which_balance_is_the_last() -> None:
    histories = tied_rows(user_id=["a"] * 4)
    first = to_microseconds(date(2024, 1, 2))
    assert ties(histories) == ties(histories, first) == Ties(0, 1)
    assert ties(histories, first + DAY_US) == ties(histories, first - 1) == Ties(0, 0)
