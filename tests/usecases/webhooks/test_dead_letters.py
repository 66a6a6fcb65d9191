"""Dead letters and replay: seen by their organisation, sent again in order, recorded as a number and a digest."""

import json

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import Part
from fivefold.store.audit.chain import digest_of
from fivefold.store.audit.log import entries
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.events import Delivery
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks.dispatcher import deliver_due
from fivefold.usecases.webhooks.endpoints import dead_letters, replay_dead_letters
from fivefold.usecases.webhooks.plan import plan_deliveries
from fivefold.usecases.webhooks.progress import list_failing
from tests.usecases.platforms import NOW
from tests.usecases.webhooks.receivers import MACHINE, SECOND_US, endpoint, organisation, receiving, tell

URL = "http://127.0.0.1:9/"


@pytest.fixture
def ours(engine: Engine) -> Actor:
    return Actor(organisation(engine), MACHINE)


def give_up(engine: Engine) -> None:
    """Let everything that waits be dead, as after its last attempt."""
    with Session(engine) as session, session.begin():
        session.execute(
            update(Delivery).where(Delivery.state == "waiting").values(state="dead", attempts=14, error="answered 500")
        )


def test_the_dead_are_listed_by_endpoint_and_number_page_by_page(engine: Engine, ours: Actor) -> None:
    theirs = Actor(organisation(engine, "other"), MACHINE)
    first, second = (endpoint(engine, ours.organisation_id, URL).endpoint_id for _ in range(2))
    other = endpoint(engine, theirs.organisation_id, URL).endpoint_id
    tell(engine, ours.organisation_id, ["c1-a", "c2-a"])
    tell(engine, theirs.organisation_id, ["c1-x"])
    plan_deliveries(engine, NOW)
    give_up(engine)
    found = dead_letters(Context(engine, ours))
    assert [(line.endpoint_id, line.event_id, line.external_id) for line in found] == [
        (first, "c1-a", "c1"),
        (first, "c2-a", "c2"),
        (second, "c1-a", "c1"),
        (second, "c2-a", "c2"),
    ]
    line = found[0]
    assert (line.kind, line.entity_type, line.attempts, line.died_us, line.error) == (
        "level.reached",
        "customer",
        14,
        NOW,
        "answered 500",
    )
    assert dead_letters(Context(engine, ours), second) == found[2:]
    assert dead_letters(Context(engine, ours), part=Part(3)) == found[:3]
    assert dead_letters(Context(engine, ours), part=Part(9, (found[2].endpoint_id, found[2].sequence))) == found[3:]
    assert [line.event_id for line in dead_letters(Context(engine, theirs), other)] == ["c1-x"]


def test_of_an_erased_entity_the_name_is_not_listed(engine: Engine, ours: Actor) -> None:
    endpoint(engine, ours.organisation_id, URL)
    tell(engine, ours.organisation_id, ["c1-a"])
    plan_deliveries(engine, NOW)
    give_up(engine)
    with Session(engine) as session, session.begin():
        session.execute(update(Entity).values(erased_us=NOW))
    assert dead_letters(Context(engine, ours))[0].external_id is None


def test_a_range_is_sent_again_in_order_whether_it_arrived_or_not(engine: Engine, ours: Actor) -> None:
    with receiving() as receiver:
        told = endpoint(engine, ours.organisation_id, receiver.url).endpoint_id
        tell(engine, ours.organisation_id, ["c1-a", "c2-a", "c1-b", "c1-c"])
        deliver_due(engine, NOW)
        sequences = {got.told["event_id"]: got.told["sequence"] for got in receiver.got}
        receiver.ended.clear()
        assert (
            replay_dead_letters(Context(engine, ours).at(NOW + SECOND_US), told, (sequences["c1-a"], sequences["c1-b"]))
            == 3
        )
        assert deliver_due(engine, NOW + SECOND_US) == 3
        assert [event for event in receiver.events() if event != "c2-a"] == ["c1-a", "c1-b"]
        assert sorted(receiver.events()) == ["c1-a", "c1-b", "c2-a"]


def test_what_waits_behind_a_replayed_one_follows_at_once(engine: Engine, ours: Actor) -> None:
    """It was put off until the next attempt of the one before it, which may be hours away."""
    fails = [True]
    with receiving(lambda _: 500 if fails[0] else 200) as receiver:
        told = endpoint(engine, ours.organisation_id, receiver.url).endpoint_id
        tell(engine, ours.organisation_id, ["c1-a", "c1-b", "c2-a"])
        deliver_due(engine, NOW)
        assert sorted(receiver.events()) == ["c1-a", "c2-a"]
        fails[0] = False
        receiver.ended.clear()
        sequence = list_failing(Context(engine, ours), told)[0].sequence
        soon = NOW + SECOND_US
        assert replay_dead_letters(Context(engine, ours).at(soon), told, (sequence, sequence)) == 1
        assert deliver_due(engine, soon) == 2
        assert receiver.events() == ["c1-a", "c1-b"], "and what failed of another customer waits for its own time"


def test_a_replay_is_recorded_as_how_many_and_their_digest(engine: Engine, ours: Actor) -> None:
    told = endpoint(engine, ours.organisation_id, URL).endpoint_id
    tell(engine, ours.organisation_id, ["c1-a", "c2-a"])
    plan_deliveries(engine, NOW)
    give_up(engine)
    numbers = [line.sequence for line in dead_letters(Context(engine, ours))]
    assert replay_dead_letters(Context(engine, ours).at(NOW), told) == 2
    assert replay_dead_letters(Context(engine, ours).at(NOW), told) == 0
    with Session(engine) as session:
        *_, entry = entries(session, ours.organisation_id)
    assert (entry.action, entry.actor, entry.subject_id) == ("webhook.replayed", MACHINE, str(told))
    assert (entry.bulk_count, entry.bulk_digest) == (2, digest_of(numbers))
    assert json.loads(entry.details) == {"first": numbers[0], "last": numbers[1], "dead_only": True}
    assert entry.number == 2, "nothing to send again is nothing to record"


def test_a_range_that_ends_before_it_begins_is_told(engine: Engine, ours: Actor) -> None:
    told = endpoint(engine, ours.organisation_id, URL).endpoint_id
    with pytest.raises(ConfigError, match="the range begins at 3 and ends at 2"):
        replay_dead_letters(Context(engine, ours), told, (3, 2))
