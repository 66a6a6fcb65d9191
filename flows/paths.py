"""The ways through a flow: which steps a run may have passed, or surely has, before it reaches another one."""

from collections.abc import Iterator
from dataclasses import dataclass

from fivefold.flows.actions import PersonRole, is_reversible
from fivefold.flows.language import EndStep, Flow, PersonStep, ways_from
from fivefold.risk.language.documents import Path


@dataclass(frozen=True)
class Passed:
    """The positions of steps that a run passes before it reaches a given one.

    Attributes:
        possibly: the steps on some way.
        surely: the steps on every way.
    """

    possibly: frozenset[int]
    surely: frozenset[int]


def next_positions(flow: Flow, position: int) -> Iterator[int]:
    """Yield the positions of the steps that a step leads to, without ways that lead nowhere, or back."""
    for _, to in ways_from(flow, position):
        place = position + 1 if to is None else flow.positions.get(to, position)
        if position < place < len(flow.steps):
            yield place


def passed_before(flow: Flow) -> list[Passed]:
    """Return, for each step, the steps that some path passes before it, and those that every path passes."""
    possibly: list[set[int]] = [set() for _ in flow.steps]
    surely: list[set[int] | None] = [None] * len(flow.steps)
    surely[0] = set()
    for position in range(len(flow.steps)):  # a step leads to later ones only
        sure = surely[position]
        if sure is None:
            continue
        for to in next_positions(flow, position):
            possibly[to] |= possibly[position] | {position}
            before = surely[to]
            surely[to] = sure | {position} if before is None else before & (sure | {position})
    return [Passed(frozenset(some), frozenset(sure or ())) for some, sure in zip(possibly, surely, strict=True)]


def reached(flow: Flow) -> frozenset[int]:
    """Return the positions of the steps that can be reached from the first one."""
    positions = {0}
    for position in range(len(flow.steps)):
        if position in positions:
            positions |= set(next_positions(flow, position))
    return frozenset(positions)


def irreversible_after(flow: Flow, step: str) -> tuple[str, ...]:
    """Return the titles of irreversible actions that may follow a step before a person is asked."""
    may_follow = {flow.positions[step]}
    titles: dict[str, None] = {}
    for position in range(flow.positions[step], len(flow.steps)):  # a step leads to later ones only
        present = flow.steps[position]
        if position not in may_follow or isinstance(present, PersonStep):
            continue
        may_follow |= set(next_positions(flow, position))
        actions = map(flow.action, present.end) if isinstance(present, EndStep) else ()
        titles |= dict.fromkeys(action.title for action in actions if not is_reversible(action))
    return tuple(titles)


def without_person(flow: Flow, end: int, role: PersonRole | None = None) -> tuple[int, ...] | None:
    """Find a way to an end without a person's decision, as positions, the end last; None if there is none.

    An answer decides if another answer to the same question keeps the run from that end. No answer in time is not an
    answer. With a *role*, only persons who are asked in it count.
    """
    leading = {end}
    for position in range(end, -1, -1):
        if any(to in leading for to in next_positions(flow, position)):
            leading.add(position)
    ways: dict[int, tuple[int, ...]] = {0: (0,)}
    for position in range(end):
        if position not in ways:
            continue
        for to in undecided_by_person(flow, position, leading, role):
            if to > position:
                ways.setdefault(to, (*ways[position], to))
    return ways.get(end)


def undecided_by_person(flow: Flow, position: int, leading: set[int], role: PersonRole | None = None) -> Iterator[int]:
    """Yield the next steps of a run for which no person decides whether it stays in *leading*.

    With a *role*, a person who is asked in another role decides nothing.
    """
    step = flow.steps[position]
    if not isinstance(step, PersonStep) or role not in {None, step.person.role}:
        yield from next_positions(flow, position)
        return
    answers = [flow.positions.get(to, position) for to in step.person.answers.values()]
    yield flow.positions.get(step.person.otherwise, position)
    if all(to in leading for to in answers):
        yield from answers


def reading_steps(flow: Flow, path: Path) -> list[int]:
    """Return the positions of the steps that read an input written at *path*."""
    if path[0] == "steps":
        return [int(path[1])]
    name = flow.actions[int(path[1])].id
    return [place for place, step in enumerate(flow.steps) if isinstance(step, EndStep) and name in step.end]
