"""Backtests a draft on a real portfolio before it decides: levels, moves, and what cannot be assessed.

A portfolio may be sampled, or split into parts whose backtests are joined.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import COMPUTED, NOT_IN_FULL, STATUS, Assessments, Status
from fivefold.risk.engine.levels import ENTERED, RULES_LEVEL, WITHHELD
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio
from fivefold.risk.governance.backtest.moves import (
    ALONE,
    LATER,
    NEW,
    CaseHits,
    FailedAssessment,
    MoveCount,
    MovedEntity,
    case_hits,
    cells,
    failures,
    first_failures,
    furthest,
    moved,
    movers,
    positions,
)
from fivefold.risk.language.ruleset import Ruleset


@dataclass(frozen=True)
class Sampled:
    """A part of a portfolio.

    Attributes:
        portfolio: the portfolio of the drawn entities.
        as_of: one moment, or one for each row of its entities.
        entities: the number of entities of the whole.
        size: the number of drawn entities.
    """

    portfolio: Portfolio
    as_of: int | pl.Series
    entities: int
    size: int


def draw(portfolio: Portfolio, as_of: int | pl.Series, size: int | None, seed: int) -> Sampled:
    """Draw *size* entities at random, all equally likely; all of them if there are fewer, or without a size.

    Transactions of others are left out, unless entities are linked: groups also read entities that were not drawn.
    Raises ConfigError if the size is invalid, or there are no entities.
    """
    if size is not None and size < 1:
        raise ConfigError(f"a sample of {size} entities was requested; at least 1 is possible")
    names = portfolio.entities[ENTITY].cast(pl.String)
    entities = names.unique().sort()
    if not len(entities):
        raise ConfigError("the portfolio has no entities")
    if size is None or size >= len(entities):
        return Sampled(portfolio, as_of, len(entities), len(entities))
    places = np.random.default_rng(seed).choice(len(entities), size, replace=False)
    chosen = entities.gather(np.sort(places))
    in_sample = names.is_in(chosen.implode())
    rows = portfolio.transactions if portfolio.links is not None else _linked(portfolio.transactions, chosen)
    part = replace(portfolio, entities=portfolio.entities.filter(in_sample), transactions=rows)
    return Sampled(part, as_of.filter(in_sample) if isinstance(as_of, pl.Series) else as_of, len(entities), size)


def _linked(rows: pl.DataFrame | pl.LazyFrame | None, chosen: pl.Series) -> pl.DataFrame | pl.LazyFrame | None:
    """Keep only the transactions of the sample; the other linked facts are few."""
    if rows is None:
        return None
    link = ENTITY if ENTITY in rows.collect_schema() else "user_id"
    return rows.filter(pl.col(link).cast(pl.String).is_in(chosen.implode()))


MOVERS = 20
"""How many of the entities that change most are listed."""

NO_REACH = (
    "The draft applies to none of these entities, so it gives none of them a level: "
    "compare its `applies_to` with the fields that they have."
)
"""The first caution if the draft applies to no entity."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class BacktestSide:
    """The results of one ruleset on the portfolio.

    Attributes:
        ruleset: its name.
        content_hash: the hash of its canonical form.
        levels: the names of levels, lowest first.
        lists: the days since which the versions of its lists are in force; several if as-ofs differ.
        alone: the number of entities at every place by the rules: levels, and the statuses without one.
        later: the same after the cooldown; None if no held levels were known.
        withheld: the number of entities that the cooldown keeps at a higher level.
        hits: every outcome of every rule.
        failed: the number of entities that could not be assessed in full.
        failures: the first of them, with the cause.
    """

    ruleset: str
    content_hash: str
    levels: tuple[str, ...]
    lists: dict[str, tuple[str, ...]]
    alone: dict[str, int]
    later: dict[str, int] | None
    withheld: int
    hits: tuple[CaseHits, ...]
    failed: int
    failures: tuple[FailedAssessment, ...]


@dataclass(frozen=True, kw_only=True)
class BacktestResult:
    """A draft compared with the ruleset that decides now.

    Attributes:
        as_of: the moment, in words.
        entities: the number of entities in the whole portfolio.
        drawn: how many of them were assessed.
        seed: the seed of the sample.
        draft: the results of the draft.
        present: the results of the present ruleset; None if there was none.
        standing: the source of the levels held before.
        alone: the moves from place to place by the rules alone; empty without anything to compare with.
        later: the same after the cooldown; None if no held levels were known.
        movers: the entities that change most, by levels and then by points.
        cautions: the limits of what the numbers show.
    """

    as_of: str
    entities: int
    drawn: int
    seed: int
    draft: BacktestSide
    present: BacktestSide | None
    standing: str
    alone: tuple[MoveCount, ...]
    later: tuple[MoveCount, ...] | None
    movers: tuple[MovedEntity, ...]
    cautions: tuple[str, ...]

    @property
    def orders(self) -> tuple[list[str], list[str]]:
        """The order of the places before, and of those after."""
        return [*(self.present or self.draft).alone, NEW], list(self.draft.alone)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class HeldLevels:
    """The levels held before the draft decides.

    Attributes:
        levels: `entity_id`, `level` (number), `entered` (microseconds); None for the levels of the present ruleset.
        entered: the assumed beginning of the present ruleset's levels, in microseconds; None if not known.
    """

    levels: pl.DataFrame | None = None
    entered: int | None = None


