"""Old rows, as the retention policy looks at them and takes them out. Nothing here begins or ends a transaction."""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, delete, tuple_
from sqlalchemy.orm import Session

from fivefold.store.audit.bound_rows import Digests
from fivefold.store.evidence.holds import held_entities, lock_related

Reached = Sequence[Any] | None
"""Behind which row the next part begins, as JSON can hold it; None for the first part, and behind the last one."""


class Scope(NamedTuple):
    """Which rows are old, and what time it is.

    Attributes:
        before_us: what is dated before is old; microseconds.
        now_us: the present by which holds end; for a run, no later than the one by which rows are old.
        run_id: the number of the run that removes; 0 where nothing is removed.
    """

    organisation_id: int
    before_us: int
    now_us: int
    run_id: int = 0


class OldRow(NamedTuple):
    """An old row on which nothing rests: how it is named among those of its kind, and of when it is.

    Attributes:
        entity_id: whom it is about; None where it is about nobody.
    """

    key: tuple[int, ...]
    at_us: int
    entity_id: int | None = None


class OldRows(NamedTuple):
    """A part of the old rows.

    Attributes:
        removable: those on which nothing rests.
        kept: how many others there are in this part.
    """

    removable: Sequence[OldRow]
    kept: int
    reached: Reached


class Removed(NamedTuple):
    """What was taken out.

    Attributes:
        rows: some of those that were removable may be another's at this moment, or needed by now: these stay.
        lines: what the audit log has a digest of, a line for each row; none for kinds that it says nothing of.
        bound: digests of rows that lost a part of what they held, for an entry of the audit log about this part.
    """

    rows: Sequence[OldRow]
    lines: Sequence[str] = ()
    bound: Digests = MappingProxyType({})


class Removal(NamedTuple):
    """How a kind of rows is removed.

    Attributes:
        look: gives the part of the old rows behind a place, of so many rows at most.
        remove: takes rows of such a part out.
    """

    look: Callable[[Session, Scope, Reached, int], OldRows]
    remove: Callable[[Session, Scope, Sequence[OldRow]], Removed]


NOTHING: Final = OldRows((), 0, None)
UNSEEN: Final = {"synchronize_session": False}
"""For statements on rows of which the session holds none."""


def without_held(session: Session, scope: Scope, rows: Sequence[OldRow], reached: Reached, kept: int = 0) -> OldRows:
    """Leave out the rows of those of whom nothing may be removed."""
    held = held_entities(session, _concerned(rows), scope.now_us) if rows else set()
    removable = [row for row in rows if row.entity_id not in held]
    return OldRows(removable, kept + len(rows) - len(removable), reached)


def free_once_locked(session: Session, scope: Scope, rows: Sequence[OldRow]) -> list[OldRow]:
    """Lock whom rows are about, and give the rows of those who are still not held; others are the next run's."""
    locked = lock_related(session, _concerned(rows))
    mine = [row for row in rows if row.entity_id is None or row.entity_id in locked]
    return list(without_held(session, scope, mine, None).removable)


def delete_rows(
    session: Session, table: type[Any], columns: Sequence[Any], rows: Sequence[OldRow], *still: ColumnElement[bool]
) -> Removed:
    """Delete rows by their keys, of which *still* holds: PostgreSQL asks it anew of a row that it had to wait for."""
    keys = [row.key for row in rows]
    if not keys:
        return Removed(())
    statement = delete(table).where(tuple_(*columns).in_(keys), *still).returning(*columns)
    gone = {tuple(key) for key in session.execute(statement.execution_options(**UNSEEN))}
    return Removed([row for row in rows if row.key in gone])


def _concerned(rows: Sequence[OldRow]) -> set[int]:
    return {row.entity_id for row in rows if row.entity_id is not None}
