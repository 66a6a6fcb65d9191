"""What each rule and case came to in a portfolio, and what could not be assessed."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from fivefold.domain.errors import PROBLEMS_LISTED
from fivefold.risk.engine.assessments import STATUS, Assessments, Status
from fivefold.risk.engine.explain.describe import condition_words
from fivefold.risk.engine.explain.rules import rule_outcomes
from fivefold.risk.engine.outcome_codes import points_of, slot_column
from fivefold.risk.engine.program import APPLIES, TOTAL
from fivefold.risk.engine.rules import CompiledRule
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.language.numbers import POINT_UNITS, text_of


@dataclass(frozen=True)
class CaseHits:
    """How often one outcome of a rule came.

    Attributes:
        rule: its id.
        title: of the rule.
        case: the number of the case, from 1; or otherwise, unknown, failed.
        asked: what the case asks, in words; empty for the others.
        points: what it gives, before decay and weights.
        floor: the level below which it does not let the entity come; empty for none.
        entities: how many got it, of those to which the ruleset applies.
        share: of these, 0 to 1.
    """

    rule: str
    title: str
    case: int | str
    asked: str
    points: str
    floor: str
    entities: int
    share: float


@dataclass(frozen=True)
class FailedAssessment:
    """An entity that could not be assessed in full.

    Attributes:
        entity: its identifier.
        rule: what broke: a rule's id, or another part of the ruleset.
        problem: the value, and what is wrong with it.
    """

    entity: str
    rule: str
    problem: str


def case_hits(assessments: Assessments) -> tuple[CaseHits, ...]:
    """Count every outcome of every rule, those that never came as well, in the order of the ruleset."""
    applicable = assessments.outcomes.filter(pl.col(APPLIES))
    counts = applicable.select(slot_column(pl.col(rule.column)) for rule in assessments.program.rules)
    hits = []
    for rule in assessments.program.rules:
        slots = dict(counts[rule.column].value_counts().iter_rows())
        hits += [_hits(rule, slot, slots.get(slot, 0), len(applicable), assessments) for slot in range(rule.failed + 1)]
    return tuple(hits)


def _hits(rule: CompiledRule, slot: int, entities: int, of: int, assessments: Assessments) -> CaseHits:
    case = rule.rule.cases[slot] if slot < rule.otherwise else None
    floor = rule.floors[slot]
    return CaseHits(
        rule.rule.id,
        rule.rule.title,
        slot_name(rule, slot),
        "" if case is None else case.title or condition_words(case.when),
        text_of(points_of(rule.codes[slot]), POINT_UNITS),
        assessments.program.ruleset.levels[floor - 1] if floor else "",
        entities,
        entities / of if of else 0.0,
    )


def slot_name(rule: CompiledRule, slot: int) -> int | str:
    """Name a slot: the number of a case from 1, otherwise, unknown or failed."""
    return {rule.otherwise: "otherwise", rule.unknown: "unknown", rule.failed: "failed"}.get(slot, slot + 1)


def failures(assessments: Assessments, most: int = PROBLEMS_LISTED) -> tuple[FailedAssessment, ...]:
    """Name what could not be assessed, rule by rule, of the first so many entities."""
    status = assessments.outcomes[STATUS]
    broken = status.is_in([Status.FAILED.value, Status.UNCLASSIFIED.value, Status.UNDETERMINED.value])
    return tuple(failure for place in broken.arg_true()[:most].to_list() for failure in _failures(assessments, place))


def _failures(assessments: Assessments, place: int) -> Sequence[FailedAssessment]:
    program, row = assessments.program, assessments.outcomes.row(place, named=True)
    if row[STATUS] == Status.UNCLASSIFIED:
        return [FailedAssessment(row[ENTITY], "tiers", f"no tier owns the total {program.total.text(row[TOTAL])}")]
    outcomes = rule_outcomes(assessments, place)
    errors = [FailedAssessment(row[ENTITY], outcome.rule, error) for outcome in outcomes for error in outcome.errors]
    other = "what chooses the weights, or to whom the ruleset applies, is unknown or cannot be read"
    return errors or [FailedAssessment(row[ENTITY], "applies_to, weights_by", other)]
