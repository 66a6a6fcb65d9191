"""Tools that change something: there for a token that may, once under a key, on record before, and never a person's."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.domain.errors import LockedError, StoreError
from fivefold.serving.authentication import CHANGES_TOO_OFTEN, RateLimiter
from fivefold.serving.mcp import caller as caller_module
from fivefold.serving.mcp.caller import BY_NAME, Caller
from fivefold.serving.mcp.changing import CHANGING, MOST_WHY, REPEATED
from fivefold.serving.mcp.server import TOOLS
from fivefold.serving.mcp.tool import Effect
from fivefold.serving.v1.permissions import ROUTES
from fivefold.store.accounts.plans import Plan
from fivefold.store.tables.accounts import IdempotencyKey
from fivefold.store.tables.entities import Record
from fivefold.usecases.accounts.credentials import find_credential
from fivefold.usecases.accounts.organisations import set_roles
from fivefold.usecases.accounts.tokens import revoke_token
from fivefold.usecases.audit.tool_calls import TOOL_ASKED, TOOL_CALLED
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.serving.mcp.asking import (
    ARGUMENTS,
    WHY,
    arguments_of,
    called,
    calls_recorded,
    changing_token,
    conversation,
    entries_of,
    of_one,
    reasons_kept,
    refused,
    structure_of,
)
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.places import OURS, THEIRS, Place, routes

ONE = "/v1/entities/customer/c%2F1%20%C3%A4"
ROUTES_ASKED = {
    "reassess": {"GET /v1/entities/{type}/{external_id}/risk"},
    "set_tag": {"PUT /v1/entities/{type}/{external_id}/tags/{tag}"},
    "end_tag": {"DELETE /v1/entities/{type}/{external_id}/tags/{tag}"},
    "open_record": {
        "PUT /v1/entities/{type}/{external_id}/cases/{number}",
        "PUT /v1/entities/{type}/{external_id}/alerts/{number}",
    },
    "request_override": {"POST /v1/entities/{type}/{external_id}/overrides"},
    "run_flow": {"POST /v1/flows/{flow}/run"},
}
A_PERSON_DECIDES = re.compile(
    "answer|approve|refuse|revoke|settle|take-back|reviewed|sign-off|activate|rollback|retire|commit|switch|off$|retry|promot"
    "|/tokens|token-requests|/members|/settings|/webhooks|erasure|retention|/lists|/rates|/policies|/groups|/queue"
)
"""What no tool may ask, by words of paths; whatever is not named here is not among `ROUTES_ASKED` either."""


def test_no_tool_reaches_what_a_person_decides() -> None:
    """Regulation (EU) 2024/1624, article 76(5): walk every tool, and every route that it may ask."""
    assert {tool.name: set(tool.routes) for tool in CHANGING} == ROUTES_ASKED
    for tool in TOOLS:
        writes = {name for name in tool.routes if not name.startswith("GET ")}
        assert not {name for name in writes if A_PERSON_DECIDES.search(name)}, tool.name
        assert tool.changes or writes <= {"POST /v1/flows/{flow}/try"}, tool.name
    kept = {f"{route.method} {route.path}" for route in ROUTES if A_PERSON_DECIDES.search(route.path)}
    for name in (
        "POST /v1/flow-runs/{run}/answer",
        "POST /v1/overrides/{override}/approve",
        "POST /v1/proposals/{proposal}/approve",
        "POST /v1/flows/{flow}/activate",
        "POST /v1/token-requests/{token_request}/approve",
        "POST /v1/challenges/{challenge}/settle",
        "POST /v1/flow-actions/{action}/reviewed",
        "POST /v1/flow-actions/{action}/take-back",
    ):
        assert name in kept


def test_a_tool_asks_no_route_that_it_does_not_declare(furnished: Place) -> None:
    caller = Caller(routes()[1], furnished.tokens[OURS, "admin"]).within(frozenset({"GET /v1/segments"}))
    answer = {"answer": "aye", "reason": WHY}
    for ask in (
        caller.read("GET /v1/tokens"),
        caller.send("POST /v1/flow-runs/{run}/answer", {"run": "3"}, answer),
    ):
        with pytest.raises(LookupError, match="is not among the routes of this tool"):
            asyncio.run(ask)


@pytest.mark.parametrize("role", Role)
def test_what_each_tool_does_is_told_to_clients(place: Place, role: Role) -> None:
    async def talk(client: Client) -> dict[str, Any]:
        return {tool.name: tool.annotations for tool in (await client.list_tools()).tools}

    token, plain = changing_token(place, role)
    told = conversation(place, token, talk)
    assert list(told) == [tool.name for tool in TOOLS if role in tool.roles]
    assert list(conversation(place, plain, talk)) == [
        tool.name for tool in TOOLS if role in tool.roles and tool.effect is Effect.READS
    ]
    hints = {
        "reassess": (False, False, False, True),
        "set_tag": (False, True, True, True),
        "end_tag": (False, True, True, True),
        "open_record": (False, False, True, True),
        "request_override": (False, False, True, False),
        "run_flow": (False, True, True, True),
    }
    for name, hint in told.items():
        found = (hint.read_only_hint, hint.destructive_hint, hint.idempotent_hint, hint.open_world_hint)
        assert found == hints.get(name, (True, False, True, False)), name


@pytest.mark.parametrize("role", Role)
def test_without_the_mark_there_is_no_tool_that_changes(place: Place, role: Role) -> None:
    _, plain = changing_token(place, role)
    before = entries_of(place)

    async def talk(client: Client) -> set[str]:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        assert listed.isdisjoint(ROUTES_ASKED)
        return {await refused(client, name, {**ARGUMENTS, "key": "a-key-of-mine"}) for name in ROUTES_ASKED}

    assert conversation(place, plain, talk) == {"there is no such tool"}
    since = entries_of(place)[len(before) :]
    assert [(each["action"], each["details"]["tool"], each["details"]["status"]) for each in since] == [
        (TOOL_CALLED, name, 403) for name in ROUTES_ASKED
    ]


@pytest.mark.parametrize("role", Role)
def test_a_role_changes_over_mcp_what_it_may_change_over_v1_and_nothing_else(place: Place, role: Role) -> None:
    token, _ = changing_token(place, role)
    own = [tool.name for tool in CHANGING if role in tool.roles]
    allowed = {name for name, asked in ROUTES_ASKED.items() if role in BY_NAME[min(asked)].roles}
    assert set(own) == allowed
    place.good("PUT", f"{ONE}/tags/watch", {}, role="app")

    async def talk(client: Client) -> dict[str, Any]:
        done = {name: await client.call_tool(name, await arguments_of(client, name)) for name in own}
        for name in ROUTES_ASKED.keys() - set(own):
            assert await refused(client, name, ARGUMENTS) == "there is no such tool"
        return done

    results = conversation(place, token, talk)
    for name, result in results.items():
        assert not result.is_error, (name, result.content[0].text)
        structure_of(result)


def test_what_is_to_be_done_is_on_record_before_it_is_done_with_why_and_by_which_tool(place: Place) -> None:
    token, _ = changing_token(place, "investigator")
    who = find_credential(place.engine, token)
    assert who is not None
    before = len(entries_of(place))
    called(
        place,
        token,
        ("set_tag", of_one(tag="watch")),
        ("run_flow", of_one(flow="care", key="the-second-key")),
    )
    since = entries_of(place)[before:]
    done = [each["action"] for each in since]
    assert done[:3] == [TOOL_ASKED, "tag.set", TOOL_CALLED]
    assert (done[3], done[-1], "flow.ran" in done[4:-1]) == (TOOL_ASKED, TOOL_CALLED, True)
    asked = [each for each in since if each["action"] == TOOL_ASKED]
    assert [each["details"]["tool"] for each in asked] == ["set_tag", "run_flow"]
    assert {each["details"]["token"] for each in asked} == {who.token_id}
    assert {each["actor"] for each in asked} == {who.actor.name}
    assert reasons_kept(place) == [WHY, WHY]
    assert CUSTOMER not in str([each["details"] for each in since])
    run = next(
        each["details"]["run"]
        for each in since
        if each["details"].get("tool") == "run_flow" and "run" in each["details"]
    )
    shown = place.good("GET", f"/v1/flow-runs/{run}", role="investigator")
    assert (shown["cause"], shown["actor"]) == (f"call:agent:{who.token_id}:the-second-key", who.actor.name)


def test_what_a_tool_did_is_on_record_also_where_its_token_ended_meanwhile(place: Place) -> None:
    token, _ = changing_token(place, "investigator")
    who = find_credential(place.engine, token)
    assert who is not None
    revoke_token(place.engine, who.token_id)
    dispatcher = routes()[1]
    dispatcher._engine = place.engine
    asyncio.run(Caller(dispatcher, token).record(who, TOOL_CALLED, {"tool": "set_tag", "status": 200}))
    last = entries_of(place)[-1]
    assert (last["actor"], last["action"]) == (who.actor.name, TOOL_CALLED)


def test_a_call_that_is_sent_again_changes_nothing_twice(place: Place) -> None:
    token, _ = changing_token(place, "admin")
    calls = [
        ("set_tag", of_one(tag="watch", key="key-set-tag")),
        ("end_tag", of_one(tag="watch", key="key-end-tag")),
        ("open_record", of_one(kind="alert", opened_at=ARGUMENTS["opened_at"], key="key-record")),
        ("request_override", of_one(level="high", key="key-override")),
        ("run_flow", of_one(flow="care", key="key-run-flow")),
    ]
    first = called(place, token, *calls)
    entries = [each["action"] for each in entries_of(place) if not each["action"].startswith("tool.")]
    second = called(place, token, *calls)
    assert [each["action"] for each in entries_of(place) if not each["action"].startswith("tool.")] == entries
    for (name, _), one, two in zip(calls, first, second, strict=True):
        assert structure_of(one) == structure_of(two), name
        assert two.content[0].text == f"{REPEATED} {one.content[0].text}"
    (other,) = called(place, token, ("set_tag", of_one(tag="other", key="key-set-tag")))
    assert other.is_error
    assert "key 'key-set-tag' was sent with another request before" in other.content[0].text
    assert "mcp:" not in other.content[0].text
    assert "Idempotency-Key" not in other.content[0].text
    assert "other" not in str(place.good("GET", f"{ONE}/tags", role="admin"))


def test_a_late_repetition_does_not_say_that_a_tag_stands_which_was_taken_off(place: Place) -> None:
    token, _ = changing_token(place, "admin")
    tagged = ("set_tag", of_one(tag="watch", key="key-set-tag"))
    *_, again = called(place, token, tagged, ("end_tag", of_one(tag="watch", key="key-end-tag")), tagged)
    tags = place.good("GET", f"{ONE}/tags", role="admin")
    assert [tag["goes_on"] for tag in tags if tag["tag"] == "watch"] == [False]
    said = str(again.content[0].text)
    assert said.startswith("Done before under this key, and not again. The answer then, which may no longer hold: ")


def test_where_a_lock_is_in_the_way_of_a_change_the_answer_says_so(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, _ = changing_token(place, "investigator")

    def record(*_: Any, **__: Any) -> None:
        raise LockedError("another transaction held a lock")

    monkeypatch.setattr(caller_module, "record_call", record)

    async def talk(client: Client) -> str:
        return await refused(client, "set_tag", of_one(tag="watch"))

    assert conversation(place, token, talk) == "another transaction held a lock"


def test_where_a_change_cannot_be_written_down_nothing_is_changed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, _ = changing_token(place, "investigator")
    write, broken = caller_module.record_call, {TOOL_ASKED, TOOL_CALLED}

    def record(context: Any, action: str, *rest: Any, **named: Any) -> None:
        if action in broken:
            raise StoreError("the disk is full")
        write(context, action, *rest, **named)

    monkeypatch.setattr(caller_module, "record_call", record)

    async def talk(client: Client) -> str:
        return await refused(client, "set_tag", of_one(tag="watch"))

    before = place.good("GET", f"{ONE}/tags", role="investigator")
    with capture_logs() as logs:
        assert conversation(place, token, talk) == "The database is out of reach"
    assert {line["cause"] for line in logs if "cause" in line} == {"the disk is full"}
    assert place.good("GET", f"{ONE}/tags", role="investigator") == before
    broken.discard(TOOL_ASKED)  # the change is written down, and made, and how it ended is not: nothing is answered
    assert conversation(place, token, talk) == "The database is out of reach"
    once = place.good("GET", f"{ONE}/tags", role="investigator")
    assert [tag["tag"] for tag in once if tag not in before] == ["watch"]
    broken.clear()
    (again,) = called(place, token, ("set_tag", of_one(tag="watch")))
    assert again.content[0].text.startswith("Done before under this key")
    assert place.good("GET", f"{ONE}/tags", role="investigator") == once
    assert [each["action"] for each in calls_recorded(place)] == [TOOL_ASKED, TOOL_ASKED, TOOL_CALLED]


def test_who_asks_by_an_agent_is_the_author_and_another_person_approves(place: Place) -> None:
    token, plain = changing_token(place, "admin")
    (asked,) = called(place, token, ("request_override", of_one(level="high")))
    override = structure_of(asked)["override"]
    assert (override["state"], override["reason"]) == (
        "requested",
        f"{WHY} (asked by an agent, by the tool request_override)",
    )
    path = f"/v1/overrides/{override['id']}/approve"
    for own in (token, plain):
        assert place.ask("POST", path, {}, token=own).status_code == 409, "the agent's person asked for it"
    assert place.good("POST", path, {}, role="approver")["state"] == "live"


def test_who_runs_a_flow_by_an_agent_does_not_answer_what_it_asks(place: Place) -> None:
    token, plain = changing_token(place, "investigator")
    (ran,) = called(place, token, ("run_flow", of_one(flow="inquiry")))
    run = structure_of(ran)["run"]
    assert run["state"] == "waiting"
    path, answer = f"/v1/flow-runs/{run['run']}/answer", {"answer": "aye", "reason": WHY}
    for own in (token, plain):
        assert place.ask("POST", path, answer, token=own).status_code == 409
    assert place.good("POST", path, answer, role="investigator")["state"] == "ended"


def test_the_mark_does_not_outlive_the_role_nor_the_token(place: Place) -> None:
    """The person loses the role, or the token is revoked, between two calls of the same conversation."""
    clerk = Context(place.engine, Actor(place.organisations[OURS], "cli:test"))

    def lose_role(credential: Any) -> None:
        set_roles(clerk, credential.member_id, ["approver"])

    def revoke(credential: Any) -> None:
        revoke_token(place.engine, credential.token_id, actor="cli:test")

    ends: list[tuple[str, Callable[[Any], None]]] = [("investigator", lose_role), ("app", revoke)]
    for role, end in ends:
        token, _ = changing_token(place, role)
        credential = find_credential(place.engine, token)

        async def talk(client: Client, end: Any = end, credential: Any = credential, role: str = role) -> str:
            first = await client.call_tool("set_tag", of_one(tag=f"by-{role}"))
            assert not first.is_error
            end(credential)
            return await refused(client, "set_tag", of_one(tag=f"after-{role}", key="a-later-key"))

        assert conversation(place, token, talk) == "Could not validate credentials"
        tags = {tag["tag"] for tag in place.good("GET", f"{ONE}/tags", role="investigator")}
        assert f"by-{role}" in tags
        assert f"after-{role}" not in tags


def test_another_organisation_changes_nothing_of_ours(place: Place) -> None:
    token, _ = changing_token(place, "admin", THEIRS)
    before = entries_of(place)

    async def talk(client: Client) -> dict[str, Any]:
        return {name: await client.call_tool(name, await arguments_of(client, name)) for name in ROUTES_ASKED}

    results = conversation(place, token, talk)
    assert all(result.is_error for result in results.values())
    assert {result.content[0].text.split()[0] for result in results.values()} <= {"there"}
    assert entries_of(place) == before
    theirs = [each for each in calls_recorded(place, THEIRS) if each["action"] == TOOL_ASKED]
    assert len(theirs) == len(ROUTES_ASKED)
    assert {each["subject_kind"] for each in theirs} == {"token"}
    assert reasons_kept(place, THEIRS) == [], "nobody there whose erasure would take it away"


def test_changes_in_a_minute_are_bounded_by_the_plan(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that is led astray does little before a person looks; reading goes on."""
    dispatcher = routes()[1]
    plan = Plan(**{**vars(dispatcher._plans["unlimited"]), "changes_per_minute": 2})
    monkeypatch.setattr(dispatcher, "_plans", {**dispatcher._plans, "unlimited": plan})
    monkeypatch.setattr(
        dispatcher, "_change_limiter", RateLimiter(refusal=CHANGES_TOO_OFTEN)
    )  # other tests go on as if this had not been
    token, _ = changing_token(place, "investigator")
    tags = [("set_tag", of_one(tag=f"tag-{number}", key=f"key-{number}-long")) for number in range(3)]
    *good, refusal, read = called(place, token, *tags, ("read_level", {"external_id": CUSTOMER}))
    assert [result.is_error for result in (*good, refusal, read)] == [False, False, True, False]
    assert refusal.content[0].text == "Too many changes by tools in a minute for your plan, which has 2"
    assert "tag-2" not in str(place.good("GET", f"{ONE}/tags", role="investigator"))
    assert [each["details"]["status"] for each in calls_recorded(place) if each["action"] == TOOL_CALLED][-2:] == [
        429,
        200,
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"why": None}, "why: "),
        ({"why": " " * 20 + "so"}, "why: "),
        ({"why": "w" * (MOST_WHY + 1)}, "why: "),
        ({"why": "because of\0 that"}, "why: "),
        ({"key": "short"}, "key: "),
        ({"key": "with spaces in it"}, "key: "),
        ({"key": "a-good-key\n"}, "key: "),
        ({"tag": "t" * 101}, "tag: "),
        ({"approve": True}, "approve: "),
    ],
)
def test_a_change_without_a_reason_or_a_key_is_refused_and_its_text_is_in_no_log(
    place: Place, given: dict[str, Any], told: str
) -> None:
    token, _ = changing_token(place, "investigator")
    before = len(entries_of(place))
    (result,) = called(place, token, ("set_tag", of_one(tag="watch") | given))
    assert result.is_error
    assert result.content[0].text.startswith(told)
    (entry,) = entries_of(place)[before:]
    assert (entry["action"], entry["details"]["status"]) == (TOOL_CALLED, 422)
    assert reasons_kept(place) == []


