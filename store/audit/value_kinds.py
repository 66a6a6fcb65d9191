"""Stored values of the wrong kind for their column, such as text in a column of moments: SQLite accepts them.

No program writes such a value, and the comparison of history cannot read it. PostgreSQL refuses them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from fivefold.store.audit.bound_rows import OF_ENTITY

_ORGANISATION: Final = "r.organisation_id"
_TABLES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("transactions", "corrections", "assessments", "transitions", "decisions"), _ORGANISATION),
    **dict.fromkeys(("standings", "overrides", "list_versions", "rate_tables", "input_layouts"), _ORGANISATION),
    "assessment_inputs": OF_ENTITY,
}
"""The tables whose values are read when history is compared, and the organisation of a row *r*, as SQL."""
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "INT": ("integer",),
    "BOOL": ("integer",),
    "CHAR": ("text",),
    "TEXT": ("text",),
    "FLOAT": ("real", "integer"),
}
"""The kinds of values, as SQLite names them, by a part of the name of the column's type; other types take any."""


@dataclass(frozen=True)
class WrongValue:
    """A value of the wrong kind for its column.

    Attributes:
        row: the row's table and key, in words.
        kind: the kind of the value.
        right_kind: the kind that the column takes.
    """

    organisation_id: int
    row: str
    column: str
    kind: str
    right_kind: str


def wrong_values(connection: Connection, organisation_id: int | None) -> Iterator[WrongValue]:
    """Yield the values of the wrong kind for their column, of one organisation or all."""
    if connection.dialect.name != "sqlite":
        return
    for table, organisation in _TABLES.items():
        kinds, key = _columns(connection, table)
        of = "" if organisation_id is None else f" AND {organisation} = {organisation_id:d}"
        wrong = " OR ".join(f"typeof(r.{name}) NOT IN ({_list(*right, 'null')})" for name, right in kinds.items())
        columns = ", ".join([organisation, *(f"r.{name}" for name in key), *(f"typeof(r.{name})" for name in kinds)])
        query = f"SELECT {columns} FROM {table} r WHERE ({wrong}){of}"  # noqa: S608 (our own words)
        for number, *values in connection.exec_driver_sql(query):
            row = f"row of {table} {'.'.join(map(str, values[: len(key)]))}"
            for (name, right), kind in zip(kinds.items(), values[len(key) :], strict=True):
                if kind not in (*right, "null"):
                    yield WrongValue(number, row, name, kind, right[0])


def _columns(connection: Connection, table: str) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return the kinds that each column of a table takes, and the columns of its key in their order."""
    rows = connection.exec_driver_sql(f"PRAGMA table_info({table})").all()
    kinds = {row[1]: right for row in rows for part, right in _KINDS.items() if part in row[2].upper()}
    return kinds, [row[1] for row in sorted(rows, key=lambda row: row[5]) if row[5]]


def _list(*words: str) -> str:
    return ", ".join(f"'{word}'" for word in words)
