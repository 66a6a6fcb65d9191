"""Walls: what a role or an organisation may not know is neither listed nor told, and a token that ends ends at once."""

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from fivefold.serving.mcp.reading import READING
from fivefold.serving.mcp.server import TOOLS
from fivefold.usecases.accounts.tokens import revoke_token
from fivefold.usecases.shared.actors import Role
from tests.serving.mcp.asking import (
    ARGUMENTS,
    answers_of_all,
    arguments_of,
    calls_recorded,
    conversation,
    of_role,
    refused,
)
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.places import OURS, THEIRS, Place

ABOUT_ONE = ("external_id", "assessment", "decision")


@pytest.mark.parametrize("role", Role)
def test_a_tool_that_is_not_for_a_role_is_not_callable_either(place: Place, role: Role) -> None:
    others = [tool.name for tool in TOOLS if role not in tool.roles or tool.changes]

    async def talk(client: Client) -> set[str]:
        return {await refused(client, name, ARGUMENTS) for name in [*others, "no_such_tool"]}

    assert of_role(place, role, talk) == {"there is no such tool"}
    assert [(each["details"]["tool"], each["details"]["status"]) for each in calls_recorded(place)] == [
        (name, 403) for name in others
    ]


def test_a_commercial_role_learns_nothing_of_a_level(place: Place) -> None:
    async def talk(client: Client) -> list[str]:
        asked = {"external_id": CUSTOMER}
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert "read_level" not in names
        told = [await refused(client, name, asked) for name in ("read_level", "read_level_history", "list_decisions")]
        found = [await client.call_tool(name, await arguments_of(client, name)) for name in sorted(names)]
        return [*told, *(str(result) for result in found)]

    for told in of_role(place, "commercial", talk):
        for word in ("340", "retail", "Country of residence", "assess"):
            assert word not in told


def test_another_organisation_finds_nothing_of_ours(place: Place) -> None:
    results = of_role(place, "publisher", answers_of_all, THEIRS)
    about_one = {tool.name for tool in READING if set(tool.arguments.model_fields) & set(ABOUT_ONE)}
    assert {name for name, result in results.items() if result.is_error} >= about_one
    assert results["find_customer"].is_error or results["find_customer"].structured_content["found"] == []
    for word in ("340", "Country of residence", "medium since"):
        assert word not in str(results)
    assert calls_recorded(place) == [], "they are in the log of who asked"
    assert {entry["subject_kind"] for entry in calls_recorded(place, THEIRS)} == {"token"}


def test_a_ruleset_or_model_of_ours_cannot_be_read_by_its_address(place: Place) -> None:
    async def talk(client: Client) -> str:
        try:
            await client.read_resource("fivefold://rulesets/retail/versions/1")
        except MCPError as error:
            return error.message
        raise AssertionError

    assert "there is no" in conversation(place, place.tokens[THEIRS, "publisher"], talk)
    assert "there is no resource" in conversation(place, place.tokens[OURS, "investigator"], talk)


def test_a_token_that_is_revoked_in_the_middle_answers_nothing_more(place: Place) -> None:
    (token,) = place.join("somebody", "investigator")
    number = max(row["id"] for row in place.good("GET", "/v1/tokens?limit=1000", role="admin"))

    async def talk(client: Client) -> list[str]:
        asked = {"external_id": CUSTOMER}
        first = await client.call_tool("read_level", asked)
        assert not first.is_error
        revoke_token(place.engine, number, actor="cli:test")
        told = [await refused(client, "read_level", asked)]
        for ask in (client.list_tools, client.list_resources, client.list_prompts):
            try:
                await ask(cache_mode="bypass")
            except MCPError as error:
                told.append(error.message)
        return told

    assert conversation(place, token, talk) == ["Could not validate credentials"] * 4
