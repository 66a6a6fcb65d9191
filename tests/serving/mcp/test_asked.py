"""What an agent asked is beside the entry of its call: for whoever looks later, until the customer is erased."""

import json
from pathlib import Path
from typing import Any

from mcp import Client
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.serving.mcp.changing import REPEATED
from fivefold.store.tables.audit import AuditEntry, AuditValues
from fivefold.store.tables.entities import Entity
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.serving.mcp.asking import (
    ARGUMENTS,
    WHY,
    called,
    calls_recorded,
    changing_token,
    of_one,
    of_role,
    reasons_kept,
    structure_of,
)
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.places import OURS, Place

OTHER_WORDS = "They asked me for it a second time."


def kept(place: Place) -> list[Any]:
    """List what the log keeps of what tools were asked, apart from its entries; None where it keeps nothing."""
    same = (AuditValues.organisation_id == AuditEntry.organisation_id) & (AuditValues.number == AuditEntry.number)
    calls = (AuditEntry.organisation_id == place.organisations[OURS]) & AuditEntry.action.startswith("tool.")
    with Session(place.engine) as session:
        found = session.scalars(
            select(AuditValues.after)
            .outerjoin_from(AuditEntry, AuditValues, same)
            .where(calls)
            .order_by(AuditEntry.number)
        )
        return [None if values is None else json.loads(values).get("asked") for values in found]


def test_what_a_change_was_asked_for_is_on_record_before_it_is_made(place: Place) -> None:
    token, _ = changing_token(place, "admin")
    until = "2100-01-01T12:00:00Z"
    called(
        place,
        token,
        ("set_tag", of_one(tag="watch", until=until, key="key-of-a-tag")),
        ("open_record", of_one(kind="alert", opened_at=ARGUMENTS["opened_at"], key="key-of-an-alert")),
        ("request_override", of_one(level="high", key="key-of-a-level")),
    )
    asked = [{"tag": "watch", "until": until}, {"opened_at": ARGUMENTS["opened_at"]}, {"level": "high"}]
    assert kept(place) == [asked[0], None, asked[1], None, asked[2], None], "with `tool.asked`, and not once more"
    assert [each["details"].get("kind") for each in calls_recorded(place)][2:4] == ["alert", "alert"]


def test_what_was_read_of_a_customer_is_on_record_and_what_was_searched_for_is_not(place: Place) -> None:
    async def talk(client: Client) -> None:
        await client.call_tool("read_level_history", {"external_id": CUSTOMER, "limit": 7})
        await client.call_tool("what_would_change_level", {"external_id": CUSTOMER, "direction": "up"})
        await client.call_tool("read_level", {"external_id": CUSTOMER})
        await client.call_tool("find_customer", {"text": "Ada 7f3a9", "limit": 3})
        await client.call_tool("find_customer", {"text": "1984-03-12"})
        await client.call_tool("portfolio_changes", {"since": "2026-10-01", "until": "Ada 7f3a9", "movers": 2})
        await client.call_tool("read_level", {"external_id": "nobody-7f3a9"})

    of_role(place, "investigator", talk)
    assert kept(place)[:3] == [{"limit": 7}, {"direction": "up"}, None]
    assert [each["details"].get("asked") for each in calls_recorded(place)] == [
        None,
        None,
        None,
        {"limit": 3},
        None,
        {"movers": 2, "since": "2026-10-01"},
        None,
    ]
    assert not {word for word in ("7f3a9", "1984") if word in str(calls_recorded(place)) + str(kept(place))}


def test_a_number_that_no_record_can_have_is_refused_and_not_kept(place: Place) -> None:
    async def talk(client: Client) -> list[bool | None]:
        asked = (
            ("read_decision", {"decision": 10**400}),
            ("try_flow", {"flow": "care", "external_id": CUSTOMER, "version": 10**400}),
        )
        return [(await client.call_tool(*each)).is_error for each in asked]

    assert of_role(place, "publisher", talk) == [True, True]
    assert "0" * 300 not in str(calls_recorded(place)) + str(kept(place))


def test_the_number_of_a_record_is_kept_where_there_is_one(place: Place) -> None:
    async def talk(client: Client) -> list[bool | None]:
        asked = (
            ("read_decision", {"decision": 1}),
            ("read_decision", {"decision": 491711234567}),
            ("read_assessment", {"assessment": "19840312.1"}),
        )
        return [(await client.call_tool(*each)).is_error for each in asked]

    assert of_role(place, "investigator", talk) == [False, True, True]
    found, *refused = (each["details"] for each in calls_recorded(place))
    assert found["decision"] == 1
    assert [sorted(each) for each in refused] == [["status", "token", "tool"]] * 2
    assert not {word for word in ("491711234567", "19840312") if word in str(calls_recorded(place)) + str(kept(place))}


def test_the_flow_that_an_agent_names_goes_with_the_customer(place: Place) -> None:
    token, _ = changing_token(place, "admin")
    called(place, token, ("run_flow", of_one(flow="care of 7f3a9")))
    assert "7f3a9" in str(kept(place))
    assert "7f3a9" not in str(calls_recorded(place))


def test_of_a_long_argument_the_log_has_how_long_it_is_also_where_the_call_is_refused(place: Place) -> None:
    async def talk(client: Client) -> bool | None:
        result = await client.call_tool("what_would_change_level", {"external_id": CUSTOMER, "level": "Ada " * 200})
        return result.is_error

    assert of_role(place, "investigator", talk)
    (asked,) = kept(place)
    assert asked["level"]["characters"] == 800
    assert len(asked["level"]["sha256"]) == 64


def test_what_a_flow_was_tried_with_is_on_record(place: Place) -> None:
    async def talk(client: Client) -> None:
        await client.call_tool("try_flow", {"flow": "care", "external_id": CUSTOMER, "version": 1})

    of_role(place, "publisher", talk)
    assert kept(place) == [{"flow": "care", "version": 1}]


def test_what_was_asked_goes_with_the_customer_who_is_erased(place: Place, tmp_path: Path) -> None:
    token, _ = changing_token(place, "investigator")
    place.good("PUT", "/v1/entities/customer/gone-1", {}, role="app")
    called(place, token, ("set_tag", of_one(tag="a word of 7f3a9") | {"external_id": "gone-1"}))
    assert "7f3a9" in str(kept(place))
    later = now_microseconds() + 6 * 366 * DAY_US
    clerk = Context(place.engine, Actor(place.organisations[OURS], "cli:test")).at(later)
    erase_entity(clerk, "customer", "gone-1", tmp_path / "erased")
    assert "7f3a9" not in str(kept(place))
    with Session(place.engine) as session:
        name = session.scalars(select(Entity.external_id).where(Entity.erased_us.is_not(None))).one()
    path = f"/v1/entities/customer/{name}"
    day = place.good("GET", path, role="investigator")["erased_at"][:10]
    tools = ("what_would_change_level", "read_flow_actions", "read_value")

    async def talk(client: Client) -> list[str]:
        results = [await client.call_tool(tool, {"external_id": name}) for tool in tools]
        return [str((result.structured_content or {})["sentence"]) for result in results]

    said = f"What was personal of {name} was erased on {day}."
    nothing = f"The value model knows no value of {name}: it never had one, or what was personal was erased."
    assert of_role(place, "investigator", talk) == [said, said, nothing]
    answer = place.ask("GET", f"{path}/risk", params={"freshness": "now"}, role="investigator")
    assert answer.status_code == 409
    found: list[Any] = []
    verify(place.engine, found.append)
    assert [each for each in found if "value" in each.problem] == []


def test_asked_again_in_other_words_a_change_is_the_same_and_its_first_reason_stays(place: Place) -> None:
    token, _ = changing_token(place, "admin")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("set_tag", of_one(tag="watch", key="key-set-tag")),
        ("end_tag", of_one(tag="watch", key="key-end-tag")),
        ("open_record", of_one(opened_at=ARGUMENTS["opened_at"], key="key-record")),
        ("request_override", of_one(level="high", key="key-override")),
        ("run_flow", of_one(flow="care", key="key-run-flow")),
    ]
    first = called(place, token, *calls)
    again = called(place, token, *((name, {**given, "why": OTHER_WORDS}) for name, given in calls))
    for (name, _), one, two in zip(calls, first, again, strict=True):
        assert structure_of(one) == structure_of(two), name
        assert two.content[0].text == f"{REPEATED} {one.content[0].text}"
    assert structure_of(again[3])["override"]["reason"].startswith(WHY)
    assert reasons_kept(place) == [WHY] * 5 + [OTHER_WORDS] * 5, "the log has both"


def test_asked_for_something_else_under_the_same_key_a_change_is_refused(place: Place) -> None:
    token, _ = changing_token(place, "admin")
    place.good("PUT", "/v1/entities/customer/another", {}, role="app")
    called(
        place, token, ("set_tag", of_one(tag="watch")), ("request_override", of_one(level="high", key="key-override"))
    )
    for name, given in (
        ("set_tag", of_one(tag="other")),
        ("set_tag", of_one(tag="watch", until="2100-01-01T12:00:00Z")),
        ("set_tag", of_one(tag="watch", external_id="another")),
        ("end_tag", of_one(tag="watch")),
        ("request_override", of_one(level="medium", key="key-override")),
    ):
        (result,) = called(place, token, (name, given))
        assert result.is_error, given
        assert "was sent with another request before" in result.content[0].text
