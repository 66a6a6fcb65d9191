"""From where to where a portfolio would move: the matrix of a backtest's report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Move = Literal["up", "down", "stay", "other"]


@dataclass(frozen=True, kw_only=True)
class MoveCell:
    """How many go from one place to another; `move` says whether that is up or down."""

    before: str
    after: str
    entities: int
    move: Move


@dataclass(frozen=True, kw_only=True)
class MoveMatrix:
    """Places before, each with its cells in the order of `columns`.

    Attributes:
        columns: places after: the levels from the lowest to the highest, then reasons why there is none.
        moved: entities that would be elsewhere.
        entities: all that were looked at.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[MoveCell, ...]], ...]
    moved: int
    entities: int
    up: int
    down: int


def matrix_of(report: Mapping[str, Any], levels: tuple[str, ...], which: str = "alone") -> MoveMatrix | None:
    """Read the matrix of a report, by the rules `alone` or `later`, after the cooldown; None where there is none.

    *levels*: those of the organisation, the lowest first.
    """
    cells_of_report = report["backtest"].get(which) or ()
    cells = {(cell["before"], cell["after"]): cell["entities"] for cell in cells_of_report}
    if not cells:
        return None
    columns = _in_order(levels, [after for _, after in cells])
    rows = tuple(
        (before, tuple(_cell(before, after, cells.get((before, after), 0), levels) for after in columns))
        for before in reversed(_in_order(levels, [before for before, _ in cells]))
    )
    every = [cell for _, row in rows for cell in row]
    return MoveMatrix(
        columns=columns,
        rows=rows,
        moved=sum(cell.entities for cell in every if cell.move != "stay"),
        entities=sum(cell.entities for cell in every),
        up=sum(cell.entities for cell in every if cell.move == "up"),
        down=sum(cell.entities for cell in every if cell.move == "down"),
    )


def counts_by_place(report: Mapping[str, Any], levels: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """Count who would be where by the rules alone: the levels from the highest to the lowest, then why there is none.

    *levels*: those of the organisation, the lowest first.
    """
    counts: Mapping[str, int] = report["backtest"]["draft"]["alone"]
    ordered = _in_order(levels, list(counts))
    return tuple((place, counts.get(place, 0)) for place in (*reversed(levels), *ordered[len(levels) :]))


def _in_order(levels: tuple[str, ...], places: list[str]) -> tuple[str, ...]:
    return (*levels, *(place for place in dict.fromkeys(places) if place not in levels))


def _cell(before: str, after: str, entities: int, levels: tuple[str, ...]) -> MoveCell:
    move: Move = "stay" if before == after else "other"
    if before in levels and after in levels and before != after:
        move = "up" if levels.index(after) > levels.index(before) else "down"
    return MoveCell(before=before, after=after, entities=entities, move=move)
