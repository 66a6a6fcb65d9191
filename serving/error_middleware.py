"""The edge: what every answer carries, and that every error is an array, whoever made it."""

import asyncio
import re
import secrets
import traceback
from time import perf_counter
from typing import Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fivefold.serving.access_log import AccessLog, line_of
from fivefold.serving.metrics.service import Watch, route_of
from fivefold.serving.responses import ARRAY, refused

CALLER_LEFT = 499
"""Counted, never sent, where a caller leaves before its body is whole; the number is that of other servers."""

_MARK = ARRAY.encode()
SAFE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a caller may call a request: no longer, and nothing that a log or a header could take for something else."""

log = structlog.get_logger("fivefold.request")


class Edge:
    """ASGI middleware around everything, BentoML's own answers included.

    Every answer gets X-Request-Id (the caller's own, where that is safe) and X-Model-Version; an error that is no array
    becomes one; an exception becomes a 500 and a log line that says where it arose, but never its message, which may
    quote the request.
    """

    def __init__(self, app: ASGIApp, watch: Watch, limit_seconds: float, access: AccessLog | None = None) -> None:
        """Wrap *app*; each request gets a line in the *access* log."""
        self._access = access
        self._app = app
        self._watch = watch
        self._limit_seconds = limit_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["fivefold.request_id"] = _own_id(scope) or secrets.token_hex(8)
        begun = perf_counter()
        outgoing = _Outgoing(scope, send, self._watch.model_version)
        deadline = scope["fivefold.deadline"] = asyncio.timeout(self._limit_seconds)
        try:
            async with deadline:
                await self._app(scope, receive, outgoing.send)
        except ClientDisconnect:
            outgoing.status = CALLER_LEFT
        except Exception as error:  # noqa: BLE001 (whatever it is, the caller gets an answer)
            if isinstance(error, TimeoutError) and deadline.expired():
                await outgoing.instead(504)
            else:
                _report(scope, error)
                await outgoing.instead(500)
        seconds = perf_counter() - begun
        self._watch.answered(scope, outgoing.status, seconds)
        if self._access is not None:
            self._access.add(line_of(scope, route_of(scope), request_id, outgoing.status, seconds))


class _Outgoing:
    """Passes an answer on, or replaces it before its first byte."""

    def __init__(self, scope: Scope, send: Send, model_version: Any) -> None:
        self.status = 0
        self._scope = scope
        self._send = send
        self._model_version = model_version
        self._begun = False
        self._replaced = False

    async def send(self, message: Message) -> None:
        if message["type"] != "http.response.start":
            if not self._replaced:
                await self._send(message)
            return
        status, headers = message["status"], message.get("headers", [])
        if status >= 400 and not any(name == _MARK for name, _ in headers):
            await self.instead(status, [pair for pair in headers if pair[0].lower() in {b"allow", b"retry-after"}])
            return
        self.status, self._begun = status, True
        kept = headers if status < 400 else [pair for pair in headers if pair[0] != _MARK]
        await self._send({**message, "headers": [*kept, *self._own_headers()]})

    async def instead(self, status: int, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        """Answer *status* in place of what was being answered, if nothing has gone out yet."""
        if self._replaced or self._begun:
            return
        self.status, self._replaced = status, True
        answer = refused(status)
        own = [pair for pair in answer.raw_headers if pair[0] != _MARK]
        all_headers = [*own, *(headers or []), *self._own_headers()]
        await self._send({"type": "http.response.start", "status": status, "headers": all_headers})
        await self._send({"type": "http.response.body", "body": answer.body})

    def _own_headers(self) -> list[tuple[bytes, bytes]]:
        version = self._scope.get("fivefold.model_version", self._model_version())
        return [
            (b"x-request-id", self._scope["fivefold.request_id"].encode()),
            (b"x-model-version", str(version).encode()),
        ]


def _own_id(scope: Scope) -> str:
    """Give the caller's own name of a request, where it is one that can be logged and sent back as it is."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode("ascii") if SAFE_ID.fullmatch(value) else ""
    return ""


def _report(scope: Scope, error: BaseException) -> None:
    """Log an error without its traceback, which would quote what the request said."""
    log.error("failed", request_id=scope["fivefold.request_id"], error=type(error).__name__, at=_where(error))


def _where(error: BaseException) -> str:
    """Name the place of an error without a word of what was said there."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-5:]))
