"""Compares compositions of families: the deciding ruleset and level of each entity, before and after a change."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat

import polars as pl

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import COMPUTED, NOT_IN_FULL, STATUS, Assessments, Status
from fivefold.risk.engine.deciding import KEPT_BY, deciders, try_in_order, with_keepers
from fivefold.risk.engine.levels import RULES_LEVEL
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.governance.backtest.moves import (
    ALONE,
    LATER,
    FailedAssessment,
    MoveCount,
    cells,
    failures,
    first_failures,
    level_or_status,
)
from fivefold.risk.governance.backtest.run import MOVERS, sum_cells, sum_counts

NOBODY = "(no ruleset)"
"""The place and the family of an entity to which no ruleset applies."""


@dataclass(frozen=True)
class Composition:
    """The rulesets that decide, by the names of their families, in the order in which they are tried."""

    rulesets: Mapping[str, AnalysedRuleset]


@dataclass(frozen=True)
class PriorState:
    """The levels and overrides before a change.

    Attributes:
        standing: the levels held, with their beginnings and floors, in the form of `assess`; None if there are none.
        families: by entity the families that decided on it before, or keep it.
        overrides: the levels that people set, in the form of `assess`; None if there are none.
    """

    standing: pl.DataFrame | None = None
    families: Mapping[str, Sequence[str]] = field(default_factory=dict)
    overrides: pl.DataFrame | None = None


@dataclass(frozen=True, kw_only=True)
class CompositionSide:
    """The results of one composition on a portfolio.

    Attributes:
        families: the number of entities that each family decides on, and that none does.
        alone: the number of entities by level, or by the reason for none, by the rules alone.
        later: the same after the cooldown.
        failed: the number of entities that could not be assessed in full.
        failures: the first of them, with the cause.
    """

    families: dict[str, int]
    alone: dict[str, int]
    later: dict[str, int]
    failed: int
    failures: tuple[FailedAssessment, ...]


@dataclass(frozen=True, kw_only=True)
class EntityMoved:
    """An entity whose level would change: its level and the family that decides, before and after.

    Attributes:
        steps: levels up, negative for down, by the rules alone; None if it has no level before or after.
    """

    entity: str
    before: str
    after: str
    later: str
    decided_before: str
    decided_after: str
    steps: int | None


@dataclass(frozen=True, kw_only=True)
class CompositionComparison:
    """A composition compared with the one that decides now; `present` and `draft` are the two, as elsewhere."""

    entities: int
    present: CompositionSide
    draft: CompositionSide
    alone: tuple[MoveCount, ...]
    later: tuple[MoveCount, ...]
    movers: tuple[EntityMoved, ...]


def compare_compositions(
    before: Composition,
    after: Composition,
    portfolio: Portfolio,
    lists_after: Portfolio,
    as_of: int,
    standing: PriorState,
    standing_after: PriorState | None = None,
    keep: Callable[[pl.DataFrame], None] | None = None,
) -> CompositionComparison:
    """Assess entities by the compositions before and after a change.

    Args:
        before: the composition that decides now.
        after: the composition after the change.
        portfolio: the entities and their data.
        lists_after: the same portfolio, with the lists after the change.
        as_of: the moment, in microseconds.
        standing: the levels held now.
        standing_after: the levels held before the change, if they differ.
        keep: called with all entities that would move, as the frame of `moves.moved`.

    Raises:
        InvalidRulesetError: something that a ruleset needs is missing.
    """
    now, then = (
        decide(before, portfolio, as_of, standing),
        decide(after, lists_after, as_of, standing_after or standing),
    )
    return compare_decisions(now, then, keep)


def compare_decisions(
    now: "Decisions", then: "Decisions", keep: Callable[[pl.DataFrame], None] | None = None
) -> CompositionComparison:
    """Compare the decisions on the same entities before and after; *keep* as in `compare_compositions`."""
    table = now.frame.join(then.frame, on=ENTITY, suffix="_after", validate="1:1", maintain_order="left")
    if keep is not None:
        elsewhere = table.filter(pl.col(ALONE) != pl.col(f"{ALONE}_after"))
        keep(elsewhere.select(ENTITY, before=ALONE, after=f"{ALONE}_after", later=f"{LATER}_after"))
    return CompositionComparison(
        entities=len(table),
        present=now.side(),
        draft=then.side(),
        alone=cells(table, ALONE, f"{ALONE}_after"),
        later=cells(table, LATER, f"{LATER}_after"),
        movers=_movers(table),
    )


@dataclass(frozen=True)
class Decisions:
    """The decisions of a composition.

    Attributes:
        frame: every entity with the family that decides on it and its level.
        parts: for each family that decides on entities, their assessments.
        failed: the number of entities that could not be assessed in full.
        failures: the first of them, with the cause.
    """

    frame: pl.DataFrame
    parts: Mapping[str, Assessments]
    failed: int
    failures: tuple[FailedAssessment, ...]

    def side(self) -> CompositionSide:
        """Count the decisions."""
        return CompositionSide(
            families=_counts(self.frame, "family"),
            alone=_counts(self.frame, ALONE),
            later=_counts(self.frame, LATER),
            failed=self.failed,
            failures=self.failures,
        )


def _counts(frame: pl.DataFrame, column: str) -> dict[str, int]:
    return dict(frame[column].value_counts().sort(column).iter_rows())


def decide(what: Composition, portfolio: Portfolio, as_of: int | pl.Series, before: PriorState) -> Decisions:
    """Decide on each entity as in daily operation: by the first ruleset that applies (`risk.engine.deciding`)."""
    parts, failed, broken = [_nowhere(portfolio.entities)], 0, list[FailedAssessment]()
    deciding = dict(deciding_assessments(what, portfolio, as_of, before))
    for family, assessments in deciding.items():
        wrong = assessments.outcomes[STATUS].is_in(NOT_IN_FULL)
        failed += int(wrong.sum())
        broken += failures(assessments)
        parts.append(_places(assessments, family))
    frame = pl.concat(parts).unique(ENTITY, keep="last", maintain_order=True)
    everyone = portfolio.entities.select(pl.col(ENTITY).unique(maintain_order=True))
    frame = everyone.join(frame, on=ENTITY, how="left", maintain_order="left")
    return Decisions(frame, deciding, failed, first_failures(broken))


def deciding_assessments(
    what: Composition, portfolio: Portfolio, as_of: int | pl.Series, before: PriorState
) -> Iterator[tuple[str, Assessments]]:
    """Yield for each family the assessments of the entities on which it decides, from `with_keepers`."""
    names = list(what.rulesets)
    places = {
        entity: tuple(names.index(family) for family in families if family in what.rulesets)
        for entity, families in before.families.items()
    }
    rulesets = list(what.rulesets.values())

    def assess_by(place: int, rows: pl.DataFrame) -> Assessments:
        moments = as_of if isinstance(as_of, int) else _moments_of(rows, portfolio, as_of)
        return assess(rulesets[place], replace(portfolio, entities=rows), moments, before.standing, before.overrides)

    attempts = try_in_order(len(rulesets), portfolio.entities, places, assess_by)
    deciding = deciders(attempts, places)
    for attempt in with_keepers(attempts, places, deciding, names):
        decided = pl.Series(
            [deciding.get(entity) == attempt.place for entity in attempt.assessments.outcomes[ENTITY]],
            dtype=pl.Boolean,
        )
        if decided.any():
            yield names[attempt.place], attempt.assessments.where(decided)


def families_after(deciding: Iterable[tuple[str, Assessments]]) -> dict[str, tuple[str, ...]]:
    """Return by entity the family that decided on it and those that keep it, in the form of `PriorState.families`.

    *deciding* is the result of `deciding_assessments`.
    """
    after: dict[str, tuple[str, ...]] = {}
    for family, assessments in deciding:
        outcomes = assessments.outcomes
        keepers = outcomes[KEPT_BY].to_list() if KEPT_BY in outcomes.columns else repeat(None)
        after |= {
            entity: (family, *(kept_by or ())) for entity, kept_by in zip(outcomes[ENTITY], keepers, strict=False)
        }
    return after


def _moments_of(undecided: pl.DataFrame, portfolio: Portfolio, as_of: pl.Series) -> pl.Series:
    moments = portfolio.entities.select(ENTITY).with_columns(as_of.alias("as_of")).unique(ENTITY, keep="first")
    return undecided.select(ENTITY).join(moments, on=ENTITY, how="left", maintain_order="left")["as_of"]


def _nowhere(entities: pl.DataFrame) -> pl.DataFrame:
    return entities.select(ENTITY).with_columns(
        *(pl.lit(NOBODY).alias(name) for name in ("family", ALONE, LATER)), pl.lit(None, pl.Int64).alias("level")
    )


def _places(assessments: Assessments, family: str) -> pl.DataFrame:
    level = pl.when(pl.col(STATUS) == Status.ASSESSED.value).then(pl.col(COMPUTED).cast(pl.Int64))
    return assessments.outcomes.select(
        ENTITY,
        pl.lit(family).alias("family"),
        level_or_status(assessments, COMPUTED).alias(ALONE),
        level_or_status(assessments, RULES_LEVEL).alias(LATER),
        level.alias("level"),
    )


def _movers(table: pl.DataFrame) -> tuple[EntityMoved, ...]:
    steps = (pl.col("level_after") - pl.col("level")).alias("steps")
    frame = table.with_columns(steps).with_columns(pl.col("steps").abs().fill_null(0).alias("size"))
    changed = (pl.col(ALONE) != pl.col(f"{ALONE}_after")) | (pl.col(LATER) != pl.col(f"{LATER}_after"))
    first = frame.filter(changed).sort("size", ENTITY, descending=[True, False]).head(MOVERS)
    columns = {"before": ALONE, "after": f"{ALONE}_after", "later": f"{LATER}_after", "decided_before": "family"}
    rows = first.select("steps", entity=ENTITY, decided_after="family_after", **columns).iter_rows(named=True)
    return tuple(EntityMoved(**row) for row in rows)


def joined_comparisons(parts: Sequence[CompositionComparison]) -> CompositionComparison:
    """Join comparisons of disjoint sets of entities, at least one, in the order of the portfolio."""
    return CompositionComparison(
        entities=sum(part.entities for part in parts),
        present=_sides([part.present for part in parts]),
        draft=_sides([part.draft for part in parts]),
        alone=sum_cells(part.alone for part in parts),
        later=sum_cells(part.later for part in parts),
        movers=tuple(sorted((mover for part in parts for mover in part.movers), key=furthest)[:MOVERS]),
    )


def furthest(mover: EntityMoved) -> tuple[int, str]:
    """Return the sort key of a mover: entities that move by the most levels come first."""
    return -abs(mover.steps or 0), mover.entity


def _sides(sides: Sequence[CompositionSide]) -> CompositionSide:
    return CompositionSide(
        families=_sorted_counts(side.families for side in sides),
        alone=_sorted_counts(side.alone for side in sides),
        later=_sorted_counts(side.later for side in sides),
        failed=sum(side.failed for side in sides),
        failures=first_failures(failure for side in sides for failure in side.failures),
    )


def _sorted_counts(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    return dict(sorted(sum_counts(counts).items()))
