"""Finds which of several rulesets decides on an entity, also if it is unknown whether some of them apply.

The first ruleset that applies decides. If it is unknown whether a ruleset applies, it keeps the entities that it
decided on before, even if another one has decided since, which asked for a higher level or comes earlier. For all other
entities its floors count. So a missing value never moves an entity to a milder ruleset that did not decide on it
before. If the predicate cannot be read, the failure stays visible, unless another ruleset asks for a higher level than
the entity keeps.
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
"""Statuses of a ruleset that applies, unless it failed because its predicate cannot be read."""

KEPT_BY: Final = "kept_by"
"""The column of the rulesets that keep an entity, by `with_keepers`; without it none does."""


@dataclass(frozen=True)
class Attempt:
    """One of several rulesets, tried on entities.

    Attributes:
        place: the ruleset's place in their order, from 0.
        assessments: its assessments of the entities.
        in_turn: for each entity, whether no earlier ruleset surely applies. For the other entities only one thing
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
    """Try rulesets in order: each on the entities to which no earlier one surely applies.

    A ruleset after one that surely applies is also tried on the entities that it decided on before, to find whether it
    keeps them.

    Args:
        number: the number of rulesets.
        entities: rows with `entity_id`; an entity may have several.
        decided_before: as in `deciders`.
        assess_by: assesses rows of *entities* by the ruleset at a place.

    Returns:
        The attempts, in order; rulesets without entities to try are left out.
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
        if place == number - 1:  # entities that it leaves undecided do not matter
            break
        decided = assessments.outcomes[ENTITY].filter(in_turn & surely_applies(assessments))
        undecided &= ~entities[ENTITY].is_in(decided.implode())
        behind |= _those_behind(decided, place, decided_before)
    return attempts


def _those_behind(
    entities: Iterable[str], place: int, decided_before: Mapping[str, Collection[int]]
) -> dict[str, Collection[int]]:
    """Find the entities on which a ruleset after a place decided before, with the places of all that did."""
    if not decided_before:
        return {}
    before = ((entity, decided_before.get(entity, ())) for entity in entities)
    return {entity: places for entity, places in before if max(places, default=place) > place}


def surely_applies(assessments: Assessments) -> pl.Series:
    """Check for each entity whether the ruleset surely applies to it, so that no later one is tried."""
    return assessments.outcomes[STATUS].is_in(DECIDES) & ~_predicate_failed(assessments)


def decides_without_others(assessments: Assessments, decided_before: Sequence[str]) -> pl.Series:
    """Check for each entity whether this ruleset decides without trying later ones.

    It surely applies, or that is unknown and the entity is among *decided_before*, those on which this ruleset decided
    before. A later one may ask for a higher level of these, which is ignored here; `deciders` compares all.
    """
    status, entities = assessments.outcomes[STATUS], assessments.outcomes[ENTITY]
    keeps = (status != Status.NOT_APPLICABLE.value) & entities.is_in(list(decided_before))
    return surely_applies(assessments) | keeps


def _predicate_failed(assessments: Assessments) -> pl.Series:
    """Check for each entity whether it is unknown if the ruleset applies, because a value cannot be read."""
    failed, applies = assessments.outcomes[STATUS] == Status.FAILED.value, assessments.program.applies
    if applies is None or not failed.any():
        return _all_of(len(failed), value=False)
    return failed & assessments.inputs.select(applies.is_null().alias("unknown")).to_series()


def _all_of(count: int, *, value: bool) -> pl.Series:
    return pl.Series([value]).new_from_index(0, count)


def deciders(attempts: Sequence[Attempt], decided_before: Mapping[str, Collection[int]]) -> dict[str, int]:
    """Find the ruleset that decides on each entity; entities without one are left out.

    Args:
        attempts: the result of `try_in_order`.
        decided_before: by entity the places of the rulesets that decided on it before: the last one that did, and those
            that keep it (`with_keepers`).

    Returns:
        The place of the ruleset, by entity. Candidates are the rulesets that apply or may apply, up to the first that
        surely applies. The one that asks for the highest level decides. Among equal ones it is one that cannot read
        whether it applies, then the one that decided before, then the one that applies, then the first.

        A ruleset that may apply asks for the level that it keeps if it decided before, otherwise for its floors. One
        that cannot read whether it applies asks for the level that the entity keeps, at least the lowest. While an
        override is live, the level that would hold is compared first: the override's, or the floor that it may not go
        below.
        override's, or the floor that it may not go below.
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
            if overridden:  # a floor that is not its own does not make a ruleset the one that decides
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

    A ruleset keeps an entity that it decided on before, or was the first to surely apply to, until it is known not to
    apply. A ruleset without a predicate keeps none, as it always applies.

    Args:
        attempts: as in `deciders`.
        decided_before: likewise.
        deciding: the result of `deciders`.
        names: the names of the rulesets, by place.

    Returns:
        The attempts, whose outcomes have the column `KEPT_BY`: a list of names, null if no ruleset keeps the entity.
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
    """Find by entity the places of the rulesets that keep it, as in `with_keepers`; other entities are left out."""
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
