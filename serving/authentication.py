"""Looks tokens up, caches them briefly, and counts their requests; the charge at the end checks a token again.

The threads that look up people are here too.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import ceil, inf
from threading import BoundedSemaphore
from time import monotonic
from typing import TypeVar

from sqlalchemy import Engine

from fivefold.domain.errors import IdentityProviderError
from fivefold.serving.responses import NO_CREDENTIALS, ApiError
from fivefold.store.sql.clocks import clock_of
from fivefold.usecases.accounts.credentials import Credential, find_credential, hash_of

REMEMBERED_SECONDS = 2.0
MOST_REMEMBERED = 10_000
MAY_SCORE = ("app", "admin")

_SHORT_POOL = ThreadPoolExecutor(4, thread_name_prefix="short")
_SESSION_POOL = ThreadPoolExecutor(2, thread_name_prefix="console-session")
"""Threads that look up sessions: the organisation, and so its lane, is known only afterwards."""
_IDENTITY_POOL = ThreadPoolExecutor(2, thread_name_prefix="console-identity")
"""Threads that ask the identity provider: if it hangs, people who are signed in notice nothing."""
_IDENTITY_WAITING = BoundedSemaphore(8)
IDENTITY_SECONDS = 25.0
"""Longest wait for the identity provider: less than the limit of all answers, so that a page can still be sent."""
Result = TypeVar("Result")


async def run_in_short_pool(function: Callable[[], Result]) -> Result:
    """Run a short blocking call in a pool that large requests never use."""
    return await asyncio.get_running_loop().run_in_executor(_SHORT_POOL, function)


async def run_in_session_pool(function: Callable[[], Result]) -> Result:
    """Run a look-up of a session of the console."""
    return await asyncio.get_running_loop().run_in_executor(_SESSION_POOL, function)


async def ask_provider(function: Callable[[], Result]) -> Result:
    """Run a call of the identity provider; IdentityProviderError if it takes too long, or too many people wait."""
    if not _IDENTITY_WAITING.acquire(blocking=False):
        raise IdentityProviderError("too many people wait for the identity provider")
    try:
        async with asyncio.timeout(IDENTITY_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(_IDENTITY_POOL, function)
    except TimeoutError:
        raise IdentityProviderError(f"the identity provider took more than {IDENTITY_SECONDS:g} s") from None
    finally:
        _IDENTITY_WAITING.release()


class Authenticator:
    """Checks tokens against the database, each once in REMEMBERED_SECONDS at most."""

    def __init__(self, engine: Engine) -> None:
        """Begin with an empty cache."""
        self._engine = engine
        self._cached_credentials: dict[str, tuple[float, Credential | None]] = {}

    async def authenticate(self, secret: str | None) -> Credential:
        """Return the credential of a token; ApiError 401 if there is none, or it is no longer valid."""
        if not secret:
            raise ApiError(401, NO_CREDENTIALS)
        key = hash_of(secret)
        checked, credential = self._cached_credentials.get(key, (-inf, None))
        if monotonic() - checked > REMEMBERED_SECONDS:
            credential = await run_in_short_pool(partial(find_credential, self._engine, secret))
            if len(self._cached_credentials) >= MOST_REMEMBERED:
                self._cached_credentials.clear()
            self._cached_credentials[key] = (monotonic(), credential)
        now = clock_of(self._engine).now_us()
        expired = credential is not None and credential.expires_us is not None and credential.expires_us <= now
        if credential is None or expired:
            raise ApiError(401, NO_CREDENTIALS)
        return credential


def not_for_role(role: str, allowed: Iterable[str]) -> ApiError:
    """Make the refusal (403) of a valid token whose role is not among *allowed*."""
    return ApiError(403, f"Not for the role {role}; for: {', '.join(allowed)}")


def require_scoring(credential: Credential) -> None:
    """Raise ApiError 403 unless the role of a credential may score."""
    if credential.role not in MAY_SCORE:
        raise not_for_role(credential.role, MAY_SCORE)


TOO_OFTEN = "Too many requests in a minute for your plan"
CHANGES_TOO_OFTEN = "Too many changes by tools in a minute for your plan"
MOST_COUNTED = 100_000


class RateLimiter:
    """Counts requests by token in a token bucket: evenly spaced requests are never refused."""

    def __init__(self, clock: Callable[[], float] = monotonic, refusal: str = TOO_OFTEN) -> None:
        """Begin with full buckets; *refusal* is the text of a refusal."""
        self._clock = clock
        self._refusal = refusal
        self._buckets: dict[int, tuple[float, float]] = {}
        """By token: the requests left, and when they were counted."""

    def require(self, token_id: int, per_minute: int | None) -> None:
        """Count one request of a token; ApiError 429 if its minute is used up. None as *per_minute* sets no limit."""
        if per_minute is None:
            return
        now = self._clock()
        remaining, since = self._buckets.get(token_id, (float(per_minute), now))
        remaining = min(float(per_minute), remaining + (now - since) * per_minute / 60)
        if remaining < 1:
            headers = {"Retry-After": str(ceil((1 - remaining) * 60 / per_minute))}
            raise ApiError(429, f"{self._refusal}, which has {per_minute:,}", headers=headers)
        if len(self._buckets) >= MOST_COUNTED:
            self._buckets.clear()
        self._buckets[token_id] = (remaining - 1, now)