def backtest(
    draft: AnalysedRuleset,
    portfolio: Portfolio,
    as_of: int | pl.Series,
    present: AnalysedRuleset | None = None,
    standing: HeldLevels | None = None,
    size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    keep: Callable[[pl.DataFrame], None] | None = None,
    keep_furthest: Callable[[pl.DataFrame], None] | None = None,
) -> BacktestResult:
    """Assess a portfolio, or a sample of it, by a draft and by the present ruleset.

    Args:
        draft: the draft.
        portfolio: the entities, and all data that both rulesets read.
        as_of: one moment (microseconds), or one for each row of the portfolio's entities.
        present: the ruleset that decides now; without it the draft is shown alone, or compared with the held levels.
        standing: the levels held; without them only the rules are shown, without cooldown.
        size: the size of the sample; all entities if it is not given.
        seed: the seed of the sample.
        progress: called with the number of assessments done, and of all; in the last call both are equal.
        keep: called with all entities that would move, as the frame of `moves.moved`.
        keep_furthest: called with the entities that change most, as the frame of `moves.furthest`.

    Raises:
        InvalidRulesetError: a ruleset, or something that it needs, is missing or wrong.
        ConfigError: the sample or the held levels are invalid.
    """
    standing = standing or HeldLevels()
    check_levels(standing, [each.ruleset for each in (draft, present) if each is not None])
    part = draw(portfolio, as_of, size, seed)
    rounds = part.size * (1 + (present is not None))
    report = progress or (lambda *_: None)
    report(0, rounds)
    before = None if present is None else assess(present, part.portfolio, part.as_of, standing.levels)
    if before is not None:
        report(part.size, rounds)
    levels, source, cautions = _standing(standing, before, draft.ruleset)
    after = assess(draft, part.portfolio, part.as_of, levels)
    report(rounds, rounds)
    has_standing = levels is not None
    table = positions(after, before, levels)
    _hand_over(table, keep, keep_furthest)
    return BacktestResult(
        as_of=moments_words(after),
        entities=part.entities,
        drawn=part.size,
        seed=seed,
        draft=_side(after, has_standing),
        present=None if before is None else _side(before, standing.levels is not None),
        standing=source,
        alone=cells(table, f"before_{ALONE}", f"after_{ALONE}") if before is not None or has_standing else (),
        later=cells(table, f"before_{LATER}", f"after_{LATER}") if has_standing else None,
        movers=movers(table, after, before, MOVERS),
        cautions=(*_reach(after), *cautions, *_cautions(after, before)),
    )


def _hand_over(
    table: pl.DataFrame,
    keep: Callable[[pl.DataFrame], None] | None,
    keep_furthest: Callable[[pl.DataFrame], None] | None,
) -> None:
    if keep is not None:
        keep(moved(table))
    if keep_furthest is not None:
        keep_furthest(furthest(table, MOVERS))


def check_levels(standing: HeldLevels, rulesets: list[Ruleset]) -> None:
    """Raise ConfigError for held levels that a ruleset does not have."""
    for ruleset in rulesets if standing.levels is not None else ():
        assert standing.levels is not None
        wrong = standing.levels.filter(~pl.col("level").is_between(1, len(ruleset.levels)))
        if len(wrong):
            problem = f"{wrong[ENTITY][0]} stands at level {wrong['level'][0]}"
            raise ConfigError(f"{problem}; {ruleset.name} has levels 1 to {len(ruleset.levels)}")


def _standing(
    standing: HeldLevels, before: Assessments | None, draft: Ruleset
) -> tuple[pl.DataFrame | None, str, list[str]]:
    """Find the levels that are held before the draft, their source in words, and cautions about them."""
    if standing.levels is not None:
        return standing.levels, "the levels that were given", []
    if before is None or standing.entered is None:
        return None, "none", ["The cooldown is left out: it is not known which levels stand, and since when."]
    if len(before.program.ruleset.levels) != len(draft.levels):
        return None, "none", ["The cooldown is left out: the two rulesets do not have as many levels."]
    with_level = before.outcomes.filter(pl.col(RULES_LEVEL).is_not_null())
    entered = pl.lit(standing.entered, pl.Int64).alias(ENTERED)
    levels = with_level.select(ENTITY, pl.col(RULES_LEVEL).alias("level"), entered)
    since = f"those of {before.program.ruleset.name}, taken to stand since {day_text(standing.entered)}"
    return levels, since, []


def _reach(after: Assessments) -> list[str]:
    applies = after.outcomes[STATUS] != Status.NOT_APPLICABLE.value
    return [] if applies.any() or applies.is_empty() else [NO_REACH]


def _cautions(after: Assessments, before: Assessments | None) -> list[str]:
    if before is None:
        return ["No ruleset in force was given, so nobody can be said to move by it."]
    if before.program.ruleset.levels != after.program.ruleset.levels:
        return ["The levels of the two rulesets have different names: a step between them is only one of position."]
    return []


