"""The outcomes of a ruleset's rules: which may get other points, in which order, and which entities got them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from fivefold.features.histories import Integers
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.program import Program
from fivefold.risk.engine.rules import CompiledRule
from fivefold.risk.engine.totals import slot_column
from fivefold.risk.language.base import canonical_form
from fivefold.risk.language.quantities import POINT_UNITS, point_units
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Outcome, Ruleset

Slot = tuple[str, int]
"""An outcome: the rule's id, and the number of its case from 0, then of `otherwise`, then of unknown."""

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Ladder:
    """The outcomes of a rule on one side of 0, the weakest first.

    Attributes:
        rule: its id.
        sign: 1 or -1.
        rungs: the slots with equal points, for each distinct number of points.
    """

    rule: str
    sign: int
    rungs: tuple[tuple[int, ...], ...]


def slots_of(assessments: Assessments) -> dict[str, Integers]:
    """Return each rule's slot for every entity: n numbers for each rule's id.

    If a rule has no `on_unknown`, unknown counts as `otherwise`.
    """
    columns = assessments.outcomes.select(
        slot_column(pl.col(rule.column)).cast(pl.Int64) for rule in assessments.program.rules
    )
    slots_by_rule = {}
    for rule in assessments.program.rules:
        slots = columns[rule.column].to_numpy()
        unknown = rule.otherwise if rule.rule.on_unknown is None else rule.unknown
        slots_by_rule[rule.rule.id] = np.where(slots == rule.unknown, unknown, slots)
    return slots_by_rule


def written_outcomes(rule: CompiledRule) -> Iterator[tuple[int, Outcome]]:
    """Yield the outcomes written in a rule's text, by slot."""
    yield from enumerate(rule.rule.cases)
    yield rule.otherwise, rule.rule.otherwise
    if rule.rule.on_unknown is not None:
        yield rule.unknown, rule.rule.on_unknown


def written_points(program: Program) -> dict[Slot, int]:
    """Return the points written for outcomes, in hundredths; rules whose points fade are left out."""
    return {
        (rule.rule.id, slot): point_units(outcome.points)
        for rule in program.rules
        if rule.rule.decay is None
        for slot, outcome in written_outcomes(rule)
        if outcome.points is not None
    }


def ladders(program: Program) -> list[Ladder]:
    """Order the outcomes that may get other points: those of 0 points are on no ladder."""
    all_ladders = []
    points = written_points(program)
    for rule in program.rules:
        own = {slot: units for (name, slot), units in points.items() if name == rule.rule.id}
        for sign in (1, -1):
            sizes = sorted({abs(units) for units in own.values() if units * sign > 0})
            rungs = tuple(tuple(slot for slot, units in own.items() if units == sign * size) for size in sizes)
            if rungs:
                all_ladders.append(Ladder(rule.rule.id, sign, rungs))
    return all_ladders


def place_of(program: Program, outcome: Slot) -> Place:
    """Return the path of an outcome's points in the text."""
    number, rule = next((at, each) for at, each in enumerate(program.rules) if each.rule.id == outcome[0])
    slot = outcome[1]
    word: Place = {rule.otherwise: ("otherwise",), rule.unknown: ("on_unknown",)}.get(slot, ("cases", slot))
    return ("rules", number, *word, "points")


def with_points(ruleset: Ruleset, program: Program, points: Mapping[Slot, int]) -> Ruleset:
    """Return a ruleset with other points.

    Args:
        ruleset: the ruleset of the program.
        program: the program, for the numbers of its slots.
        points: whole points, for outcomes that have some.
    """

    def changed(rule: CompiledRule, slot: int, outcome: Outcome) -> Outcome:
        new = points.get((rule.rule.id, slot))
        return outcome if new is None else outcome.model_copy(update={"points": Decimal(new)})

    rules = []
    for rule in program.rules:
        outcomes = dict(written_outcomes(rule))
        new_outcomes = {slot: changed(rule, slot, outcome) for slot, outcome in outcomes.items()}
        update: dict[str, Any] = {
            "cases": tuple(new_outcomes[slot] for slot in range(rule.otherwise)),
            "otherwise": new_outcomes[rule.otherwise],
            "on_unknown": new_outcomes.get(rule.unknown),
        }
        rules.append(rule.rule.model_copy(update=update))
    return changed_ruleset(ruleset, rules=tuple(rules))


def with_cuts(ruleset: Ruleset, units: Sequence[int]) -> Ruleset:
    """Return a ruleset of points with other thresholds, in hundredths."""
    score: Any = ruleset.score
    cuts = tuple(Decimal(cut) / POINT_UNITS for cut in units)
    return changed_ruleset(
        ruleset, score=score.model_copy(update={"points": score.points.model_copy(update={"thresholds": cuts})})
    )


def changed_ruleset(ruleset: Ruleset, **parts: Any) -> Ruleset:
    """Change parts of a ruleset by reading it again, as a copy would keep the original's canonical form."""
    return read_ruleset(canonical_form(ruleset.model_copy(update=parts)))


def added_points(slots: Mapping[str, Integers], changes: Mapping[Slot, int]) -> Integers:
    """Add up, for every entity, the change of points of the outcomes that it got.

    Args:
        slots: the result of `slots_of`.
        changes: the changes by outcome; at least one.
    """
    total = np.zeros(len(next(iter(slots.values()))), dtype=np.int64)
    for (rule, slot), change in changes.items():
        total += change * (slots[rule] == slot)
    return total