@pytest.mark.parametrize("kind", ["case", "alert"])
def test_a_case_that_is_there_is_never_opened_again(place: Place, kind: str) -> None:
    """Another token with the same key, and the same one once its key is forgotten, find it as people left it."""
    (token, _), (other, _) = changing_token(place, "admin"), changing_token(place, "app")
    call = ("open_record", of_one(kind=kind, opened_at=ARGUMENTS["opened_at"]))
    assert not called(place, token, call)[0].is_error
    path = f"{ONE}/{kind}s/agent-the-first-key"
    closed = {"opened_at": ARGUMENTS["opened_at"], "closed_at": ARGUMENTS["opened_at"], "outcome": "confirmed"}
    place.good("PUT", path, closed, role="app")
    before = [each for each in entries_of(place) if each["action"] == f"{kind}.put"]
    with Session(place.engine) as session, session.begin():
        session.execute(delete(IdempotencyKey))
    for again in (token, other):
        (refusal,) = called(place, again, call)
        assert refusal.is_error
        assert refusal.content[0].text == f"{kind} 'agent-the-first-key' exists already, and was not changed"
    assert [each for each in entries_of(place) if each["action"] == f"{kind}.put"] == before
    with Session(place.engine) as session:
        row = session.scalars(select(Record).where(Record.external_id == "agent-the-first-key")).one()
        assert (row.outcome, row.closed_us) == ("confirmed", row.opened_us)