def _side(assessments: Assessments, has_standing: bool) -> BacktestSide:
    ruleset = assessments.program.ruleset
    failed = assessments.outcomes[STATUS].is_in(NOT_IN_FULL)
    return BacktestSide(
        ruleset=ruleset.name,
        content_hash=ruleset.content_hash,
        levels=ruleset.levels,
        lists=list_days(assessments),
        alone=groups(assessments, COMPUTED),
        later=groups(assessments, RULES_LEVEL) if has_standing else None,
        withheld=assessments.outcomes[WITHHELD].count(),
        hits=case_hits(assessments),
        failed=int(failed.sum()),
        failures=failures(assessments),
    )


def groups(assessments: Assessments, column: str) -> dict[str, int]:
    """Count every entity once: in its level, or as failed, unclassified, undetermined or not applicable."""
    status = assessments.outcomes[STATUS]
    assessed = assessments.outcomes.filter(status == Status.ASSESSED.value)
    counts = dict(assessed[column].value_counts().iter_rows())
    levels = {name: counts.get(number, 0) for number, name in enumerate(assessments.program.ruleset.levels, 1)}
    others = {f"({other.value})": int((status == other.value).sum()) for other in Status if other != Status.ASSESSED}
    return levels | others


def list_days(assessments: Assessments) -> dict[str, tuple[str, ...]]:
    """Return the days since which the versions of a ruleset's lists are in force, by list."""
    names = sorted({name for versions in assessments.versions for name in versions})
    return {
        name: tuple(sorted({day_text(versions[name].since) for versions in assessments.versions if name in versions}))
        for name in names
    }


def moments_words(assessments: Assessments) -> str:
    """Write the moments of assessments."""
    moments = assessments.outcomes[AS_OF]
    first, last = (day_text(int(end)) for end in (moments.min(), moments.max()))  # type: ignore[arg-type]  # numbers
    return first if first == last else f"{first} to {last}, by entity"


def joined_backtests(parts: Sequence[BacktestResult]) -> BacktestResult:
    """Join backtests of the same rulesets and moment on disjoint sets of entities.

    Args:
        parts: at least one, in the order of the portfolio.
    """
    first = parts[0]
    cautions = dict.fromkeys(caution for part in parts for caution in part.cautions if caution != NO_REACH)
    reach = [NO_REACH] if all(NO_REACH in part.cautions for part in parts) else []
    presents = [part.present for part in parts if part.present is not None]
    return replace(
        first,
        entities=sum(part.entities for part in parts),
        drawn=sum(part.drawn for part in parts),
        draft=_sides([part.draft for part in parts]),
        present=_sides(presents) if presents else None,
        alone=sum_cells(part.alone for part in parts),
        later=None if first.later is None else sum_cells(part.later or () for part in parts),
        movers=tuple(sorted((mover for part in parts for mover in part.movers), key=_furthest)[:MOVERS]),
        cautions=(*reach, *cautions),
    )


def _sides(sides: Sequence[BacktestSide]) -> BacktestSide:
    first = sides[0]
    return replace(
        first,
        alone=sum_counts(side.alone for side in sides),
        later=None if first.later is None else sum_counts(side.later or {} for side in sides),
        withheld=sum(side.withheld for side in sides),
        hits=sum_hits([side.hits for side in sides]),
        failed=sum(side.failed for side in sides),
        failures=first_failures(failure for side in sides for failure in side.failures),
    )


def sum_counts(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Add up the counts of parts, name by name."""
    total: dict[str, int] = {}
    for part in counts:
        total |= {name: total.get(name, 0) + count for name, count in part.items()}
    return total


def sum_cells(parts: Iterable[tuple[MoveCount, ...]]) -> tuple[MoveCount, ...]:
    """Add up the moves of parts, from level to level."""
    counts: dict[tuple[str, str], int] = {}
    for part in parts:
        for cell in part:
            counts[cell.before, cell.after] = counts.get((cell.before, cell.after), 0) + cell.entities
    return tuple(MoveCount(before, after, entities) for (before, after), entities in counts.items())


def sum_hits(parts: Sequence[tuple[CaseHits, ...]]) -> tuple[CaseHits, ...]:
    """Add up the hits of parts; an entity to which the ruleset applies has exactly one outcome of each rule."""
    counts = [sum(part[place].entities for part in parts) for place in range(len(parts[0]))]
    of: Counter[str] = Counter()
    for hits, count in zip(parts[0], counts, strict=True):
        of[hits.rule] += count
    return tuple(
        replace(hits, entities=count, share=count / of[hits.rule] if of[hits.rule] else 0.0)
        for hits, count in zip(parts[0], counts, strict=True)
    )


def _furthest(mover: MovedEntity) -> tuple[int, Decimal, str]:
    """Return the sort key by the size of the change: levels, then points, then the name."""
    points = [mover.points_before, mover.points_after]
    moved = abs(Decimal(points[1]) - Decimal(points[0])) if all(points) else Decimal(0)
    return -abs(mover.steps or 0), -moved, mover.entity
