"""Which of several rulesets decides on an entity, where it is unknown whether some of them apply.

The first ruleset that applies decides. Where it is unknown whether one applies, it keeps the entities that it decided
on before, also where another one decided meanwhile that asked for more, and its floors count for all others: a missing
value never brings an entity under a milder ruleset. Where that cannot be read the failure stays in sight, unless
another ruleset asks for a higher level than the entity keeps.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
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
        return pl.repeat(False, len(failed), eager=True)
    return failed & assessments.inputs.select(applies.is_null().alias("unknown")).to_series()


def deciders(tried: Sequence[Assessments], decided_before: Mapping[str, Collection[int]]) -> dict[str, int]:
    """Find the ruleset that decides on each entity; entities without one are left out.

    Args:
        tried: the assessments by each ruleset, in their order, of the entities that no earlier one applies to.
        decided_before: by entity the places of the rulesets that decided on it before: the last one that did, and those
            that keep it (`with_keepers`).

    Returns:
        By entity: of the rulesets that apply or may apply the one that asks for the highest level; of equal ones one
        that cannot read whether it applies, then the one that decided before, then the one that applies, then the
        first. One that may apply asks for the level that it keeps where it decided before, and for its floors where it
        did not; one that cannot read it for the level that the entity keeps, the lowest at least. While an override is
        live, the level that would hold comes first: the override's, or the floor that it does not go below.
    """
    best: dict[str, tuple[int, int, bool, bool, bool, int]] = {}
    for place, assessments in enumerate(tried):
        names = (ENTITY, STATUS, COMPUTED, RULES_LEVEL, FLOOR, HARD_FLOOR, LEVEL, OVERRIDDEN, RAISED)
        columns = assessments.outcomes.select(names).with_columns(_predicate_failed(assessments).alias("failed"))
        for row in columns.iter_rows():
            entity, status, computed, rules_level, floor, hard_floor, in_force, overridden, raised, failed = row
            if status == Status.NOT_APPLICABLE:
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
    tried: Sequence[Assessments],
    decided_before: Mapping[str, Collection[int]],
    deciding: Mapping[str, int],
    names: Sequence[str] | Sequence[int],
) -> list[Assessments]:
    """Add to the outcomes which rulesets keep an entity on which another one decides.

    A ruleset keeps whom it decided on before, as long as it is unknown whether it applies.

    Args:
        tried: as in `deciders`.
        decided_before: likewise.
        deciding: what that returned.
        names: what the rulesets are called, by place.

    Returns:
        The assessments with the column `KEPT_BY`: a list of names, null where no ruleset keeps the entity.
    """
    kept_by = _keepers(tried, decided_before, deciding)
    if not kept_by:
        return list(tried)
    kind = pl.List(pl.String if isinstance(names[0], str) else pl.Int64)
    named = {entity: [names[place] for place in places] for entity, places in kept_by.items()}
    columns = [pl.Series(KEPT_BY, [named.get(entity) for entity in each.outcomes[ENTITY]], kind) for each in tried]
    return [
        replace(each, outcomes=each.outcomes.with_columns(column)) for each, column in zip(tried, columns, strict=True)
    ]


def _keepers(
    tried: Sequence[Assessments], decided_before: Mapping[str, Collection[int]], deciding: Mapping[str, int]
) -> dict[str, tuple[int, ...]]:
    """Find by entity the places of the rulesets that keep it, as `with_keepers` says; others are left out."""
    places: dict[str, tuple[int, ...]] = {}
    for place, assessments in enumerate(tried):
        unknown = (assessments.outcomes[STATUS] == Status.UNDETERMINED.value) | _predicate_failed(assessments)
        for entity in assessments.outcomes[ENTITY].filter(unknown):
            if place in decided_before.get(entity, ()) and deciding.get(entity) != place:
                places[entity] = (*places.get(entity, ()), place)
    return places
