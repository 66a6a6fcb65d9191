"""Reads the token, the headers and the body of a request, within the limits."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from ipaddress import IPv6Address, ip_address
from threading import Event
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import QueryParams
from starlette.requests import Request

from fivefold.domain.errors import Problem
from fivefold.serving.http_protocol import GuardedProtocol
from fivefold.serving.lanes import STRANGERS_SLOW, BodyMemory, PendingBodies
from fivefold.serving.responses import ApiError
from fivefold.serving.v4.contract import TOO_LARGE

log = structlog.get_logger("fivefold.service")

_ZONE_AFTER_BLANK = re.compile(r"\d\d:?\d\d(?::?\d\d(?:\.\d+)?)? \d\d(?::?\d\d)?$")
SMALL_BYTES = 256_000
"""Largest body that is not counted: a connection's own buffers are as large."""
MEMORY_BYTES, MEMORY_BYTES_EACH = 384_000_000, 192_000_000
"""Most bytes of large bodies that a worker holds at once, in all and of one organisation."""
STRANGERS_EACH = 16
"""Most bodies under way from one address, of callers who are not signed in."""


def _half_of_connections() -> int:
    return max(1, GuardedProtocol.most_connections // 2)


PENDING_BODIES = PendingBodies(_half_of_connections)
"""Bodies by token: slow ones of one token occupy at most half of this worker's connections."""
STRANGERS_BODIES = PendingBodies(_half_of_connections, STRANGERS_SLOW)
"""The same for all callers who are not signed in, together."""
ADDRESS_BODIES = PendingBodies(lambda: min(STRANGERS_EACH, _half_of_connections()), STRANGERS_SLOW)
"""And for each of their addresses, so that one does not use up what the others need to sign in."""
FORWARDED_BODIES = PendingBodies(lambda: max(1, _half_of_connections() // 2), STRANGERS_SLOW)
"""And for all who come by an untrusted proxy, together, as their addresses are unknown. Any client can pretend to be
such a proxy, so these get half, and the others keep as many."""
_WARNED = Event()
"""Set once this process has logged that such a proxy was seen."""


def body_memory() -> BodyMemory:
    """Make the bounds of a worker's memory for bodies."""
    return BodyMemory(MEMORY_BYTES, MEMORY_BYTES_EACH)


def header_of(request: Request, name: bytes) -> str | None:
    """Return the header with a lower-case name; None if it is missing, ApiError 422 if there are several."""
    values: list[bytes] = [value for header, value in request.scope["headers"] if header == name]
    if len(values) > 1:
        raise ApiError(422, f"the header {name.decode()} is given more than once; it must be given once")
    return values[0].decode("latin-1") if values else None


def repeated_parameter(parameters: QueryParams) -> str | None:
    """Return the alphabetically first query parameter that is given more than once, or None."""
    pairs = parameters.multi_items()
    if len(parameters) == len(pairs):
        return None
    return min(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)


def hint_of_plus(moment: str) -> str:
    """Return a hint how + is written in a query, if a moment has a blank in its place; otherwise an empty text.

    >>> hint_of_plus("2024-07-01T00:00:00 02:00"), hint_of_plus("2024-07-01 12:00:00")
    ('; in a query + is written %2B', '')
    """
    return "; in a query + is written %2B" if _ZONE_AFTER_BLANK.search(moment) else ""


def secret_of(request: Request) -> str:
    """Return the token of a request, from `token` or else from `Authorization`; empty if there is none."""
    token = header_of(request, b"token")
    if token:
        return token
    scheme, _, rest = (header_of(request, b"authorization") or "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


def site_of(request: Request) -> str:
    """Return the address at which the browser reached this site, if a proxy passes on `Host`; empty without `Host`."""
    host = request.headers.get("host", "")
    return f"{request.url.scheme}://{host}" if host else ""


def is_of_own_site(request: Request) -> bool:
    """Return whether a page of this site sent a form: by `Origin`, which browsers set and a page cannot change."""
    try:
        origin = urlsplit(request.headers.get("origin", "")).netloc
    except ValueError:  # such as http://[
        return False
    return bool(origin) and origin == request.headers.get("host")


async def read_body(
    request: Request, token: int, limit_bytes: int, reserve: Callable[[int], None] = lambda _: None
) -> bytes:
    """Read the body; ApiError 413 as soon as it exceeds the limit, 503 if too many bodies of the *token* are under way.

    *reserve* is called before memory is used, and may raise ApiError.
    """
    with PENDING_BODIES.awaited_from(token):
        return await _read_stream(request, limit_bytes, reserve)


async def read_body_of_stranger(request: Request, limit_bytes: int, seconds: float) -> bytes:
    """Read the body of a caller who is not signed in; ApiError 413 and 503 as above, 408 if it takes too long."""
    with _counted_by_sender(request), STRANGERS_BODIES.awaited_from("all"):
        try:
            async with asyncio.timeout(seconds):
                return await _read_stream(request, limit_bytes, lambda _: None)
        except TimeoutError:
            raise ApiError(408, f"The form did not arrive within {seconds:g} seconds; send it again") from None


def _counted_by_sender(request: Request) -> AbstractContextManager[None]:
    """Count a body by its caller's address; bodies that come by an untrusted proxy are counted together.

    If the proxy is trusted, its caller's address is one of those in the header.
    """
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    host = "" if request.client is None else request.client.host
    if not forwarded or host in forwarded:
        return ADDRESS_BODIES.awaited_from(_subscriber_of(host))
    _warn_of_proxy(host)
    return FORWARDED_BODIES.awaited_from("all")


def _warn_of_proxy(host: str) -> None:
    """Log once that a proxy may be missing from the setting; any client can send such a header."""
    if not _WARNED.is_set():
        _WARNED.set()
        log.warning(
            "a form has X-Forwarded-For from an address that is not trusted",
            address=host,
            hint="if that is your proxy, set FIVEFOLD_TRUSTED_PROXIES",
        )


def _subscriber_of(host: str) -> str:
    """Return the address of a caller; for IPv6 its first half, as one subscriber has all addresses with it."""
    try:
        address = ip_address(host)
    except ValueError:  # a name that a proxy wrote
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
    return host


async def _read_stream(request: Request, limit_bytes: int, reserve: Callable[[int], None]) -> bytes:
    announced = header_of(request, b"content-length") or ""
    expected = int(announced) if announced.isdecimal() else 0
    if expected > limit_bytes:
        raise _too_many_bytes(limit_bytes)
    reserved = SMALL_BYTES
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit_bytes:
            raise _too_many_bytes(limit_bytes)
        if (needed := max(size, expected)) > reserved:
            reserve(needed - reserved)
            reserved = needed
        parts.append(part)
    return b"".join(parts)


def _too_many_bytes(limit_bytes: int) -> ApiError:
    return ApiError(413, TOO_LARGE, [Problem(0, "body", "is too large", f"{limit_bytes:,} bytes")])
