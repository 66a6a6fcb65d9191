"""What stands beside the customers of a measured portfolio: what waits in the queue, a list, a policy, a webhook."""

import json

from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from benchmarks.platform import data
from fivefold.domain.clock import DAY_US, day_text, now_microseconds
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.events import Delivery, OutboxEvent
from fivefold.usecases.accounts.lists import list_version, put_list_in
from fivefold.usecases.decisions.policies import propose_policy
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks.endpoints import add_endpoint

RISES, FAILED, OVERDUE, QUARANTINED, ASKED = 3_000, 300, 300, 30, 200
"""How many of each kind wait, of one customer each, in the order in which these were added; rises are fewer."""
LIST, LIST_SINCE_US, MEMBERS = "watched", 19_000 * DAY_US, 5_000
POLICY = "payments"
DEAD = 200


def add_beside(engine: Engine, actor: Actor) -> None:
    """Add it all; once."""
    context = Context(engine, actor)
    add_waiting(engine, actor)
    with context.writing() as session:
        members = [f"company {number}" for number in range(MEMBERS)]
        document = list_version(LIST, LIST_SINCE_US, members, "Watched companies", "measured")
        put_list_in(session, context, document, now_microseconds())
    propose_policy(context, policy(), "It is measured.", "It is measured.")
    add_dead_letters(engine, actor, add_endpoint(context, "https://receiver.example/hook").endpoint_id)


def add_waiting(engine: Engine, actor: Actor) -> None:
    """Let customers wait in the queue, for up to 30 days."""
    ago, late = ":now - (entity_id * 7919 % 29) * :day - entity_id", ":now - 2 * :day - entity_id"
    rises = (
        "INSERT INTO transitions (entity_id, number, organisation_id, at_us, from_level, to_level, source)"
        " SELECT entity_id, 2, organisation_id, assessed_us + 1, 1, 2, 'rules' FROM standings"
    )
    risen = "UPDATE standings SET level = 2, level_since_us = assessed_us + 1"
    entities = (
        "INSERT INTO overrides (organisation_id, entity_id, level, reason, state, requested_by, requested_us)"
        f" SELECT organisation_id, entity_id, 2, 'They are known.', 'requested', 'member:1', {ago} FROM standings"
    )
    quarantined = f"UPDATE due_marks SET due_us = {late}, quarantined = (1 = 1), error = 'out of memory'"
    waiting = (
        (0, rises),
        (RISES, risen),
        (FAILED, "UPDATE standings SET status = 'unclassified'"),
        (OVERDUE, f"UPDATE due_marks SET due_us = {late}"),
        (QUARANTINED, quarantined),
        (ASKED, entities),
    )
    with engine.begin() as connection:
        of = {"of": actor.organisation_id}
        begin = connection.scalar(text("SELECT min(id) FROM entities WHERE organisation_id = :of"), of)
        for count, statement in waiting:
            some = " WHERE organisation_id = :of AND entity_id >= :begin AND entity_id < :end"
            if statement in {rises, risen}:
                some += " AND level = 1"  # so that the moves lead to where everybody stands
            end = begin + (count or RISES)
            numbers = {"begin": begin, "end": end, "now": now_microseconds(), "day": DAY_US}
            connection.execute(text(statement + some), {**of, **numbers})
            begin += count


def policy() -> str:
    """Write a policy of one rule."""
    rule = {
        "id": "cash",
        "title": "Much cash",
        "rationale": "It is measured.",
        "when": {"all": [{"transaction": "operation", "equals": "cash"}, {"transaction": "amount", "above": 10_000}]},
        "action": "block",
    }
    whole = {
        "policy": POLICY,
        "entity_type": "customer",
        "fields": data.FIELDS,
        "transaction_fields": data.TRANSACTION_FIELDS,
        "levels": data.LEVELS,
        "actions": ["allow", "note", "review", "block"],
        "wins": "first",
        "rationale": "It is measured.",
        "rules": [rule],
        "otherwise": "allow",
    }
    return json.dumps(whole, indent=1)


def add_dead_letters(engine: Engine, actor: Actor, endpoint: int) -> None:
    """Let events be given up that an endpoint never took."""
    now = now_microseconds()
    with Session(engine) as session, session.begin():
        of = Entity.organisation_id == actor.organisation_id
        for entity in session.scalars(select(Entity.id).where(of).order_by(Entity.id).limit(DEAD)).all():
            event = OutboxEvent(
                organisation_id=actor.organisation_id,
                event_id=f"measured-{entity}",
                kind="level.changed",
                entity_id=entity,
                at_us=now,
                body="{}",
            )
            session.add(event)
            session.flush()
            state = {"state": "dead", "attempts": 20, "next_us": now, "error": "503 Service Unavailable"}
            session.add(Delivery(endpoint_id=endpoint, event_number=event.id, entity_id=entity, **state))


def parts_beside(engine: Engine, actor: Actor, number: int) -> dict[str, str]:
    """Give the variable parts of paths that lead to it, for a number at random."""
    with engine.connect() as connection:
        of = {"of": actor.organisation_id}
        risen = "SELECT min(entity_id) FROM transitions WHERE organisation_id = :of AND number = 2 AND entity_id >= :at"
        first = connection.scalar(text("SELECT min(id) FROM entities WHERE organisation_id = :of"), of)
        entity = connection.scalar(text(risen), {**of, "at": first + number % (RISES // 2)})
        endpoint = connection.scalar(text("SELECT min(id) FROM endpoints WHERE organisation_id = :of"), of)
    return {
        "item": f"rise-{entity}-2",
        "list": LIST,
        "since": day_text(LIST_SINCE_US),
        "policy": POLICY,
        "number": "1",
        "endpoint": str(endpoint),
    }
