"""A clock for tests of tokens."""

from datetime import UTC, datetime

import pytest

from fivefold.domain.clock import to_microseconds
from fivefold.store.sql.clocks import DatabaseClock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A clock that a test sets: its only item."""
    clock = [to_microseconds(datetime(2026, 11, 20, 12, tzinfo=UTC))]
    monkeypatch.setattr(DatabaseClock, "now_us", lambda _: clock[0])
    return clock
