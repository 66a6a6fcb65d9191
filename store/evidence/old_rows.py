"""Old rows, as the retention policy looks at them and takes them out. Nothing here begins or ends a transaction."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy.orm import Session

from fivefold.store.evidence.holds import held_entities

Reached = Sequence[Any] | None
"""Behind which row the next part begins, as JSON can hold it; None for the first part, and behind the last one."""


class Scope(NamedTuple):
    """Which rows are old, and what time it is.

    Attributes:
        before_us: what is dated before is old; microseconds, as is `now_us`.
        run_id: the number of the run that removes; 0 where nothing is removed.
    """

    organisation_id: int
    before_us: int
    now_us: int
    run_id: int = 0


class OldRow(NamedTuple):
    """An old row on which nothing rests: how it is named among those of its kind, and of when it is."""

    key: tuple[int, ...]
    at_us: int


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
    """

    rows: Sequence[OldRow]
    lines: Sequence[str] = ()


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


def without_held(
    session: Session, scope: Scope, rows: Sequence[tuple[int, OldRow]], reached: Reached, kept: int = 0
) -> OldRows:
    """Leave out the rows of those of whom nothing may be removed; each comes with the number of its entity."""
    held = held_entities(session, {entity for entity, _ in rows}, scope.now_us) if rows else set()
    removable = [row for entity, row in rows if entity not in held]
    return OldRows(removable, kept + len(rows) - len(removable), reached)
