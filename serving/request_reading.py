"""What every route reads of a request: its token, its headers, and its body within the limits."""

from collections.abc import Callable

from starlette.requests import Request

from fivefold.domain.errors import Problem
from fivefold.serving.http_protocol import GuardedProtocol
from fivefold.serving.lanes import Bodies, Room
from fivefold.serving.responses import Refusal
from fivefold.serving.v4.contract import TOO_LARGE

SMALL_BYTES = 256_000
"""Up to here a body takes no room that anybody counts: a connection's own buffers are as large."""
ROOM_BYTES, ROOM_BYTES_EACH = 384_000_000, 192_000_000
"""Large bodies that a worker holds at once, in all and of one organisation: some of the largest."""

BODIES = Bodies(lambda: max(1, GuardedProtocol.most_connections // 2))
"""Of a worker: no token's slow bodies keep more than half of its connections."""


def room_of() -> Room:
    """Make the room of a worker."""
    return Room(ROOM_BYTES, ROOM_BYTES_EACH)


def header_of(request: Request, name: bytes) -> str | None:
    """Give the first header of a name, in small letters; None where there is none."""
    for found, value in request.scope["headers"]:
        if found == name:
            return str(value.decode("latin-1"))
    return None


def secret_of(request: Request) -> str:
    """Give the token of a request, from `token` or else from `Authorization`; empty where there is none."""
    token = header_of(request, b"token")
    if token:
        return token
    scheme, _, rest = (header_of(request, b"authorization") or "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


async def read_body(
    request: Request, token: int, limit_bytes: int, hold: Callable[[int], None] = lambda _: None
) -> bytes:
    """Read the body; Refusal 413 as soon as it is known to be beyond the limit, 503 where too many of its *token* wait.

    *hold* is asked for room before it is taken, and may raise Refusal.
    """
    with BODIES.awaited_from(token):
        return await _whole(request, limit_bytes, hold)


async def _whole(request: Request, limit_bytes: int, hold: Callable[[int], None]) -> bytes:
    announced = header_of(request, b"content-length") or ""
    expected = int(announced) if announced.isdecimal() else 0
    if expected > limit_bytes:
        raise _too_many_bytes(limit_bytes)
    held = SMALL_BYTES
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit_bytes:
            raise _too_many_bytes(limit_bytes)
        if (needed := max(size, expected)) > held:
            hold(needed - held)
            held = needed
        parts.append(part)
    return b"".join(parts)


def _too_many_bytes(limit_bytes: int) -> Refusal:
    return Refusal(413, TOO_LARGE, [Problem(0, "body", "is too large", f"{limit_bytes} bytes")])
