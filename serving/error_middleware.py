"""The outermost layer: headers of every response, and every error as an array, or a page, wherever it arose."""

import asyncio
import re
import secrets
from time import perf_counter
from typing import Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fivefold.serving.access_log import MODEL_VERSION, AccessLog, line_of
from fivefold.serving.logs import place_of
from fivefold.serving.metrics.service import ServiceMetrics, route_of
from fivefold.serving.responses import ARRAY, error_response
from fivefold.store.sql.reasons import damage_noted
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

CALLER_LEFT = 499
"""Status counted, never sent, if a caller disconnects before its body is complete; nginx uses the same number."""

_MARK = ARRAY.encode()
SAFE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Request ids that are accepted from callers: short, and harmless in a log and a header."""

FAULT_PAGE = "fivefold.fault_page"
"""Key of a scope: the function that makes the page of a status, for a request that pages answer, not arrays."""

log = structlog.get_logger("fivefold.request")


class ErrorMiddleware:
    """ASGI middleware around everything, BentoML's own responses included.

    Every response gets X-Request-Id (the caller's own if it is safe) and X-Model-Version. Every error becomes an array,
    or a page. An exception becomes a 500 and a log line with its place, but never its message, which may quote the
    request.
    """

    def __init__(
        self, app: ASGIApp, metrics: ServiceMetrics, limit_seconds: float, access: AccessLog | None = None
    ) -> None:
        """Wrap *app*; each request gets a line in the *access* log."""
        self._access = access
        self._app = app
        self._metrics = metrics
        self._limit_seconds = limit_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["fivefold.request_id"] = _own_id(scope) or secrets.token_hex(8)
        start = perf_counter()
        outgoing = _Outgoing(scope, send, self._metrics.model_version)
        deadline = scope["fivefold.deadline"] = asyncio.timeout(self._limit_seconds)
        try:
            async with deadline:
                await self._app(scope, receive, outgoing.send)
        except ClientDisconnect:
            outgoing.status = CALLER_LEFT
        except UNEXPECTED_ERRORS as error:  # the caller gets a response to any error
            if isinstance(error, TimeoutError) and deadline.expired():
                await outgoing.replace_by(504)
            else:
                _report(scope, error)
                await outgoing.replace_by(500)
        seconds = perf_counter() - start
        self._metrics.count_response(scope, outgoing.status, seconds)
        if self._access is not None:
            self._access.add(line_of(scope, route_of(scope), request_id, outgoing.status, seconds))


class _Outgoing:
    """Passes a response on, or replaces it before its first byte."""

    def __init__(self, scope: Scope, send: Send, model_version: Any) -> None:
        self.status = 0
        self._scope = scope
        self._send = send
        self._model_version = model_version
        self._has_started = False
        self._is_replaced = False

    async def send(self, message: Message) -> None:
        if message["type"] != "http.response.start":
            if not self._is_replaced:
                await self._send(message)
            return
        status, headers = message["status"], message.get("headers", [])
        if status >= 400 and not any(name == _MARK for name, _ in headers):
            await self.replace_by(status, [pair for pair in headers if pair[0].lower() in {b"allow", b"retry-after"}])
            return
        self.status, self._has_started = status, True
        visible = headers if status < 400 else [pair for pair in headers if pair[0] != _MARK]
        await self._send({**message, "headers": [*visible, *self._own_headers()]})

    async def replace_by(self, status: int, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        """Answer *status* instead, if nothing was sent yet."""
        if self._is_replaced or self._has_started:
            return
        self.status, self._is_replaced = status, True
        response = self._scope.get(FAULT_PAGE, error_response)(status)
        own = [pair for pair in response.raw_headers if pair[0] != _MARK]
        all_headers = [*own, *(headers or []), *self._own_headers()]
        await self._send({"type": "http.response.start", "status": status, "headers": all_headers})
        await self._send({"type": "http.response.body", "body": response.body})

    def _own_headers(self) -> list[tuple[bytes, bytes]]:
        version = self._scope.get(MODEL_VERSION, self._model_version())
        return [
            (b"x-request-id", self._scope["fivefold.request_id"].encode()),
            (b"x-model-version", str(version).encode()),
        ]


def _own_id(scope: Scope) -> str:
    """Return the caller's own request id if it is safe; otherwise an empty text."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode("ascii") if SAFE_ID.fullmatch(value) else ""
    return ""


def _report(scope: Scope, error: BaseException) -> None:
    """Log an error without its traceback, which would quote the request; for a damaged database with its file."""
    fields = {"request_id": scope["fivefold.request_id"], "error": type(error).__name__, "at": place_of(error)}
    if (damage := damage_noted(error)) is not None:
        fields["why"] = damage
    log.error("failed", **fields)
