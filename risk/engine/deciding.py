"""Which of several rulesets decides on an entity, where it is unknown whether some of them apply.

The first ruleset that applies decides. Where it is unknown whether one applies, it keeps the entities that it decided
on before, and its floors count for all others: a missing value never brings an entity under a milder ruleset. Where
that cannot be read the failure stays in sight, unless another ruleset asks for a higher level than the entity keeps.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from fivefold.risk.engine.assessments import COMPUTED, STATUS, Assessments, Status
from fivefold.risk.engine.levels import RULES_LEVEL
from fivefold.risk.engine.program import FLOOR
from fivefold.risk.facts.portfolio import ENTITY

DECIDES: Final = (Status.ASSESSED.value, Status.FAILED.value, Status.UNCLASSIFIED.value)
"""With such a status a ruleset applies, unless it failed because that cannot be read."""


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


def deciders(tried: Sequence[Assessments], decided_before: Mapping[str, int]) -> dict[str, int]:
    """Find the ruleset that decides on each entity; entities without one are left out.

    Args:
        tried: the assessments by each ruleset, in their order, of the entities that no earlier one applies to.
        decided_before: the place of the ruleset that decided on an entity before, by entity.

    Returns:
        By entity: of the rulesets that apply or may apply the one that asks for the highest level; of equal ones one
        that cannot read whether it applies, then the one that decided before, then the one that applies, then the
        first. One that may apply asks for the level that it keeps where it decided before, and for its floors where it
        did not; one that cannot read it for the level that the entity keeps, the lowest at least.
    """
    best: dict[str, tuple[int, bool, bool, bool, int]] = {}
    for place, assessments in enumerate(tried):
        columns = assessments.outcomes.select(ENTITY, STATUS, COMPUTED, RULES_LEVEL, FLOOR)
        for entity, status, computed, rules_level, floor, failed in columns.with_columns(
            _predicate_failed(assessments).alias("failed")
        ).iter_rows():
            if status == Status.NOT_APPLICABLE:
                continue
            before = decided_before.get(entity) == place
            applies = status != Status.UNDETERMINED
            level = computed if applies else rules_level if before else floor
            rank = (max(level or 0, int(failed)), failed, before, applies, -place)
            if entity not in best or rank > best[entity]:
                best[entity] = rank
    return {entity: -rank[-1] for entity, rank in best.items()}
