"""Backtests of the parts of a portfolio, put together: what comes out is that of the whole."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from fivefold.domain.errors import PROBLEMS_LISTED
from fivefold.risk.governance.backtest.hits import CaseHits, FailedAssessment
from fivefold.risk.governance.backtest.moves import Cell, Mover
from fivefold.risk.governance.backtest.run import MOVERS, NO_REACH, Backtest, Side


def joined_backtests(parts: Sequence[Backtest]) -> Backtest:
    """Put backtests together that are of the same rulesets and moment, each of other entities.

    Args:
        parts: one at least, in the order of the portfolio.
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


def _sides(sides: Sequence[Side]) -> Side:
    first = sides[0]
    return replace(
        first,
        alone=sum_counts(side.alone for side in sides),
        later=None if first.later is None else sum_counts(side.later or {} for side in sides),
        withheld=sum(side.withheld for side in sides),
        hits=_hits([side.hits for side in sides]),
        failed=sum(side.failed for side in sides),
        failures=_first_failures([failure for side in sides for failure in side.failures]),
    )


def sum_counts(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Add up the counts of parts, name by name."""
    total: dict[str, int] = {}
    for part in counts:
        total |= {name: total.get(name, 0) + count for name, count in part.items()}
    return total


def sum_cells(parts: Iterable[tuple[Cell, ...]]) -> tuple[Cell, ...]:
    """Add up the moves of parts, from level to level."""
    counts: dict[tuple[str, str], int] = {}
    for part in parts:
        for cell in part:
            counts[cell.before, cell.after] = counts.get((cell.before, cell.after), 0) + cell.entities
    return tuple(Cell(before, after, entities) for (before, after), entities in counts.items())


def _hits(parts: Sequence[tuple[CaseHits, ...]]) -> tuple[CaseHits, ...]:
    """Add the hits up; everyone to whom the ruleset applies gets exactly one outcome of each rule."""
    counts = [sum(part[place].entities for part in parts) for place in range(len(parts[0]))]
    of: Counter[str] = Counter()
    for hits, count in zip(parts[0], counts, strict=True):
        of[hits.rule] += count
    return tuple(
        replace(hits, entities=count, share=count / of[hits.rule] if of[hits.rule] else 0.0)
        for hits, count in zip(parts[0], counts, strict=True)
    )


def _first_failures(failures: Sequence[FailedAssessment]) -> tuple[FailedAssessment, ...]:
    """Keep those of the first so many entities; one entity may have several."""
    entities = list(dict.fromkeys(failure.entity for failure in failures))[:PROBLEMS_LISTED]
    listed = set(entities)
    return tuple(failure for failure in failures if failure.entity in listed)


def _furthest(mover: Mover) -> tuple[int, Decimal, str]:
    """Put those first who change most: by levels, then by points, then in the order of their names."""
    points = [mover.points_before, mover.points_after]
    moved = abs(Decimal(points[1]) - Decimal(points[0])) if all(points) else Decimal(0)
    return -abs(mover.steps or 0), -moved, mover.entity
