"""The portfolio over time: how it was spread over the levels, from where to where people went, and who they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fivefold.charts.series import ShareColumn, share_columns
from fivefold.console.filters import Listing, chosen_type, listing_of, type_names
from fivefold.console.levels.portfolio import show_nobody
from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit
from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import Page, Part
from fivefold.usecases.accounts.settings import NO_LEVEL
from fivefold.usecases.portfolio.migration import (
    MOST_MOVES,
    Every,
    LevelsAtMoment,
    Migration,
    Mover,
    levels_over_time,
    list_movers,
    read_migration,
)
from fivefold.usecases.shared.inputs import read_day

OVER_TIME: Final = "/console/portfolio/over-time"
PERIODS: Final = {Every.MONTH: 13, Every.WEEK: 13, Every.DAY: 14}
"""So many fit beside each other."""
TONES: Final = 5
"""Of the colours of levels: the higher the level, the stronger."""


@dataclass(frozen=True, kw_only=True)
class SeriesLine:
    """The levels at one moment, and their column of the picture.

    Attributes:
        label: the last day before the moment; of the present period today's.
        query: of the address that shows who moved in that time.
    """

    label: str
    at: LevelsAtMoment
    column: ShareColumn
    query: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class MoveField:
    """A field of the matrix: so many, and the address that lists them.

    Attributes:
        move: up, down, stay, first or lost.
        query: None where nobody is to be listed.
    """

    entities: int
    move: str
    chosen: bool
    query: dict[str, str] | None


@dataclass(frozen=True, kw_only=True)
class OverTimePage:
    """A portfolio over time.

    Attributes:
        lines: of the series, the earliest moment first.
        levels: the lowest first, as are `tones`, their colours.
        since: the first day of the time that is looked at, or what was typed for it, as is `until`, its last day.
        migration: None where that cannot be read, or ends before it begins.
        rows: the level before, the highest first, with its fields by the level at the end; None where too many moved.
        from_level: of those who are listed, as it was chosen; empty for all who had a level.
    """

    types: tuple[str, ...]
    type: str
    every: str
    each: tuple[str, ...]
    lines: tuple[SeriesLine, ...]
    levels: tuple[str, ...]
    tones: tuple[int, ...]
    since: str
    until: str
    migration: Migration | None
    most_moves: int
    rows: tuple[tuple[str | None, tuple[MoveField, ...]], ...] | None
    from_level: str
    to_level: str
    listing: Listing[Mover]
    next: str | None

    @property
    def up(self) -> int:
        """Count who had a level, and stood at a higher one at the end."""
        return _count(self.migration, "up")

    @property
    def down(self) -> int:
        """Count who had a level, and stood at a lower one at the end."""
        return _count(self.migration, "down")

    @property
    def lost(self) -> int:
        """Count who had a level, and none at the end."""
        return _count(self.migration, "lost")

    @property
    def first(self) -> int:
        """Count who had no level, and one at the end."""
        return _count(self.migration, "first")


def show_over_time(visit: Visit) -> Rendered:
    """Show the levels of a type over time, and the entities whose level changed over a period."""
    types = type_names(visit)
    if not types:
        return show_nobody(text("Portfolio over time"))
    visit = visit.at(visit.now())  # so that all of a page opened at midnight is of one day
    typed_type, kind = chosen_type(visit, types)
    chosen = visit.filters(("every", "since", "until", "from", "to"))
    each = tuple(every.value for every in Every)
    every = Every(chosen["every"]) if chosen["every"] in each else Every.MONTH
    series = levels_over_time(visit, kind, every, PERIODS[every]).moments
    migration = _migration(visit, kind, chosen)
    names = tuple(each.level for each in series[-1].levels) if series else ()

    def movers(part: Part) -> Page[Mover]:
        visit.choice("every", each)
        since, after = _days(chosen)
        before, at_end = chosen["from"] or None, chosen["to"] or None
        return list_movers(visit, typed_type, since, after, from_level=before, to_level=at_end, part=part)

    listing = listing_of(movers, visit.part("movers"))
    query = {"type": kind, "every": every.value, "since": chosen["since"], "until": chosen["until"]}
    if migration is not None:
        query |= {"since": day_text(migration.since_us), "until": day_text(migration.until_us - DAY_US)}
    page = OverTimePage(
        types=types,
        type=kind,
        every=every.value,
        each=each,
        lines=_lines(series, visit.now(), query),
        levels=names,
        tones=tuple(_tone(place, len(names)) for place in range(len(names))),
        since=query["since"],
        until=query["until"],
        migration=migration,
        most_moves=MOST_MOVES,
        rows=None if migration is None else _rows(migration, query, (chosen["from"], chosen["to"])),
        from_level=chosen["from"],
        to_level=chosen["to"],
        listing=listing,
        next=visit.next_of("movers", listing.rows),
    )
    title = text("Portfolio over time")
    return Rendered(template="levels/over_time.html", title=title, page=page, status=listing.status)


def _migration(visit: Visit, kind: str, chosen: Mapping[str, str]) -> Migration | None:
    """Read who moved; None for days that are wrong, of which the list of movers says why."""
    try:
        return read_migration(visit, kind, *_days(chosen))
    except ConfigError:
        return None


def _days(chosen: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Read the first moment and the one after the last day; ConfigError for any other text."""
    since, until = (_moment(chosen, name) for name in ("since", "until"))
    return since, None if until is None else until + DAY_US


