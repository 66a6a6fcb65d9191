"""A clock for tests of tokens."""

from datetime import UTC, datetime

import pytest

from fivefold.domain.clock import to_microseconds
from fivefold.usecases.accounts import credentials, tokens


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A clock that a test sets: its only item."""
    clock = [to_microseconds(datetime(2026, 11, 20, 12, tzinfo=UTC))]
    for module in (tokens, credentials):
        monkeypatch.setattr(module, "now_microseconds", lambda: clock[0])
    return clock
