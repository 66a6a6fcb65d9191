"""The moves of a portfolio from level to level, the hits of cases, and entities that could not be assessed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import polars as pl

from fivefold.domain.errors import PROBLEMS_LISTED
from fivefold.risk.engine.assessments import COMPUTED, NOT_IN_FULL, STATUS, Assessments, Status
from fivefold.risk.engine.explain.breakdown import explain
from fivefold.risk.engine.explain.describe import condition_words
from fivefold.risk.engine.explain.failures import CHOICE, PREDICATE
from fivefold.risk.engine.explain.rules import rule_outcomes, signed
from fivefold.risk.engine.levels import RULES_LEVEL
from fivefold.risk.engine.program import APPLIES, TOTAL
from fivefold.risk.engine.rules import CompiledRule
from fivefold.risk.engine.totals import points_of, slot_column
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.governance.diff import diff
from fivefold.risk.language.quantities import POINT_UNITS, text_of
from fivefold.risk.language.ruleset import Ruleset

ALONE, LATER = "alone", "later"
"""Suffixes of columns: by the rules alone, and after the cooldown."""

NEW = "(no level before)"


@dataclass(frozen=True)
class MoveCount:
    """The number of entities at one place before and one after."""

    before: str
    after: str
    entities: int


@dataclass(frozen=True, kw_only=True)
class MovedEntity:
    """An entity that would move, or stay for other reasons.

    Attributes:
        entity: its identifier.
        before: its level now, or why it has none; empty if that is not known.
        after: its level by the draft's rules alone.
        later: its level by the draft after the cooldown.
        steps: levels up, negative for down, by the rules alone; None if it has no level before or after.
        points_before: its total now; empty if there is none.
        points_after: its total by the draft.
        reasons: the rules that give other points than before, in words; without any, the changes of the score.
    """

    entity: str
    before: str
    after: str
    later: str
    steps: int | None
    points_before: str
    points_after: str
    reasons: tuple[str, ...]


def positions(after: Assessments, before: Assessments | None, standing: pl.DataFrame | None) -> pl.DataFrame:
    """Join both sides: one row for each entity, in the order of the portfolio.

    Columns: `entity_id`; `before_alone`, `before_later`, `after_alone` and `after_later` (names of levels, or why
    there is none); `before_level` and `after_level` (numbers by the rules alone), `steps`; `before_total` and
    `after_total` (points, for ordering only).
    """
    frame = after.outcomes.select(ENTITY, *_side_columns(after, "after"))
    if before is not None:
        frame = frame.hstack(before.outcomes.select(_side_columns(before, "before")))
    elif standing is not None:
        frame = frame.join(_standing(after, standing), on=ENTITY, how="left", validate="m:1", maintain_order="left")
        frame = frame.with_columns(pl.col("before_alone", "before_later").fill_null(NEW))
    else:
        frame = frame.with_columns(before_level=pl.lit(None, pl.Int64), before_total=pl.lit(None, pl.Float64))
    return frame.with_columns(steps=pl.col("after_level") - pl.col("before_level"))


def _names(assessments: Assessments) -> dict[int, str]:
    return dict(enumerate(assessments.program.ruleset.levels, 1))


def level_or_status(assessments: Assessments, column: str) -> pl.Expr:
    """Name the level in a column, or the status, in brackets, if the entity was not assessed."""
    level = pl.col(column).replace_strict(_names(assessments), default=None, return_dtype=pl.String)
    return pl.when(pl.col(STATUS) == Status.ASSESSED.value).then(level).otherwise(pl.format("({})", STATUS))


def _side_columns(assessments: Assessments, side: str) -> list[pl.Expr]:
    assessed = pl.col(STATUS) == Status.ASSESSED.value
    return [
        level_or_status(assessments, COMPUTED).alias(f"{side}_{ALONE}"),
        level_or_status(assessments, RULES_LEVEL).alias(f"{side}_{LATER}"),
        pl.when(assessed).then(pl.col(COMPUTED).cast(pl.Int64)).alias(f"{side}_level"),
        pl.when(assessed).then(pl.col(TOTAL) / assessments.program.total.scale).alias(f"{side}_total"),
    ]


def _standing(after: Assessments, standing: pl.DataFrame) -> pl.DataFrame:
    level = pl.col("level").replace_strict(_names(after), default=None, return_dtype=pl.String)
    return standing.select(
        ENTITY,
        level.alias(f"before_{ALONE}"),
        level.alias(f"before_{LATER}"),
        pl.col("level").cast(pl.Int64).alias("before_level"),
        pl.lit(None, pl.Float64).alias("before_total"),
    )


def cells(table: pl.DataFrame, before: str, after: str) -> tuple[MoveCount, ...]:
    """Count entities by their places before and after, in two columns; empty cells are left out."""
    counts = table.group_by(before, after, maintain_order=True).len()
    return tuple(MoveCount(*row) for row in counts.iter_rows())


MOVED: Final[Mapping[str, Any]] = {
    ENTITY: pl.String, "before": pl.String, "after": pl.String, "later": pl.String,
}  # fmt: skip
"""The columns of entities that would move by the rules alone: the places before, after, and after the cooldown."""


def moved(table: pl.DataFrame) -> pl.DataFrame:
    """Select all entities that had a place and would move, with the columns `MOVED`, in the portfolio's order."""
    if "before_alone" not in table.columns:
        return pl.DataFrame(schema=MOVED)
    stood = (pl.col("before_alone") != NEW) & (pl.col("before_alone") != pl.col("after_alone"))
    return table.filter(stood).select(ENTITY, before="before_alone", after="after_alone", later="after_later")


