"""Which of several rulesets decides on an entity, where it is unknown whether some of them apply.

The first ruleset that applies decides. Where it is unknown whether one applies, it keeps the entities that it decided
on before, also where another one decided meanwhile that asked for more or comes before it, and its floors count for all
others: a missing value never brings an entity under a milder ruleset that it was not under. Where that cannot be read
the failure stays in sight, unless another ruleset asks for a higher level than the entity keeps.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from fivefold.risk.engine.assessments import COMPUTED, STATUS, Assessments, Status
from fivefold.risk.engine.levels import LEVEL, OVERRIDDEN, RAISED, RULES_LEVEL
from fivefold.risk.engine.program import FLOOR, HARD_FLOOR
from fivefold.risk.facts.portfolio import ENTITY

DECIDES: Final = (Status.ASSESSED.value, Status.FAILED.value, Status.UNCLASSIFIED.value)
"""With such a status a ruleset applies, unless it failed because that cannot be read."""

KEPT_BY: Final = "kept_by"
"""The column of the rulesets that keep an entity, as `with_keepers` says. Without it none does."""


@dataclass(frozen=True)
class Attempt:
    """One of several rulesets, tried on entities.

    Attributes:
        place: that of the ruleset in their order, from 0.
        assessments: what it says of each entity.
        in_turn: of each entity whether no ruleset before this one applies for sure. Of the others only one thing
            counts: whether this ruleset, which keeps them, may still apply.
    """

    place: int
    assessments: Assessments
    in_turn: pl.Series


def try_in_order(
    number: int,
    entities: pl.DataFrame,
    decided_before: Mapping[str, Collection[int]],
    assess_by: Callable[[int, pl.DataFrame], Assessments],
) -> list[Attempt]:
    """Try rulesets in their order: each on the entities to which none before it applies for sure.

    One behind a ruleset that applies for sure is tried as well on those whom it decided on before, so that it is known
    whether it keeps them.

    Args:
        number: how many rulesets there are.
        entities: with `entity_id`; an entity may have several rows.
        decided_before: as in `deciders`.
        assess_by: assesses rows of *entities* by the ruleset at a place.

    Returns:
        The attempts, in order; without those that had no entity to try.
    """
    attempts, undecided = list[Attempt](), _all_of(len(entities), value=True)
    behind: dict[str, Collection[int]] = {}
    for place in range(number):
        keeps = [entity for entity, places in behind.items() if place in places]
        rows = entities.filter(undecided | entities[ENTITY].is_in(keeps) if keeps else undecided)
        if not len(rows):
            continue
        assessments = assess_by(place, rows)
        in_turn = ~assessments.outcomes[ENTITY].is_in(keeps) if keeps else _all_of(len(assessments), value=True)
        attempts.append(Attempt(place, assessments, in_turn))
        if place == number - 1:  # whom it leaves undecided is not asked
            break
        decided = assessments.outcomes[ENTITY].filter(in_turn & surely_applies(assessments))
        undecided &= ~entities[ENTITY].is_in(decided.implode())
        behind |= _those_behind(decided, place, decided_before)
    return attempts


def _those_behind(
    entities: Iterable[str], place: int, decided_before: Mapping[str, Collection[int]]
) -> dict[str, Collection[int]]:
    """Find the entities on which a ruleset behind a place decided before, with the places of all that did."""
    if not decided_before:
        return {}
    before = ((entity, decided_before.get(entity, ())) for entity in entities)
    return {entity: places for entity, places in before if max(places, default=place) > place}


def surely_applies(assessments: Assessments) -> pl.Series:
    """Tell of each entity whether the ruleset applies to it for sure, so that no later one is tried."""
    return assessments.outcomes[STATUS].is_in(DECIDES) & ~_predicate_failed(assessments)


def decides_without_others(assessments: Assessments, decided_before: Sequence[str]) -> pl.Series:
    """Tell of each entity whether no later ruleset need be tried to say that this one decides.

    It applies for sure, or it is unknown whether it does and it is among *decided_before*, those on whom this ruleset
    decided before. That a later one may ask for a higher level of these is left out; `deciders` asks all of them.
    """
    status, entities = assessments.outcomes[STATUS], assessments.outcomes[ENTITY]
    keeps = (status != Status.NOT_APPLICABLE.value) & entities.is_in(list(decided_before))
    return surely_applies(assessments) | keeps


def _predicate_failed(assessments: Assessments) -> pl.Series:
    """Tell of each entity whether it is unknown if the ruleset applies, as a value cannot be read."""
    failed, applies = assessments.outcomes[STATUS] == Status.FAILED.value, assessments.program.applies
    if applies is None or not failed.any():
        return _all_of(len(failed), value=False)
    return failed & assessments.inputs.select(applies.is_null().alias("unknown")).to_series()


def _all_of(count: int, *, value: bool) -> pl.Series:
    return pl.Series([value]).new_from_index(0, count)


def deciders(attempts: Sequence[Attempt], decided_before: Mapping[str, Collection[int]]) -> dict[str, int]:
    """Find the ruleset that decides on each entity; entities without one are left out.

    Args:
        attempts: what `try_in_order` gave.
        decided_before: by entity the places of the rulesets that decided on it before: the last one that did, and those
            that keep it (`with_keepers`).

    Returns:
        By entity: of the rulesets that apply or may apply, up to the first that applies for sure, the one that asks for
        the highest level; of equal ones one that cannot read whether it applies, then the one that decided before, then
        the one that applies, then the first. One that may apply asks for the level that it keeps where it decided
        before, and for its floors where it did not; one that cannot read it for the level that the entity keeps, the
        lowest at least. While an override is live, the level that would hold comes first: the override's, or the floor
        that it does not go below.
    """
    best: dict[str, tuple[int, int, bool, bool, bool, int]] = {}
    for attempt in attempts:
        place, assessments = attempt.place, attempt.assessments
        names = (ENTITY, STATUS, COMPUTED, RULES_LEVEL, FLOOR, HARD_FLOOR, LEVEL, OVERRIDDEN, RAISED)
        columns = assessments.outcomes[[*names]].hstack([_predicate_failed(assessments).alias("failed")])
        for row, in_turn in zip(columns.iter_rows(), attempt.in_turn, strict=True):
            entity, status, computed, rules_level, floor, hard_floor, in_force, overridden, raised, failed = row
            if not in_turn or status == Status.NOT_APPLICABLE:
                continue
            before = place in decided_before.get(entity, ())
            applies = status != Status.UNDETERMINED
            level = computed if applies else rules_level if before else floor
            holds = asks = max(level or 0, int(failed))
            if overridden:  # a floor that holds without being its own does not make it the one that decides
                holds = hard_floor if raised and not applies and not before else in_force
            rank = (holds, asks, failed, before, applies, -place)
            if entity not in best or rank > best[entity]:
                best[entity] = rank
    return {entity: -rank[-1] for entity, rank in best.items()}


def with_keepers(
    attempts: Sequence[Attempt],
    decided_before: Mapping[str, Collection[int]],
    deciding: Mapping[str, int],
    names: Sequence[str] | Sequence[int],
) -> list[Attempt]:
    """Add to the outcomes which rulesets keep an entity on which another one decides.

    A ruleset keeps whom it decided on before, or was the first to apply to for sure, until it is known that it does not
    apply. One without a predicate keeps nobody: of it that is never unknown.

    Args:
        attempts: as in `deciders`.
        decided_before: likewise.
        deciding: what that returned.
        names: what the rulesets are called, by place.

    Returns:
        The attempts, whose outcomes have the column `KEPT_BY`: a list of names, null where no ruleset keeps the entity.
    """
    kept_by = _keepers(attempts, decided_before, deciding)
    if not kept_by:
        return list(attempts)
    kind = pl.List(pl.String if isinstance(names[0], str) else pl.Int64)
    named = {entity: [names[place] for place in places] for entity, places in kept_by.items()}

    def with_column(assessments: Assessments) -> Assessments:
        column = pl.Series(KEPT_BY, [named.get(entity) for entity in assessments.outcomes[ENTITY]], kind)
        return replace(assessments, outcomes=assessments.outcomes.with_columns(column))

    return [replace(each, assessments=with_column(each.assessments)) for each in attempts]


def _keepers(
    attempts: Sequence[Attempt], decided_before: Mapping[str, Collection[int]], deciding: Mapping[str, int]
) -> dict[str, tuple[int, ...]]:
    """Find by entity the places of the rulesets that keep it, as `with_keepers` says; others are left out."""
    places: dict[str, tuple[int, ...]] = {}
    for attempt in attempts:
        place, assessments = attempt.place, attempt.assessments
        if assessments.program.applies is None:
            continue
        may_apply = assessments.outcomes[STATUS] != Status.NOT_APPLICABLE.value
        first = (attempt.in_turn & surely_applies(assessments)).filter(may_apply)
        for entity, is_first in zip(assessments.outcomes[ENTITY].filter(may_apply), first, strict=True):
            if deciding.get(entity) != place and (is_first or place in decided_before.get(entity, ())):
                places[entity] = (*places.get(entity, ()), place)
    return places
