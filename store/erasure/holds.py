"""Entities from which nothing may be removed: they have a legal hold, or something about them is open.

Begins no transaction.
"""

from collections.abc import Collection, Iterator
from typing import Any, Final

from sqlalchemy import func, literal, or_, select
from sqlalchemy.orm import Session, aliased

from fivefold.store.changes.proposals import PROPOSED
from fivefold.store.queue.sources import SOURCES, source_moments
from fivefold.store.sql.arrays import among
from fivefold.store.sql.clocks import latest_us
from fivefold.store.tables.entities import Entity, Link, Ownership, Record
from fivefold.store.tables.flows import FlowRun
from fivefold.store.tables.levels import DueMark, OverrideRow
from fivefold.store.tables.queue import QueueWork
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import Proposal

MOST_LINKED: Final = 1_000
"""The most other members of a group of linked entities; the rules ignore larger groups (`risk.facts.groups.links`), and
so does this.
"""


def held_entities(session: Session, entity_ids: Collection[int], now_us: int) -> set[int]:
    """Return which of some entities are held: nothing may be removed from them now.

    Such an entity has a legal hold; an open case, alert, challenge or proposal; a requested or active override; a
    waiting item of the queue that a member took; or an open run of a flow that acts; or it is quarantined. It is held
    too if any of this is true of an entity that owns or owned it, that it owns or owned, or that it is or was linked to
    in one step, in either direction: facts of one count for the other. A value shared by more than `MOST_LINKED` is not
    a link.
    """
    groups = related_entities(session, entity_ids)
    for entity, others in _link_groups(session, sorted(groups)):
        groups[entity] |= others
    everybody = sorted(set().union(*groups.values()))
    held_ids = {number for statement in _open(session, everybody, now_us) for number in session.scalars(statement)}
    return {entity for entity, others in groups.items() if others & held_ids}


def related_entities(session: Session, entity_ids: Collection[int]) -> dict[int, set[int]]:
    """Return, for each entity, itself, the entities that it owns or owned, and those that own or owned it."""
    groups: dict[int, set[int]] = {entity: {entity} for entity in entity_ids}
    ids = sorted(groups)
    for entity, owner in session.execute(
        select(Ownership.entity_id, Ownership.owner_id).where(
            or_(among(session, Ownership.entity_id, ids), among(session, Ownership.owner_id, ids))
        )
    ):
        groups.get(entity, set()).add(owner)
        groups.get(owner, set()).add(entity)
    return groups


def lock_related(session: Session, entity_ids: Collection[int]) -> set[int]:
    """Lock entities with their owners and those they own; return the entities whose whole group could be locked.

    Opening a challenge or setting a hold locks the entity: it waits until this transaction ends, or is visible to a
    query after this function returns. Entities that another transaction has locked are left out, so that nothing waits.
    """
    groups = related_entities(session, entity_ids)
    everybody = sorted(set().union(*groups.values()))
    statement = select(Entity.id).where(among(session, Entity.id, everybody)).order_by(Entity.id)
    locked = set(session.scalars(statement.with_for_update(key_share=True, skip_locked=True)))
    return {entity for entity, others in groups.items() if others <= locked}


def _link_groups(session: Session, ids: list[int]) -> Iterator[tuple[int, set[int]]]:
    """Yield entities with those linked to them: at the other end of a directed link, or by what they share."""
    for near, far in ((Link.entity_id, Link.other_id), (Link.other_id, Link.entity_id)):
        directed = select(near.label("near"), Link.link, far.label("far")).where(
            among(session, near, ids), Link.other_id.is_not(None)
        )
        for (entity, _), others in _groups(session, directed, MOST_LINKED):
            yield entity, others
    entity_ids, link_key = set(ids), (Link.type_id, Link.link, Link.thing)
    theirs = select(*link_key).where(among(session, Link.entity_id, ids), Link.thing.is_not(None)).distinct().subquery()
    sharer = aliased(Link)
    same = (sharer.type_id == theirs.c.type_id) & (sharer.link == theirs.c.link) & (sharer.thing == theirs.c.thing)
    sharers = select(*theirs.c, sharer.entity_id.label("far")).join(sharer, same)
    for _, those in _groups(session, sharers, MOST_LINKED + 1):  # the entity itself is among them
        yield from ((entity, those) for entity in those & entity_ids)


def _groups(session: Session, ends: Any, most: int) -> Iterator[tuple[tuple[Any, ...], set[int]]]:
    """Group the entities `far` by the other columns. Groups of more than *most* are left out, as in the rules."""
    each = ends.distinct().subquery()
    keys = [column for column in each.c if column.name != "far"]
    place = func.row_number().over(partition_by=keys, order_by=each.c.far)
    numbered = select(*keys, each.c.far, place.label("place")).subquery()
    groups: dict[tuple[Any, ...], set[int]] = {}
    for *key, far, _ in session.execute(select(numbered).where(numbered.c.place <= most + 1)):
        groups.setdefault(tuple(key), set()).add(far)
    yield from ((key, those) for key, those in groups.items() if len(those) <= most)


def _open(session: Session, ids: list[int], now_us: int) -> Iterator[Any]:
    """Yield the statements that find the reasons to keep entities."""
    yield select(Entity.id).where(among(session, Entity.id, ids), Entity.hold_until_us > now_us)
    yield select(Challenge.entity_id).where(among(session, Challenge.entity_id, ids), Challenge.state == "open")
    yield select(Record.entity_id).where(among(session, Record.entity_id, ids), Record.closed_us.is_(None))
    yield select(Proposal.entity_id).where(among(session, Proposal.entity_id, ids), Proposal.state == PROPOSED)
    live = (OverrideRow.state == "approved") & (OverrideRow.until_us.is_(None) | (OverrideRow.until_us > now_us))
    yield select(OverrideRow.entity_id).where(
        among(session, OverrideRow.entity_id, ids), or_(OverrideRow.state == "requested", live)
    )
    yield from _items_in_work(session, ids, now_us)
    of_runs = (FlowRun.acting, FlowRun.ended_us.is_(None))  # a quarantined run also waits for a person
    yield select(FlowRun.entity_id).where(among(session, FlowRun.entity_id, ids), *of_runs)
    yield select(DueMark.entity_id).where(among(session, DueMark.entity_id, ids), DueMark.quarantined)


def _items_in_work(session: Session, ids: list[int], now_us: int) -> Iterator[Any]:
    """Yield the statements that find the entities of waiting queue items that a member took.

    Most items leave the queue when their subject is settled, without being marked as done.
    """
    by_member = (among(session, QueueWork.entity_id, ids), QueueWork.done_us.is_(None))
    kinds = set(session.scalars(select(QueueWork.kind).where(*by_member).distinct()))
    moments = source_moments(now_us, latest_us(session, now_us))
    for source in SOURCES:
        if source.kind.value in kinds:
            same = (source.number == QueueWork.number, source.step == QueueWork.step)
            waits = select(literal(1)).select_from(source.table).where(*same, *source.conditions)
            parameters = moments.keys() & waits.compile().params.keys()
            of_kind = select(QueueWork.entity_id).where(*by_member, QueueWork.kind == source.kind.value)
            yield of_kind.where(waits.correlate(QueueWork).exists()).params(
                {name: moments[name] for name in parameters}
            )
