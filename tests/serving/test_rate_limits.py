"""How often a token may ask."""

import pytest

from fivefold.serving.rate_limits import RateLimiter
from fivefold.serving.responses import ApiError

TOKEN, OTHER = 1, 2


def test_a_minutes_requests_may_come_at_once_and_then_evenly() -> None:
    now = 0.0
    rates = RateLimiter(lambda: now)
    for _ in range(60):
        rates.require(TOKEN, 60)
    with pytest.raises(ApiError) as refused:
        rates.require(TOKEN, 60)
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
    rates.require(OTHER, 60)
    now = 1.0
    rates.require(TOKEN, 60)
    with pytest.raises(ApiError):
        rates.require(TOKEN, 60)
    now = 10_000.0
    for _ in range(60):
        rates.require(TOKEN, 60)
    with pytest.raises(ApiError):
        rates.require(TOKEN, 60)


def test_without_a_limit_nothing_is_counted() -> None:
    rates = RateLimiter()
    for _ in range(100_000):
        rates.require(TOKEN, None)
