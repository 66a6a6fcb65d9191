"""The history that the audit log implies, kept in a temporary file during the comparison, so memory does not grow."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class SealedBatch:
    """A batch as an entry sealed it; `salt` and `marks` are None after their erasure."""

    batch: int
    organisation_id: int
    number: int
    count: int
    digest: str
    salt: str | None
    marks: str | None


@dataclass(frozen=True)
class ExpectedDecision:
    """A decision as its entry records it, by its columns; texts by their digests, which are None once erased."""

    id: int
    organisation_id: int
    number: int
    content: Mapping[str, Any]


@dataclass(frozen=True)
class ExpectedRow:
    """The columns of a row that entries record; `number` is that of the last of these entries."""

    number: int
    content: Mapping[str, Any]


class Expectations:
    """A temporary database, deleted when it is closed."""

    def __init__(self) -> None:
        """Create the database; SQLite keeps one without a name in a file that it deletes."""
        self._database = sqlite3.connect("")
        self._database.executescript(
            "CREATE TABLE sealed (kind TEXT, batch INTEGER, organisation_id INTEGER, number INTEGER, count INTEGER,"
            " digest TEXT, salt TEXT, marks TEXT, PRIMARY KEY (kind, batch)) WITHOUT ROWID;"
            "CREATE TABLE decisions (id INTEGER PRIMARY KEY, organisation_id INTEGER, number INTEGER, content TEXT);"
            "CREATE TABLE row_entries (kind TEXT, organisation_id INTEGER, subject TEXT, number INTEGER, content TEXT,"
            " PRIMARY KEY (kind, organisation_id, subject)) WITHOUT ROWID;"
            "CREATE TABLE erased_entities (organisation_id INTEGER, entity_id INTEGER,"
            " PRIMARY KEY (organisation_id, entity_id)) WITHOUT ROWID;"
            "CREATE TABLE emptied (organisation_id INTEGER, number INTEGER);"
            "CREATE TABLE erased (organisation_id INTEGER, first INTEGER, last INTEGER);"
            "CREATE INDEX ix_erased ON erased (organisation_id, first, last);"
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Delete the database."""
        self._database.close()

    def add_sealed(self, kind: str, sealed: SealedBatch) -> None:
        """Expect a batch; a later entry about the same batch replaces an earlier one."""
        row = (kind, *vars(sealed).values())
        self._database.execute("INSERT OR REPLACE INTO sealed VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def add_decision(self, decision: ExpectedDecision) -> None:
        """Expect a decision."""
        row = (decision.id, decision.organisation_id, decision.number, json.dumps(decision.content))
        self._database.execute("INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?)", row)

    def add_row(self, kind: str, organisation_id: int, subject: str, number: int, content: Mapping[str, Any]) -> None:
        """Expect a row; a later entry about the same row replaces an earlier one."""
        row = (kind, organisation_id, subject, number, json.dumps(content))
        self._database.execute("INSERT OR REPLACE INTO row_entries VALUES (?, ?, ?, ?, ?)", row)

    def row(self, kind: str, organisation_id: int, subject: str) -> ExpectedRow | None:
        """Return the expectation for a row, if there is one."""
        query = "SELECT number, content FROM row_entries WHERE kind = ? AND organisation_id = ? AND subject = ?"
        row = self._database.execute(query, (kind, organisation_id, subject)).fetchone()
        return None if row is None else ExpectedRow(row[0], json.loads(row[1]))

    def take_row(self, kind: str, organisation_id: int, subject: str) -> ExpectedRow | None:
        """Remove the expectation for a row, and return it."""
        row = self.row(kind, organisation_id, subject)
        deletion = "DELETE FROM row_entries WHERE kind = ? AND organisation_id = ? AND subject = ?"
        self._database.execute(deletion, (kind, organisation_id, subject))
        return row

    def rows_left(self, kind: str) -> Iterator[tuple[int, str, int]]:
        """Yield the rows that are still expected: organisation, subject, number of the last entry."""
        query = (
            "SELECT organisation_id, subject, number FROM row_entries WHERE kind = ? ORDER BY organisation_id, number"
        )
        yield from self._database.execute(query, (kind,))

    def add_emptied(self, organisation_id: int, number: int) -> None:
        """Note that the values of an entry were erased."""
        self._database.execute("INSERT INTO emptied VALUES (?, ?)", (organisation_id, number))

    def add_erased(self, organisation_id: int, ranges: Iterable[tuple[int, int]]) -> None:
        """Note that an erasure emptied the entries of these number ranges, both ends included."""
        rows = ((organisation_id, first, last) for first, last in ranges)
        self._database.executemany("INSERT INTO erased VALUES (?, ?, ?)", rows)

    def add_erased_entities(self, organisation_id: int, entity_ids: Iterable[int]) -> None:
        """Note that an erasure erased these entities."""
        rows = ((organisation_id, entity_id) for entity_id in entity_ids)
        self._database.executemany("INSERT OR IGNORE INTO erased_entities VALUES (?, ?)", rows)

    def any_erased(self, organisation_id: int, entity_ids: Iterable[int]) -> bool:
        """Return whether one of some entities was erased."""
        query = "SELECT 1 FROM erased_entities WHERE organisation_id = ? AND entity_id = ?"
        return any(self._database.execute(query, (organisation_id, each)).fetchone() for each in entity_ids)

    def sealed(self, kind: str) -> Iterator[SealedBatch]:
        """Yield the batches that are expected, by their numbers."""
        query = "SELECT batch, organisation_id, number, count, digest, salt, marks FROM sealed WHERE kind = ?"
        for row in self._database.execute(f"{query} ORDER BY batch", (kind,)):
            yield SealedBatch(*row)

    def decisions(self) -> Iterator[ExpectedDecision]:
        """Yield the decisions that are expected, by their numbers."""
        for row in self._database.execute("SELECT * FROM decisions ORDER BY id"):
            yield ExpectedDecision(row[0], row[1], row[2], json.loads(row[3]))

    def emptied_without_erasure(self) -> Iterator[tuple[int, int]]:
        """Yield organisation and number of entries whose values are missing without an erasure that explains it."""
        erasures = (
            "SELECT 1 FROM erased e WHERE e.organisation_id = m.organisation_id AND m.number BETWEEN first AND last"
        )
        yield from self._database.execute(
            f"SELECT organisation_id, number FROM emptied m WHERE NOT EXISTS ({erasures}) ORDER BY 1, 2"  # noqa: S608 (our own words)
        )
