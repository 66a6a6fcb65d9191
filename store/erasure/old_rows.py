"""Old rows, as the retention policy examines and removes them. Nothing here begins or ends a transaction."""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, delete
from sqlalchemy.orm import Session

from fivefold.store.audit.bound_rows import Digests
from fivefold.store.erasure.holds import held_entities, lock_related
from fivefold.store.sql.arrays import rows_among
from fivefold.store.sql.statements import UNSEEN

ResumePoint = Sequence[Any] | None
"""The row after which the next part begins, as JSON values; None before the first part, and after the last one."""


class RetentionScope(NamedTuple):
    """Which rows are old, and the current time.

    Attributes:
        before_us: rows dated before it are old; microseconds.
        now_us: the time at which holds are checked; for a run, no later than the time by which rows are old.
        run_id: the number of the run that removes; 0 if nothing is removed.
    """

    organisation_id: int
    before_us: int
    now_us: int
    run_id: int = 0


class OldRow(NamedTuple):
    """An old row that nothing refers to: its key among those of its kind, and its moment.

    Attributes:
        entity_id: its entity; None if it has none.
    """

    key: tuple[int, ...]
    at_us: int
    entity_id: int | None = None


class OldRows(NamedTuple):
    """A part of the old rows.

    Attributes:
        removable: those that may be removed, as nothing refers to them.
        kept_count: the number of the others in this part.
        reached: where the next part begins.
    """

    removable: Sequence[OldRow]
    kept_count: int
    reached: ResumePoint


class RemovedRows(NamedTuple):
    """The result of a removal.

    Attributes:
        rows: the removed rows; removable rows that are locked, or needed by now, are kept.
        lines: a line for each row, for a digest in the audit log; empty for kinds without a digest.
        bound: digests of rows that lost a part of their content, for an entry of the audit log about this part.
    """

    rows: Sequence[OldRow]
    lines: Sequence[str] = ()
    bound: Digests = MappingProxyType({})


class Removal(NamedTuple):
    """How a kind of rows is removed.

    Attributes:
        look: returns the next part of the old rows after a position, of limited size.
        remove: removes rows of a part.
    """

    look: Callable[[Session, RetentionScope, ResumePoint, int], OldRows]
    remove: Callable[[Session, RetentionScope, Sequence[OldRow]], RemovedRows]


NOTHING: Final = OldRows((), 0, None)


def without_held(
    session: Session, now_us: int, rows: Sequence[OldRow], position: ResumePoint, kept_count: int = 0
) -> OldRows:
    """Leave out the rows of entities that are held now."""
    held_ids = held_entities(session, _concerned(rows), now_us) if rows else set()
    removable = [row for row in rows if row.entity_id not in held_ids]
    return OldRows(removable, kept_count + len(rows) - len(removable), position)


def free_once_locked(session: Session, now_us: int, rows: Sequence[OldRow]) -> list[OldRow]:
    """Lock the entities of rows, and return the rows that are still not held; the next run takes the others."""
    locked = lock_related(session, _concerned(rows))
    mine = [row for row in rows if row.entity_id is None or row.entity_id in locked]
    return list(without_held(session, now_us, mine, None).removable)


def delete_rows(
    session: Session, table: type[Any], columns: Sequence[Any], rows: Sequence[OldRow], *still: ColumnElement[bool]
) -> RemovedRows:
    """Delete rows by their keys if *still* holds; PostgreSQL evaluates it again for a row that it had to wait for."""
    keys = [row.key for row in rows]
    if not keys:
        return RemovedRows(())
    statement = delete(table).where(rows_among(session, columns, keys), *still).returning(*columns)
    deleted = {tuple(key) for key in session.execute(statement.execution_options(**UNSEEN))}
    return RemovedRows([row for row in rows if row.key in deleted])


def _concerned(rows: Sequence[OldRow]) -> set[int]:
    return {row.entity_id for row in rows if row.entity_id is not None}
