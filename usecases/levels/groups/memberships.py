"""Memberships of a type's groups: their conditions are evaluated with each assessment, on the same facts.

A group that cannot be evaluated, such as one whose list is gone, is unknown for every entity, and delays no level.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl
import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import utc_text
from fivefold.flows.groups.analysis import AnalysedGroup, analyse_canonical_group
from fivefold.flows.groups.membership import look_at_members
from fivefold.risk.facts.inputs import LEVEL_TYPES
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.store.groups.groups import TypeGroup, groups_looked_at
from fivefold.store.groups.members import Membership, Move, memberships_of, store_memberships, store_moves
from fivefold.store.levels.assessment_queue import NO_FLOW, Origin, Reason
from fivefold.store.levels.leases import LeasedBatch
from fivefold.store.sql.reasons import failure_text
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.webhooks.outbox import NewEvent, add_events
from fivefold.usecases.levels.records import AssessmentRecord
from fivefold.usecases.shared.flow_triggers import TriggerEvent, about_move, group_cause, note
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

log = structlog.get_logger("fivefold.worker")


@dataclass(frozen=True)
class GroupsOfType:
    """The groups that the entities of a type may be members of.

    Attributes:
        groups: the groups, by number.
        analysed: the analysed form of each; None where a group was retired, and its last members leave.
    """

    groups: tuple[TypeGroup, ...] = ()
    analysed: tuple[AnalysedGroup | None, ...] = ()

    @property
    def read(self) -> list[AnalysedGroup]:
        """The groups whose inputs are read."""
        return [each for each in self.analysed if each is not None]


@dataclass(frozen=True)
class GroupLook:
    """The result of a group's condition for some entities as of one moment.

    Attributes:
        group: the group.
        on_unknown: what an entity becomes where the condition is unknown: keep, in or out.
        as_of_us: the moment.
        holds: whether the condition holds, by entity; None where it is unknown.
    """

    group: TypeGroup
    on_unknown: str
    as_of_us: int
    holds: Mapping[int, bool | None]


def groups_of_type(session: Session, type_id: int) -> GroupsOfType:
    """Read the groups of a type."""
    groups = groups_looked_at(session, type_id)
    analysed = (None if each.canonical is None else analyse_canonical_group(each.canonical) for each in groups)
    return GroupsOfType(tuple(groups), tuple(analysed))


def look_at_groups(
    groups: GroupsOfType, portfolio: Portfolio, records: Sequence[AssessmentRecord], as_of_us: int
) -> tuple[list[AssessmentRecord], tuple[GroupLook, ...]]:
    """Evaluate every group's condition for the entities that were assessed.

    Args:
        groups: the groups of their type.
        portfolio: their facts alone, with all that `groups.read` reads.
        records: their assessments, whose levels conditions may read.
        as_of_us: the moment.

    Returns:
        The assessments, each due again no later than a group's condition may change by time alone; and the looks.
    """
    if not groups.groups or not records:
        return [*records], ()
    everyone = replace(portfolio, levels=_levels(records), lists=portfolio.lists)
    first: dict[int, int] = {}
    looks = []
    for group, analysed in zip(groups.groups, groups.analysed, strict=True):
        if analysed is None:
            holds: dict[int, bool | None] = {record.entity_id: False for record in records}
            looks.append(GroupLook(group, "out", as_of_us, holds))
            continue
        try:
            answers = look_at_members(analysed, everyone, as_of_us, ahead=True)
        except UNEXPECTED_ERRORS as error:  # a group delays no level: the members stay, as unknown
            log.warning("group not asked", group=group.name, error=failure_text(error))
            looks.append(GroupLook(group, "keep", as_of_us, {record.entity_id: None for record in records}))
            continue
        for entity, _, moment in answers.iter_rows():
            if moment is not None:
                first[int(entity)] = min(moment, first.get(int(entity), moment))
        holds = {int(entity): answer for entity, answer, _ in answers.iter_rows()}
        looks.append(GroupLook(group, analysed.group.on_unknown, as_of_us, holds))
    return [_no_later(record, first.get(record.entity_id)) for record in records], tuple(looks)


def _no_later(record: AssessmentRecord, moment: int | None) -> AssessmentRecord:
    if moment is None or (record.next_us is not None and record.next_us <= moment):
        return record
    return record._replace(next_us=moment, next_reason=Reason.TIME)


def _levels(records: Sequence[AssessmentRecord]) -> pl.DataFrame:
    """Return the levels as conditions read them, with an age of 0, as they were computed at this moment."""
    rows = [
        (str(each.entity_id), each.level, each.rules_level, each.status, each.level_source, 0.0) for each in records
    ]
    return pl.DataFrame(rows, schema={ENTITY: pl.String, **LEVEL_TYPES}, orient="row")


ENTERED: Final = "group.entered"
LEFT: Final = "group.left"
"""The kinds of events of a group."""

_BECOMES: Final = {"in": True, "out": False}


def store_looks(
    session: Session,
    batch: LeasedBatch,
    looks: Sequence[GroupLook],
    leased: set[int],
    origins: Mapping[int, Origin],
) -> int:
    """Store the results of groups' conditions for entities whose lease is held; return how many entered or left.

    *origins* are the flows by which entities became due, and the people behind these. Where the condition is unknown,
    an entity keeps its membership, unless the group says otherwise, and is marked as unknown.
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
    """Return an event for each entity that entered or left: once a move, as the event is named after the move."""
    if not moves:
        return []
    ids = sorted({move.entity_id for move in moves})
    external: dict[int, str] = {
        row.id: row.external_id
        for row in session.execute(select(Entity.id, Entity.external_id).where(Entity.id.in_(ids)))
    }
    return list(_move_events(session.get_one(EntityType, type_id).name, external, names, moves))


def _move_events(
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
