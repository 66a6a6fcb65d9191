"""Of whom nothing may be removed: a hold is on them, or something about them is open. Begins no transaction."""

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from fivefold.store.rulesets.proposals import PROPOSED
from fivefold.store.sql.arrays import among
from fivefold.store.tables.entities import Entity, Ownership, Record
from fivefold.store.tables.levels import DueMark, OverrideRow
from fivefold.store.tables.queue import QueueWork
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import Proposal


def held_entities(session: Session, entity_ids: Collection[int], now_us: int) -> set[int]:
    """Find those of some entities of which nothing may be removed now.

    A legal hold is on them; a case, an alert, a challenge, a proposal, an override that was asked for or holds, or an
    item of the queue about them is open; or they are quarantined. What is open about one who owns or owned an entity
    holds that entity too, and so does what is open about one that it owns or owned: facts of one count for the other.
    """
    related = related_entities(session, entity_ids)
    everybody = sorted(set().union(*related.values()))
    held = {number for statement in _open(session, everybody, now_us) for number in session.scalars(statement)}
    return {entity for entity, others in related.items() if others & held}


def related_entities(session: Session, entity_ids: Collection[int]) -> dict[int, set[int]]:
    """Give for each entity itself, with those that it owns or owned and those that own or owned it."""
    related: dict[int, set[int]] = {entity: {entity} for entity in entity_ids}
    ids = sorted(related)
    for entity, owner in session.execute(
        select(Ownership.entity_id, Ownership.owner_id).where(
            or_(among(session, Ownership.entity_id, ids), among(session, Ownership.owner_id, ids))
        )
    ):
        related.get(entity, set()).add(owner)
        related.get(owner, set()).add(entity)
    return related


def _open(session: Session, ids: list[int], now_us: int) -> Iterator[Any]:
    """Give the statements that find what keeps entities."""
    yield select(Entity.id).where(among(session, Entity.id, ids), Entity.hold_until_us > now_us)
    yield select(Challenge.entity_id).where(among(session, Challenge.entity_id, ids), Challenge.state == "open")
    yield select(Record.entity_id).where(among(session, Record.entity_id, ids), Record.closed_us.is_(None))
    yield select(Proposal.entity_id).where(among(session, Proposal.entity_id, ids), Proposal.state == PROPOSED)
    live = (OverrideRow.state == "approved") & (OverrideRow.until_us.is_(None) | (OverrideRow.until_us > now_us))
    yield select(OverrideRow.entity_id).where(
        among(session, OverrideRow.entity_id, ids), or_(OverrideRow.state == "requested", live)
    )
    yield select(QueueWork.entity_id).where(among(session, QueueWork.entity_id, ids), QueueWork.done_us.is_(None))
    yield select(DueMark.entity_id).where(among(session, DueMark.entity_id, ids), DueMark.quarantined)
