"""Who was a member of a named group at an earlier moment, by the moves that are kept."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.text import count_text
from fivefold.store.evidence.retention_runs import moves_removed_before
from fivefold.store.groups.groups import in_force_since
from fivefold.store.groups.members import KeptMove, moves_kept
from fivefold.store.tables.entities import EntityType


@dataclass(frozen=True)
class MembersThen:
    """Who was a member when.

    Attributes:
        moves: of each group and entity those that are kept, in their order.
        all_kept_from_us: from then on every move is kept.
        unknown: of each entity the groups of which it was asked for a moment at which nobody knows.
    """

    moves: Mapping[tuple[str, int], Sequence[KeptMove]]
    all_kept_from_us: int
    unknown: dict[int, set[str]] = field(default_factory=dict)

    def was_member(self, group: str, entity_id: int, at_us: int) -> bool | None:
        """Tell whether an entity was a member of a group at a moment; None where nobody knows it any more.

        Before its first move an entity is no member, and moves lead in and out by turns.
        """
        moves = self.moves.get((group, entity_id), ())
        for move in reversed(moves):
            if move.at_us <= at_us:
                return move.entered
        if not moves or moves[0].number == 1:
            return False
        if at_us >= self.all_kept_from_us:
            return not moves[0].entered
        self.unknown.setdefault(entity_id, set()).add(group)
        return None

    def would_run(self, groups: Collection[str] | None, entity_id: int, at_us: int) -> bool:
        """Tell whether an entity is known to have been a member of one of some groups; None stands for everybody."""
        if groups is None:
            return True
        were = [
            self.was_member(group, entity_id, at_us) for group in groups
        ]  # of each, so that what is unknown is noted
        return True in were


def read_members_then(
    session: Session, type_id: int, groups: Collection[str], entity_ids: Sequence[int]
) -> MembersThen:
    """Read who was a member of some groups of a type when; for no group nothing is read."""
    if not groups:
        return MembersThen({}, 0)
    organisation_id = session.get_one(EntityType, type_id).organisation_id
    moves = moves_kept(session, type_id, sorted(groups), entity_ids)
    before_us = moves_removed_before(session, organisation_id)  # read last, as some may go meanwhile
    return MembersThen(moves, before_us or 0)


def notes_of_members(
    session: Session, type_id: int, groups: Collection[str], begins_us: int, unknown: Mapping[str, int]
) -> list[str]:
    """Say in words what is not known of who was a member, or what people may not expect.

    Args:
        session: to read with.
        type_id: of the groups.
        groups: whose members are asked for.
        begins_us: the first moment for which.
        unknown: by group of how many entities nobody knows it for some of the time.
    """
    since = in_force_since(session, type_id, sorted(groups))
    notes = []
    for group in sorted(groups):
        if group not in since:
            notes.append(f"The group {group} was never in force, so it had no members.")
        elif begins_us < since[group]:
            day = day_text(since[group])
            notes.append(f"The group {group} came into force on {day}; before that it had no members.")
    for group, count in sorted(unknown.items()):
        notes.append(
            f"Of {count_text(count, 'customer')} it is not known for all of the time whether they were members of"
            f" {group}, as the retention policy removed moves of then; where it is not known, nothing is run for them."
        )
    return notes
