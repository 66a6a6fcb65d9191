"""The page of a backtest."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from fivefold.charts.backtests import levels, migration
from fivefold.domain.text import count_text, percent
from fivefold.risk.governance.backtest.families import FamilyMover
from fivefold.risk.governance.backtest.moves import CaseHits, FailedAssessment, MoveCount, MovedEntity
from fivefold.risk.governance.backtest.run import MOVERS, BacktestResult, BacktestSide
from fivefold.risk.governance.reports.page import ReportPage, ReportSection, ReportTable


def backtest_page(result: BacktestResult) -> ReportPage:
    """Lay out a backtest for people: distribution, migration, who moves, hits and failures."""
    lists = result.draft.lists if result.present is None else result.present.lists | result.draft.lists
    facts = [
        ("Draft", f"{result.draft.ruleset} {result.draft.content_hash}"),
        ("In force", "none" if result.present is None else f"{result.present.ruleset} {result.present.content_hash}"),
        ("As of", result.as_of),
        ("Entities", _entities(result)),
        ("Standing levels", result.standing),
        ("Lists", lists_words(lists)),
    ]
    return ReportPage(f"Backtest of {result.draft.ruleset}", facts, result.cautions, list(_sections(result)))


def _entities(result: BacktestResult) -> str:
    if result.drawn == result.entities:
        return f"all {result.entities:,}"
    share = percent(result.drawn / result.entities)
    return f"{result.drawn:,} of {result.entities:,} ({share}), drawn with seed {result.seed}"


def lists_words(lists: Mapping[str, Sequence[str]]) -> str:
    """Write the versions of the lists that were used."""
    return "; ".join(f"{name} of {', '.join(days)}" for name, days in lists.items()) or "none"


def _sections(result: BacktestResult) -> Iterator[ReportSection]:
    yield _distribution(result)
    if result.alone:
        yield _migration("From where to where, by the rules alone", result.alone, result)
    if result.later is not None and differs(result.alone, result.later):
        yield _migration("From where to where, after the cooldown", result.later, result)
    elif result.later is not None:
        yield ReportSection(
            "After the cooldown", "The cooldown keeps nobody at a higher level: all is as by the rules alone."
        )
    if result.movers:
        yield _movers(result)
    yield hits_section("What every rule and case comes to", [(name, side.hits) for name, side in _named_sides(result)])
    yield from _failures(result)


def differs(alone: Sequence[MoveCount], later: Sequence[MoveCount]) -> bool:
    """Check whether the cooldown changes the matrix."""
    return sorted(map(str, later)) != sorted(map(str, alone))


def _distribution(result: BacktestResult) -> ReportSection:
    sides = [(name, side.alone, side.later) for name, side in _named_sides(result)]
    withheld = f" The cooldown keeps {result.draft.withheld:,} at a higher level." if result.draft.withheld else ""
    return distribution(sides, result.drawn, withheld)


def distribution(
    sides: Sequence[tuple[str, dict[str, int], dict[str, int] | None]], drawn: int, remark: str = ""
) -> ReportSection:
    """Show how many drawn entities are at each place: by side, by the rules alone and after the cooldown."""
    series = []
    for name, alone, later in sides:
        series.append((f"{name}, the rules alone", alone))
        if later is not None and later != alone:
            series.append((f"{name}, after the cooldown", later))
    groups = list(dict.fromkeys(group for _, counts in series for group in counts))
    used = [group for group in groups if any(counts.get(group) for _, counts in series) or not group.startswith("(")]
    rows = [
        {"group": group, "series": name, "entities": counts.get(group, 0)} for name, counts in series for group in used
    ]
    cells = [
        [group, *(f"{counts.get(group, 0):,} ({percent(counts.get(group, 0) / drawn)})" for _, counts in series)]
        for group in groups
    ]
    return ReportSection(
        "Who would be where",
        f"Everyone is counted once; what could not be assessed has a line of its own.{remark}",
        ReportTable(["", *(name for name, _ in series)], cells),
        levels(pl.DataFrame(rows)),
    )


def _named_sides(result: BacktestResult) -> list[tuple[str, BacktestSide]]:
    draft = ("draft", result.draft)
    return [draft] if result.present is None else [("in force", result.present), draft]


def _migration(title: str, cells: Sequence[MoveCount], result: BacktestResult) -> ReportSection:
    return migration_section(title, cells, *result.orders, result.drawn)


def migration_section(
    title: str, cells: Sequence[MoveCount], order_before: Sequence[str], order_after: Sequence[str], drawn: int
) -> ReportSection:
    """Show the moves between places, with the names of places in order before and after."""
    before = [name for name in order_before if any(cell.before == name for cell in cells)]
    after = [name for name in order_after if any(cell.after == name for cell in cells)]
    counts = {(cell.before, cell.after): cell.entities for cell in cells}
    rows = [[old, *(f"{counts.get((old, new), 0):,}" for new in after)] for old in before]
    table = pl.DataFrame([{"before": old, "after": new, "entities": count} for (old, new), count in counts.items()])
    stay = sum(count for (old, new), count in counts.items() if old == new)
    words = f"{stay:,} of {drawn:,} stay where they are. Rows: before; columns: after."
    return ReportSection(title, words, ReportTable(["before \\ after", *after], rows), migration(table, before, after))


def _movers(result: BacktestResult) -> ReportSection:
    is_later_known = result.later is not None
    rows = [
        [*moved_places(mover, is_later_known), "; ".join(mover.reasons), *moved_numbers(mover)]
        for mover in result.movers
    ]
    places = moved_columns(is_later_known)
    table = ReportTable([*places, "why", *MOVED_NUMBERS], rows, words=len(places) + 1)
    return ReportSection("Who changes most", f"By levels, then by points; {MOVERS} at most.", table)


def moved_columns(is_later_known: bool) -> list[str]:
    """Name the columns of movers' places; that after the cooldown only if it is known."""
    return ["entity", "before", "after, rules alone", *(["after cooldown"] if is_later_known else [])]


def moved_places(mover: MovedEntity | FamilyMover, is_later_known: bool) -> list[str]:
    """Write the columns `moved_columns` of a mover."""
    return [mover.entity, mover.before, mover.after, *([mover.later] if is_later_known else [])]


MOVED_NUMBERS = ("levels", "points before", "after")


def moved_numbers(mover: MovedEntity | FamilyMover) -> list[str]:
    """Write the columns `MOVED_NUMBERS` of a mover."""
    return ["" if mover.steps is None else f"{mover.steps:+d}", mover.points_before, mover.points_after]


def hits_section(title: str, named: Sequence[tuple[str, Sequence[CaseHits]]]) -> ReportSection:
    """Show how often every outcome was given, by side; the draft is the last."""
    sides = [{(hit.rule, hit.case): hit for hit in hits} for _, hits in named]
    rules = list(dict.fromkeys(key[0] for side in reversed(sides) for key in side))  # the draft's, then what it lacks
    keys = sorted({key for side in sides for key in side}, key=lambda key: (rules.index(key[0]), *_place(key[1])))
    pairs = [(key, [side.get(key) for side in sides]) for key in keys]
    rows = [
        [key[0], str(key[1]), *_case_texts(hits), *map(_hit, hits)]
        for key, hits in pairs
        if any(hit is not None and (hit.entities or isinstance(hit.case, int)) for hit in hits)
    ]
    columns = ["rule", "case", "asks", "gives", *(f"hits, {name}" for name, _ in named)]
    return ReportSection(
        title,
        "Of the entities to which the ruleset applies. A case that nobody reaches stays in the list.",
        ReportTable(columns, rows, words=4),
    )


def _case_texts(hits: Sequence[CaseHits | None]) -> list[str]:
    """Write a case's condition and outcome, in both versions if the draft changes it."""
    texts = [
        (hit.asked, hit.points + (f", at least {hit.floor}" if hit.floor else "")) for hit in hits if hit is not None
    ]
    return [" → ".join(dict.fromkeys(words)) for words in zip(*texts, strict=True)]


def _place(case: int | str) -> tuple[int, int]:
    """Return the sort key of a case: numbered cases first, then otherwise, unknown and failed."""
    return (0, case) if isinstance(case, int) else (1, ("otherwise", "unknown", "failed").index(case))


def _hit(hit: CaseHits | None) -> str:
    return "not there" if hit is None else f"{hit.entities:,} ({percent(hit.share)})"


def _failures(result: BacktestResult) -> Iterator[ReportSection]:
    for name, side in _named_sides(result):
        yield from failures_section(name, side.failed, side.failures)


def failures_section(name: str, failed: int, failures: Sequence[FailedAssessment]) -> Iterator[ReportSection]:
    """Show the entities that could not be assessed in full on one side, if any."""
    if failed:
        rows = [[failure.entity, failure.rule, failure.problem] for failure in failures]
        listed = len({failure.entity for failure in failures})
        of_them = f"{listed:,} of them {'is' if listed == 1 else 'are'} listed"
        words = f"{count_text(failed, 'entity', 'entities')}; {of_them}. Floors may still hold; nothing lowers them."
        yield ReportSection(
            f"Not assessed in full, {name}", words, ReportTable(["entity", "rule", "problem"], rows, words=3)
        )
