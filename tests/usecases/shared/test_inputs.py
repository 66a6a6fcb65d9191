"""What people say when they change what decides."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.usecases.shared.inputs import checked_moment, checked_per_second, checked_reason, read_quarter


def test_a_reason_stands_without_the_space_around_it() -> None:
    assert checked_reason("  too many\nalerts ") == "too many\nalerts"
    assert checked_reason("x" * 2000) == "x" * 2000


@pytest.mark.parametrize("reason", ["", " \t\n", "x" * 2001, None, 5, "a\0b", "\ud800"])
def test_what_is_no_reason_is_refused(reason: Any) -> None:
    with pytest.raises(ConfigError, match="the reason must say why, in 1 to 2000 characters"):
        checked_reason(reason, "the reason")


@pytest.mark.parametrize("rate", [0, -1, 100_001, 1.0, True, "5", None])
def test_what_is_no_rate_is_refused(rate: Any) -> None:
    with pytest.raises(ConfigError, match="per_second is"):
        checked_per_second(rate)
    assert [checked_per_second(1), checked_per_second(100_000)] == [1, 100_000]


@pytest.mark.parametrize("moment", [10**20, -(10**20), 1.0, True, "2026-11-20", None])
def test_what_is_no_moment_is_refused(moment: Any) -> None:
    with pytest.raises(ConfigError, match=r"since is .*; it must be a moment in microseconds"):
        checked_moment(moment, "since")
    assert checked_moment(0, "since") == 0


def test_a_quarter_is_three_months() -> None:
    found = read_quarter("2026Q3")
    assert found.name == "2026Q3"
    assert found.from_us == to_microseconds(datetime(2026, 7, 1, tzinfo=UTC))
    assert found.until_us == to_microseconds(datetime(2026, 10, 1, tzinfo=UTC))


def test_each_begins_where_the_one_before_ends() -> None:
    found = [read_quarter(f"{year}Q{number}") for year in (2023, 2024, 2025) for number in (1, 2, 3, 4)]
    assert [one.until_us for one in found[:-1]] == [one.from_us for one in found[1:]]
    assert {(one.until_us - one.from_us) // DAY_US for one in found} == {90, 91, 92}


NONE = ["", "2026", "2026Q0", "2026Q5", "2026q3", "Q3 2026", "2026-Q3", "2026Q3 ", "26Q3", "0000Q1", "9999Q4", "²026Q3"]


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_quarter_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="it must be a year and a quarter from Q1 to Q4, such as 2026Q3"):
        read_quarter(name)
