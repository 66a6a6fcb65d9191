"""HTTP with bounds on connections and heads, before an application sees a request.

uvicorn limits neither the size of a head, which httptools joins in quadratic time, nor its duration, nor the number
of connections. The errors of this layer are arrays too.
"""

import os
import resource
import secrets
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn import config as uvicorn_config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fivefold.serving.responses import ARRAY, error_response

HEAD_BYTES: Final = 32_768
"""Largest head, URL and headers together; also the most bytes that may come without a part of a body."""
HEAD_SECONDS: Final = 10.0
"""Time limit for the head of a request."""
FLUSH_SECONDS: Final = 120.0
"""Time limit for a caller to read its response; afterwards the connection is aborted."""
SPARE_FILES: Final = 200
"""Open files other than connections: of the database, the model, the logs."""
MOST_FILES: Final = 65_536
DEFAULT_CONNECTIONS: Final = 1_000

log = structlog.get_logger("fivefold.service")


class GuardedProtocol(HttpToolsProtocol):
    """One connection. If there are too many, the connection that has waited longest for its caller is closed.

    Attributes:
        most_connections: limit of this process.
        waiting: connections without a running request, the longest waiting first.
        unread: connections whose callers do not read their responses, the longest waiting first; their further
            requests are not processed meanwhile.
    """

    most_connections = DEFAULT_CONNECTIONS
    waiting: "dict[GuardedProtocol, None]" = {}  # noqa: RUF012 (shared by all, as it must be)
    unread: "dict[GuardedProtocol, None]" = {}  # noqa: RUF012 (as above)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Wait for the first request."""
        super().__init__(*arguments, **options)
        self.access_log = False  # our own log has the lines; uvicorn would write one for each request, and drop it
        self._unread = self._head = 0
        self._is_in_head = True
        self.url = b""
        self._head_timer: Any = None
        self._flush_timer: Any = None

    def connection_made(self, transport: Any) -> None:
        """Accept the connection; close the longest waiting one if there are too many, or refuse with 503."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            oldest = next(iter(self.waiting), None) or next(iter(self.unread), None)
            if oldest is None:
                self._refuse(503, (b"retry-after", b"2"))
                return
            oldest.give_up()
        self._wait()
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.waiting.pop(self, None)
        self._disarm()
        self._caller_has_read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read bytes; 431 if too many come without completing a head or a part of a body."""
        self._unread += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unread > HEAD_BYTES:
            self._refuse(431)
        elif self in self.waiting and self._head_timer is None:
            self._arm()

    def pause_writing(self) -> None:
        """Wait for the caller to read its response, for FLUSH_SECONDS at most."""
        super().pause_writing()
        self.unread[self] = None
        self._flush_timer = self.loop.call_later(FLUSH_SECONDS, self.give_up)

    def resume_writing(self) -> None:
        """Go on: the caller has read most of the response."""
        self._caller_has_read()
        super().resume_writing()

    def on_message_begin(self) -> None:
        """Begin to count the bytes of a head."""
        self._head = 0
        self._is_in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the bytes of a header; a trailer is dropped, as the request was let in without it."""
        self._head += len(name) + len(value)
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the request run, unless its head is too large, or has no `Host` or several."""
        self._unread = 0
        self._is_in_head = False
        self.waiting.pop(self, None)
        self._disarm()
        if self._is_head_large():
            self.app = _refuse_large_head
        elif self.parser.get_http_version() == "1.1" and sum(name == b"host" for name, _ in self.headers) != 1:
            self.app = _refuse_host  # RFC 9112, 3.2
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Read a part of a body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._unread = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, or bound the closing of the connection."""
        super().on_response_complete()
        if self.transport.is_closing():
            self.loop.call_later(FLUSH_SECONDS, self.transport.abort)
        elif self.cycle.response_complete:
            self._wait()

    def timeout_keep_alive_handler(self) -> None:
        """Close an unused connection, even if its caller does not read."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(FLUSH_SECONDS, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """Refuse input that is not HTTP; httptools reports an address of more than 64 kB the same way."""
        self._refuse(431 if self._is_head_large() else 400)

    def give_up(self) -> None:
        """Abort this connection in favour of another."""
        self.waiting.pop(self, None)
        self._caller_has_read()
        self.transport.abort()

    def _should_upgrade(self) -> bool:
        return False  # no WebSocket: an upgraded connection would leave this class and its bounds

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: the request is answered as any other."""

    def _is_head_large(self) -> bool:
        return self._head + len(self.url) > HEAD_BYTES

    def _wait(self) -> None:
        self.waiting[self] = None

    def _caller_has_read(self) -> None:
        self.unread.pop(self, None)
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
        """Respond without the application, and close; in the middle of a response only close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_answer(status, *more))
        self.transport.close()
        self.loop.call_later(FLUSH_SECONDS, self.transport.abort)


def _answer(status: int, *more: tuple[bytes, bytes]) -> bytes:
    answer = error_response(status)
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    headers = [*_headers_of(answer.raw_headers), *more]
    return b"".join([line, *(name + b": " + value + b"\r\n" for name, value in headers), b"\r\n", bytes(answer.body)])


def _headers_of(raw: Any) -> list[tuple[bytes, bytes]]:
    return [
        *(pair for pair in raw if pair[0] != ARRAY.encode()),
        (b"x-request-id", secrets.token_hex(8).encode()),
        (b"x-model-version", b"none"),
        (b"connection", b"close"),
    ]


async def _refuse_large_head(_: Scope, __: Receive, send: Send) -> None:
    await _send_refusal(error_response(431), send)


async def _refuse_host(_: Scope, __: Receive, send: Send) -> None:
    await _send_refusal(error_response(400, "the request must have one Host header"), send)


async def _send_refusal(answer: Response, send: Send) -> None:
    headers = _headers_of(answer.raw_headers)
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def guard(connections: int, limit: Callable[[], int] | None = None) -> int:
    """Make uvicorn use GuardedProtocol in this process; return the limit of connections.

    The limit of open files bounds it too, and is raised as far as the system allows. BentoML passes uvicorn no
    protocol, so uvicorn's own table is changed; a uvicorn without it uses its own protocol, and a log line says so.
    """
    files = _raise_file_limit() if limit is None else limit()
    GuardedProtocol.most_connections = max(1, min(connections, files - SPARE_FILES))
    protocols: dict[str, Any] | None = getattr(uvicorn_config, "HTTP_PROTOCOLS", None)
    if protocols is None:
        log.warning("connections and heads are not bounded", why="this uvicorn has no HTTP_PROTOCOLS")
    else:
        protocols["auto"] = f"{__name__}:{GuardedProtocol.__name__}"
    return GuardedProtocol.most_connections


def trust_proxies(proxies: Sequence[str]) -> None:
    """Trust `X-Forwarded-Proto` and `X-Forwarded-For` from these addresses and networks alone, in this process.

    BentoML passes uvicorn no such list, so uvicorn reads it from a variable; without it, every program on the same
    machine is trusted.
    """
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(proxies)


def _raise_file_limit() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        return limit
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft
