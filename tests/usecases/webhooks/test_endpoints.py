"""Endpoints: theirs alone, secrets shown once, every change recorded without them; the receiver's page is true."""

import hmac
import json
import re
import time
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.store.audit.log import entries
from fivefold.store.tables.audit import AuditEntry, AuditValues
from fivefold.store.tables.events import Delivery, Endpoint
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks import endpoints as webhooks
from fivefold.usecases.webhooks.dispatcher import deliver_due
from fivefold.usecases.webhooks.endpoints import (
    add_endpoint,
    change_kinds,
    drop_old_secrets,
    list_endpoints,
    remove_endpoint,
    rotate_secret,
    set_enabled,
)
from fivefold.usecases.webhooks.plan import plan_deliveries
from fivefold.usecases.webhooks.progress import list_failing, read_endpoint
from fivefold.usecases.webhooks.signing import Secret, read_secrets, secrets_json
from tests.store.filling import filled_once
from tests.usecases.platforms import NOW
from tests.usecases.webhooks.receivers import DAY_US, MACHINE, SECOND_US, Got, organisation, receiving, tell

URL = "https://hooks.example/fivefold"
PAGE = Path(__file__).parents[3] / "docs" / "webhooks.md"


@pytest.fixture
@filled_once
def ours(engine: Engine) -> Actor:
    return Actor(organisation(engine), "member:1")


def recorded(engine: Engine, actor: Actor) -> list[AuditEntry]:
    with Session(engine) as session:
        return list(entries(session, actor.organisation_id))


def secrets_of(engine: Engine, endpoint_id: int) -> list[Any]:
    with Session(engine) as session:
        return [vars(secret) for secret in read_secrets(session.get_one(Endpoint, endpoint_id).secrets)]


def test_an_endpoint_is_listed_with_all_but_its_secret(engine: Engine, ours: Actor) -> None:
    made = add_endpoint(Context(engine, ours).at(NOW), URL, kinds=["level.reached", "group.entered"])
    assert re.fullmatch(r"whsec_[\w+/]{43}=", made.secret)
    (line,) = list_endpoints(Context(engine, ours).at(NOW))
    assert line.id == made.endpoint_id
    assert (line.url, line.kinds) == (URL, ("group.entered", "level.reached"))
    assert (line.enabled, line.private_allowed, line.secrets) == (True, False, 1)
    assert (line.waiting, line.dead, line.created_us) == (0, 0, NOW)
    assert made.secret not in repr(line) + repr(made)
    assert add_endpoint(Context(engine, ours).at(NOW), URL).secret != made.secret


def test_no_secret_is_ever_in_the_audit_log(engine: Engine, ours: Actor) -> None:
    made = add_endpoint(Context(engine, ours).at(NOW), f"{URL}?key=private")
    second = rotate_secret(Context(engine, ours).at(NOW), made.endpoint_id)
    drop_old_secrets(Context(engine, ours).at(NOW), made.endpoint_id)
    set_enabled(Context(engine, ours), made.endpoint_id, enabled=False)
    set_enabled(Context(engine, ours), made.endpoint_id, enabled=False)
    set_enabled(Context(engine, ours), made.endpoint_id, enabled=True)
    remove_endpoint(Context(engine, ours), made.endpoint_id)
    found = recorded(engine, ours)
    assert [entry.action.removeprefix("webhook.") for entry in found] == [
        "added",
        "secret_rotated",
        "old_secrets_dropped",
        "disabled",
        "enabled",
        "removed",
    ]
    assert {(entry.actor, entry.subject_kind, entry.subject_id) for entry in found} == {
        ("member:1", "endpoint", str(made.endpoint_id))
    }
    assert json.loads(found[0].details) == {
        "scheme": "https",
        "host": "hooks.example",
        "kinds": [],
        "private_allowed": False,
    }
    with Session(engine) as session:
        everything = repr([vars(row) for table in (AuditEntry, AuditValues) for row in session.query(table)])
    for secret in (made.secret, second.secret, "key=private", "whsec_"):
        assert secret not in everything


def test_other_kinds_are_received_from_then_on_and_what_waits_is_sent(engine: Engine, ours: Actor) -> None:
    context = Context(engine, ours).at(NOW)
    number = add_endpoint(context, URL).endpoint_id
    tell(engine, ours.organisation_id, ["c1-a"])
    plan_deliveries(engine, NOW)
    seen = read_endpoint(context, number).revision
    assert change_kinds(context, number, ["group.entered"], revision=seen)
    assert not change_kinds(context, number, ["group.entered"])
    tell(engine, ours.organisation_id, ["c1-b"])
    plan_deliveries(engine, NOW)
    assert read_endpoint(context, number).waiting == 1
    for change in (
        lambda: change_kinds(context, number, [], revision=seen),
        lambda: rotate_secret(context, number, revision=seen),
        lambda: remove_endpoint(context, number, revision=seen),
    ):
        with pytest.raises(ConflictError, match=f"^endpoint {number} was changed meanwhile"):
            change()
    (_, changed) = recorded(engine, ours)
    assert (changed.action, changed.subject_id) == ("webhook.kinds_changed", str(number))
    with Session(engine) as session:
        (_, values) = session.query(AuditValues).order_by(AuditValues.number)
    after = json.loads(values.after or "")
    assert [*after.pop("rows")["endpoints"]] == [str(number)]
    assert (json.loads(values.before or ""), after) == ({"kinds": []}, {"kinds": ["group.entered"]})


def test_what_cannot_be_an_endpoint_is_refused(engine: Engine, ours: Actor) -> None:
    for url, kinds, words in (
        ("ftp://hooks.example", [], "must be https://"),
        ("http://10.0.0.1/", [], "which is private"),
        (
            URL,
            ["level.reachd"],
            "event 'level.reachd'; perhaps level.reached was meant; there are flow.acted,",
        ),
        (URL, ["level.reached", "case.closed"], "no kind of event 'case.closed'; there are"),
        (URL, ["x" * 5000], r"no kind of event 'x{1,100}"),
    ):
        with pytest.raises(ConfigError, match=words):
            add_endpoint(Context(engine, ours), url, kinds=kinds)
    assert list_endpoints(Context(engine, ours)) == []
    assert recorded(engine, ours) == []


def test_private_addresses_are_allowed_at_the_machine_alone(engine: Engine, ours: Actor) -> None:
    for name in ("member:1", "token:7", "system"):
        with pytest.raises(ConflictError, match="at the machine only"):
            add_endpoint(Context(engine, Actor(ours.organisation_id, name)), "http://10.0.0.1/", private_allowed=True)
    add_endpoint(Context(engine, Actor(ours.organisation_id, MACHINE)), "http://10.0.0.1/", private_allowed=True)
    assert list_endpoints(Context(engine, ours))[0].private_allowed


def test_a_new_secret_stands_first_and_the_old_one_signs_for_a_day(engine: Engine, ours: Actor) -> None:
    made = add_endpoint(Context(engine, ours).at(NOW), URL)
    second = rotate_secret(Context(engine, ours).at(NOW), made.endpoint_id)
    assert secrets_of(engine, made.endpoint_id) == [
        {"text": second.secret, "until_us": None},
        {"text": made.secret, "until_us": NOW + DAY_US},
    ]
    assert list_endpoints(Context(engine, ours).at(NOW + DAY_US - 1))[0].secrets == 2
    assert list_endpoints(Context(engine, ours).at(NOW + DAY_US))[0].secrets == 1
    third = rotate_secret(Context(engine, ours).at(NOW + DAY_US), made.endpoint_id)
    assert [secret["text"] for secret in secrets_of(engine, made.endpoint_id)] == [third.secret, second.secret]


