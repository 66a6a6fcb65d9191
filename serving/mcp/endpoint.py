"""The protocol over HTTP, at `/mcp`: stateless, so that any worker of any host answers any message.

The token is looked up first, and each message counts as a request of its plan, as does each route that it calls. The
protocol's library is imported with the first message.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from fivefold.domain.errors import StoreError
from fivefold.serving.access_log import BAD_TOKEN, NO_TOKEN, SIGN_IN, WHO, note_cause
from fivefold.serving.authentication import run_in_short_pool
from fivefold.serving.metrics.service import ROUTE
from fivefold.serving.request_reading import read_body, secret_of
from fivefold.serving.responses import ARRAY, ApiError, error_response
from fivefold.serving.v1.dispatch import Dispatcher
from fivefold.serving.v1.errors import LATER

PATH: Final = "/mcp"
MESSAGE_BYTES: Final = 64_000
"""Largest message: tools take a few words."""
_LOCAL: Final = ("127.0.0.1", "localhost", "[::1]")
_MARK: Final = (ARRAY.encode(), b"1")


class McpEndpoint:
    """Answers messages; one in each worker."""

    def __init__(self, dispatcher: Dispatcher, hosts: tuple[str, ...] = ()) -> None:
        """Answer by the dispatcher of `/v1`, if a request names this machine by a loopback name or one of *hosts*.

        A browser's page that another name leads here is refused by its Host, and a page of another site by its Origin.
        """
        self._dispatcher = dispatcher
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope[ROUTE] = PATH
        request = Request(scope, receive)
        if request.method != "POST":  # there is no stream to listen to, and no session to end
            await error_response(405, headers={"Allow": "POST"})(scope, receive, send)
            return
        try:
            body, secret = await self._admit(request)
            handle = await run_in_short_pool(_library)
        except ApiError as refusal:
            await refusal.response()(scope, receive, send)
        except StoreError as error:
            note_cause(scope, error)
            await ApiError(503, headers=LATER).response()(scope, receive, send)
        else:
            await handle(self._dispatcher, secret, allowed(self._hosts), scope, _replayed_body(body), _marked(send))

    async def _admit(self, request: Request) -> tuple[bytes, str]:
        """Look up the token and count the request; return the body and the token."""
        secret = secret_of(request)
        request.scope[SIGN_IN] = BAD_TOKEN if secret else NO_TOKEN  # until it proves valid
        credential = await self._dispatcher.identify(secret)
        request.scope[WHO] = (credential.organisation_id, credential.actor.name)
        del request.scope[SIGN_IN]
        self._dispatcher.require_rate(credential)
        return await read_body(request, credential.token_id, MESSAGE_BYTES), secret


def add_mcp(app: FastAPI, endpoint: McpEndpoint) -> None:
    """Add the endpoint to an application; its OpenAPI document leaves it out."""
    app.router.routes.append(Route(PATH, endpoint))


@cache
def allowed(hosts: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """List the Host and Origin headers that are accepted: loopback names at any port, and *hosts* as they are given.

    >>> allowed(("bank.example",))[0][-1], allowed(("bank.example",))[1][-1]
    ('bank.example', 'https://bank.example')
    """
    names = [*_LOCAL, *(f"{name}:*" for name in _LOCAL)]
    origins = [f"http://{name}" for name in names]
    return [*names, *hosts], [*origins, *(f"https://{host}" for host in hosts)]


def _library() -> Callable[..., Any]:
    """Import the protocol's library, which takes long; a thread does so, and other requests go on."""
    handle: Callable[..., Any] = import_module("fivefold.serving.mcp.server").handle_message
    return handle


def _replayed_body(body: bytes) -> Receive:
    """Return a `receive` that gives the body that was read already."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _marked(send: Send) -> Send:
    """Mark errors, so that the error middleware keeps them: they have the protocol's form, which clients read."""

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            message = {**message, "headers": [*message.get("headers", []), _MARK]}
        await send(message)

    return marked
