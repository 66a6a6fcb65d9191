"""The page of a backtest."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from fivefold.charts.levels import levels
from fivefold.charts.migration import migration
from fivefold.domain.number_text import percent
from fivefold.risk.governance.backtest.hits import CaseHits
from fivefold.risk.governance.backtest.moves import NEW, Cell
from fivefold.risk.governance.backtest.run import Backtest, Side
from fivefold.risk.governance.reports.page import ReportPage, Section, Table


def backtest_page(found: Backtest) -> ReportPage:
    """Lay out a backtest for people: distribution, migration, who moves, hits and failures."""
    facts = [
        ("Draft", f"{found.draft.ruleset} {found.draft.content_hash}"),
        ("In force", "none" if found.present is None else f"{found.present.ruleset} {found.present.content_hash}"),
        ("As of", found.as_of),
        ("Entities", _entities(found)),
        ("Standing levels", found.standing),
        ("Lists", lists_words(found.draft.lists if found.present is None else found.present.lists | found.draft.lists)),
    ]
    return ReportPage(f"Backtest of {found.draft.ruleset}", facts, found.cautions, list(_sections(found)))


def _entities(found: Backtest) -> str:
    if found.drawn == found.entities:
        return f"all {found.entities:,}"
    return (
        f"{found.drawn:,} of {found.entities:,} ({percent(found.drawn / found.entities)}), drawn with seed {found.seed}"
    )


def lists_words(lists: Mapping[str, Sequence[str]]) -> str:
    """Say which versions of which lists were used."""
    return "; ".join(f"{name} of {', '.join(days)}" for name, days in lists.items()) or "none"


def _sections(found: Backtest) -> Iterator[Section]:
    yield _distribution(found)
    if found.alone:
        yield _migration("From where to where, by the rules alone", found.alone, found)
    if found.later is not None and _differs(found):
        yield _migration("From where to where, after the cooldown", found.later, found)
    elif found.later is not None:
        yield Section(
            "After the cooldown", "The cooldown keeps nobody at a higher level: all is as by the rules alone."
        )
    if found.movers:
        yield _movers(found)
    yield _hits(found)
    yield from _failures(found)


def _differs(found: Backtest) -> bool:
    return found.later is not None and sorted(map(str, found.later)) != sorted(map(str, found.alone))


def _distribution(found: Backtest) -> Section:
    series = []
    for name, side in _named_sides(found):
        series.append((f"{name}, the rules alone", side.alone))
        if side.later is not None and side.later != side.alone:
            series.append((f"{name}, after the cooldown", side.later))
    groups = list(dict.fromkeys(group for _, counts in series for group in counts))
    shown = [group for group in groups if any(counts.get(group) for _, counts in series) or not group.startswith("(")]
    rows = [
        {"group": group, "series": name, "entities": counts.get(group, 0)} for name, counts in series for group in shown
    ]
    cells = [
        [group, *(f"{counts.get(group, 0):,} ({percent(counts.get(group, 0) / found.drawn)})" for _, counts in series)]
        for group in groups
    ]
    withheld = f" The cooldown keeps {found.draft.withheld:,} at a higher level." if found.draft.withheld else ""
    return Section(
        "Who would be where",
        f"Everyone is counted once; what could not be assessed has a line of its own.{withheld}",
        Table(["", *(name for name, _ in series)], cells),
        levels(pl.DataFrame(rows)),
    )


def _named_sides(found: Backtest) -> list[tuple[str, Side]]:
    draft = ("draft", found.draft)
    return [draft] if found.present is None else [("in force", found.present), draft]


def _migration(title: str, cells: Sequence[Cell], found: Backtest) -> Section:
    order = [*(found.present or found.draft).alone, NEW]
    before = [name for name in order if any(cell.before == name for cell in cells)]
    after = [name for name in found.draft.alone if any(cell.after == name for cell in cells)]
    counts = {(cell.before, cell.after): cell.entities for cell in cells}
    rows = [[old, *(f"{counts.get((old, new), 0):,}" for new in after)] for old in before]
    table = pl.DataFrame([{"before": old, "after": new, "entities": count} for (old, new), count in counts.items()])
    stay = sum(count for (old, new), count in counts.items() if old == new)
    words = f"{stay:,} of {found.drawn:,} stay where they are. Rows: before; columns: after."
    return Section(title, words, Table(["before \\ after", *after], rows), migration(table, before, after))


def _movers(found: Backtest) -> Section:
    rows = [
        [
            mover.entity,
            mover.before,
            mover.after,
            mover.later,
            "; ".join(mover.reasons),
            "" if mover.steps is None else f"{mover.steps:+d}",
            mover.points_before,
            mover.points_after,
        ]
        for mover in found.movers
    ]
    columns = ["entity", "before", "after, rules alone", "after cooldown", "why", "levels", "points before", "after"]
    return Section("Who changes most", "By levels, then by points.", Table(columns, rows, words=5))


def _hits(found: Backtest) -> Section:
    sides = [{(hit.rule, hit.case): hit for hit in side.hits} for _, side in _named_sides(found)]
    rules = list(dict.fromkeys(key[0] for side in reversed(sides) for key in side))  # the draft's, then what it lacks
    keys = sorted({key for side in sides for key in side}, key=lambda key: (rules.index(key[0]), *_place(key[1])))
    held = [(key, [side.get(key) for side in sides]) for key in keys]
    rows = [
        [key[0], str(key[1]), *_asked_and_given(hits), *map(_hit, hits)]
        for key, hits in held
        if any(hit is not None and (hit.entities or isinstance(hit.case, int)) for hit in hits)
    ]
    columns = ["rule", "case", "asks", "gives", *(f"hits, {name}" for name, _ in _named_sides(found))]
    return Section(
        "What every rule and case comes to",
        "Of the entities to which the ruleset applies. A case that nobody reaches stays in the list.",
        Table(columns, rows, words=4),
    )


def _asked_and_given(hits: Sequence[CaseHits | None]) -> list[str]:
    """Say what a case asks and gives; both where the draft changes it, so that unlike hits are not compared."""
    told = [
        (hit.asked, hit.points + (f", at least {hit.floor}" if hit.floor else "")) for hit in hits if hit is not None
    ]
    return [" → ".join(dict.fromkeys(words)) for words in zip(*told, strict=True)]


def _place(case: int | str) -> tuple[int, int]:
    """Order numbered cases first, then otherwise, unknown and failed."""
    return (0, case) if isinstance(case, int) else (1, ("otherwise", "unknown", "failed").index(case))


def _hit(hit: CaseHits | None) -> str:
    return "not there" if hit is None else f"{hit.entities:,} ({percent(hit.share)})"


def _failures(found: Backtest) -> Iterator[Section]:
    for name, side in _named_sides(found):
        if side.failed:
            rows = [[failure.entity, failure.rule, failure.problem] for failure in side.failures]
            shown = len({failure.entity for failure in side.failures})
            words = (
                f"{side.failed:,} entities; {shown:,} of them are listed. Floors may still hold; nothing lowers them."
            )
            yield Section(f"Not assessed in full, {name}", words, Table(["entity", "rule", "problem"], rows, words=3))
