"""Owners: a fact about an account makes its owners and linked entities due too. No entity may own itself."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from fivefold.domain.errors import InvalidDataError, Problem
from fivefold.features.reading.columns import short_text
from fivefold.store.ingest.entities import subjects
from fivefold.store.ingest.facts import entity_name
from fivefold.store.ingest.ownerships import owner_numbers, owners_above
from fivefold.store.levels.assessment_queue import EVENT, Reason, Subject, lock_marks
from fivefold.usecases.levels.groups.reach import mark_linked, reached_by

MOST_NAMED = 10
"""The most entities of a circle of owners that a message names."""


class NewOwner(NamedTuple):
    """A new owner of an entity, both by number, and the row that adds it."""

    entity_id: int
    owner_id: int
    row: int


def mark_with_owners(
    session: Session, concerned: Iterable[Subject], reason: Reason, due_us: int, priority: int = EVENT
) -> None:
    """Mark entities due, with their present and past owners, and entities whose groups contain any of these.

    A past owner is marked because the fact may be of the time of that ownership.

    Changes of owners and links also mark the entity. Either such a change is committed before our own mark is set: then
    the new owner is found and marked as well. Or it waits for us, and marks the new owner after us.
    """
    by_id = {subject.entity_id: subject for subject in concerned}
    new_owners = subjects(session, owner_numbers(session, by_id) - by_id.keys())
    mark_linked(session, [*by_id.values(), *new_owners], reason, due_us, priority)
    later_owners = owner_numbers(session, by_id) - {owner.entity_id for owner in new_owners} - by_id.keys()
    if later_owners:
        mark_linked(session, subjects(session, later_owners), reason, due_us, priority)


def lock_with_owners(session: Session, concerned: Iterable[Subject], now_us: int) -> None:
    """Lock the marks of all entities that `mark_with_owners` would mark, before it is called entity by entity."""
    if session.get_bind().dialect.name != "postgresql":  # SQLite has one writer
        return
    by_id = {subject.entity_id: subject for subject in concerned}
    owners = subjects(session, owner_numbers(session, by_id) - by_id.keys())
    everyone = [*by_id.values(), *owners]
    reached = reached_by(session, everyone, now_us)
    lock_marks(session, {*reached.others, *(each.entity_id for each in everyone)})


def refuse_cycles(
    session: Session, present: Mapping[int, set[int]], new_owners: Sequence[NewOwner], field: str, now_us: int
) -> None:
    """Refuse owners by which an entity would own itself, directly or through others.

    Only present owners after the whole call count: a former owner no longer owns the entity. The caller holds the
    organisation's lock: otherwise two calls that are each valid could close a circle between them.

    Args:
        session: in the transaction that will store the owners.
        present: the owners after the call of each entity whose owners change.
        new_owners: the new owners among them.
        field: the field in which rows name owners.
        now_us: the current time.

    Raises:
        InvalidDataError: with a problem for each circle, at its last row; the message names the chain.
    """
    above = {**owners_above(session, {new.owner_id for new in new_owners}, now_us), **present}
    rows = {(new.entity_id, new.owner_id): new.row for new in new_owners}
    problems: dict[frozenset[int], Problem] = {}
    for new in new_owners:
        cycle = _cycle(above, new)
        if cycle and frozenset(cycle) not in problems:
            steps = zip(cycle, [*cycle[1:], cycle[0]], strict=True)
            row, last = max((rows[step], step[0]) for step in steps if step in rows)
            begin = cycle.index(last)
            problems[frozenset(cycle)] = Problem(
                row,
                field,
                _chain(session, [*cycle[begin:], *cycle[:begin]]),
                "an owner that does not belong to the entity, directly or through others",
            )
    if problems:
        raise InvalidDataError(sorted(problems.values(), key=lambda problem: problem.row))


def _cycle(above: Mapping[int, set[int]], new: NewOwner) -> list[int]:
    """Find a shortest circle that a new owner closes, each entity before its owner; empty if there is none."""
    reached_from: dict[int, int] = {new.owner_id: new.entity_id}
    to_visit = [new.owner_id]
    for entity in to_visit:
        if entity == new.entity_id:
            break
        for owner in sorted(above.get(entity, ())):
            if owner not in reached_from:
                reached_from[owner] = entity
                to_visit.append(owner)
    if new.entity_id not in reached_from:
        return []
    back = [reached_from[new.entity_id]]
    while back[-1] != new.entity_id:
        back.append(reached_from[back[-1]])
    return back[::-1]


def _chain(session: Session, cycle: Sequence[int]) -> str:
    """Return the chain of owners in words, from the first entity round to itself."""
    shown_part = cycle if len(cycle) <= MOST_NAMED else [*cycle[: MOST_NAMED - 1], cycle[-1]]
    names = [f"{kind} {short_text(name)}" for kind, name in (entity_name(session, entity) for entity in shown_part)]
    steps = [f"{names[0]} belongs to {names[1]}", *(f"which belongs to {name}" for name in (*names[2:], names[0]))]
    if len(shown_part) < len(cycle):
        steps[-2] = f"which belongs through {len(cycle) - len(shown_part)} others to {names[-1]}"
    return f"would make {names[0]} own itself: {', '.join(steps)}"
