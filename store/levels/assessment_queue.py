"""The assessment queue: a due mark names an entity to assess, from when, and why. Begins and ends no transaction.

A mark is set in the transaction of the fact that causes it, and raises the revision. If the mark already covers the
reason and is not leased, it stays unchanged, but its row is locked, so that no worker claims it before this transaction
commits. A quarantined entity waits until something new happens to it; that gives new attempts, and keeps the error of
the last one. `store.levels.leases` claims and clears marks.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import IntFlag
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import BigInteger, Integer, Table, and_, bindparam, case, func, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fivefold.store.sql.arrays import among, among_parameter, array_parameter
from fivefold.store.tables.flows import FlowMark
from fivefold.store.tables.levels import DueMark, Marking

EVENT, BULK = 0, 1
"""Priorities: an event of one entity goes before changes of many."""


class Reason(IntFlag):
    """Why an entity is due; a mark may have several."""

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
    """Something stored earlier begins or ends now: a tag, a transaction dated ahead."""
    CLOCK = 65536
    """Rows that a fast clock had written were repaired."""
    TIME = 131072
    """A rule's case may change by time alone: days since an event pass a bound, a window loses a transaction."""
    GROUP = 262144
    """A group came into force or was retired, so memberships must be evaluated."""
    FLOW = 524288
    """A flow acted. This replaces the reason of its action, so the action is never mistaken for another actor's."""
    SETTLED = 1048576
    """The settlement lag of the value model passes for a transaction: from then on it counts for the value."""


PLANNED: Final = (
    Reason.INTERVAL
    | Reason.EXPIRY
    | Reason.MOVE_DOWN
    | Reason.DECAY
    | Reason.LIST
    | Reason.DATED
    | Reason.TIME
    | Reason.SETTLED
)
"""Reasons for which an entity may become due at a later moment. By any other it is due at once."""


class Origin(NamedTuple):
    """The flows that caused something, and the people behind that, as the audit log names them.

    Attributes:
        through: the flows, the first one first; empty if no flow acted.
        people: who called the first of their runs, or caused it by a tag or a case; without flows, who made the change.
        answered: who answered questions of their runs.
    """

    through: tuple[int, ...] = ()
    people: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()

    def combined_with(self, other: "Origin") -> "Origin":
        """Combine two origins, for an effect of both.

        >>> Origin((2,), ("member:1",)).combined_with(Origin((1, 2), answered=("member:3",)))
        Origin(through=(2, 1), people=('member:1',), answered=('member:3',))
        """
        return Origin(
            tuple(dict.fromkeys(self.through + other.through)),
            tuple(dict.fromkeys(self.people + other.people)),
            tuple(dict.fromkeys(self.answered + other.answered)),
        )


NO_FLOW: Final = Origin()
"""The origin of anything that no flow caused."""
ORIGIN: Final = "fivefold_flows_origin"
"""The key under which a session keeps the origin of its changes, while a flow's action or a person's is carried out."""
_NEVER_ALONE: Final = 1 << 62
"""Replaces a revision if something else made the entity due as well."""


_MARKS = cast("Table", DueMark.__table__)
NEW = {"revision": 1, "attempts": 0, "quarantined": False}


