"""Due marks: who is to be assessed, from when, and why. Nothing here begins or ends a transaction.

A mark is set in the transaction of the fact that calls for it, and raises the revision. One that says it all already,
and that nobody is at, stays; its row is locked all the same, so that nobody claims it before the fact is there.
Quarantined ones wait until something new happens to them. `store.levels.leases` takes and clears marks.
"""

from collections.abc import Iterable
from enum import IntFlag
from typing import Any, NamedTuple, cast

from sqlalchemy import BigInteger, Integer, Table, and_, bindparam, case, func, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fivefold.store.sql.arrays import array_named
from fivefold.store.tables.levels import DueMark

EVENT, BULK = 0, 1
"""Priorities: what just happened to one goes before what happens to many."""


class Reason(IntFlag):
    """Why an entity is due; several may hold at once."""

    NEW = 1
    ATTRIBUTE = 2
    TRANSACTION = 4
    TAG = 8
    SCREENING = 16
    RECORD = 32
    VALUE = 64
    VIEW = 128
    INTERVAL = 256
    OVERRIDE = 512
    EXPIRY = 1024
    MOVE_DOWN = 2048
    DECAY = 4096
    LIST = 8192
    ACTIVATION = 16384
    DATED = 32768
    """Something known before begins or ends now: a tag, a transaction dated ahead."""
    CLOCK = 65536
    """What a clock that was ahead had written was mended."""


_MARKS = cast("Table", DueMark.__table__)
NEW = {"revision": 1, "attempts": 0, "quarantined": False}


def upsert(new: Any) -> Any:
    """Complete an insert of marks, so that where there is one already both hold: the earlier moment, all reasons."""
    earlier = case(
        (or_(_MARKS.c.due_us.is_(None), _MARKS.c.due_us > new.excluded.due_us), new.excluded.due_us),
        else_=_MARKS.c.due_us,
    )
    # A mark that lies in the future is of no weight yet: its priority is that of what comes first.
    waiting = and_(_MARKS.c.due_us.is_not(None), _MARKS.c.due_us <= new.excluded.due_us)
    urgent = case(
        (and_(waiting, _MARKS.c.priority < new.excluded.priority), _MARKS.c.priority), else_=new.excluded.priority
    )
    return new.on_conflict_do_update(
        index_elements=["entity_id"],
        set_={
            "revision": _MARKS.c.revision + 1,
            "due_us": earlier,
            "priority": urgent,
            "reasons": _MARKS.c.reasons.bitwise_or(new.excluded.reasons),
            # Whoever was at it may be gone by now: that is for the next claim to find out.
            "attempts": case((_MARKS.c.lease.is_(None), 0), else_=_MARKS.c.attempts),
            "quarantined": False,
            "error": None,
        },
        # PostgreSQL locks the others too, as its page of INSERT says.
        where=or_(
            _MARKS.c.lease.is_not(None),
            _MARKS.c.due_us.is_(None),
            _MARKS.c.due_us > new.excluded.due_us,
            _MARKS.c.priority > new.excluded.priority,
            _MARKS.c.reasons.bitwise_and(new.excluded.reasons) != new.excluded.reasons,
            _MARKS.c.attempts > 0,
            _MARKS.c.quarantined,
        ),
    )


def _of_arrays() -> Any:
    """Write the insert of PostgreSQL, which takes many rows several times faster as arrays than one by one."""
    types = {"entity_id": BigInteger, "organisation_id": Integer, "type_id": Integer}
    arrays = func.unnest(*(array_named(name, kind) for name, kind in types.items()))
    rows = arrays.table_valued(*types).render_derived("marked")
    said = {name: bindparam(name, type_=_MARKS.c[name].type) for name in ("due_us", "priority", "reasons")}
    said |= {name: literal(value) for name, value in NEW.items()}
    columns = [*types, *said]
    wanted = select(*(rows.c[name] for name in types), *said.values()).order_by(rows.c.entity_id)
    return postgresql.insert(_MARKS).from_select(columns, wanted)


_UPSERT = {"sqlite": upsert(sqlite.insert(_MARKS)), "postgresql": upsert(_of_arrays())}


class Subject(NamedTuple):
    """An entity as marks name it."""

    entity_id: int
    organisation_id: int
    type_id: int


def mark(session: Session, subjects: Iterable[Subject], reason: Reason, due_us: int, priority: int = EVENT) -> None:
    """Mark entities due, in the order of their numbers: two that took them otherwise would wait for each other."""
    of_each = {subject.entity_id: subject for subject in subjects}
    ordered = [of_each[entity_id] for entity_id in sorted(of_each)]
    if not ordered:
        return
    dialect = session.get_bind().dialect.name
    said = {"due_us": due_us, "priority": priority, "reasons": int(reason)}
    if dialect == "postgresql":
        columns = dict(zip(Subject._fields, zip(*ordered, strict=True), strict=True))
        session.connection().execute(_UPSERT[dialect], {**said, **columns})
    else:
        session.connection().execute(_UPSERT[dialect], [{**subject._asdict(), **said, **NEW} for subject in ordered])