def movers(table: pl.DataFrame, after: Assessments, before: Assessments | None, most: int) -> tuple[MovedEntity, ...]:
    """List the entities that change most: by levels, then by points, then by name."""
    of_the_score = () if before is None else score_changes(before.program.ruleset, after.program.ruleset)
    return tuple(_mover(row, after, before, of_the_score) for row in furthest(table, most).iter_rows(named=True))


_DIGITS = 9


def furthest(table: pl.DataFrame, most: int) -> pl.DataFrame:
    """Select the rows of the entities that change most, with their `place`, and the change's `size` and `points`."""
    change = (pl.col("after_total") - pl.col("before_total")).abs().fill_null(0.0)
    # Equal decimal changes differ by less as floats, depending on how many rows Polars divides at once.
    points = change.round(_DIGITS).alias("points")
    frame = table.with_row_index("place").with_columns(points, pl.col("steps").abs().fill_null(0).alias("size"))
    if "before_alone" not in table.columns:
        return frame.clear()
    changed = (pl.col("before_alone") != pl.col("after_alone")) | (pl.col("points") > 0)
    return frame.filter(changed).sort("size", "points", ENTITY, descending=[True, True, False]).head(most)


def score_changes(before: Ruleset, after: Ruleset) -> tuple[str, ...]:
    """Describe changes that move levels though every rule gives the same: thresholds, tiers, weights, applies_to."""
    changes = diff(before, after).changes
    return tuple(
        str(change) for change in changes if change.where.partition(",")[0] in {"score", "levels", "applies_to"}
    )


def _mover(
    row: dict[str, Any], after: Assessments, before: Assessments | None, of_the_score: tuple[str, ...]
) -> MovedEntity:
    return MovedEntity(
        entity=row[ENTITY],
        before=row["before_alone"],
        after=row["after_alone"],
        later=row["after_later"],
        steps=row["steps"],
        points_before="" if before is None else total_text(before, row["place"]),
        points_after=total_text(after, row["place"]),
        reasons=() if before is None else reasons(after, row["place"], before, row["place"]) or of_the_score,
    )


def total_text(assessments: Assessments, place: int) -> str:
    """Write the total of the entity in a row; empty if it was not assessed in full."""
    row = assessments.outcomes.row(place, named=True)
    return assessments.program.total.text(row[TOTAL]) if row[STATUS] == Status.ASSESSED else ""


