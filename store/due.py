"""Due marks: who is to be assessed, from when, why, and who is at it. Nothing here begins or ends a transaction.

A mark is set in the transaction of the fact that calls for it, and raises the revision. A claim is a transaction of
its own, committed before anything is computed, so that whoever stores facts never waits for an assessment. What was
computed clears the mark only while its lease is held and its revision is the one that was claimed: a fact that came in
between keeps the entity due. A mark that says it all already, and that nobody is at, stays; its row is locked all the
same, so that nobody claims it before the fact is there. Quarantined ones wait until something new happens to them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, NamedTuple, cast

from sqlalchemy import BigInteger, Integer, Table, and_, bindparam, case, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from store.arrays import array_named
from store.level_tables import DueMark

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


_COMES_TO_MANY = (Reason.INTERVAL, Reason.LIST)
"""What comes by time to a whole portfolio at once, and waits behind what happens to one."""

_MARKS = cast("Table", DueMark.__table__)
_OPEN = or_(_MARKS.c.lease.is_(None), _MARKS.c.lease_until_us <= bindparam("now_us"))
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
            "attempts": 0,
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


@dataclass(frozen=True)
class Claim:
    """An entity that a worker is to assess.

    Attributes:
        revision: of its mark when it was claimed.
        reasons: `Reason` bits.
        attempts: how often it failed already.
    """

    entity_id: int
    revision: int
    reasons: int
    attempts: int


@dataclass(frozen=True)
class Batch:
    """Entities of one organisation and type, leased together.

    Attributes:
        lease: the name of the lease, of nobody else.
        claims: in the order of their entities.
    """

    organisation_id: int
    type_id: int
    lease: str
    claims: tuple[Claim, ...]


def claim(session: Session, lease: str, now_us: int, until_us: int, most: int) -> Batch | None:
    """Lease up to *most* entities that are due, of one organisation and type; None where nobody is due."""
    waiting = and_(_MARKS.c.quarantined.is_(False), _MARKS.c.due_us <= bindparam("now_us"), _OPEN)
    order = (_MARKS.c.priority, _MARKS.c.due_us)
    first = session.execute(
        select(_MARKS.c.organisation_id, _MARKS.c.type_id).where(waiting).order_by(*order).limit(1), {"now_us": now_us}
    ).first()
    if first is None:
        return None
    organisation_id, type_id = first
    wanted = (
        select(_MARKS.c.entity_id)
        .where(waiting, _MARKS.c.organisation_id == organisation_id, _MARKS.c.type_id == type_id)
        .order_by(*order)
        .limit(most)
    )
    claims = _lease(session, wanted, lease, now_us, until_us)
    return Batch(organisation_id, type_id, lease, claims) if claims else None


def claim_one(session: Session, subject: Subject, lease: str, now_us: int, until_us: int) -> Batch | None:
    """Lease one entity, whether it is due or not; None where somebody else is at it, or it has no mark."""
    wanted = select(_MARKS.c.entity_id).where(_MARKS.c.entity_id == subject.entity_id, _OPEN)
    claims = _lease(session, wanted, lease, now_us, until_us)
    return Batch(subject.organisation_id, subject.type_id, lease, claims) if claims else None


_REASONS_NOW = case((_MARKS.c.due_us <= bindparam("now_us"), _MARKS.c.reasons), else_=int(Reason.VIEW))
"""Why it is assessed: what lies ahead, such as a decay step, is no reason yet."""


def _lease(session: Session, wanted: Any, lease: str, now_us: int, until_us: int) -> tuple[Claim, ...]:
    taken = (
        update(_MARKS)
        .where(_MARKS.c.entity_id.in_(wanted.with_for_update(skip_locked=True)))
        .values(lease=lease, lease_until_us=until_us, claimed=_MARKS.c.revision)
        .returning(_MARKS.c.entity_id, _MARKS.c.revision, _REASONS_NOW, _MARKS.c.attempts)
    )
    rows = session.execute(taken, {"now_us": now_us}).all()
    return tuple(sorted((Claim(*row) for row in rows), key=lambda claim: claim.entity_id))


def _held(among: Any) -> Any:
    mine = select(_MARKS.c.entity_id).where(among, _MARKS.c.lease == bindparam("held"))
    return mine.order_by(_MARKS.c.entity_id).with_for_update()


_HELD = {
    "sqlite": _held(_MARKS.c.entity_id.in_(bindparam("ids", expanding=True))),
    "postgresql": _held(_MARKS.c.entity_id == func.any(array_named("ids", BigInteger))),
}


def still_held(session: Session, batch: Batch) -> set[int]:
    """Lock the marks of a batch that its lease still holds, and name their entities: what is stored is theirs alone."""
    ids = [claim.entity_id for claim in batch.claims]
    held = _HELD[session.get_bind().dialect.name]
    return set(session.connection().scalars(held, {"held": batch.lease, "ids": ids}))


_UNCHANGED = _MARKS.c.revision == _MARKS.c.claimed
_FOLLOWING = {"of": BigInteger, "next_us": BigInteger, "next_reason": Integer, "next_priority": Integer}


def _cleared(given: Any) -> Any:
    return (
        update(_MARKS)
        # The planner takes nearly nobody to hold a lease, and would try all with each: `coalesce` hides it from it.
        .where(_MARKS.c.entity_id == given["of"], func.coalesce(_MARKS.c.lease, "") == bindparam("held"))
        .values(
            due_us=case((_UNCHANGED, given["next_us"]), else_=_MARKS.c.due_us),
            reasons=case((_UNCHANGED, given["next_reason"]), else_=_MARKS.c.reasons),
            priority=case((_UNCHANGED, given["next_priority"]), else_=_MARKS.c.priority),
            lease=None,
            lease_until_us=None,
            claimed=None,
            attempts=0,
            quarantined=False,
            error=None,
        )
    )


_CLEAR = {
    "sqlite": _cleared({name: bindparam(name) for name in _FOLLOWING}),
    "postgresql": _cleared(
        func.unnest(*(array_named(name, kind) for name, kind in _FOLLOWING.items()))
        .table_valued(*_FOLLOWING)
        .render_derived("given")
        .c
    ),
}


def clear(session: Session, batch: Batch, following: Mapping[int, tuple[int | None, Reason]]) -> None:
    """Give back the leases of entities that were assessed.

    Each is due again when *following* says, or at once where something happened to it since it was claimed.
    """
    rows = [
        (entity_id, next_us, int(reason), BULK if reason in _COMES_TO_MANY else EVENT)
        for entity_id, (next_us, reason) in sorted(following.items())
    ]
    if not rows:
        return
    connection = session.connection()
    dialect = connection.dialect.name
    if dialect == "postgresql":  # as arrays, like marks
        columns = {name: list(values) for name, values in zip(_FOLLOWING, zip(*rows, strict=True), strict=True)}
        connection.execute(_CLEAR[dialect], {"held": batch.lease, **columns})
    else:
        named = [{"held": batch.lease, **dict(zip(_FOLLOWING, row, strict=True))} for row in rows]
        connection.execute(_CLEAR[dialect], named)


_FAIL = (
    update(_MARKS)
    .where(_MARKS.c.entity_id == bindparam("of"), _MARKS.c.lease == bindparam("held"))
    .values(
        due_us=case((_UNCHANGED, bindparam("next_us")), else_=_MARKS.c.due_us),
        attempts=_MARKS.c.attempts + 1,
        quarantined=and_(_UNCHANGED, _MARKS.c.attempts + 1 >= bindparam("most")),
        error=bindparam("said"),
        lease=None,
        lease_until_us=None,
        claimed=None,
    )
)


def fail(session: Session, batch: Batch, errors: Mapping[int, str], next_us: Mapping[int, int], most: int) -> None:
    """Give back the leases of entities that failed, with the error to be seen; after *most* failures for good."""
    rows = [
        {"of": entity_id, "held": batch.lease, "next_us": next_us[entity_id], "said": error, "most": most}
        for entity_id, error in sorted(errors.items())
    ]
    if rows:
        session.connection().execute(_FAIL, rows)
