"""A portfolio over time: the numbers at each level at the ends of months, the moves between levels, and the movers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Final

from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, from_microseconds, require_days, to_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.ingest.entities import type_named
from fivefold.store.portfolio.moves import (
    DayMoves,
    MoverCounts,
    Period,
    entities_by_level,
    first_day,
    moved_between,
    movers_between,
    moves_by_day,
)
from fivefold.usecases.portfolio.current_levels import level_places
from fivefold.usecases.portfolio.transitions import LevelReached, shower_of
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context

MOST_PERIODS: Final = 60
USUAL_PERIODS: Final = 13
USUAL_DAYS: Final = 30
MOST_DAYS: Final = 3_660
MOST_MOVES: Final = 100_000
"""The most rises and falls of a period for which cells are counted: more take seconds to read."""


class Every(StrEnum):
    """The distance between the moments of a series."""

    MONTH = "month"
    WEEK = "week"
    DAY = "day"


@dataclass(frozen=True, kw_only=True)
class LevelEntities:
    """The number of entities at a level."""

    level: str
    entities: int


@dataclass(frozen=True, kw_only=True)
class LevelsAtMoment:
    """The number of entities at each level before a moment, the lowest level first; `entities`: those with a level.

    `rises` and `falls`: levels reached since the previous moment; `lost`: levels left for none, which is not a lower
    level.

    Attributes:
        since_us: the beginning of the period that the moment ends.
        until_us: the moment; the last one is still to come, and its figures are the present ones.
    """

    since_us: Annotated[Moment, shown_as("since")]
    until_us: Annotated[Moment, shown_as("until")]
    entities: int
    rises: int
    falls: int
    lost: int
    levels: tuple[LevelEntities, ...]


@dataclass(frozen=True, kw_only=True)
class LevelsOverTime:
    """The distribution of a type over the levels at the ends of months, weeks or days; the latest last."""

    every: Every
    moments: tuple[LevelsAtMoment, ...]


@dataclass(frozen=True, kw_only=True)
class MigrationCell:
    """The number of entities with one level before a period and another at its end; null stands for no level."""

    from_level: str | None
    to_level: str | None
    entities: int


@dataclass(frozen=True, kw_only=True)
class Migration:
    """The moves of the entities of a type in a period, and the number that stayed at their level.

    `moves`: rises and falls; beyond 100,000 the cells are not counted, and `cells` is null.

    Attributes:
        levels: the organisation's, the lowest first.
        since_us: the first moment, at midnight UTC.
        until_us: the moment after the last.
        cells: the cells that have entities; entities that stayed without a level are in none.
    """

    levels: tuple[str, ...]
    since_us: Annotated[Moment, shown_as("since")]
    until_us: Annotated[Moment, shown_as("until")]
    moves: int
    cells: tuple[MigrationCell, ...] | None


@dataclass(frozen=True, kw_only=True)
class Mover:
    """An entity whose level at the end of a period differs from that before it, and the last level that it reached.

    Attributes:
        from_level: the level before the period; None for no level.
        to_level: the level at its end; None for no level.
        left_us: when the entity left `from_level`.
        moves: the number of levels that it reached in the period.
        reached: the last of these: when, why, and by which activation.
    """

    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    from_level: str | None
    to_level: str | None
    left_us: Annotated[Moment, shown_as("left_at")]
    moves: int
    reached: LevelReached


def levels_over_time(
    context: Context, type_name: str, every: Every = Every.MONTH, periods: int = USUAL_PERIODS
) -> LevelsOverTime:
    """Return the numbers at each level at the ends of months, weeks (from Monday) or days in UTC, the latest last.

    The first period is the first one in which an entity had a level. NotFoundError if there is no such type;
    ConfigError unless *periods* is from 1 to `MOST_PERIODS`.
    """
    if not 1 <= periods <= MOST_PERIODS:
        raise ConfigError(f"there are {periods} periods; there can be 1 to {MOST_PERIODS}")
    ends = list(_ends(from_microseconds(context.now()).date(), every, periods))
    with context.reading() as session:
        of, kind = context.organisation_id, type_named(session, context.organisation_id, type_name).id
        names = levels_of(session, of)
        begins = first_day(session, of, kind)
        if begins is None:
            return LevelsOverTime(every=every, moments=())
        moments = _levels_at(session, of, kind, ends, names, context.now() // DAY_US)
    begins_us = min(begins * DAY_US, context.now())
    return LevelsOverTime(every=every, moments=tuple(each for each in moments if each.until_us > begins_us))


def levels_at_month_ends(
    session: Session, organisation_id: int, type_id: int, last: date, months: int, now_us: int
) -> list[LevelsAtMoment]:
    """Return the numbers at each level of a type at the ends of some months; *last* is a day of the last one."""
    names, ends = levels_of(session, organisation_id), list(_ends(last, Every.MONTH, months))
    return _levels_at(session, organisation_id, type_id, ends, names, now_us // DAY_US)


def _levels_at(
    session: Session,
    organisation_id: int,
    type_id: int,
    ends: Sequence[tuple[int, int]],
    names: Sequence[str],
    today: int,
) -> list[LevelsAtMoment]:
    """Count back from now through consecutive periods, given the latest first; return them with the latest last."""
    moves = moves_by_day(session, organisation_id, type_id, ends[-1][0], today)
    later = [each for each in moves if each.day >= ends[0][1]]
    moments, at_end = [], _without(entities_by_level(session, organisation_id, type_id), later)
    for since, until in ends:
        inside = [each for each in moves if since <= each.day < until]
        moments.append(_at(since, until, at_end, inside, names))
        at_end = _without(at_end, inside)
    return moments[::-1]


def read_migration(
    context: Context, type_name: str, since_us: int | None = None, until_us: int | None = None
) -> Migration:
    """Return the moves of the entities of a type in a period, by default in the last `USUAL_DAYS`.

    The period has whole days: from the day of *since_us* to the day before that of *until_us*. NotFoundError if there
    is no such type; ConfigError if the period is empty or longer than `MOST_DAYS`.
    """
    since, until = days_of(context.now(), since_us, until_us)
    with context.reading() as session:
        of, kind = context.organisation_id, type_named(session, context.organisation_id, type_name).id
        names = levels_of(session, of)
        today = context.now() // DAY_US
        moves_of_days = moves_by_day(session, of, kind, since, today)
        within = [each for each in moves_of_days if since <= each.day < until]
        moves = sum(each.entities for each in within if each.from_level)
        span = Period(organisation_id=of, type_id=kind, since_day=since, until_day=until, today=today)
        cells = None
        if moves <= MOST_MOVES:
            mover_counts = moved_between(session, span) if moves else MoverCounts({}, {})
            at_end = _without(
                entities_by_level(session, of, kind), [each for each in moves_of_days if each.day >= until]
            )
            cells = _cells(within, mover_counts, at_end, (None, *names))
    return Migration(levels=names, since_us=since * DAY_US, until_us=until * DAY_US, moves=moves, cells=cells)


def list_movers(
    context: Context,
    type_name: str,
    since_us: int | None = None,
    until_us: int | None = None,
    *,
    from_level: str | None = None,
    to_level: str | None = None,
    part: Part = WHOLE,
) -> Page[Mover]:
    """List entities whose levels before a period and at its end differ; the last to leave its level comes first.

    *from_level* and *to_level* are names, or `NO_LEVEL`; without *from_level* all that had a level are listed. Erased
    entities are counted by `read_migration`, but not listed. Errors as there; also ConfigError for an unknown level.
    """
    since, until = days_of(context.now(), since_us, until_us)
    with context.reading() as session:
        of, kind = context.organisation_id, type_named(session, context.organisation_id, type_name).id
        names = levels_of(session, of)
        today = context.now() // DAY_US
        span = Period(organisation_id=of, type_id=kind, since_day=since, until_day=until, today=today)
        page = movers_between(session, span, _number(from_level, names), _number(to_level, names), part)
        show = shower_of(session, context.organisation_id, [row.last for row in page], names)
        level_names = (None, *names)
        return page.map(
            lambda row: Mover(
                entity_type=row.last.entity_type,
                external_id=row.last.external_id,
                from_level=level_names[row.from_level or 0],
                to_level=level_names[row.last.transition.to_level or 0],
                left_us=row.left_us,
                moves=row.moves,
                reached=show(row.last),
            )
        )


def days_of(now_us: int, since_us: int | None, until_us: int | None) -> tuple[int, int]:
    """Return a period as whole days since 1970; ConfigError if it is empty or longer than `MOST_DAYS`.

    >>> days_of(100 * DAY_US + 5, None, None)
    (71, 101)
    """
    until = (now_us + DAY_US if until_us is None else until_us) // DAY_US
    since = until - USUAL_DAYS if since_us is None else since_us // DAY_US
    require_days("time", since, until, MOST_DAYS)
    return since, until


def _ends(today: date, every: Every, periods: int) -> Iterator[tuple[int, int]]:
    """Yield the first day of each period and the day after its last, as days since 1970, the present period first.

    >>> list(_ends(date(1970, 2, 22), Every.MONTH, 2))
    [(31, 59), (0, 31)]
    """
    until = today + timedelta(days=1)
    for _ in range(periods):
        last = until - timedelta(days=1)
        if every is Every.MONTH:
            since = last.replace(day=1)
            whole = (since + timedelta(days=31)).replace(day=1)
        elif every is Every.WEEK:
            since = last - timedelta(days=last.weekday())
            whole = since + timedelta(days=7)
        else:
            since, whole = last, until
        yield _day(since), _day(whole)
        until = since


def _day(moment: date) -> int:
    return to_microseconds(moment) // DAY_US


def _at(
    since_day: int, until_day: int, at_end: Mapping[int, int], inside: Sequence[DayMoves], names: Sequence[str]
) -> LevelsAtMoment:
    """Count the moves of a period, and the entities at each level at its end, never below 0."""
    there = {level: max(entities, 0) for level, entities in at_end.items()}
    moves = [each for each in inside if each.from_level]
    return LevelsAtMoment(
        since_us=since_day * DAY_US,
        until_us=until_day * DAY_US,
        entities=sum(there.values()),
        rises=sum(each.entities for each in moves if each.to_level > each.from_level),
        falls=sum(each.entities for each in moves if 0 < each.to_level < each.from_level),
        lost=sum(each.entities for each in moves if not each.to_level),
        levels=tuple(
            LevelEntities(level=name, entities=there.get(number, 0)) for number, name in enumerate(names, start=1)
        ),
    )


def _without(there: Mapping[int, int], moves: Iterable[DayMoves]) -> Counter[int]:
    """Return the number of entities at each level before some moves, from the numbers after them."""
    before = Counter(there)
    for each in moves:
        before[each.to_level] -= each.entities
        before[each.from_level] += each.entities
    del before[0]
    return before


def _cells(
    within: Sequence[DayMoves],
    mover_counts: MoverCounts,
    at_end: Mapping[int, int],
    names: Sequence[str | None],
) -> tuple[MigrationCell, ...]:
    """Add to the cells of the movers the entities that got a first level and kept it, and those that stayed."""
    cells = Counter(mover_counts.ends)
    for each in within:
        if not each.from_level:
            cells[0, each.to_level] += each.entities
    for level, entities in mover_counts.first.items():
        cells[0, level] -= entities
    for level, entities in at_end.items():
        came = sum(count for (before, after), count in cells.items() if after == level != before)
        # A clock ahead may have dated a move after later ones: then a period may have the one without the other.
        cells[level, level] = max(entities - came, 0)
    return tuple(
        MigrationCell(from_level=names[before], to_level=names[after], entities=entities)
        for (before, after), entities in sorted(cells.items())
        if entities and (before or after)
    )


def _number(level: str | None, names: Sequence[str]) -> int | None:
    if level is None:
        return None
    return level_places([level], names)[0] or 0
