"""HTTP itself, with bounds: what comes before any application sees a request, and connections that say nothing.

uvicorn bounds neither the size of a head, which httptools joins in quadratic time, nor the time it takes, nor how many
connections there are. All answers of this layer are arrays too.
"""

import os
import resource
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

from starlette.types import Receive, Scope, Send
from uvicorn import config as uvicorn_config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fivefold.serving.responses import ARRAY, refused

HEAD_BYTES: Final = 32_768
"""Largest head, address and headers together; also the most that may come of a body's end without a body."""
HEAD_SECONDS: Final = 10.0
"""So long a caller has to send the head of a request."""
FLUSH_SECONDS: Final = 120.0
"""So long a caller has to take what it was answered, after which it is cut off."""
SPARE_FILES: Final = 200
"""Open files that are no connections: the database's, the model's, logs."""
MOST_FILES: Final = 65_536
DEFAULT_CONNECTIONS: Final = 1_000


class GuardedProtocol(HttpToolsProtocol):
    """One connection. Where there are too many, the oldest that wait for their callers make room for new ones.

    Attributes:
        most_connections: of this process.
        waiting: connections that have no request running, those that wait longest first.
        untaken: connections whose callers do not take their answers, those that wait longest first; however many
            requests they sent at once, for which nothing more is done meanwhile.
    """

    most_connections = DEFAULT_CONNECTIONS
    waiting: "dict[GuardedProtocol, None]" = {}  # noqa: RUF012 (shared by all, as it must be)
    untaken: "dict[GuardedProtocol, None]" = {}  # noqa: RUF012 (as above)

    def __init__(self, *given: Any, **more: Any) -> None:
        """Wait for the first request."""
        super().__init__(*given, **more)
        self._unread = self._head = 0
        self._head_timer: Any = None
        self._flush_timer: Any = None

    def connection_made(self, transport: Any) -> None:
        """Begin, if there is room or can be made."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            oldest = next(iter(self.waiting), None) or next(iter(self.untaken), None)
            if oldest is None:
                self._refuse(503, (b"retry-after", b"2"))
                return
            oldest.give_up()
        self._wait()
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self.waiting.pop(self, None)
        self._disarm()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; what is no end of a head, and no body, may not go on for ever."""
        self._unread += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unread > HEAD_BYTES:
            self._refuse(431)
        elif self in self.waiting and self._head_timer is None:
            self._arm()

    def pause_writing(self) -> None:
        """Wait for the caller to take what it was answered, but not for ever."""
        super().pause_writing()
        self.untaken[self] = None
        self._flush_timer = self.loop.call_later(FLUSH_SECONDS, self.give_up)

    def resume_writing(self) -> None:
        """Go on: most of it was taken."""
        self._taken()
        super().resume_writing()

    def on_message_begin(self) -> None:
        """Begin to count a head."""
        self._head = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._head += len(name) + len(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the request run, unless its head is too large."""
        self._unread = 0
        self.waiting.pop(self, None)
        self._disarm()
        if self._head + len(self.url) > HEAD_BYTES:
            self.app = _too_large_a_head
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._unread = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, or see that the connection ends."""
        super().on_response_complete()
        if self.transport.is_closing():
            self.loop.call_later(FLUSH_SECONDS, self.transport.abort)
        elif self.cycle.response_complete:
            self._wait()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that is not used, whether its caller reads or not."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(FLUSH_SECONDS, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(400)

    def give_up(self) -> None:
        """Make room for another connection."""
        self.waiting.pop(self, None)
        self._taken()
        self.transport.abort()

    def _should_upgrade(self) -> bool:
        return False  # nothing here speaks WebSocket, and what does not go by this class is not bounded

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: the request is answered as any other."""

    def _wait(self) -> None:
        self.waiting[self] = None

    def _taken(self) -> None:
        self.untaken.pop(self, None)
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None

    def _arm(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        self._refuse(408)

    def _refuse(self, status: int, *more: tuple[bytes, bytes]) -> None:
        """Answer without any application, and close; in the middle of an answer, close alone."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_answer(status, *more))
        self.transport.close()
        self.loop.call_later(FLUSH_SECONDS, self.transport.abort)


def _answer(status: int, *more: tuple[bytes, bytes]) -> bytes:
    answer = refused(status)
    headers = [*_headers_of(answer.raw_headers), *more]
    return b"".join(
        [STATUS_LINE[status], *(name + b": " + value + b"\r\n" for name, value in headers), b"\r\n", bytes(answer.body)]
    )


def _headers_of(raw: Any) -> list[tuple[bytes, bytes]]:
    return [
        *(pair for pair in raw if pair[0] != ARRAY.encode()),
        (b"x-request-id", secrets.token_hex(8).encode()),
        (b"x-model-version", b"none"),
        (b"connection", b"close"),
    ]


async def _too_large_a_head(_: Scope, __: Receive, send: Send) -> None:
    answer = refused(431)
    await send({"type": "http.response.start", "status": 431, "headers": _headers_of(answer.raw_headers)})
    await send({"type": "http.response.body", "body": answer.body})


def guard(connections: int, limit: Callable[[], int] | None = None) -> int:
    """Make uvicorn speak HTTP within bounds in this process; give how many connections there may be.

    There are never more than there are files to be opened, of which as many are asked for as the system grants.
    """
    files = _more_files() if limit is None else limit()
    GuardedProtocol.most_connections = max(1, min(connections, files - SPARE_FILES))
    uvicorn_config.HTTP_PROTOCOLS["auto"] = f"{__name__}:{GuardedProtocol.__name__}"
    return GuardedProtocol.most_connections


def trust_proxies(proxies: Sequence[str]) -> None:
    """Believe `X-Forwarded-Proto` and `X-Forwarded-For` from these addresses and networks alone, in this process.

    BentoML starts uvicorn without naming any, and uvicorn then reads this variable; where it is missing, every program
    on the same machine is believed.
    """
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(proxies)


def _more_files() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft
