"""A person of a furnished place who asks by the protocol's own client, in this process."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from mcp import Client
from mcp.shared.exceptions import MCPError
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.serving.mcp.caller import Caller
from fivefold.serving.mcp.server import server_for
from fivefold.store.tables.audit import AuditEntry, AuditValues
from fivefold.usecases.accounts.organisations import add_member
from fivefold.usecases.accounts.tokens import create_token
from fivefold.usecases.shared.actors import OF_MEMBERS, Actor
from fivefold.usecases.shared.context import Context
from tests.serving.v1.examples import CUSTOMER, OPENED
from tests.serving.v1.places import OURS, PLANS, Place, routes

ARGUMENTS: dict[str, Any] = {
    "text": "c",
    "external_id": CUSTOMER,
    "assessment": "1.1",
    "decision": 1,
    "run": 1,
    "flow": "care",
    "tag": "watch",
    "level": "high",
    "action": 1,
    "opened_at": OPENED,
    "why": "The person asked me to.",
}
"""What is asked of each tool that takes one of these names, in a furnished place."""
ACTIONS = {"tool.asked", "tool.called", "resource.read", "prompt.read"}
WHY = ARGUMENTS["why"]
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
    """Give the arguments that a listed tool must have, of the furnished place; each change has a key of its own."""
    (tool,) = [tool for tool in (await client.list_tools()).tools if tool.name == name]
    known = {**ARGUMENTS, "key": f"key-of-{name}", **({"flow": "written"} if name == "try_flow" else {})}
    required = ["text"] if name == "find_customer" else tool.input_schema.get("required", ())
    return {key: known[key] for key in required}


async def answers_of_all(client: Client) -> dict[str, Any]:
    """Call every tool that is listed, with the arguments that it must have."""
    names = [tool.name for tool in (await client.list_tools()).tools]
    return {name: await client.call_tool(name, await arguments_of(client, name)) for name in names}


def changing_token(place: Place, role: str, organisation: str = OURS, plan: str = "unlimited") -> tuple[str, str]:
    """Make a token that may change things by tools, of somebody new; give it, and a token without the mark of the same.

    A program's are two programs'.
    """
    of: dict[str, Any] = {"plan": plan, "organisation": organisation, "role": role}
    if role in OF_MEMBERS:
        of["member"] = f"{role} with an agent"
        add_member(Context(place.engine, Actor(place.organisations[organisation], "cli:test")), of["member"], [role])
    marked, plain = (create_token(place.engine, PLANS, mcp_changes=may, **of)[1] for may in (True, False))
    return marked, plain


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
    return [entry for entry in reversed(entries) if entry["action"] in ACTIONS]


def structure_of(result: Any) -> dict[str, Any]:
    """Give the structure behind the sentence; it is in the text too."""
    sentence, written = (part.text for part in result.content)
    assert not result.is_error
    structure: dict[str, Any] = dict(result.structured_content)
    assert structure.pop("sentence") == sentence
    assert json.loads(written) == structure
    return structure


def entries_of(place: Place, organisation: str = OURS) -> list[Any]:
    """List all entries of the audit log, the earliest first."""
    return list(reversed(place.good("GET", "/v1/audit?limit=1000", token=place.tokens[organisation, "admin"])))


def reasons_kept(place: Place, organisation: str = OURS) -> list[str]:
    """List what the log keeps of why tools were to change something, apart from its entries."""
    same = (AuditValues.organisation_id == AuditEntry.organisation_id) & (AuditValues.number == AuditEntry.number)
    asked = (AuditEntry.organisation_id == place.organisations[organisation]) & AuditEntry.action.startswith("tool.")
    with Session(place.engine) as session:
        found = session.scalars(
            select(AuditValues.after).join(AuditEntry, same).where(asked).order_by(AuditEntry.number)
        )
        return [given["why"] for given in map(json.loads, filter(None, found)) if "why" in given]


def called(place: Place, token: str, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """Call tools, one after the other."""

    async def talk(client: Client) -> list[Any]:
        return [await client.call_tool(name, arguments) for name, arguments in calls]

    return conversation(place, token, talk)


def of_one(**more: Any) -> dict[str, Any]:
    return {"external_id": CUSTOMER, "why": WHY, "key": "the-first-key", **more}