def test_old_secrets_end_at_once_when_that_is_asked_for(engine: Engine, ours: Actor) -> None:
    made = add_endpoint(Context(engine, ours).at(NOW), URL)
    second = rotate_secret(Context(engine, ours).at(NOW), made.endpoint_id)
    assert drop_old_secrets(Context(engine, ours).at(NOW), made.endpoint_id) == 1
    assert secrets_of(engine, made.endpoint_id) == [{"text": second.secret, "until_us": None}]
    assert drop_old_secrets(Context(engine, ours).at(NOW), made.endpoint_id) == 0
    third = rotate_secret(Context(engine, ours).at(NOW), made.endpoint_id, kept_hours=0)
    assert secrets_of(engine, made.endpoint_id) == [{"text": third.secret, "until_us": None}]
    for hours in (-1, 25):
        with pytest.raises(ConfigError, match=f"kept_hours is {hours}; it must be from 0 to 24"):
            rotate_secret(Context(engine, ours), made.endpoint_id, kept_hours=hours)


def test_a_removed_endpoint_is_gone_with_what_it_was_to_be_told(engine: Engine, ours: Actor) -> None:
    made = add_endpoint(Context(engine, ours).at(NOW), URL)
    kept = add_endpoint(Context(engine, ours).at(NOW), URL)
    tell(engine, ours.organisation_id, ["c1-a", "c1-b"])
    plan_deliveries(engine, NOW)
    assert remove_endpoint(Context(engine, ours), made.endpoint_id) == 2
    assert [line.id for line in list_endpoints(Context(engine, ours))] == [kept.endpoint_id]
    with Session(engine) as session:
        assert {row.endpoint_id for row in session.query(Delivery)} == {kept.endpoint_id}


@pytest.mark.parametrize(
    "ask",
    [
        rotate_secret,
        drop_old_secrets,
        lambda context, number: set_enabled(context, number, enabled=False),
        remove_endpoint,
        read_endpoint,
        list_failing,
        lambda context, number: change_kinds(context, number, []),
        webhooks.dead_letters,
        webhooks.replay_dead_letters,
    ],
)
def test_another_organisations_endpoint_is_as_if_it_were_not_there(
    engine: Engine, ours: Actor, ask: Callable[[Context, int], object]
) -> None:
    theirs = Actor(organisation(engine, "other"), "member:1")
    made = add_endpoint(Context(engine, theirs).at(NOW), URL)
    before = secrets_of(engine, made.endpoint_id)
    with pytest.raises(NotFoundError, match=f"^there is no endpoint {made.endpoint_id}$"):
        ask(Context(engine, ours), made.endpoint_id)
    with pytest.raises(NotFoundError, match=r"^there is no endpoint 99$"):
        ask(Context(engine, ours), 99)
    assert secrets_of(engine, made.endpoint_id) == before
    assert (list_endpoints(Context(engine, ours)), recorded(engine, ours)) == ([], [])
    assert list_endpoints(Context(engine, theirs))[0].enabled


