"""The protocol's own client against a running service, and over a pipe to `fivefold mcp`, on both databases."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from httpx2 import AsyncClient
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from fivefold.serving.mcp.changing import REPEATED
from fivefold.usecases.accounts.tokens import revoke_token
from tests.serving.processes.service import Service, sample_rows
from tests.serving.processes.test_platform import Bank

Result = TypeVar("Result")
Talk = Callable[[Client], Awaitable[Result]]
MODES = ("auto", "legacy")
"""How the client agrees on a version of the protocol: without a session, or by the handshake of before."""


def talked(transport: AbstractAsyncContextManager[Any], talk: Talk[Result], mode: str = "auto") -> Result:
    async def go() -> Result:
        async with Client(transport, mode=mode) as client:
            return await talk(client)

    return asyncio.run(go())


def over_http(service: Service, token: str, talk: Talk[Result], mode: str = "auto") -> Result:
    @asynccontextmanager
    async def transport() -> AsyncGenerator[Any, None]:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            AsyncClient(headers=headers, timeout=60, trust_env=False) as http,
            streamable_http_client(f"{service.url}/mcp", http_client=http) as streams,
        ):
            yield streams

    return talked(transport(), talk, mode)


def over_a_pipe(service: Service, token: str, talk: Talk[Result]) -> Result:
    """By the handshake, which waits for a command that starts slowly; otherwise the client gives up after 10 s."""
    settings = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "FIVEFOLD_VAR": str(service.var),
        "FIVEFOLD_DATABASE_URL": service.database_url,
        "FIVEFOLD_PLANS_FILE": str(service.plans_file),
        "FIVEFOLD_TOKEN": token,
    }
    command = str(Path(sys.executable).parent / "fivefold")
    with (service.var / "mcp.log").open("a", encoding="utf-8") as log:
        return talked(
            stdio_client(StdioServerParameters(command=command, args=["mcp"], env=settings), log), talk, "legacy"
        )


@pytest.fixture
def bank(service: Service) -> Bank:
    """An organisation with one customer whose value the model knows."""
    bank = Bank(service, f"agents of {service.port} {os.urandom(4).hex()}")
    bank.good("ada", "PUT", "/v1/settings/levels", {"levels": ["low", "medium", "high"]})
    bank.good("ada", "PUT", "/v1/entity-types/customer", {"fields": {"country": "country"}})
    bank.good("app", "PUT", "/v1/entities/customer/valued", {})
    rows = [{**row, "user_id": "valued", "transaction_id": f"v{n}"} for n, row in enumerate(sample_rows())]
    bank.good("app", "POST", "/v1/transactions", rows)
    bank.good("app", "GET", "/v1/entities/customer/valued/risk", params={"freshness": "now"})
    return bank


async def look_around(client: Client) -> dict[str, Any]:
    """Ask for a value with its explanation, a figure of the portfolio, the lists and a document."""
    value = await client.call_tool("read_value", {"external_id": "valued"})
    figures = await client.call_tool("portfolio_value", {})
    (document,) = (await client.read_resource("fivefold://indicators")).contents
    return {
        "value": value.structured_content,
        "sentence": getattr(value.content[0], "text", ""),
        "figures": figures.structured_content,
        "tools": [tool.name for tool in (await client.list_tools()).tools],
        "prompts": [prompt.name for prompt in (await client.list_prompts()).prompts],
        "document": getattr(document, "text", "")[:16],
    }


def check(bank: Bank, seen: dict[str, Any]) -> None:
    there = bank.good("ivo", "GET", "/v1/entities/customer/valued/value")
    assert seen["value"]["value"] == there
    assert there["breakdown"], there["unexplained"]
    assert seen["sentence"].startswith("valued scores ")
    assert there["breakdown"]["contributions"][0]["sentence"]
    assert seen["figures"]["segments"]["entities"] == 1
    assert "read_level" in seen["tools"]
    assert len(seen["prompts"]) == 3
    assert seen["document"] == "# The indicators"
    entries = bank.good("ada", "GET", "/v1/audit?limit=100")
    calls = [entry for entry in entries if entry["action"] in {"tool.called", "resource.read", "prompt.read"}]
    assert [entry["details"].get("tool") for entry in reversed(calls)][-3:] == ["read_value", "portfolio_value", None]


@pytest.mark.full
@pytest.mark.parametrize("mode", MODES)
def test_a_client_asks_a_running_service(bank: Bank, mode: str) -> None:
    check(bank, over_http(bank.service, bank.tokens["ivo"], look_around, mode))


@pytest.mark.full
def test_a_client_starts_the_command_and_asks_it(bank: Bank) -> None:
    check(bank, over_a_pipe(bank.service, bank.tokens["ivo"], look_around))


@pytest.mark.full
def test_a_revocation_holds_at_once_for_both(bank: Bank) -> None:
    """The token is looked up for each message: nothing is answered once it is revoked, in whatever conversation."""
    for over in (over_http, over_a_pipe):
        number = bank.good("ada", "GET", "/v1/tokens?limit=1000")
        token = bank.service.token(organisation=_name_of(bank), member="ivo", role="investigator")
        last = max(row["id"] for row in bank.good("ada", "GET", "/v1/tokens?limit=1000") if row not in number)

        async def talk(client: Client, last: int = last) -> list[str]:
            asked = {"external_id": "valued"}
            first = await client.call_tool("read_level", asked)
            assert not first.is_error
            revoke_token(bank.service.engine, last, actor="cli:test")
            try:
                second = await client.call_tool("read_level", asked)
            except MCPError as error:
                return [error.message]
            return [str(second)]

        (told,) = over(bank.service, token, talk)
        assert "valued" not in told


@pytest.mark.full
def test_a_token_that_may_changes_things_over_both_and_another_does_not(bank: Bank) -> None:
    """Once under a key, whichever way the call comes; who reads the audit log sees that an agent asked."""
    of = {"organisation": _name_of(bank), "member": "ivo", "role": "investigator"}
    marked = bank.service.token(**of, mcp_changes=True)
    asked = {"external_id": "valued", "tag": "watch", "why": "The person asked me to.", "key": "one-key-for-both"}

    async def talk(client: Client) -> str:
        result = await client.call_tool("set_tag", asked)
        assert not result.is_error
        return str(getattr(result.content[0], "text", ""))

    async def read(client: Client) -> bool:
        return "set_tag" in [tool.name for tool in (await client.list_tools()).tools]

    said = "valued has the tag watch."
    assert over_http(bank.service, marked, talk) == said
    assert over_a_pipe(bank.service, marked, talk) == f"{REPEATED} {said}"
    assert [tag["tag"] for tag in bank.good("ivo", "GET", "/v1/entities/customer/valued/tags")] == ["watch"]
    for over in (over_http, over_a_pipe):
        assert not over(bank.service, bank.tokens["ivo"], read)
    actions = [entry["action"] for entry in bank.good("ada", "GET", "/v1/audit?limit=100")]
    assert actions[:5] == ["tool.called", "tool.asked", "tool.called", "tag.set", "tool.asked"]


def _name_of(bank: Bank) -> str:
    (name,) = {row["organisation"] for row in _tokens_in_database(bank)}
    return str(name)


def _tokens_in_database(bank: Bank) -> list[dict[str, Any]]:
    from fivefold.usecases.accounts.credentials import find_credential, month_of
    from fivefold.usecases.accounts.tokens import list_tokens

    credential = find_credential(bank.service.engine, bank.tokens["ivo"])
    assert credential is not None
    lines = list_tokens(bank.service.engine, month_of(0))
    return [{"organisation": line.organisation} for line in lines if line.id == credential.token_id]
