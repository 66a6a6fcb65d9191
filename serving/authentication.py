"""Who may ask: tokens are looked up once and remembered for a moment; the charge at the end decides again."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from time import monotonic
from typing import TypeVar

from sqlalchemy import Engine

from fivefold.domain.clock import now_microseconds
from fivefold.serving.responses import NO_CREDENTIALS, Refusal
from fivefold.usecases.accounts.tokens import Credential, find_credential, hash_of

REMEMBERED_SECONDS = 2.0
MOST_REMEMBERED = 10_000
MAY_SCORE = ("app", "admin")

_SHORT = ThreadPoolExecutor(4, thread_name_prefix="short")
Result = TypeVar("Result")


async def soon(function: Callable[[], Result]) -> Result:
    """Run what is short in a thread that large requests never have, so that it does not wait behind them."""
    return await asyncio.get_running_loop().run_in_executor(_SHORT, function)


class Gatekeeper:
    """Checks tokens against the database, each at most every other second."""

    def __init__(self, engine: Engine) -> None:
        """Remember nobody yet."""
        self._engine = engine
        self._known: dict[str, tuple[float, Credential | None]] = {}

    async def admit(self, secret: str | None) -> Credential:
        """Give the credential of a token; Refusal 401 where it may not be used."""
        if not secret:
            raise Refusal(401, NO_CREDENTIALS)
        key = hash_of(secret)
        checked, found = self._known.get(key, (-inf, None))
        if monotonic() - checked > REMEMBERED_SECONDS:
            found = await soon(partial(find_credential, self._engine, secret))
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[key] = (monotonic(), found)
        ended = found is not None and found.expires_us is not None and found.expires_us <= now_microseconds()
        if found is None or ended or found.role not in MAY_SCORE:
            raise Refusal(401, NO_CREDENTIALS)
        return found