def snippet_of_the_page() -> dict[str, Any]:
    """Run the lines of docs/webhooks.md as they stand there; give what they define."""
    snippet = re.search(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert snippet
    names: dict[str, Any] = {}
    exec(snippet[1], names)
    return names


def replace_secrets(engine: Engine, endpoint_id: int, *secrets: Secret) -> None:
    with Session(engine) as session, session.begin():
        session.get_one(Endpoint, endpoint_id).secrets = secrets_json(secrets)


@pytest.mark.postgresql
def test_a_receiver_by_the_library_takes_what_is_sent_through_a_rotation(engine: Engine, ours: Actor) -> None:
    """It answers 401 to what it cannot verify, so a delivery that arrived was verified there, over the wire."""
    read_webhook, known = snippet_of_the_page()["read_webhook"], [""]
    machine = Context(engine, Actor(ours.organisation_id, MACHINE))

    def answer(got: Got) -> int:
        told = read_webhook(known[0], got.headers, got.body)
        return 401 if told is None else 200 if told == got.told else 500

    def arrives(event: str) -> bool:
        tell(engine, ours.organisation_id, [event])
        deliver_due(engine)
        return receiver.ended[-1][0].told["event_id"] == event and receiver.ended[-1][1] == 200

    with receiving(answer) as receiver:
        first = add_endpoint(machine, receiver.url, private_allowed=True)
        known[0] = first.secret
        assert arrives("c1-a")
        second = rotate_secret(machine, first.endpoint_id)
        assert arrives("c2-a"), "the receiver knows the old one, and both sign"
        known[0] = second.secret
        assert arrives("c2-b")
        drop_old_secrets(machine, first.endpoint_id)
        assert arrives("c2-c")
        known[0] = first.secret
        assert not arrives("c3-a"), "the old one has ended"
    assert {status for _, status in receiver.ended} == {200, 401}


def test_a_secret_of_before_signs_as_its_page_says(engine: Engine, ours: Actor) -> None:
    """Its alphabet is the one for URLs: the page says what the library is given instead."""
    written = re.search(r"^    secret = (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert written
    earlier = "whsec_" + "-_" * 21 + "8"
    given = eval(written[1], {"secret": earlier})
    assert b64decode(given.removeprefix("whsec_"), validate=True) == urlsafe_b64decode(earlier[6:] + "=")
    with receiving() as receiver:
        made = add_endpoint(Context(engine, Actor(ours.organisation_id, MACHINE)), receiver.url, private_allowed=True)
        replace_secrets(engine, made.endpoint_id, Secret(earlier))
        tell(engine, ours.organisation_id, ["c1-a"])
        deliver_due(engine)
    (got,) = receiver.got
    read_webhook = snippet_of_the_page()["read_webhook"]
    assert read_webhook(given, got.headers, got.body) == got.told
    assert read_webhook(made.secret, got.headers, got.body) is None
    signed = got.headers["Fivefold-Timestamp"].encode() + b"." + got.body
    expected = hmac.digest(earlier.encode(), signed, "sha256").hex()
    assert got.headers["Fivefold-Signature"] == f"v1={expected}"


def test_the_snippet_of_the_page_refuses_what_was_changed_or_kept(engine: Engine, ours: Actor) -> None:
    read_webhook = snippet_of_the_page()["read_webhook"]
    with receiving() as receiver:
        made = add_endpoint(Context(engine, Actor(ours.organisation_id, MACHINE)), receiver.url, private_allowed=True)
        tell(engine, ours.organisation_id, ["c1-a", "c2-a"])
        deliver_due(engine)
        tell(engine, ours.organisation_id, ["c3-a"])
        deliver_due(engine, time.time_ns() // 1000 - 301 * SECOND_US)
    got, other, late = sorted(receiver.got, key=lambda got: got.told["event_id"])
    assert read_webhook(made.secret, got.headers, got.body) == got.told
    assert read_webhook(made.secret, got.headers, got.body + b" ") is None
    assert read_webhook(made.secret, {}, got.body) is None
    assert read_webhook(made.secret, late.headers, late.body) is None, "somebody kept it, and sends it again later"
    bare = got.headers["webhook-signature"].removeprefix("v1,")
    for signature in ("", "é", "v1,", "v1,é", bare, f"v2,{bare}", other.headers["webhook-signature"]):
        assert read_webhook(made.secret, {**got.headers, "webhook-signature": signature}, got.body) is None
    for name in ("webhook-id", "webhook-timestamp"):
        changed = {**got.headers, name: got.headers[name] + "1"}
        assert read_webhook(made.secret, changed, got.body) is None


def test_the_receivers_page_says_what_is_so() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for said in ("30 seconds", "12 hours", "14 attempts", "10 seconds", "24 hours", "64 kB", "60 seconds"):
        assert said in page, said
    for header in ("webhook-id", "webhook-timestamp", "webhook-signature", "Fivefold-Sequence", "Fivefold-Signature"):
        assert f"`{header}`" in page


def test_secrets_in_the_database_are_what_was_shown(engine: Engine, ours: Actor) -> None:
    made = add_endpoint(Context(engine, ours).at(NOW), URL)
    assert secrets_of(engine, made.endpoint_id) == [{"text": made.secret, "until_us": None}]
