"""Quarters: each begins where the one before ends, and nothing else is one."""

from datetime import UTC, datetime

import pytest

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.usecases.shared.quarters import quarter_named


def test_a_quarter_is_three_months() -> None:
    found = quarter_named("2026Q3")
    assert found.name == "2026Q3"
    assert found.from_us == to_microseconds(datetime(2026, 7, 1, tzinfo=UTC))
    assert found.until_us == to_microseconds(datetime(2026, 10, 1, tzinfo=UTC))


def test_each_begins_where_the_one_before_ends() -> None:
    found = [quarter_named(f"{year}Q{number}") for year in (2023, 2024, 2025) for number in (1, 2, 3, 4)]
    assert [one.until_us for one in found[:-1]] == [one.from_us for one in found[1:]]
    assert {(one.until_us - one.from_us) // DAY_US for one in found} == {90, 91, 92}


NONE = ["", "2026", "2026Q0", "2026Q5", "2026q3", "Q3 2026", "2026-Q3", "2026Q3 ", "26Q3", "0000Q1", "9999Q4", "²026Q3"]


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_quarter_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="it must be a year and a quarter from Q1 to Q4, such as 2026Q3"):
        quarter_named(name)
