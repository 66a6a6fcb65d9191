"""The page of a backtest."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from fivefold.charts.backtests import levels, migration
from fivefold.domain.text import percent
from fivefold.risk.governance.backtest.moves import NEW, CaseHits, Cell
from fivefold.risk.governance.backtest.run import Backtest, Side
from fivefold.risk.governance.reports.page import ReportPage, Section, Table


def backtest_page(result: Backtest) -> ReportPage:
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


def _entities(result: Backtest) -> str:
    if result.drawn == result.entities:
        return f"all {result.entities:,}"
    share = percent(result.drawn / result.entities)
    return f"{result.drawn:,} of {result.entities:,} ({share}), drawn with seed {result.seed}"


def lists_words(lists: Mapping[str, Sequence[str]]) -> str:
    """Write the versions of the lists that were used."""
    return "; ".join(f"{name} of {', '.join(days)}" for name, days in lists.items()) or "none"


def _sections(result: Backtest) -> Iterator[Section]:
    yield _distribution(result)
    if result.alone:
        yield _migration("From where to where, by the rules alone", result.alone, result)
    if result.later is not None and _differs(result):
        yield _migration("From where to where, after the cooldown", result.later, result)
    elif result.later is not None:
        yield Section(
            "After the cooldown", "The cooldown keeps nobody at a higher level: all is as by the rules alone."
        )
    if result.movers:
        yield _movers(result)
    yield _hits(result)
    yield from _failures(result)


def _differs(result: Backtest) -> bool:
    return result.later is not None and sorted(map(str, result.later)) != sorted(map(str, result.alone))


def _distribution(result: Backtest) -> Section:
    series = []
    for name, side in _named_sides(result):
        series.append((f"{name}, the rules alone", side.alone))
        if side.later is not None and side.later != side.alone:
            series.append((f"{name}, after the cooldown", side.later))
    groups = list(dict.fromkeys(group for _, counts in series for group in counts))
    used = [group for group in groups if any(counts.get(group) for _, counts in series) or not group.startswith("(")]
    rows = [
        {"group": group, "series": name, "entities": counts.get(group, 0)} for name, counts in series for group in used
    ]
    cells = [
        [group, *(f"{counts.get(group, 0):,} ({percent(counts.get(group, 0) / result.drawn)})" for _, counts in series)]
        for group in groups
    ]
    withheld = f" The cooldown keeps {result.draft.withheld:,} at a higher level." if result.draft.withheld else ""
    return Section(
        "Who would be where",
        f"Everyone is counted once; what could not be assessed has a line of its own.{withheld}",
        Table(["", *(name for name, _ in series)], cells),
        levels(pl.DataFrame(rows)),
    )


def _named_sides(result: Backtest) -> list[tuple[str, Side]]:
    draft = ("draft", result.draft)
    return [draft] if result.present is None else [("in force", result.present), draft]


def _migration(title: str, cells: Sequence[Cell], result: Backtest) -> Section:
    order = [*(result.present or result.draft).alone, NEW]
    before = [name for name in order if any(cell.before == name for cell in cells)]
    after = [name for name in result.draft.alone if any(cell.after == name for cell in cells)]
    counts = {(cell.before, cell.after): cell.entities for cell in cells}
    rows = [[old, *(f"{counts.get((old, new), 0):,}" for new in after)] for old in before]
    table = pl.DataFrame([{"before": old, "after": new, "entities": count} for (old, new), count in counts.items()])
    stay = sum(count for (old, new), count in counts.items() if old == new)
    words = f"{stay:,} of {result.drawn:,} stay where they are. Rows: before; columns: after."
    return Section(title, words, Table(["before \\ after", *after], rows), migration(table, before, after))


def _movers(result: Backtest) -> Section:
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
        for mover in result.movers
    ]
    columns = ["entity", "before", "after, rules alone", "after cooldown", "why", "levels", "points before", "after"]
    return Section("Who changes most", "By levels, then by points.", Table(columns, rows, words=5))


def _hits(result: Backtest) -> Section:
    sides = [{(hit.rule, hit.case): hit for hit in side.hits} for _, side in _named_sides(result)]
    rules = list(dict.fromkeys(key[0] for side in reversed(sides) for key in side))  # the draft's, then what it lacks
    keys = sorted({key for side in sides for key in side}, key=lambda key: (rules.index(key[0]), *_place(key[1])))
    pairs = [(key, [side.get(key) for side in sides]) for key in keys]
    rows = [
        [key[0], str(key[1]), *_case_texts(hits), *map(_hit, hits)]
        for key, hits in pairs
        if any(hit is not None and (hit.entities or isinstance(hit.case, int)) for hit in hits)
    ]
    columns = ["rule", "case", "asks", "gives", *(f"hits, {name}" for name, _ in _named_sides(result))]
    return Section(
        "What every rule and case comes to",
        "Of the entities to which the ruleset applies. A case that nobody reaches stays in the list.",
        Table(columns, rows, words=4),
    )


def _case_texts(hits: Sequence[CaseHits | None]) -> list[str]:
    """Write a case's condition and outcome, both versions where the draft changes it."""
    texts = [
        (hit.asked, hit.points + (f", at least {hit.floor}" if hit.floor else "")) for hit in hits if hit is not None
    ]
    return [" → ".join(dict.fromkeys(words)) for words in zip(*texts, strict=True)]


def _place(case: int | str) -> tuple[int, int]:
    """Order numbered cases first, then otherwise, unknown and failed."""
    return (0, case) if isinstance(case, int) else (1, ("otherwise", "unknown", "failed").index(case))


def _hit(hit: CaseHits | None) -> str:
    return "not there" if hit is None else f"{hit.entities:,} ({percent(hit.share)})"


def _failures(result: Backtest) -> Iterator[Section]:
    for name, side in _named_sides(result):
        if side.failed:
            rows = [[failure.entity, failure.rule, failure.problem] for failure in side.failures]
            listed = len({failure.entity for failure in side.failures})
            words = (
                f"{side.failed:,} entities; {listed:,} of them are listed. Floors may still hold; nothing lowers them."
            )
            yield Section(f"Not assessed in full, {name}", words, Table(["entity", "rule", "problem"], rows, words=3))
