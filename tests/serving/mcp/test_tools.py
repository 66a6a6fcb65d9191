"""Tools: the sentence first, then exactly what `/v1` answers to the same token; each call in the audit log."""

import subprocess
import sys
from itertools import product
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.risk.language.policy import STATUSES
from fivefold.serving.mcp.caller import BY_NAME
from fivefold.serving.mcp.reading import READING, RISK, TRY
from fivefold.serving.mcp.resources import PATTERNS
from fivefold.serving.mcp.sentences import NOT_ASSESSED, level_sentence
from fivefold.serving.mcp.server import TOOLS
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import DueMark, Standing
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.overrides import approve_override, request_override
from fivefold.usecases.levels.records import NEVER_ASSESSED
from fivefold.usecases.levels.worker import run_batch
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.serving.mcp.asking import answers_of_all, calls_recorded, conversation, of_role, structure_of
from tests.serving.v1.examples import CUSTOMER, yesterday
from tests.serving.v1.places import OURS, Place
from tests.usecases import platforms

ONE = "/v1/entities/customer/c%2F1%20%C3%A4"
SAME: dict[str, dict[str, str]] = {
    "find_customer": {"found": "/v1/search?type=customer&text=c&limit=20"},
    "read_value": {"value": f"{ONE}/value"},
    "read_level": {"level": f"{ONE}/risk?freshness=stored"},
    "read_level_history": {"history": f"{ONE}/history?limit=20"},
    "read_assessment": {"assessment": "/v1/assessments/1.1"},
    "what_would_change_level": {"answer": f"{ONE}/what-if"},
    "list_decisions": {"decisions": f"{ONE}/decisions"},
    "read_decision": {"decision": "/v1/decisions/1"},
    "list_flow_runs": {"runs": "/v1/flow-runs?type=customer&external_id=c%2F1%20%C3%A4&limit=20"},
    "read_flow_run": {"run": "/v1/flow-runs/1"},
    "read_flow_actions": {"standing": f"{ONE}/flow-actions"},
    "portfolio_levels": {"distribution": "/v1/distribution?type=customer"},
    "portfolio_changes": {
        "migration": "/v1/migration?type=customer",
        "movers": "/v1/migration/movers?type=customer&limit=10",
    },
    "portfolio_value": {"segments": "/v1/segments?type=customer"},
}


def reading_of(role: Role) -> list[str]:
    return [tool.name for tool in READING if role in tool.roles]


def test_tools_that_read_and_resources_ask_only_routes_that_read() -> None:
    asked = {name for tool in READING for name in tool.routes}
    asked |= {pattern.route for pattern in PATTERNS}
    assert {name for name in asked if BY_NAME[name].method != "GET"} == {TRY}
    assert {tool.name for tool in READING} == {*SAME, "try_flow"}


@pytest.mark.parametrize("role", Role)
def test_every_tool_of_a_role_answers_what_v1_answers_to_it(place: Place, role: Role) -> None:
    results = of_role(place, role, answers_of_all)
    assert list(results) == reading_of(role)
    for name, result in results.items():
        if name == "try_flow":  # of its own moment; a test of its own below
            continue
        expected = {key: place.good("GET", path, role=role) for key, path in _paths(name, role).items()}
        structure = structure_of(result)
        structure.pop("after", None)
        assert structure == expected, name
    recorded = [(entry["details"]["tool"], entry["details"]["status"]) for entry in calls_recorded(place)]
    assert recorded == [(name, 200) for name in results]


def _paths(name: str, role: Role) -> dict[str, str]:
    if name == "find_customer" and role is Role.COMMERCIAL:
        return {"found": "/v1/values/search?type=customer&text=c&limit=20"}
    return SAME[name]


@pytest.mark.parametrize("status", sorted({*STATUSES, NEVER_ASSESSED}))
def test_a_level_that_was_not_assessed_is_never_read_as_one_that_was(status: str) -> None:
    of = {"external_id": "c1", "since": None, "may_move_down_on": None, "status": status}
    said = {level: level_sentence({**of, "level": level}) for level in ("high", None)}
    if status == "assessed":
        assert said["high"] == "c1 is high."
    else:
        clause = NOT_ASSESSED[status]
        assert said["high"].startswith(f"c1 is high. {clause[:1].upper()}{clause[1:]}")
        assert said[None] == f"c1 has no level: {clause}."


def test_the_sentence_of_a_level_names_the_other_rulesets_that_keep_the_entity() -> None:
    of = {"external_id": "c1", "since": None, "may_move_down_on": None, "status": "assessed", "level": "high"}
    assert level_sentence({**of, "kept_by": []}) == "c1 is high."
    said = level_sentence({**of, "kept_by": ["norwegians", "peps"]})
    assert said == (
        "c1 is high. These rulesets keep it as well, until it is known that they do not apply: norwegians, peps."
    )


