"""Counters beside what they count: portfolios beside their standings, moves of each day beside their transitions.

Triggers keep the counters, and nothing else proves them. Each is counted anew with one statement, whose result has a
row for each cell that differs, or that has a number which cannot be counted: infinite, in fractions, or beyond 64 bits.
`repair` lets the counters say what is there. Begins no transaction.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from fivefold.domain.clock import DAY_US

_PART: Final = 1_000_000_000
"""Numbers are added up in two parts, as quotient and remainder of this: a sum of 64 bits could overflow."""
_MOST: Final = "9.2e16"
"""Of a value beyond this the cents have no 64 bits."""


@dataclass(frozen=True, kw_only=True)
class _Counter:
    """A table of counters.

    Attributes:
        name: of the table.
        of: what it counts, in words.
        cell: the columns that name what is counted together.
        sums: the columns that count; those of several connections are added up.
        recount: SELECT of the cell, of -1, of how many numbers of the row cannot be counted, and of what the row adds
            to each sum; `{of}` is the condition on the organisation.
    """

    name: str
    of: str
    cell: tuple[str, ...]
    sums: tuple[str, ...]
    recount: str

    def query(self, of: str, countable: str) -> str:
        """The cells of which a sum differs, or that have a number which cannot be counted; with both sides.

        Of each side, counted and then there: how many numbers cannot be counted, and the two parts of each sum.

        Args:
            of: the condition on the organisation.
            countable: that on a column which counts; `{0}` is its name.
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

    def count_again(self, of: str) -> str:
        """Insert what is there as the counters, of which there are none: INSERT, as of one connection."""
        cell = ", ".join(self.cell)
        amounts = ", ".join(f"CAST(sum({name}) AS BIGINT)" for name in self.sums)
        return (
            f"INSERT INTO {self.name} ({cell}, part, {', '.join(self.sums)})"  # noqa: S608 (our own words)
            f" SELECT {cell}, 0, {amounts} FROM {self._cells(of, 'TRUE')} GROUP BY {cell}"
        )

    def _cells(self, of: str, countable: str) -> str:
        """Both sides, row by row: the cell, 1 for a counter and -1 for what is there, what is bad, and the amounts."""
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


@dataclass(frozen=True)
class CounterDifference:
    """A cell whose counters differ from what they count.

    Attributes:
        of: what they count, in words.
        cell: where, in words.
        counted: what the counters say, in words.
        there: what is there, likewise.
    """

    organisation_id: int
    table: str
    of: str
    cell: str
    counted: str
    there: str


def differences(connection: Connection, organisation_id: int | None = None) -> Iterator[CounterDifference]:
    """Count anew, of one organisation or of all, and yield the cells that differ."""
    of = _condition(organisation_id)
    countable = _COUNTABLE.get(connection.dialect.name, "TRUE")
    for counter in _COUNTERS:
        width, half = len(counter.cell), 1 + 2 * len(counter.sums)
        with connection.execute(text(counter.query(of, countable))) as rows:
            for row in rows:
                cell = [f"{name} {value!r}" for name, value in zip(counter.cell[1:], row[1:width], strict=True)]
                yield CounterDifference(
                    organisation_id=row[0],
                    table=counter.name,
                    of=counter.of,
                    cell=", ".join(cell),
                    counted=_sums(counter, *row[width : width + half]),
                    there=_sums(counter, *row[width + half :]),
                )


def repair(connection: Connection, organisation_id: int) -> dict[str, int]:
    """Count an organisation's differing counters anew; tell by table how many cells differed. Writers wait meanwhile.

    Of numbers that cannot be counted nothing is counted; they remain a difference.
    """
    if connection.dialect.name == "postgresql":
        # The triggers write here together with each row, so nothing is half counted; and a role that may only add
        # transitions may lock no table of them. In the order in which assessments write; another repair waits too.
        names = ", ".join(each.name for each in _COUNTERS)
        connection.execute(text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))
    cells = Counter(each.table for each in differences(connection, organisation_id))
    of = _condition(organisation_id)
    for counter in _COUNTERS:
        if cells[counter.name]:
            connection.execute(text(f"DELETE FROM {counter.name} AS c WHERE TRUE{of}"))  # noqa: S608 (our own words)
            connection.execute(text(counter.count_again(of)))
    return dict(cells)


def _condition(organisation_id: int | None) -> str:
    return "" if organisation_id is None else f" AND c.organisation_id = {organisation_id:d}"


def _sums(counter: _Counter, uncountable: int, *parts: int) -> str:
    """Write the sums of a side from their parts, and how many numbers are not in them."""
    pairs = zip(parts[::2], parts[1::2], strict=True)
    sums = [int(quotient) * _PART + int(remainder) for quotient, remainder in pairs]
    words = [f"{value} {name}" for value, name in zip(sums, counter.sums, strict=True)]
    if uncountable:
        words.append(f"{uncountable} {'number' if uncountable == 1 else 'numbers'} beyond what can be counted")
    return ", ".join(words)
