"""What happens to an account happens to whoever owns it: both become due. Nothing owns itself through others."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy.orm import Session

from domain.errors import DataNotValid, Problem
from features.values import shown
from store import due
from store.due import EVENT, Reason, Subject
from store.entities import owner_numbers, owners_above, subjects
from store.facts import name_of

MOST_NAMED = 10
"""Of a longer circle of owners so many are named."""


def mark_with_owners(
    session: Session,
    concerned: Iterable[Subject],
    owners: Iterable[int],
    reason: Reason,
    due_us: int,
    priority: int = EVENT,
) -> None:
    """Mark entities due, and those who own them, as *owners* were known before.

    Whoever gives something another owner marks it too. So either that is done by the time that our own mark is set,
    and whoever owns it now is found and marked as well; or it waits for us, and marks the new owner after us.
    """
    marked = {subject.entity_id: subject for subject in concerned}
    known = set(owners) - marked.keys()
    due.mark(session, [*marked.values(), *subjects(session, known)], reason, due_us, priority)
    later = owner_numbers(session, marked) - known - marked.keys()
    if later:
        due.mark(session, subjects(session, later), reason, due_us, priority)


def refuse_cycles(session: Session, moves: Mapping[int, tuple[int, int]]) -> None:
    """Refuse owners by which an entity would own itself, directly or through others.

    What holds after the whole call counts. The caller holds the organisation's lock: two calls that each see nothing
    wrong could otherwise close a circle between them.

    Args:
        session: in the transaction that will store the owners.
        moves: of entities that are there and get another owner: their number, that owner's number, and their row.

    Raises:
        DataNotValid: for each circle, at the last row that is in it; the message names the chain.
    """
    above = owners_above(session, {owner for owner, _ in moves.values()})
    above |= {entity: owner for entity, (owner, _) in moves.items()}
    problems = []
    for cycle in _cycles(above, moves):
        row, last = max((moves[entity][1], entity) for entity in cycle if entity in moves)
        begin = cycle.index(last)
        problems.append(
            Problem(
                row,
                "owner",
                _chain(session, [*cycle[begin:], *cycle[:begin]]),
                "an owner that does not belong to the entity, directly or through others",
            )
        )
    if problems:
        raise DataNotValid(sorted(problems, key=lambda problem: problem.row))


def _cycles(above: Mapping[int, int], begins: Iterable[int]) -> list[list[int]]:
    """Find the circles of entities that have one of *begins* in them, each once, every entity before its owner."""
    seen: set[int] = set()
    found = []
    for begin in begins:
        path: dict[int, None] = {}
        entity: int | None = begin
        while entity is not None and entity not in seen:
            seen.add(entity)
            path[entity] = None
            entity = above.get(entity)
        if entity in path:
            walked = list(path)
            found.append(walked[walked.index(entity) :])
    wanted = set(begins)
    return [cycle for cycle in found if wanted.intersection(cycle)]


def _chain(session: Session, cycle: Sequence[int]) -> str:
    """Write who belongs to whom, from the first entity round to itself."""
    named = cycle if len(cycle) <= MOST_NAMED else [*cycle[: MOST_NAMED - 1], cycle[-1]]
    names = [f"{kind} {shown(name)}" for kind, name in (name_of(session, entity) for entity in named)]
    steps = [f"{names[0]} belongs to {names[1]}", *(f"which belongs to {name}" for name in (*names[2:], names[0]))]
    if len(named) < len(cycle):
        steps[-2] = f"which belongs through {len(cycle) - len(named)} others to {names[-1]}"
    return f"would make {names[0]} own itself: {', '.join(steps)}"
