"""Stores who is a member, who entered and who left, in the transaction of the assessments; a move is an event."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import utc_text
from fivefold.store.groups.members import Membership, Move, memberships_of, store_memberships, store_moves
from fivefold.store.levels.assessment_queue import NO_FLOW, Origin
from fivefold.store.levels.leases import LeasedBatch
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.webhooks.outbox import NewEvent, add_events
from fivefold.usecases.levels.memberships.look import GroupLook
from fivefold.usecases.shared.flow_triggers import TriggerEvent, about_move, group_cause, note

ENTERED: Final = "group.entered"
LEFT: Final = "group.left"
"""The kinds of events."""

_BECOMES: Final = {"in": True, "out": False}


def store_looks(
    session: Session,
    batch: LeasedBatch,
    looks: Sequence[GroupLook],
    leased: set[int],
    origins: Mapping[int, Origin],
) -> int:
    """Store what groups' conditions came to for those whose lease is held; tell how many entered or left.

    *origins* are the flows by which entities were due, and who is behind these. Where the condition is
    unknown an entity stays what it was, unless the group says otherwise, and counts as unknown.
    """
    if not looks or not leased:
        return 0
    groups = {look.group.group_id: look.group for look in looks}
    before = memberships_of(session, sorted(groups), sorted(leased))
    changed, moves = list[Membership](), list[Move]()
    for look in looks:
        for entity, holds in sorted(look.holds.items()):
            if entity not in leased:
                continue
            was = before.get((look.group.group_id, entity))
            now = _now(look, entity, was, holds)
            if was is None and not (now.is_member or now.is_unknown):
                continue
            if now != was:
                changed.append(now)
            if now.moves > (0 if was is None else was.moves):
                version = look.group.version_id
                moves.append(
                    Move(now.group_id, entity, now.moves, version, look.as_of_us, now.is_member, now.is_unknown)
                )
    store_memberships(session, changed)
    store_moves(session, moves)
    names = {look.group.group_id: (look.group.name, look.group.number) for look in looks}
    add_events(session, batch.organisation_id, _events(session, batch.type_id, names, moves))
    if moves:
        flow_events = [
            _told_to_flows(move, groups[move.group_id].name, origins.get(move.entity_id, NO_FLOW)) for move in moves
        ]
        note(session, batch.organisation_id, batch.type_id, "group", flow_events, moves[0].at_us)
    return len(moves)


def _told_to_flows(move: Move, name: str, origin: Origin) -> TriggerEvent:
    about = about_move(name, move.number, entered=move.entered)
    return TriggerEvent(move.entity_id, group_cause(name, move.number), about, origin)


def _now(look: GroupLook, entity: int, was: Membership | None, holds: bool | None) -> Membership:
    is_member_before = was is not None and was.is_member
    is_member = _BECOMES.get(look.on_unknown, is_member_before) if holds is None else holds
    since, moves = (look.as_of_us, 0) if was is None else (was.since_us, was.moves)
    if is_member != is_member_before:
        since, moves = look.as_of_us, moves + 1
    return Membership(look.group.group_id, entity, is_member, holds is None, since, moves)


def _events(
    session: Session, type_id: int, names: Mapping[int, tuple[str, int | None]], moves: Sequence[Move]
) -> Iterable[NewEvent]:
    """Tell who entered and who left: once for each move, since an event's name is that of its move."""
    if not moves:
        return []
    ids = sorted({move.entity_id for move in moves})
    external: dict[int, str] = {
        row.id: row.external_id
        for row in session.execute(select(Entity.id, Entity.external_id).where(Entity.id.in_(ids)))
    }
    return list(_told(session.get_one(EntityType, type_id).name, external, names, moves))


def _told(
    type_name: str,
    external: Mapping[int, str],
    names: Mapping[int, tuple[str, int | None]],
    moves: Sequence[Move],
) -> Iterator[NewEvent]:
    for move in moves:
        name, version = names[move.group_id]
        content = {
            "entity_type": type_name,
            "external_id": external[move.entity_id],
            "group": name,
            "version": version,
            "unknown": move.is_unknown,
            "at": utc_text(move.at_us),
        }
        yield NewEvent(
            f"group-{move.group_id}-{move.entity_id}-{move.number}-{move.at_us}",
            ENTERED if move.entered else LEFT,
            move.entity_id,
            move.at_us,
            canonical_json(content),
        )
