"""Tokens: which are cached and for how long, that an expired one is never charged, and how often one may ask."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.domain.errors import IdentityProviderError
from fivefold.serving import authentication
from fivefold.serving.authentication import (
    REMEMBERED_SECONDS,
    Authenticator,
    RateLimiter,
    ask_provider,
    require_scoring,
    run_in_session_pool,
    run_in_short_pool,
)
from fivefold.serving.responses import ApiError
from fivefold.store.sql.clocks import DatabaseClock
from fivefold.usecases.accounts.credentials import Credential, find_credential
from fivefold.usecases.accounts.tokens import revoke_token
from tests.serving.inprocess import Place, rows_of, started


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with started(tmp_path) as place:
        yield place


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets: its only item; it begins where a machine's does."""
    clock = [0.0]
    monkeypatch.setattr(authentication, "monotonic", lambda: clock[0])
    return clock


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The secrets that the database was asked about."""
    asked: list[str] = []

    def noted(engine: object, secret: str) -> Credential | None:
        asked.append(secret)
        return find_credential(engine, secret)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(authentication, "find_credential", noted)
    return asked


def authenticate(authenticator: Authenticator, secret: str | None) -> Credential:
    return asyncio.run(authenticator.authenticate(secret))


def refuse(authenticator: Authenticator, secret: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        authenticate(authenticator, secret)
    assert (caught.value.status, caught.value.text) == (401, "Could not validate credentials")


def test_a_token_is_looked_up_once_in_a_while(place: Place, clock: list[float], looked_up: list[str]) -> None:
    authenticator, token = Authenticator(place.engine), place.token()
    for now, asked in ((0.0, 1), (1.0, 1), (REMEMBERED_SECONDS, 1), (2.1, 2), (4.0, 2), (4.2, 3)):
        clock[0] = now
        assert authenticate(authenticator, token) == Credential(
            token_id=1, role="app", plan="unlimited", expires_us=None, organisation_id=1
        )
        assert len(looked_up) == asked, now


def test_nobody_is_asked_about_no_token(place: Place, looked_up: list[str]) -> None:
    for secret in (None, ""):
        refuse(Authenticator(place.engine), secret)
    assert looked_up == []


def test_an_unknown_token_is_remembered_too_and_may_become_a_known_one(
    place: Place, clock: list[float], looked_up: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = Authenticator(place.engine)
    monkeypatch.setattr("fivefold.usecases.accounts.tokens.secrets.token_urlsafe", lambda _: "later")
    for _ in range(3):
        refuse(authenticator, "later")
    place.token()
    refuse(authenticator, "later")
    assert looked_up == ["later"]
    clock[0] = REMEMBERED_SECONDS + 0.1
    assert authenticate(authenticator, "later").token_id == 1


def test_a_revoked_token_is_refused_when_it_is_looked_up_again_and_never_charged(
    place: Place, clock: list[float], looked_up: list[str]
) -> None:
    token = place.token()
    assert place.post(rows_of("a"), token).status_code == 200
    revoke_token(place.engine, 1)
    assert authenticate(place.endpoint.authenticator, token).token_id == 1, "remembered"
    assert place.post(rows_of("a"), token).status_code == 401, "but the charge looks for itself"
    clock[0] = REMEMBERED_SECONDS + 0.1
    refuse(place.endpoint.authenticator, token)
    assert len(looked_up) == 2
    assert place.usage() == (1, 1)


def test_a_token_that_ends_while_it_is_remembered_is_refused_at_once(
    place: Place, clock: list[float], looked_up: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator, token = Authenticator(place.engine), place.token(expires_days=1)
    ends = authenticate(authenticator, token).expires_us
    assert ends is not None
    assert abs(ends - now_microseconds() - DAY_US) < 60_000_000
    monkeypatch.setattr(DatabaseClock, "now_us", lambda _: ends - 1)
    authenticate(authenticator, token)
    monkeypatch.setattr(DatabaseClock, "now_us", lambda _: ends)
    refuse(authenticator, token)
    assert len(looked_up) == 1


def test_a_role_without_the_right_is_refused() -> None:
    found = Credential(token_id=1, role="app", plan="unlimited", expires_us=None, organisation_id=1)
    for role in ("investigator", "approver", "publisher", "auditor", "", "App"):
        with pytest.raises(ApiError, match="; for: app, admin") as caught:
            require_scoring(replace(found, role=role))
        assert caught.value.status == 403


def test_guesses_do_not_fill_the_memory(
    place: Place, clock: list[float], looked_up: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "MOST_REMEMBERED", 10)
    authenticator, token = Authenticator(place.engine), place.token()
    sizes = []
    for number in range(35):
        refuse(authenticator, f"guess {number}")
        assert authenticate(authenticator, token).token_id == 1
        sizes.append(len(authenticator._cached_credentials))
    assert max(sizes) <= 10
    assert len(looked_up) > 35


def test_no_secret_is_kept_in_memory(place: Place) -> None:
    authenticator, token = Authenticator(place.engine), place.token()
    authenticate(authenticator, token)
    refuse(authenticator, "a-wrong-guess")
    assert token not in repr(authenticator._cached_credentials)
    assert "a-wrong-guess" not in repr(authenticator._cached_credentials)


def test_others_go_on_while_the_database_is_slow(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks, many = list[int](), threading.Event()

    def slow(*_: object) -> None:
        many.wait(20)

    monkeypatch.setattr(authentication, "find_credential", slow)

    async def both() -> None:
        asked = asyncio.create_task(Authenticator(place.engine).authenticate("token"))
        while not asked.done():
            ticks.append(1)
            if len(ticks) > 3:
                many.set()
            await asyncio.sleep(0.01)
        with pytest.raises(ApiError):
            await asked

    asyncio.run(both())
    assert len(ticks) > 3


Pool = Callable[[Callable[[], Any]], Awaitable[Any]]
POOLS: dict[str, tuple[Pool, int]] = {
    "large requests": (asyncio.to_thread, 40),
    "tokens": (run_in_short_pool, 8),
    "sessions": (run_in_session_pool, 8),
    "the identity provider": (ask_provider, 8),
}
"""What runs in threads, and how many at once leave none of these free."""


@pytest.mark.parametrize("busy", POOLS)
def test_what_hangs_keeps_nothing_waiting_but_its_own_kind(busy: str) -> None:
    over = threading.Event()
    pool, most = POOLS[busy]

    async def others_are_answered() -> None:
        hanging = [asyncio.ensure_future(pool(lambda: over.wait(60))) for _ in range(most)]
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(20):
                for name, (other, _) in POOLS.items():
                    assert name == busy or await other(lambda: "answered") == "answered"
        finally:
            over.set()
            await asyncio.gather(*hanging)

    asyncio.run(others_are_answered())


def test_only_so_many_wait_for_the_identity_provider_and_then_others_may() -> None:
    over = threading.Event()

    async def nine_at_once() -> None:
        waiting = [asyncio.create_task(ask_provider(lambda: over.wait(60))) for _ in range(8)]
        await asyncio.sleep(0)
        with pytest.raises(IdentityProviderError, match="too many people wait for the identity provider"):
            await ask_provider(lambda: True)
        over.set()
        assert await asyncio.gather(*waiting) == [True] * 8
        assert [await ask_provider(lambda: True) for _ in range(9)] == [True] * 9

    asyncio.run(nine_at_once())


def test_a_database_that_is_down_is_an_error_and_is_not_remembered(
    place: Place, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator, token = Authenticator(place.engine), place.token()

    def down(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(authentication, "find_credential", down)
        with pytest.raises(ConnectionError):
            authenticate(authenticator, token)
    assert authenticate(authenticator, token).token_id == 1


TOKEN, OTHER = 1, 2


def test_a_minutes_requests_may_come_at_once_and_then_evenly() -> None:
    now = 0.0
    rates = RateLimiter(lambda: now)
    for _ in range(60):
        rates.require(TOKEN, 60)
    with pytest.raises(ApiError) as refused:
        rates.require(TOKEN, 60)
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "1"})
    assert str(refused.value) == "Too many requests in a minute for your plan, which has 60"
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
