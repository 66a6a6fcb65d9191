"""Comparison of counters with the rows they count: portfolios with standings, moves of each day with transitions.

Triggers keep the counters, and nothing else proves them. One statement recounts each table. Its result has a row for
each cell that differs, or that has an uncountable number: infinite, fractional, or beyond 64 bits. `repair` corrects
the counters. Begins no transaction.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, text

from fivefold.domain.clock import DAY_US
from fivefold.domain.text import count_text

_PART: Final = 1_000_000_000
"""Numbers are added up in two parts, as quotient and remainder of this: a sum of 64 bits could overflow."""
_MOST_SUM: Final = 2**63 - 1
"""The largest sum that a counter can keep."""
_MOST: Final = "9.2e16"
"""The cents of a larger value do not fit 64 bits."""


@dataclass(frozen=True, kw_only=True)
class _Counter:
    """A table of counters.

    Attributes:
        name: of the table.
        of: the rows that it counts, in words.
        cell: the columns that identify a group of rows counted together.
        sums: the columns that count; those of several connections are added up.
        recount: SELECT that returns for a row the cell, -1, how many of its numbers cannot be counted, and what it
            adds to each sum; `{of}` is the condition on the organisation.
    """

    name: str
    of: str
    cell: tuple[str, ...]
    sums: tuple[str, ...]
    recount: str

    def query(self, of: str, countable: str) -> str:
        """Select the cells with a sum that differs or a number that cannot be counted.

        For each side, first the counters and then the rows: how many numbers cannot be counted, and the two parts of
        each sum.

        Args:
            of: the condition on the organisation.
            countable: the condition that a column that counts has a valid number; `{0}` is its name.
        """
        cell = ", ".join(self.cell)
        parts = [f"({name} {operator} {_PART})" for name in self.sums for operator in "/%"]
        sides = [f"sum(CASE WHEN side = {side} THEN {part} ELSE 0 END)" for side in (1, -1) for part in ("bad", *parts)]
        quotients, remainders = ([f"sum(side * {part})" for part in parts[first::2]] for first in (0, 1))
        differs = [
            f"{remainder} % {_PART} <> 0 OR {quotient} <> -{remainder} / {_PART}"
            for quotient, remainder in zip(quotients, remainders, strict=True)
        ]
        return (
            f"SELECT {cell}, {', '.join(sides)} FROM {self._cells(of, countable)}"  # noqa: S608 (our own words)
            f" GROUP BY {cell} HAVING sum(bad) > 0 OR {' OR '.join(differs)} ORDER BY {cell}"
        )

    def count_anew(self, connection: Connection, place: tuple[Any, ...], sums: tuple[int, ...]) -> None:
        """Replace a cell's counters, of all connections, by one row with these sums; *place* has the cell's values."""
        cell = dict(zip(self.cell, place, strict=True))
        here = " AND ".join(f"{name} = :{name}" for name in self.cell)
        connection.execute(text(f"DELETE FROM {self.name} WHERE {here}"), cell)  # noqa: S608 (our own words)
        if any(sums):
            names, values = (", ".join(f"{mark}{name}" for name in (*self.cell, *self.sums)) for mark in ("", ":"))
            insert = f"INSERT INTO {self.name} (part, {names}) VALUES (0, {values})"  # noqa: S608 (our own words)
            connection.execute(text(insert), {**cell, **dict(zip(self.sums, sums, strict=True))})

    def _cells(self, of: str, countable: str) -> str:
        """Select both sides by row: cell, 1 for a counter or -1 for a counted row, uncountable numbers, amounts."""
        is_countable = [countable.format(name) for name in self.sums]
        uncountable = " + ".join(f"CASE WHEN {each} THEN 0 ELSE 1 END" for each in is_countable)
        counts = zip(self.sums, is_countable, strict=True)
        amounts = ", ".join(f"CASE WHEN {each} THEN {name} ELSE 0 END AS {name}" for name, each in counts)
        return (
            f"(SELECT {', '.join(self.cell)}, 1 AS side, {uncountable} AS bad, {amounts} FROM {self.name} c"  # noqa: S608 (our own words)
            f" WHERE TRUE{of} UNION ALL {self.recount.format(of=of)}) AS cells"
        )


_COUNTERS: Final = (
    _Counter(
        name="portfolio_counts",
        of="standings",
        cell=("organisation_id", "type_id", "level", "segment", "currency", "erased"),
        sums=("entities", "cents"),
        recount=(
            "SELECT c.organisation_id, c.type_id, coalesce(c.level, 0), coalesce(c.segment, ''),"  # noqa: S608 (our own words)
            " coalesce(c.value_currency, ''), c.erased, -1,"
            f" CASE WHEN c.expected_value NOT BETWEEN -{_MOST} AND {_MOST} THEN 1 ELSE 0 END, 1,"
            f" CASE WHEN c.expected_value BETWEEN -{_MOST} AND {_MOST}"
            " THEN CAST(round(c.expected_value * 100) AS BIGINT) ELSE 0 END"
            " FROM standings c WHERE TRUE{of}"
        ),
    ),
    _Counter(
        name="level_move_counts",
        of="transitions",
        cell=("organisation_id", "type_id", "day", "from_level", "to_level"),
        sums=("entities",),
        recount=(
            f"SELECT c.organisation_id, e.type_id, CASE WHEN c.at_us < 0 THEN 0 ELSE c.at_us / {DAY_US} END,"  # noqa: S608 (our own words)
            " coalesce(c.from_level, 0), coalesce(c.to_level, 0), -1, 0, 1"
            " FROM transitions c JOIN entities e ON e.id = c.entity_id WHERE TRUE{of}"
        ),
    ),
)

_COUNTABLE: Final = {"sqlite": "typeof({0}) = 'integer'"}
"""The condition on a column that counts, by dialect: SQLite keeps numbers of other kinds too, and text."""


@dataclass(frozen=True, kw_only=True)
class CounterDifference:
    """A cell whose counters differ from what they count.

    Attributes:
        of: the rows that they count, in words.
        cell: the columns of the cell but the organisation, in words.
        counted: the sums of the counters, in words.
        there: the sums of the rows, in words.
        obstacle: why `repair` cannot recount the cell, in words; empty if it can.
        place: the values of the columns that identify the cell.
        sums: the sums of the rows, of countable numbers.
    """

    organisation_id: int
    table: str
    of: str
    cell: str
    counted: str
    there: str
    obstacle: str
    place: tuple[Any, ...]
    sums: tuple[int, ...]


def differences(connection: Connection, organisation_id: int | None = None) -> Iterator[CounterDifference]:
    """Recount, for one organisation or all, and yield the cells that differ."""
    organisations = set(connection.scalars(text("SELECT id FROM organisations")))
    for counter in _COUNTERS:
        for row in _differing_rows(connection, counter, organisation_id):
            width, half = len(counter.cell), 1 + 2 * len(counter.sums)
            place, counted, there = row[:width], row[width : width + half], row[width + half :]
            sums = _sums(*there[1:])
            obstacle = "" if place[0] in organisations else "an organisation of that number does not exist"
            if there[0] or any(abs(each) > _MOST_SUM for each in sums):
                obstacle = f"its {counter.of} have numbers beyond what can be counted"
            cell = [f"{name} {value!r}" for name, value in zip(counter.cell[1:], place[1:], strict=True)]
            yield CounterDifference(
                organisation_id=place[0],
                table=counter.name,
                of=counter.of,
                cell=", ".join(cell),
                counted=_words(counter, *counted),
                there=_words(counter, *there),
                obstacle=obstacle,
                place=place,
                sums=sums,
            )


def _differing_rows(
    connection: Connection, counter: _Counter, organisation_id: int | None
) -> Iterator[tuple[Any, ...]]:
    of = "" if organisation_id is None else f" AND c.organisation_id = {organisation_id:d}"
    countable = _COUNTABLE.get(connection.dialect.name, "TRUE")
    with connection.execute(text(counter.query(of, countable))) as rows:
        for row in rows:
            yield tuple(row)


def repair(connection: Connection, organisation_id: int) -> dict[str, int]:
    """Correct an organisation's differing counters; return by table how many cells were corrected. Writers wait.

    Cells with an obstacle stay as they are.
    """
    if connection.dialect.name == "postgresql":
        # The triggers write these tables with each row, so locking them suffices; and a role that may only add
        # transitions may not lock their table. In the order in which assessments write; another repair waits too.
        names = ", ".join(each.name for each in _COUNTERS)
        connection.execute(text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))
    counters = {each.name: each for each in _COUNTERS}
    cells = [each for each in differences(connection, organisation_id) if not each.obstacle]
    for cell in cells:
        counters[cell.table].count_anew(connection, cell.place, cell.sums)
    return dict(Counter(each.table for each in cells))


def _sums(*parts: int) -> tuple[int, ...]:
    """Compute each sum from its quotient and its remainder."""
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return tuple(int(quotient) * _PART + int(remainder) for quotient, remainder in pairs)


def _words(counter: _Counter, uncountable: int, *parts: int) -> str:
    """Describe the sums of a side, from their parts, and how many numbers are not in them."""
    words = [f"{value} {name}" for value, name in zip(_sums(*parts), counter.sums, strict=True)]
    if uncountable:
        words.append(f"{count_text(uncountable, 'number')} beyond what can be counted")
    return ", ".join(words)