@pytest.mark.parametrize("role", ["app", "investigator"])
def test_the_tool_says_that_a_level_could_not_be_computed(place: Place, role: str) -> None:
    place.good("PUT", "/v1/entities/customer/late", {"attributes": {"country": "KP"}}, role="app")
    place.good("GET", "/v1/entities/customer/late/risk?freshness=now", role="app")
    place.good("PUT", "/v1/entities/customer/late", {"attributes": {"country": "NO"}}, role="app")
    before = place.good("GET", "/v1/entities/customer/late/risk?freshness=now", role="app")
    assert "It may move to a lower level from " in level_sentence(before)
    with Session(place.engine) as session, session.begin():
        of_last = select(func.max(Standing.entity_id)).scalar_subquery()
        ahead = now_microseconds() + 2 * DAY_US
        session.execute(update(Standing).where(Standing.entity_id == of_last).values(assessed_us=ahead))

    async def talk(client: Client) -> Any:
        return await client.call_tool("read_level", {"external_id": "late"})

    told = of_role(place, role, talk).content[0].text
    assert "Its last assessment failed; nothing lowers the level meanwhile. The last attempt to compute it" in told
    assert "may move" not in told


def test_a_call_is_recorded_with_whom_it_was_about_and_by_which_token_and_nothing_personal(place: Place) -> None:
    async def talk(client: Client) -> None:
        await client.call_tool("read_level", {"external_id": CUSTOMER})
        await client.call_tool("read_level", {"external_id": "nobody-7f3a9"})
        await client.call_tool("portfolio_levels", {})
        await client.call_tool("portfolio_levels", {"type": "type-7f3a9"})
        await client.call_tool("read_level", {"external-7f3a9": 1})

    of_role(place, "investigator", talk)
    entries = calls_recorded(place)
    assert [(entry["subject_kind"], entry["details"]["status"]) for entry in entries] == [
        ("entity", 200),
        ("token", 404),
        ("token", 200),
        ("token", 404),
        ("token", 422),
    ]
    assert {entry["actor"] for entry in entries} == {place.actor("investigator").name}
    assert "7f3a9" not in str(entries)
    assert CUSTOMER not in str(entries)


def test_what_cannot_be_answered_is_told_in_the_words_of_v1(place: Place) -> None:
    async def talk(client: Client) -> list[Any]:
        return [
            await client.call_tool("read_level", {"external_id": "nobody"}),
            await client.call_tool("read_level", {}),
            await client.call_tool("read_level_history", {"external_id": CUSTOMER, "limit": 0}),
            await client.call_tool("portfolio_changes", {"since": "yesterday"}),
        ]

    results = of_role(place, "investigator", talk)
    assert all(result.is_error and result.structured_content is None for result in results)
    told = [result.content[0].text for result in results]
    there = place.ask("GET", "/v1/entities/customer/nobody/risk", role="investigator").json()[0]["detail"]
    assert told[0] == there
    assert told[1].startswith("external_id: ")
    assert told[2].startswith("limit: ")
    assert told[3].startswith("Unprocessable Entity: query.since: "), "the place is named"
    assert "ISO 8601" in told[3]


def test_a_list_goes_on_where_it_ended(place: Place) -> None:
    for name in ("ann-1", "ann-2", "ann-3"):
        place.good("PUT", f"/v1/entities/customer/{name}", {}, role="app")

    async def talk(client: Client) -> tuple[Any, Any]:
        first = await client.call_tool("find_customer", {"text": "ann", "limit": 2})
        after = first.structured_content["after"]
        return first, await client.call_tool("find_customer", {"text": "ann", "limit": 2, "after": after})

    first, second = (structure_of(result) for result in of_role(place, "investigator", talk))
    assert [row["external_id"] for row in first["found"] + second["found"]] == ["ann-1", "ann-2", "ann-3"]
    assert (first["after"] is None, second["after"]) == (False, None)


