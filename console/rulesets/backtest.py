"""A backtest: which customers would move between which levels, and which could not be assessed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, existing_number
from fivefold.domain.paging import Page
from fivefold.risk.governance.backtest.run import MOVERS
from fivefold.usecases.accounts.settings import read_settings
from fivefold.usecases.changes.backtests import (
    BacktestLine,
    BacktestSubject,
    MoverLine,
    cancel_backtest,
    list_movers,
    read_backtest,
    report_of,
    subject_of_backtest,
)

Move = Literal["up", "down", "stay", "other"]


@dataclass(frozen=True, kw_only=True)
class MoveCell:
    """How many move from one place to another; `move` says whether this is up or down."""

    before: str
    after: str
    entities: int
    move: Move


@dataclass(frozen=True, kw_only=True)
class MoveMatrix:
    """Places before, each with its cells in the order of `columns`.

    Attributes:
        columns: places after: the levels from the lowest to the highest, then the reasons for no level.
        moved: the number of entities that would move.
        entities: the number of all checked entities.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[MoveCell, ...]], ...]
    moved: int
    entities: int
    up: int
    down: int


def matrix_of(report: Mapping[str, Any], levels: tuple[str, ...], which: str = "alone") -> MoveMatrix | None:
    """Read the matrix of a report, by the rules `alone` or `later`, after the cooldown; None if there is none.

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
    """Count entities by place, by the rules alone: levels from the highest to the lowest, then reasons for no level.

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


@dataclass(frozen=True, kw_only=True)
class BacktestPage:
    """The results of a finished backtest.

    Attributes:
        alone: by the rules alone; None if nothing decided before.
        later: after the cooldown; None if there were no levels.
        places: how many would be at each level by the rules alone, or have no level for each reason.
        subject: the compared rulesets and versions.
        on_examples: it was run on the ruleset's own examples, as it reaches no customer.
        most_movers: the most customers that the report lists as moving furthest.
        level_before: the level before of the listed movers; None for all. So is `level_after`.
        movers: the customers that would move by the rules alone, in the order in which they were added.
        next: the address of their next page.
    """

    number: int
    report: Mapping[str, Any]
    alone: MoveMatrix | None
    later: MoveMatrix | None
    places: tuple[tuple[str, int], ...]
    subject: BacktestSubject
    on_examples: bool
    most_movers: int
    level_before: str | None
    level_after: str | None
    movers: Page[MoverLine]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class BacktestStatePage:
    """A backtest without results; `why` says what ended it, with names of members."""

    backtest: BacktestLine
    why: str


def show_backtest(visit: Visit) -> Rendered:
    """Show the stored report of a backtest; its progress if there is none."""
    number = existing_number(visit.parts["backtest"], text("backtest"))
    line = read_backtest(visit, number)
    if line.state != "done":
        who, middle, rest = (line.error or "").partition(" cancelled it: ")
        state = BacktestStatePage(backtest=line, why=f"{visit.person(who)}{middle}{rest}")
        title = text("Backtest {number}", number=number)
        return Rendered(template="rulesets/backtest_state.html", title=title, page=state)
    report, levels = report_of(visit, number), read_settings(visit).levels
    before, after = (visit.query.get(name) or None for name in ("from", "to"))
    movers = list_movers(visit, number, before, after, visit.part("movers"))
    page = BacktestPage(
        number=number,
        report=report,
        alone=matrix_of(report, levels),
        later=matrix_of(report, levels, "later"),
        places=counts_by_place(report, levels),
        subject=subject_of_backtest(visit, number),
        on_examples=report["basis"] == "examples",
        most_movers=MOVERS,
        level_before=before,
        level_after=after,
        movers=movers,
        next=visit.next_of("movers", movers),
    )
    return Rendered(template="rulesets/backtest.html", title=text("Backtest {number}", number=number), page=page)


def cancel(visit: Visit) -> Answer:
    """Cancel a waiting or running backtest: its worker stops after its present part."""
    number = existing_number(visit.parts["backtest"], text("backtest"))
    read_backtest(visit, number)
    cancel_backtest(visit, number, visit.typed("reason", text("Reason")))
    return Redirect(visit.path, "backtest-cancelled")