def reasons(after: Assessments, place_after: int, before: Assessments, place_before: int) -> tuple[str, ...]:
    """Write the rules that give one entity something else than before: *rule: +10 → +25*."""
    now, then = _outcomes(before, place_before), _outcomes(after, place_after)
    return tuple(
        f"{rule}: {now.get(rule, 'no rule')} → {then.get(rule, 'no rule')}"
        for rule in dict.fromkeys((*now, *then))
        if now.get(rule) != then.get(rule)
    )


def _outcomes(assessments: Assessments, place: int) -> dict[str, str]:
    """Return the outcome of each rule for one entity: its points and floor."""
    return {
        each.rule: "failed" if each.errors else signed(each.points) + (f", at least {each.floor}" * bool(each.floor))
        for each in rule_outcomes(assessments, place)
    }


@dataclass(frozen=True, kw_only=True)
class CaseHits:
    """How often one outcome of a rule was given.

    Attributes:
        rule: the rule's id.
        title: the rule's title.
        case: the number of the case, from 1; or otherwise, unknown, failed.
        asked: the condition of the case, in words; empty for the others.
        points: the points that it gives, before decay and weights.
        floor: the level that the entity does not fall below; empty for none.
        entities: the number of entities that got it, of those to which the ruleset applies.
        share: their share of these, 0 to 1.
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
        rule: the cause: a rule's id, or another part of the ruleset.
        problem: the value, and what is wrong with it.
    """

    entity: str
    rule: str
    problem: str


def case_hits(assessments: Assessments) -> tuple[CaseHits, ...]:
    """Count every outcome of every rule, also those that were never given, in the ruleset's order."""
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
        rule=rule.rule.id,
        title=rule.rule.title,
        case=slot_name(rule, slot),
        asked="" if case is None else case.title or condition_words(case.when),
        points=text_of(points_of(rule.codes[slot]), POINT_UNITS),
        floor=assessments.program.ruleset.levels[floor - 1] if floor else "",
        entities=entities,
        share=entities / of if of else 0.0,
    )


def slot_name(rule: CompiledRule, slot: int) -> int | str:
    """Name a slot: the number of a case from 1, otherwise, unknown or failed."""
    return {rule.otherwise: "otherwise", rule.unknown: "unknown", rule.failed: "failed"}.get(slot, slot + 1)


def failures(assessments: Assessments, most: int = PROBLEMS_LISTED) -> tuple[FailedAssessment, ...]:
    """List what could not be assessed, rule by rule, for the first *most* entities."""
    status = assessments.outcomes[STATUS]
    broken = status.is_in(NOT_IN_FULL)
    return tuple(failure for place in broken.arg_true()[:most].to_list() for failure in _failures(assessments, place))


def first_failures(failures: Iterable[FailedAssessment]) -> tuple[FailedAssessment, ...]:
    """Keep the failures of the first `PROBLEMS_LISTED` entities; one entity may have several."""
    by_entity: dict[str, list[FailedAssessment]] = {}
    for failure in failures:
        by_entity.setdefault(failure.entity, []).append(failure)
    return tuple(failure for each in islice(by_entity.values(), PROBLEMS_LISTED) for failure in each)


def _failures(assessments: Assessments, place: int) -> Sequence[FailedAssessment]:
    program, row = assessments.program, assessments.outcomes.row(place, named=True)
    if row[STATUS] == Status.UNCLASSIFIED:
        return [FailedAssessment(row[ENTITY], "tiers", f"no tier owns the total {program.total.text(row[TOTAL])}")]
    explained = explain(assessments, place)
    errors = [FailedAssessment(row[ENTITY], rule.rule, error) for rule in explained.rules for error in rule.errors]
    of_rules = len({rule.errors for rule in explained.rules if rule.case == "failed"})
    besides = [text.partition(": ") for text in explained.failures[of_rules:]]
    return errors + [FailedAssessment(row[ENTITY], _PARTS[where], problem) for where, _, problem in besides]


_PARTS: Final = {PREDICATE: "applies_to", CHOICE: "weights_by"}
"""The parts other than rules that can fail, by their words in breakdowns."""