def test_those_whose_last_attempt_failed_are_found_by_who_may_see_levels_alone(place: Place) -> None:
    for name in ("ann-1", "ann-2", "bob"):
        place.good("PUT", f"/v1/entities/customer/{name}", {}, role="app")
    with Session(place.engine) as session:
        broken = select(Entity.id).where(Entity.external_id.in_(["ann-2", "bob"]))
        session.execute(update(DueMark).where(DueMark.entity_id.in_(broken)).values(error="it broke"))
        session.commit()
    asked: list[dict[str, Any]] = [
        {"failing": True},
        {"failing": True, "text": "ann"},
        {"failing": False, "text": "ann"},
        {},
    ]

    async def talk(client: Client) -> list[Any]:
        return [await client.call_tool("find_customer", arguments) for arguments in asked]

    assert [result.content[0].text for result in of_role(place, "investigator", talk)] == [
        "2 customers found by a last attempt that failed: ann-2, bob.",
        "1 customer found by ann and a last attempt that failed: ann-2.",
        "1 customer found by ann and no last attempt that failed: ann-1.",
        "give words, a tag, an owner or failing=true to search for",
    ]
    results = of_role(place, "commercial", talk)
    assert [result.is_error for result in results] == [True] * 4
    words = [result.content[0].text for result in results]
    assert words[:3] == ["failing: it is only for who may see levels; leave it out"] * 3
    assert "query.text" in words[3]


def test_a_part_of_a_list_that_goes_on_is_not_taken_for_all_of_it(place: Place) -> None:
    for name in ("ann-1", "ann-2", "ann-3"):
        place.good("PUT", f"/v1/entities/customer/{name}", {}, role="app")

    async def talk(client: Client) -> list[str]:
        sentences, after = [], None
        for _ in range(3):
            result = await client.call_tool("find_customer", {"text": "ann", "limit": 1, "after": after})
            sentences.append(result.content[0].text)
            after = result.structured_content["after"]
        return sentences

    assert of_role(place, "investigator", talk) == [
        "More than 1 customer found by ann: ann-1, ….",
        "More than 1 further customer found by ann: ann-2, ….",
        "1 further customer found by ann: ann-3.",
    ]


def test_a_level_is_read_and_not_computed(place: Place) -> None:
    """A call changes nothing: nobody becomes due by it, and no assessment is made."""
    place.good("PUT", "/v1/entities/customer/new-1", {}, role="app")

    async def talk(client: Client) -> Any:
        return await client.call_tool("read_level", {"external_id": "new-1"})

    result = of_role(place, "investigator", talk)
    assert result.content[0].text.startswith("new-1 has no level: it was never assessed. Something happened since")
    assert place.good("GET", "/v1/entities/customer/new-1/history", role="investigator") == []
    assert RISK in BY_NAME


def test_a_flow_is_tried_on_a_customer_and_nothing_is_done(place: Place) -> None:
    """It is a POST of `/v1`, and no change: it needs no mark, and the log has of whom it was."""
    runs = place.good("GET", "/v1/flow-runs", role="publisher")

    async def talk(client: Client) -> list[Any]:
        care = {"flow": "care", "external_id": CUSTOMER}
        return [
            await client.call_tool("try_flow", {**care, "version": 1}),
            await client.call_tool("try_flow", {"flow": "written", "external_id": CUSTOMER}),
            await client.call_tool("try_flow", {**care, "version": 99}),
        ]

    version, draft, none = of_role(place, "publisher", talk)
    body = {"external_id": CUSTOMER, "version": 1}
    there = place.good("POST", "/v1/flows/care/try", body, role="publisher")
    found = structure_of(version)["tried"]
    assert found["why"]["line"]
    assert {**found, "as_of": there["as_of"]} == there
    assert version.content[0].text.startswith(f"Tried on {CUSTOMER}, care 1 would come to an end: ")
    assert "the draft of written" in draft.content[0].text
    assert none.is_error
    assert place.good("GET", "/v1/flow-runs", role="publisher") == runs
    entries = calls_recorded(place)
    assert [(entry["subject_kind"], entry["details"]["status"]) for entry in entries] == [
        ("entity", 200),
        ("entity", 200),
        ("token", 404),
    ]


@pytest.mark.parametrize("role", Role)
def test_resources_are_those_that_a_role_may_read(place: Place, role: Role) -> None:
    async def talk(client: Client) -> tuple[list[str], list[str], str]:
        listed = [resource.uri for resource in (await client.list_resources()).resources]
        kinds = [each.uri_template for each in (await client.list_resource_templates()).resource_templates]
        (read,) = (await client.read_resource(listed[1 if len(listed) > 1 else 0])).contents
        return listed, kinds, str(getattr(read, "text", ""))

    listed, kinds, text = of_role(place, role, talk)
    assert listed[0] == "fivefold://indicators"
    if role in {Role.PUBLISHER, Role.ADMIN}:
        assert "fivefold://rulesets/retail/versions/1" in listed
        assert "fivefold://models/1" in listed
        assert len(kinds) == 2
        there = place.good("GET", "/v1/rulesets/retail/versions/1", role=role)
        assert text == there["document"]
    else:
        assert (len(listed), kinds) == (1, [])
        assert text.startswith("# The indicators")
    assert calls_recorded(place)[-1]["details"]["status"] == 200


