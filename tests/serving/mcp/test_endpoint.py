"""The endpoint over HTTP, in this process: both ways to agree on a version, who is let in, and what is counted."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient, Response
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from fivefold.serving.error_middleware import ErrorMiddleware
from fivefold.serving.mcp.endpoint import McpEndpoint, add_mcp
from fivefold.serving.v1.dispatch import Dispatcher
from fivefold.store.accounts.plans import Plan
from tests.serving.mcp.asking import cause_of
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.places import LIMITS, OURS, PLANS, Place

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
JSON = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
LOCAL = "http://127.0.0.1:3000"
BODY = b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}'


def http_to(place: Place, token: str = "", plans: Mapping[str, Plan] = PLANS) -> AsyncClient:
    """Open a client of HTTP to an application with this endpoint alone."""
    app = FastAPI()
    add_mcp(app, McpEndpoint(Dispatcher(place.engine, LIMITS, lambda: None, plans), ("bank.example",)))
    edge = ErrorMiddleware(app, place.watching, LIMITS.seconds)  # type: ignore[arg-type]  # stands in
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return AsyncClient(transport=ASGITransport(app=edge), base_url=LOCAL, headers=headers)


def asked(place: Place, content: bytes = BODY, method: str = "POST", url: str = "/mcp", **headers: str) -> Response:
    async def go() -> Response:
        async with http_to(place) as http:
            return await http.request(method, url, content=content, headers={**JSON, **headers})

    return asyncio.run(go())


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_of_the_protocol_asks_over_http_without_a_session(place: Place, mode: Any) -> None:
    async def go() -> Any:
        http = http_to(place, place.tokens[OURS, "commercial"])
        async with Client(streamable_http_client(f"{LOCAL}/mcp", http_client=http), mode=mode) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            found = await client.call_tool("find_customer", {"text": "c"})
            with pytest.raises(MCPError, match="there is no such tool"):
                await client.session.call_tool("read_level", {"external_id": CUSTOMER})
            return tools, found.structured_content

    tools, found = asyncio.run(go())
    assert tools == ["find_customer", "read_value", "portfolio_value"]
    assert [row["external_id"] for row in found["found"]] == [CUSTOMER]
    assert place.watching.routes[-1] == "/mcp"


def test_nobody_is_let_in_without_a_token_nor_by_a_page_of_another_site(furnished: Place) -> None:
    token = furnished.tokens[OURS, "app"]
    refused = asked(furnished)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.json() == [{"detail": "Could not validate credentials"}]
    assert asked(furnished, token="wrong").status_code == 401
    good = asked(furnished, token=token)
    assert {tool["name"] for tool in good.json()["result"]["tools"]} == {
        "read_level",
        "read_decision",
        "read_flow_run",
        "read_flow_actions",
    }
    assert "mcp-session-id" not in good.headers
    for host, status in (("bank.example", 200), ("bank.example:444", 421), ("rebound.example", 421)):
        assert asked(furnished, token=token, host=host).status_code == status
    origins = {
        LOCAL: 200,
        "https://bank.example": 200,
        "http://bank.example": 403,
        "https://evil.example": 403,
        "null": 403,
    }
    for origin, status in origins.items():
        assert asked(furnished, token=token, origin=origin).status_code == status, origin
    for method in ("GET", "DELETE", "PUT"):
        answer = asked(furnished, method=method, token=token)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_message_that_is_too_large_or_none_is_refused(furnished: Place) -> None:
    token = furnished.tokens[OURS, "app"]
    assert asked(furnished, b" " * 65_000, token=token).status_code == 413
    broken = asked(furnished, b"{", token=token)
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, -32700)
    assert asked(furnished, token=token, **{"content-type": "text/plain"}).status_code == 400


def test_each_message_and_each_route_counts_as_a_request_of_the_plan(place: Place) -> None:
    plans = {**PLANS, "unlimited": Plan(**{**vars(PLANS["unlimited"]), "requests_per_minute": 5})}

    async def go() -> list[int]:
        call = {**CALL, "method": "tools/call", "params": {"name": "portfolio_value", "arguments": {}}}
        async with http_to(place, place.tokens[OURS, "commercial"], plans) as http:
            answers = [await http.post("/mcp", json=call, headers=JSON) for _ in range(4)]
            return [answer.status_code if answer.status_code != 200 else _errors(answer) for answer in answers]

    try:
        told = asyncio.run(go())
    except BaseExceptionGroup as group:
        raise cause_of(group) from None
    assert told == [0, 0, 1, 429], "two requests a call: the third call has one left, for the message alone"


def _errors(answer: Response) -> int:
    return int(answer.json()["result"].get("isError", False))
