"""Rate limits of tokens, counted in this process."""

from collections.abc import Callable
from math import ceil
from time import monotonic

from fivefold.serving.responses import ApiError

TOO_OFTEN = "Too many requests in a minute for your plan"
CHANGES_TOO_OFTEN = "Too many changes by tools in a minute for your plan"
MOST_REMEMBERED = 100_000


class RateLimiter:
    """Counts requests by token in a token bucket: evenly spaced requests are never refused."""

    def __init__(self, clock: Callable[[], float] = monotonic, refusal: str = TOO_OFTEN) -> None:
        """Begin with full buckets; *refusal* is what a refusal says."""
        self._clock = clock
        self._refusal = refusal
        self._buckets: dict[int, tuple[float, float]] = {}
        """By token: the requests left, and when they were counted."""

    def require(self, token_id: int, per_minute: int | None) -> None:
        """Count one request of a token; ApiError 429 if its minute is used up. None means no limit."""
        if per_minute is None:
            return
        now = self._clock()
        remaining, since = self._buckets.get(token_id, (float(per_minute), now))
        remaining = min(float(per_minute), remaining + (now - since) * per_minute / 60)
        if remaining < 1:
            raise ApiError(429, self._refusal, headers={"Retry-After": str(ceil((1 - remaining) * 60 / per_minute))})
        if len(self._buckets) >= MOST_REMEMBERED:
            self._buckets.clear()
        self._buckets[token_id] = (remaining - 1, now)
