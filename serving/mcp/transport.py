"""The transports of the protocol's library: one message over HTTP, or a whole conversation over a pipe."""

from typing import Any

from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import Receive, Scope, Send

from fivefold.serving.mcp.caller import Caller
from fivefold.serving.mcp.server import server_for
from fivefold.serving.v1.dispatch import Dispatcher


async def handle_message(
    dispatcher: Dispatcher,
    secret: str,
    allowed: tuple[list[str], list[str]],
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Answer one message over HTTP, by a server made for it: no session outlives it."""
    hosts, origins = allowed
    manager = StreamableHTTPSessionManager(
        server_for(Caller(dispatcher, secret)),
        stateless=True,
        json_response=True,
        security_settings=TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins),
    )
    async with manager.run():
        await manager.handle_request(scope, receive, send)


async def converse(dispatcher: Dispatcher, secret: str) -> None:
    """Answer on standard output what comes on standard input, until that ends."""
    server: Any = server_for(Caller(dispatcher, secret))
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
