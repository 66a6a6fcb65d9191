"""Counters beside what they count: portfolios beside their standings, moves of each day beside their transitions.

Triggers keep the counters, and nothing else proves them. Each is counted anew with one statement, whose result has a
row for each cell that differs. Begins no transaction.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from fivefold.domain.clock import DAY_US


@dataclass(frozen=True, kw_only=True)
class _Counter:
    """A table of counters.

    Attributes:
        name: of the table.
        of: what it counts, in words.
        cell: the columns that name what is counted together.
        sums: the columns that count; those of several connections are added up.
        recount: SELECT of the cell and the sums, from what is counted; `{of}` is the condition on the organisation.
    """

    name: str
    of: str
    cell: tuple[str, ...]
    sums: tuple[str, ...]
    recount: str

    @property
    def query(self) -> str:
        """The cells of which a sum differs, with both: those that are counted, then those that are there."""
        cell = ", ".join(self.cell)
        nothing = ", ".join("0" for _ in self.sums)
        counted = ", ".join(f"{name} AS counted_{name}" for name in self.sums)
        there = ", ".join(f"0 AS there_{name}" for name in self.sums)
        both = [f"coalesce(sum({side}_{name}), 0)" for side in ("counted", "there") for name in self.sums]
        half = len(self.sums)
        differs = " OR ".join(f"{both[place]} <> {both[place + half]}" for place in range(half))
        return (
            f"SELECT {cell}, {', '.join(both)} FROM"  # noqa: S608 (our own words)
            f" (SELECT {cell}, {counted}, {there} FROM {self.name} c WHERE TRUE{{of}} UNION ALL"
            f" {self.recount.format(nothing=nothing, of='{of}')}) AS cells"
            f" GROUP BY {cell} HAVING {differs} ORDER BY {cell}"
        )


_COUNTERS: Final = (
    _Counter(
        name="portfolio_counts",
        of="standings",
        cell=("organisation_id", "type_id", "level", "segment", "currency", "erased"),
        sums=("entities", "cents"),
        recount=(
            "SELECT c.organisation_id, c.type_id, coalesce(c.level, 0), coalesce(c.segment, ''),"
            " coalesce(c.value_currency, ''), c.erased, {nothing}, count(*),"
            " sum(coalesce(CAST(round(c.expected_value * 100) AS BIGINT), 0))"
            " FROM standings c WHERE TRUE{of} GROUP BY 1, 2, 3, 4, 5, 6"
        ),
    ),
    _Counter(
        name="level_move_counts",
        of="transitions",
        cell=("organisation_id", "type_id", "day", "from_level", "to_level"),
        sums=("entities",),
        recount=(
            f"SELECT c.organisation_id, e.type_id, CASE WHEN c.at_us < 0 THEN 0 ELSE c.at_us / {DAY_US} END,"  # noqa: S608 (our own words)
            " coalesce(c.from_level, 0), coalesce(c.to_level, 0), {nothing}, count(*)"
            " FROM transitions c JOIN entities e ON e.id = c.entity_id WHERE TRUE{of} GROUP BY 1, 2, 3, 4, 5"
        ),
    ),
)


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
    of = "" if organisation_id is None else f" AND c.organisation_id = {organisation_id:d}"
    for counter in _COUNTERS:
        width, half = len(counter.cell), len(counter.sums)
        with connection.execute(text(counter.query.format(of=of))) as rows:
            for row in rows:
                cell = [f"{name} {value!r}" for name, value in zip(counter.cell[1:], row[1:width], strict=True)]
                yield CounterDifference(
                    organisation_id=row[0],
                    table=counter.name,
                    of=counter.of,
                    cell=", ".join(cell),
                    counted=_sums(counter, row[width : width + half]),
                    there=_sums(counter, row[width + half :]),
                )


def _sums(counter: _Counter, values: tuple[int, ...]) -> str:
    return ", ".join(f"{int(value)} {name}" for name, value in zip(counter.sums, values, strict=True))