@pytest.mark.parametrize("role", Role)
def test_prompts_are_those_whose_tools_a_role_has(place: Place, role: Role) -> None:
    async def talk(client: Client) -> list[str]:
        prompts = (await client.list_prompts()).prompts
        texts = []
        for prompt in prompts:
            given = {each.name: "c-17" for each in prompt.arguments or () if each.required}
            (message,) = (await client.get_prompt(prompt.name, given)).messages
            texts.append(str(getattr(message.content, "text", "")))
        return texts

    texts = of_role(place, role, talk)
    assert len(texts) == (0 if role in {Role.APP, Role.COMMERCIAL} else 3)
    own = set(reading_of(role))
    named = {tool.name for tool, text in product(TOOLS, texts) if tool.name in text}
    assert named <= own
    assert sum("c-17" in text for text in texts) == (2 if texts else 0)


def test_a_prompt_is_recorded_with_whom_it_is_about(place: Place) -> None:
    async def talk(client: Client) -> list[str]:
        await client.get_prompt("why_this_level", {"external_id": CUSTOMER})
        await client.get_prompt("why_this_level", {"external_id": "nobody"})
        await client.get_prompt("what_changed_in_the_portfolio", {})
        return await refusals_of_prompts(client, ("why_this_level", {}), ("none", {}))

    told = of_role(place, "investigator", talk)
    assert told == ["external_id is missing", "there is no such prompt"]
    assert of_role(place, "app", lambda client: refusals_of_prompts(client, ("why_this_level", {}))) == told[1:]
    entries = calls_recorded(place)
    assert [(entry["action"], entry["details"].get("prompt"), entry["details"]["status"]) for entry in entries] == [
        ("prompt.read", "why_this_level", 200),
        ("prompt.read", "why_this_level", 200),
        ("prompt.read", "what_changed_in_the_portfolio", 200),
        ("prompt.read", "why_this_level", 422),
        ("prompt.read", "why_this_level", 403),
    ]
    assert [entry["subject_kind"] for entry in entries] == ["entity", *["token"] * 4]
    assert entries[1]["details"]["entity"] == "not found"
    assert CUSTOMER not in str(entries)


async def refusals_of_prompts(client: Client, *asked: tuple[str, dict[str, str]]) -> list[str]:
    told = []
    for name, given in asked:
        with pytest.raises(MCPError) as refusal:
            await client.get_prompt(name, given)
        told.append(refusal.value.message)
    return told


@pytest.mark.full
def test_the_library_is_not_imported_by_what_the_service_imports_at_its_start() -> None:
    program = "import sys, fivefold.serving.mcp.endpoint; print([m for m in sys.modules if m.startswith('mcp')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.full
@pytest.mark.postgresql
def test_calls_are_recorded_on_postgresql_too(on_postgresql: Place) -> None:
    async def talk(client: Client) -> Any:
        return await client.call_tool("read_level", {"external_id": CUSTOMER})

    result = conversation(on_postgresql, on_postgresql.tokens[OURS, "investigator"], talk)
    path = SAME["read_level"]["level"]
    assert structure_of(result) == {"level": on_postgresql.good("GET", path, role="investigator")}
    assert calls_recorded(on_postgresql)[-1]["details"]["tool"] == "read_level"


def test_what_would_change_a_level_that_an_override_holds_is_said_of_the_rules(place: Place) -> None:
    """Who stands at high by an override is not said to be at the level of the rules, nor at none."""
    of = place.organisations[OURS]
    names = ("overridden", "without a rate")
    put_entities(Context(place.engine, Actor(of, "cli:test")), "customer", [EntityRow(name, {}) for name in names])
    paid = {"transaction_date": yesterday(), "transaction_currency": "KWD"}
    add_transactions(Context(place.engine, Actor(of, "cli:test")), [platforms.transaction(901, names[1], **paid)])
    for name in names:
        asked = request_override(Context(place.engine, place.actor("investigator")), "customer", name, "high", "Press.")
        approve_override(Context(place.engine, place.actor("approver")), asked.id, "So it is.")
    while run_batch(place.engine):
        pass

    async def talk(client: Client) -> list[str]:
        tools = ("read_level", "what_would_change_level")
        results = [await client.call_tool(tool, {"external_id": name}) for name in names for tool in tools]
        return [str(structure["sentence"]) for result in results if (structure := result.structured_content)]

    sentences = of_role(place, "investigator", talk)
    assert sentences[0].startswith("overridden is high since ")
    assert sentences[1] == ("By the rules overridden is at low, and there is none below it. An override holds high.")
    assert sentences[2].startswith("without a rate is high since ")
    assert (
        sentences[3]
        == "The last assessment of without a rate was not made in full, so nothing can be said. An override holds high."
    )
