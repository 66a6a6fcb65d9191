"""A change across families: the ruleset that decides on each entity, and its level, before and after the change."""

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
"""Where an entity stands, and what decides for it, where no ruleset applies."""


@dataclass(frozen=True)
class Composition:
    """What decides: rulesets by the names of their families, in the order in which they are tried."""

    rulesets: Mapping[str, AnalysedRuleset]


@dataclass(frozen=True)
class PriorState:
    """What stands before a change.

    Attributes:
        standing: levels, since when, and floors, as `assess` takes them; None where there are none.
        families: the families that decided on each entity before, or keep it, by entity.
        overrides: the levels that people set, as `assess` takes them; None where there are none.
    """

    standing: pl.DataFrame | None = None
    families: Mapping[str, Sequence[str]] = field(default_factory=dict)
    overrides: pl.DataFrame | None = None


@dataclass(frozen=True, kw_only=True)
class CompositionSide:
    """What one composition makes of a portfolio.

    Attributes:
        families: how many entities each decides on, and how many none does.
        alone: the number of entities by level, or by the reason for none, by the rules alone.
        later: the same after the cooldown.
        failed: entities that could not be assessed in full.
        failures: the first of them, with what broke.
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
        steps: levels up, negative down, by the rules alone; None where it has no level before or after.
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
    """A composition against the one that decides now; `present` and `draft` are the two, as in other backtests."""

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
    """Assess entities by what decides before and after a change.

    Args:
        before: what decides now.
        after: what would.
        portfolio: the entities, and all that is known of them.
        lists_after: the same, with the lists as they would be.
        as_of: the moment, microseconds.
        standing: what stands now.
        standing_after: what stands before the change, where that is something else.
        keep: called with everybody who would be elsewhere, as `moves.moved` names them.

    Raises:
        InvalidRulesetError: a ruleset lacks something that it needs.
    """
    now, then = (
        decide(before, portfolio, as_of, standing),
        decide(after, lists_after, as_of, standing_after or standing),
    )
    return compare_decisions(now, then, keep)


def compare_decisions(
    now: "Decisions", then: "Decisions", keep: Callable[[pl.DataFrame], None] | None = None
) -> CompositionComparison:
    """Compare what is decided on the same entities before and after; *keep* as in `compare_compositions`."""
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
    """What a composition decides.

    Attributes:
        frame: every entity with the family that decides on it and its level.
        parts: for each family that decides on an entity the assessments of those.
        failed: entities that could not be assessed in full.
        failures: the first of them, with what broke.
    """

    frame: pl.DataFrame
    parts: Mapping[str, Assessments]
    failed: int
    failures: tuple[FailedAssessment, ...]

    def side(self) -> CompositionSide:
        """Count it."""
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
    """Let each entity be decided on as it is every day: by the first ruleset that applies (`risk.engine.deciding`)."""
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
    """Give for each family the assessments of the entities on which it decides, as `with_keepers` gives them."""
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
    """Name by entity the family that decided on it and those that keep it, as `PriorState.families` has them.

    *deciding* is what `deciding_assessments` gives.
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
    """Put comparisons of other entities together, one at least, in the order of the portfolio."""
    return CompositionComparison(
        entities=sum(part.entities for part in parts),
        present=_sides([part.present for part in parts]),
        draft=_sides([part.draft for part in parts]),
        alone=sum_cells(part.alone for part in parts),
        later=sum_cells(part.later for part in parts),
        movers=tuple(sorted((mover for part in parts for mover in part.movers), key=furthest)[:MOVERS]),
    )


def furthest(mover: EntityMoved) -> tuple[int, str]:
    """Give the place of a mover among all: those who move by most levels come first."""
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
