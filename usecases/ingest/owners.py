"""A fact about an account concerns its owners, and who is linked to them: all become due. Nothing owns itself."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from fivefold.domain.errors import InvalidDataError, Problem
from fivefold.features.reading.columns import short_text
from fivefold.store.ingest.entities import subjects
from fivefold.store.ingest.facts import entity_name
from fivefold.store.ingest.ownerships import owner_numbers, owners_above
from fivefold.store.levels.assessment_queue import EVENT, Reason, Subject
from fivefold.usecases.levels.groups.reach import mark_linked

MOST_NAMED = 10
"""Of a longer circle of owners so many are named."""


class NewOwner(NamedTuple):
    """An owner that an entity gets now, by the row that says so; numbers of both."""

    entity_id: int
    owner_id: int
    row: int


def mark_with_owners(
    session: Session, concerned: Iterable[Subject], reason: Reason, due_us: int, priority: int = EVENT
) -> None:
    """Mark entities due, who owns them or did, as the fact may be of that time, and those in whose groups they are.

    A call that gives an entity another owner or link marks it too. So either that is done by the time that our own mark
    is set, and whom it leads to is found and marked as well; or it waits for us, and marks them after us.
    """
    marked = {subject.entity_id: subject for subject in concerned}
    new_owners = subjects(session, owner_numbers(session, marked) - marked.keys())
    mark_linked(session, [*marked.values(), *new_owners], reason, due_us, priority)
    later_owners = owner_numbers(session, marked) - {owner.entity_id for owner in new_owners} - marked.keys()
    if later_owners:
        mark_linked(session, subjects(session, later_owners), reason, due_us, priority)


def refuse_cycles(
    session: Session, present: Mapping[int, set[int]], added: Sequence[NewOwner], field: str, now_us: int
) -> None:
    """Refuse owners by which an entity would own itself, directly or through others.

    What holds after the whole call counts, at present: who left owns nothing any more. The caller holds the
    organisation's lock: two calls that each see nothing wrong could otherwise close a circle between them.

    Args:
        session: in the transaction that will store the owners.
        present: of each entity whose owners change, who owns it after the call.
        added: those of them that are new.
        field: in which rows name owners.
        now_us: the present.

    Raises:
        InvalidDataError: for each circle, at the last row that is in it; the message names the chain.
    """
    above = {**owners_above(session, {new.owner_id for new in added}, now_us), **present}
    rows = {(new.entity_id, new.owner_id): new.row for new in added}
    problems: dict[frozenset[int], Problem] = {}
    for new in added:
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
    """Find a shortest circle that a new owner closes, every entity before its owner; empty where there is none."""
    reached_from: dict[int, int] = {new.owner_id: new.entity_id}
    waiting = [new.owner_id]
    for entity in waiting:
        if entity == new.entity_id:
            break
        for owner in sorted(above.get(entity, ())):
            if owner not in reached_from:
                reached_from[owner] = entity
                waiting.append(owner)
    if new.entity_id not in reached_from:
        return []
    back = [reached_from[new.entity_id]]
    while back[-1] != new.entity_id:
        back.append(reached_from[back[-1]])
    return back[::-1]


def _chain(session: Session, cycle: Sequence[int]) -> str:
    """Write who belongs to whom, from the first entity round to itself."""
    shown_part = cycle if len(cycle) <= MOST_NAMED else [*cycle[: MOST_NAMED - 1], cycle[-1]]
    names = [f"{kind} {short_text(name)}" for kind, name in (entity_name(session, entity) for entity in shown_part)]
    steps = [f"{names[0]} belongs to {names[1]}", *(f"which belongs to {name}" for name in (*names[2:], names[0]))]
    if len(shown_part) < len(cycle):
        steps[-2] = f"which belongs through {len(cycle) - len(shown_part)} others to {names[-1]}"
    return f"would make {names[0]} own itself: {', '.join(steps)}"
