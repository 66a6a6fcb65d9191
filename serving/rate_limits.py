"""How often a token may ask: counted in this process, a minute's requests at once at most."""

from collections.abc import Callable
from math import ceil
from time import monotonic

from fivefold.serving.responses import Refusal

TOO_OFTEN = "Too many requests in a minute for your plan"
MOST_REMEMBERED = 100_000


class Rates:
    """Counts requests by token, as a bucket that fills evenly: who asks evenly is never refused."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Count nothing yet."""
        self._clock = clock
        self._buckets: dict[int, tuple[float, float]] = {}
        """By token: what is left, and when that was so."""

    def require(self, token_id: int, per_minute: int | None) -> None:
        """Take one request of a token; Refusal 429 where its minute is used up, None is no limit."""
        if per_minute is None:
            return
        now = self._clock()
        left, since = self._buckets.get(token_id, (float(per_minute), now))
        left = min(float(per_minute), left + (now - since) * per_minute / 60)
        if left < 1:
            raise Refusal(429, TOO_OFTEN, headers={"Retry-After": str(ceil((1 - left) * 60 / per_minute))})
        if len(self._buckets) >= MOST_REMEMBERED:
            self._buckets.clear()
        self._buckets[token_id] = (left - 1, now)