def _moment(chosen: Mapping[str, str], name: str) -> int | None:
    return read_day(chosen[name], name) if chosen[name] else None


def _lines(series: Sequence[LevelsAtMoment], now_us: int, base_query: dict[str, str]) -> tuple[SeriesLine, ...]:
    columns = share_columns([[level.entities for level in at.levels] for at in series])
    lines = []
    for at, column in zip(series, columns, strict=True):
        last = day_text(min(at.until_us - DAY_US, now_us - now_us % DAY_US))
        query = {**base_query, "since": day_text(at.since_us), "until": last}
        lines.append(SeriesLine(label=last, at=at, column=column, query=query))
    return tuple(lines)


def _tone(place: int, levels: int) -> int:
    """Give the colour of a level, from 1 for the lowest to `TONES` for the highest.

    >>> [_tone(place, 4) for place in range(4)]
    [1, 2, 4, 5]
    """
    return 1 + round((TONES - 1) * place / max(levels - 1, 1))


def _move(migration: Migration, before: str | None, after: str | None) -> str:
    """Tell how an entity moved: up, down, stay, first (from no level), or lost (to none, which is not lower)."""
    if before == after:
        return "stay"
    if before is None or after is None:
        return "first" if before is None else "lost"
    return "up" if migration.levels.index(after) > migration.levels.index(before) else "down"


def _count(migration: Migration | None, move: str) -> int:
    if migration is None or migration.cells is None:
        return 0
    return sum(cell.entities for cell in migration.cells if _move(migration, cell.from_level, cell.to_level) == move)


def _rows(
    migration: Migration, base_query: dict[str, str], chosen: tuple[str, str]
) -> tuple[tuple[str | None, tuple[MoveField, ...]], ...] | None:
    """Lay the cells out: the highest level before in the first row, the lowest at the end in the first column."""
    if migration.cells is None:
        return None
    counts = {(cell.from_level, cell.to_level): cell.entities for cell in migration.cells}

    def field(before: str | None, after: str | None) -> MoveField:
        entities, move = counts.get((before, after), 0), _move(migration, before, after)
        ends = (before or NO_LEVEL, after or NO_LEVEL)
        return MoveField(
            entities=entities,
            move=move,
            chosen=ends == chosen,
            query={**base_query, "from": ends[0], "to": ends[1]} if move != "stay" and entities else None,
        )

    columns = (*migration.levels, None)
    return tuple(
        (before, tuple(field(before, after) for after in columns)) for before in (*reversed(migration.levels), None)
    )
