"""What people say when they change what decides."""

from typing import Any

import pytest

from fivefold.domain.errors import ConfigError
from fivefold.usecases.shared.reasons import checked_moment, checked_rate, checked_reason


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
        checked_rate(rate)
    assert [checked_rate(1), checked_rate(100_000)] == [1, 100_000]


@pytest.mark.parametrize("moment", [10**20, -(10**20), 1.0, True, "2026-11-20", None])
def test_what_is_no_moment_is_refused(moment: Any) -> None:
    with pytest.raises(ConfigError, match=r"since is .*; it must be a moment in microseconds"):
        checked_moment(moment, "since")
    assert checked_moment(0, "since") == 0
