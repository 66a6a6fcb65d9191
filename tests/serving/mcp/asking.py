"""A person of a furnished place who asks by the protocol's own client, in this process."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from mcp import Client
from mcp.shared.exceptions import MCPError

from fivefold.serving.mcp.caller import Caller
from fivefold.serving.mcp.server import server_for
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.places import OURS, Place, routes

ARGUMENTS: dict[str, Any] = {"text": "c", "external_id": CUSTOMER, "assessment": "1.1", "decision": 1, "run": 1}
"""What is asked of each tool that takes one of these names, in a furnished place."""
Result = TypeVar("Result")


def conversation(place: Place, token: str, talk: Callable[[Client], Awaitable[Result]]) -> Result:
    """Let somebody with a token talk to the server; give what came of it."""
    dispatcher = routes()[1]
    dispatcher._engine = place.engine

    async def go() -> Result:
        async with Client(server_for(Caller(dispatcher, token))) as client:
            return await talk(client)

    try:
        return asyncio.run(go())
    except BaseExceptionGroup as group:  # the client's own tasks put one around what it raises
        raise cause_of(group) from None


def cause_of(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def of_role(place: Place, role: str, talk: Callable[[Client], Awaitable[Result]], organisation: str = OURS) -> Result:
    return conversation(place, place.tokens[organisation, role], talk)


async def arguments_of(client: Client, name: str) -> dict[str, Any]:
    """Give the arguments that a listed tool must have, of the furnished place."""
    (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == name]
    return {key: ARGUMENTS[key] for key in tool.input_schema.get("required", ())}


async def refused(client: Client, name: str, arguments: dict[str, Any]) -> str:
    """Call a tool that is not to be had; give what the client was told."""
    try:
        result = await client.session.call_tool(name, arguments)
    except MCPError as error:
        return error.message
    raise AssertionError(f"{name} answered {result.content}")


def calls_recorded(place: Place, organisation: str = OURS) -> list[Any]:
    """List the calls in the audit log, the earliest first."""
    entries = place.good("GET", "/v1/audit?limit=1000", token=place.tokens[organisation, "admin"])
    return [entry for entry in reversed(entries) if entry["action"] in {"tool.called", "resource.read", "prompt.read"}]


def structure_of(result: Any) -> dict[str, Any]:
    """Give the structure behind the sentence; it is in the text too."""
    sentence, written = (part.text for part in result.content)
    assert not result.is_error
    structure: dict[str, Any] = dict(result.structured_content)
    assert structure.pop("sentence") == sentence
    assert json.loads(written) == structure
    return structure