def upsert(new: Any) -> Any:
    """Complete an insert of marks; an existing mark is merged: the earlier moment, and the reasons of both.

    A mark planned for later keeps that moment as `planned_us`, or an earlier planned one.
    """
    earlier = case(
        (or_(_MARKS.c.due_us.is_(None), _MARKS.c.due_us > new.excluded.due_us), new.excluded.due_us),
        else_=_MARKS.c.due_us,
    )
    # The priority of a mark that is not due yet does not count, nor do the reasons for which it is due later.
    is_due = and_(_MARKS.c.due_us.is_not(None), _MARKS.c.due_us <= new.excluded.due_us)
    urgent = case(
        (and_(is_due, _MARKS.c.priority < new.excluded.priority), _MARKS.c.priority), else_=new.excluded.priority
    )
    happened = _MARKS.c.reasons.bitwise_and(~int(PLANNED))
    # Without a planned reason, a later moment is one at which something happened by a clock that was set back since.
    was_planned = _MARKS.c.reasons.bitwise_and(int(PLANNED)) != 0
    keeps_planned = or_(is_due, ~was_planned, _MARKS.c.planned_us < _MARKS.c.due_us)
    return new.on_conflict_do_update(
        index_elements=["entity_id"],
        set_={
            "revision": _MARKS.c.revision + 1,
            "due_us": earlier,
            "planned_us": case(
                (keeps_planned, _MARKS.c.planned_us), else_=func.coalesce(_MARKS.c.due_us, _MARKS.c.planned_us)
            ),
            "priority": urgent,
            "reasons": case((is_due, _MARKS.c.reasons), else_=happened).bitwise_or(new.excluded.reasons),
            # The worker of a lease may have died; the next claim detects that.
            "attempts": case((_MARKS.c.lease.is_(None), 0), else_=_MARKS.c.attempts),
            "quarantined": False,  # `error` stays until an attempt succeeds
        },
        # PostgreSQL locks the other rows too (see its page of INSERT).
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
    """Build PostgreSQL's insert, which takes many rows as arrays several times faster than one by one."""
    types = {"entity_id": BigInteger, "organisation_id": Integer, "type_id": Integer}
    arrays = func.unnest(*(array_parameter(name, kind) for name, kind in types.items()))
    rows = arrays.table_valued(*types).render_derived("marked")
    constants = {name: bindparam(name, type_=_MARKS.c[name].type) for name in ("due_us", "priority", "reasons")}
    constants |= {name: literal(value) for name, value in NEW.items()}
    columns = [*types, *constants]
    statement = select(*(rows.c[name] for name in types), *constants.values()).order_by(rows.c.entity_id)
    return postgresql.insert(_MARKS).from_select(columns, statement)


_UPSERT = {"sqlite": upsert(sqlite.insert(_MARKS)), "postgresql": upsert(_of_arrays())}


class Subject(NamedTuple):
    """An entity in a due mark."""

    entity_id: int
    organisation_id: int
    type_id: int


def mark(session: Session, subjects: Iterable[Subject], reason: Reason, due_us: int, priority: int = EVENT) -> None:
    """Mark entities due, in the order of their numbers, so that concurrent callers do not deadlock."""
    of_each = {subject.entity_id: subject for subject in subjects}
    by_number = [of_each[entity_id] for entity_id in sorted(of_each)]
    if not by_number:
        return
    origin: Origin = session.info.get(ORIGIN, NO_FLOW)
    if origin == NO_FLOW:
        _mark(session, by_number, reason, due_us, priority)
        return
    ids = [subject.entity_id for subject in by_number]
    before = _marks_of(session, ids)
    _mark(session, by_number, Reason.FLOW if origin.through else reason, due_us, priority)
    _note_flows(session, before, _marks_of(session, ids), origin, due_us)


def _marks_of(session: Session, ids: Sequence[int]) -> dict[int, Any]:
    """Read the marks of entities, locked, by entity."""
    columns = (_MARKS.c.entity_id, _MARKS.c.revision, _MARKS.c.due_us, _MARKS.c.lease)
    statement = select(*columns).where(among(session, _MARKS.c.entity_id, ids)).order_by(_MARKS.c.entity_id)
    return {row.entity_id: row for row in session.execute(statement.with_for_update())}


def lock_marks(session: Session, entity_ids: Iterable[int]) -> None:
    """Lock the marks of entities until the transaction ends, in the order of their numbers.

    For a transaction that marks several one after the other, so that concurrent callers do not deadlock.
    """
    _marks_of(session, sorted(entity_ids))


def _note_flows(
    session: Session, before: Mapping[int, Any], after: Mapping[int, Any], origin: Origin, due_us: int
) -> None:
    """Note for each entity whether only flows made it due, or something else did as well, and who is behind the flows.

    Flows that acted one after the other count together: what follows is an effect of all of them. The people behind a
    flow are noted even if something else made the entity due, as they may be behind what follows; so are people who
    made it due themselves.
    """
    notes = {row.entity_id: row for row in _notes_of(session, after)}
    for entity_id, mark_now in after.items():
        was, row = before.get(entity_id), notes.get(entity_id)
        is_first = was is None or (was.lease is None and (was.due_us is None or was.due_us > due_us))
        if is_first and origin.through:
            before_it = NO_FLOW
            if row is not None:  # it names the people behind a postponed change of the level
                before_it = Origin((), *_people_of(row))
                session.delete(row)
                session.flush()
            until_us = None if was is None else was.due_us
            both = origin.combined_with(before_it)
            session.add(_new_note(entity_id, mark_now.revision, mark_now.revision, both, until_us))
        elif row is None:
            if origin.people or origin.answered:
                session.add(_new_note(entity_id, _NEVER_ALONE, mark_now.revision, origin, None))
        else:
            alone = bool(origin.through) and was is not None and row.revision == was.revision
            so_far = Origin(tuple(row.through), *_people_of(row))
            combined = so_far.combined_with(origin)
            row.from_revision = row.from_revision if alone else _NEVER_ALONE
            row.revision, row.through = mark_now.revision, sorted(combined.through)
            row.people, row.answered = sorted(combined.people), sorted(combined.answered)
    session.flush()


def _new_note(entity_id: int, from_revision: int, revision: int, origin: Origin, until_us: int | None) -> FlowMark:
    """A note of the flows that made an entity due, and of the people behind them."""
    return FlowMark(
        entity_id=entity_id,
        from_revision=from_revision,
        revision=revision,
        through=list(origin.through),
        people=list(origin.people),
        answered=list(origin.answered),
        until_us=until_us,
    )


def _people_of(row: FlowMark) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(row.people or ()), tuple(row.answered or ())


_NOTES: Final = {
    dialect: select(FlowMark).where(among_parameter(dialect, FlowMark.entity_id, "ids"))
    for dialect in ("sqlite", "postgresql")
}


def _notes_of(session: Session, ids: Iterable[int]) -> Sequence[FlowMark]:
    return session.scalars(_NOTES[session.get_bind().dialect.name], {"ids": sorted(ids)}).all()


def caused_by_flows(session: Session, type_id: int, claimed: Mapping[int, int], as_of_us: int) -> dict[int, Origin]:
    """Return the flows that made entities due, if nothing else did; delete these notes.

    The people behind them are returned also if something else made the entities due.

    The facts were read after the entities were claimed, so they may include other facts stored in between. They may
    also include a change that reaches everybody, which is in force before it has marked all entities.

    Args:
        session: in the transaction that stores their assessments.
        type_id: of the entities.
        claimed: the revision of each entity's mark that was claimed.
        as_of_us: of the assessments.
    """
    notes = _notes_of(session, claimed)
    if not notes:
        return {}
    now = _marks_of(session, [row.entity_id for row in notes])
    behind = session.scalar(
        select(func.min(Marking.reached_id)).where(Marking.type_id == type_id, Marking.from_us <= as_of_us)
    )
    origins = {}
    for row in notes:
        entity_id, is_before = row.entity_id, row.until_us is None or as_of_us < row.until_us
        is_alone = row.from_revision <= claimed[entity_id] <= now[entity_id].revision <= row.revision
        by_flows_alone = is_before and is_alone and (behind is None or entity_id <= behind)
        origins[entity_id] = Origin(tuple(row.through) if by_flows_alone else (), *_people_of(row))
        if row.revision <= claimed[entity_id]:
            session.delete(row)
    session.flush()
    return origins


def keep_people(session: Session, put_off: Mapping[int, tuple[int, Origin]]) -> None:
    """Note again who is behind a postponed change of a level: they are behind it when it happens.

    Their flows are not kept, as these alone do not cause it then.

    Args:
        session: in the transaction that stores the assessments, after `caused_by_flows`.
        put_off: the claimed revision of each entity's mark, and the origin of what made it due.
    """
    of_people = {entity: pair for entity, pair in put_off.items() if pair[1].people or pair[1].answered}
    if not of_people:
        return
    notes = {row.entity_id: row for row in _notes_of(session, of_people)}
    for entity_id, (revision, origin) in of_people.items():
        row = notes.get(entity_id)  # there if the entity was marked again since
        if row is None:
            session.add(_new_note(entity_id, _NEVER_ALONE, revision, origin._replace(through=()), None))
        else:
            row.people, row.answered = map(sorted, Origin((), *_people_of(row)).combined_with(origin)[1:])
    session.flush()


def _mark(session: Session, subjects: Sequence[Subject], reason: Reason, due_us: int, priority: int) -> None:
    dialect = session.get_bind().dialect.name
    values = {"due_us": due_us, "priority": priority, "reasons": int(reason)}
    if dialect == "postgresql":
        columns = dict(zip(Subject._fields, zip(*subjects, strict=True), strict=True))
        session.connection().execute(_UPSERT[dialect], {**values, **columns})
    else:
        session.connection().execute(_UPSERT[dialect], [{**subject._asdict(), **values, **NEW} for subject in subjects])