def test_a_level_is_computed_when_it_is_asked_for(place: Place) -> None:
    place.good("PUT", "/v1/entities/customer/new-1", {}, role="app")
    token, _ = changing_token(place, "approver")
    (result,) = called(place, token, ("reassess", {"external_id": "new-1", "why": WHY}))
    assert structure_of(result)["level"]["assessment"]
    assert len(place.good("GET", "/v1/entities/customer/new-1/history", role="investigator")) == 1


def test_why_goes_with_the_customer_who_is_erased(place: Place, tmp_path: Path) -> None:
    token, _ = changing_token(place, "investigator")
    place.good("PUT", "/v1/entities/customer/gone-1", {}, role="app")
    asked = of_one(tag="watch", why="Words about a person, 7f3a9.") | {"external_id": "gone-1"}
    called(place, token, ("set_tag", asked))
    assert reasons_kept(place) == ["Words about a person, 7f3a9."]
    later = now_microseconds() + 6 * 366 * DAY_US
    clerk = Context(place.engine, Actor(place.organisations[OURS], "cli:test")).at(later)
    erase_entity(clerk, "customer", "gone-1", tmp_path / "erased")
    assert reasons_kept(place) == []


@pytest.mark.full
@pytest.mark.postgresql
def test_a_change_is_made_once_on_postgresql_too(on_postgresql: Place) -> None:
    token, plain = changing_token(on_postgresql, "investigator")
    calls = [("set_tag", of_one(tag="watch")), ("request_override", of_one(level="high", key="another-key"))]
    first = [structure_of(result) for result in called(on_postgresql, token, *calls)]
    assert [structure_of(result) for result in called(on_postgresql, token, *calls)] == first
    with pytest.raises(MCPError, match="there is no such tool"):
        called(on_postgresql, plain, *calls[:1])
