"""Claims of due marks: who is at them, until when, and what became of it. Nothing here begins or ends a transaction.

A claim is a transaction of its own, committed before anything is computed, so that whoever stores facts never waits for
an assessment. What was computed clears the mark only while its lease is held and its revision is the one that was
claimed: a fact that came in between keeps the entity due.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    BigInteger,
    Integer,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason, Subject
from fivefold.store.sql.arrays import array_parameter
from fivefold.store.sql.clocks import LONGEST_LEASE_US
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.levels import DueMark

_MARKS = cast("Table", DueMark.__table__)
_COMES_TO_MANY = (Reason.INTERVAL, Reason.LIST)
"""What comes by time to a whole portfolio at once, and waits behind what happens to one."""


@dataclass(frozen=True)
class LeasedEntity:
    """An entity that a worker is to assess.

    Attributes:
        revision: of its mark when it was claimed.
        reasons: `Reason` bits.
        attempts: how often it failed already, or was left by whoever was at it.
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
        queue: whose turn it was; None where one entity was asked for.
        of_queue: how many are of that queue; the others fill the batch.
    """

    organisation_id: int
    type_id: int
    lease: str
    claims: tuple[LeasedEntity, ...]
    queue: "Queue | None" = None
    of_queue: int = 0


_OPEN = or_(
    _MARKS.c.lease.is_(None),
    _MARKS.c.lease_until_us <= bindparam("now_us"),
    _MARKS.c.lease_until_us > bindparam("now_us") + LONGEST_LEASE_US,
)
"""A lease that ends too late was taken by a worker whose clock was ahead: nobody waits for years."""
_WAITING = and_(_MARKS.c.quarantined.is_(False), _MARKS.c.due_us <= bindparam("now_us"), _OPEN)
_LEFT = _MARKS.c.lease.is_not(None)
"""Of those who wait: whoever was at them did not come back."""


class Queue(NamedTuple):
    """Those of one organisation and priority who are due; the first of them since `due_us`."""

    priority: int
    due_us: int
    organisation_id: int


# Priorities are named one by one, so that an index leads to the first of each; and nobody compares with now before it
# is found: PostgreSQL plans once for whatever moment comes, and would go through the whole table for that.
_NOT_QUARANTINED = _MARKS.c.quarantined.is_(False)


def _first(*conditions: Any) -> Any:
    return select(func.min(_MARKS.c.due_us)).where(_NOT_QUARANTINED, *conditions)


def _priority(priority: int) -> Any:
    return _MARKS.c.priority == literal_column(str(priority))


FIRST = union_all(*(_first(_priority(priority)) for priority in (EVENT, BULK)))
"""Since, or from, when the first of each priority is due: what a worker asks that has nothing to do."""
_FIRSTS = union_all(
    *(
        select(
            literal_column(str(priority)).label("priority"),
            _first(_MARKS.c.organisation_id == Organisation.id, _priority(priority))
            .correlate(Organisation)
            .scalar_subquery()
            .label("due_us"),
            Organisation.id,
        )
        for priority in (EVENT, BULK)
    )
).subquery()
QUEUES = select(_FIRSTS).where(_FIRSTS.c.due_us <= bindparam("now_us"))
_OF_QUEUE = (_MARKS.c.organisation_id == bindparam("organisation"), _MARKS.c.priority == bindparam("of_priority"))
HEAD = (
    select(_MARKS.c.entity_id, _MARKS.c.type_id, _MARKS.c.attempts, _LEFT.label("left"))
    .where(_WAITING, *_OF_QUEUE)
    .order_by(_MARKS.c.due_us)
    .limit(1)
)
ABANDONED = "whoever assessed it ended without a word each time; perhaps it takes more memory than there is"
_GIVE_UP = (
    update(_MARKS)
    .where(_MARKS.c.entity_id == bindparam("of"), _WAITING, _LEFT)
    .values(
        quarantined=True,
        attempts=_MARKS.c.attempts + 1,
        error=ABANDONED,
        lease=None,
        lease_until_us=None,
        claimed=None,
    )
)


Order = Callable[[Sequence[Queue]], Sequence[Queue]]


def queues(session: Session, now_us: int) -> list[Queue]:
    """List the queues in which anybody is due, whether somebody is at them or not."""
    return [Queue(*row) for row in session.execute(QUEUES, {"now_us": now_us})]


def claim(
    session: Session, lease: str, now_us: int, until_us: int, most: int, most_left: int, order: Order = sorted
) -> Batch | None:
    """Lease up to *most* entities that are due, of one organisation and type; None where nobody is due.

    The queues are tried in the *order* given: urgent ones first unless it says otherwise. A batch that the first of
    them does not fill is filled from the organisation's other one.

    Those whose worker did not come back are taken apart from the others, each time in an eighth of the number: so one
    that ends every worker is alone soon, and is quarantined when it was left *most_left* times in a row.
    """
    if all(first is None or first > now_us for first in session.scalars(FIRST)):
        return None
    for queue in order(queues(session, now_us)):
        batch = _claim_of(session, queue, lease, (now_us, until_us), most, most_left)
        if batch is not None:
            return batch
    return None


def _claim_of(
    session: Session, queue: Queue, lease: str, moments: tuple[int, int], most: int, most_left: int
) -> Batch | None:
    now_us, until_us = moments
    parameters = {"now_us": now_us, "organisation": queue.organisation_id, "of_priority": queue.priority}
    while (head := session.execute(HEAD, parameters).first()) is not None:
        if head.left and head.attempts + 1 >= most_left:
            session.connection().execute(_GIVE_UP, {"of": head.entity_id, "now_us": now_us})
            continue
        attempts = head.attempts if head.left else None
        size = max(1, most >> 3 * (head.attempts + 1)) if head.left else most
        first = _lease(session, waiting(head.type_id, attempts, size), lease, until_us, parameters)
        rest = size - len(first)
        parameters["of_priority"] = BULK if queue.priority == EVENT else EVENT
        more = _lease(session, waiting(head.type_id, attempts, rest), lease, until_us, parameters) if rest else ()
        if not first and not more:
            return None
        claims = tuple(sorted(first + more, key=lambda claim: claim.entity_id))
        return Batch(queue.organisation_id, head.type_id, lease, claims, queue, len(first))
    return None


def waiting(type_id: int, attempts: int | None, most: int) -> Any:
    """Ask for those of a queue who wait: nobody was at them, or whoever was left them after so many *attempts*."""
    alike = _MARKS.c.lease.is_(None) if attempts is None else and_(_LEFT, _MARKS.c.attempts == attempts)
    of = (_WAITING, *_OF_QUEUE, _MARKS.c.type_id == type_id, alike)
    return select(_MARKS.c.entity_id).where(*of).order_by(_MARKS.c.due_us).limit(most)


def claim_one(session: Session, subject: Subject, lease: str, now_us: int, until_us: int) -> Batch | None:
    """Lease one entity, whether it is due or not; None where somebody else is at it, or it has no mark."""
    statement = select(_MARKS.c.entity_id).where(_MARKS.c.entity_id == subject.entity_id, _OPEN)
    claims = _lease(session, statement, lease, until_us, {"now_us": now_us})
    return Batch(subject.organisation_id, subject.type_id, lease, claims) if claims else None


_REASONS_NOW = case((_MARKS.c.due_us <= bindparam("now_us"), _MARKS.c.reasons), else_=int(Reason.VIEW))
"""Why it is assessed: what lies ahead, such as a decay step, is no reason yet."""


def _lease(
    session: Session, rows_to_lease: Any, lease: str, until_us: int, parameters: Mapping[str, int]
) -> tuple[LeasedEntity, ...]:
    # A part of its own is looked up once: what stands in the condition may be looked up for each row, and lock more.
    ready = rows_to_lease.with_for_update(skip_locked=True).cte("ready")
    statement = (
        update(_MARKS)
        .where(_MARKS.c.entity_id.in_(select(ready.c.entity_id)))
        .values(
            lease=lease,
            lease_until_us=until_us,
            claimed=_MARKS.c.revision,
            attempts=case((_LEFT, _MARKS.c.attempts + 1), else_=_MARKS.c.attempts),
        )
        .returning(_MARKS.c.entity_id, _MARKS.c.revision, _REASONS_NOW, _MARKS.c.attempts)
    )
    rows = session.execute(statement, dict(parameters)).all()
    return tuple(sorted((LeasedEntity(*row) for row in rows), key=lambda claim: claim.entity_id))


# The planner takes nearly nobody to hold a lease, and would try all with each: `coalesce` hides it from it.
_OURS = func.coalesce(_MARKS.c.lease, "") == bindparam("held")


def _held(among: Any) -> Any:
    mine = select(_MARKS.c.entity_id).where(among, _OURS)
    return mine.order_by(_MARKS.c.entity_id).with_for_update(of=_MARKS)


def _one_of_ids() -> Any:
    """Join with the numbers: held against an array, a small table is gone through whole, and the array for each row."""
    ids = func.unnest(array_parameter("ids", BigInteger)).table_valued("id").render_derived("asked")
    return _MARKS.c.entity_id == ids.c.id


_HELD = {
    "sqlite": _held(_MARKS.c.entity_id.in_(bindparam("ids", expanding=True))),
    "postgresql": _held(_one_of_ids()),
}


def lock_leased(session: Session, batch: Batch) -> set[int]:
    """Lock the marks of a batch that its lease still holds, and name their entities: what is stored is theirs alone."""
    ids = [claim.entity_id for claim in batch.claims]
    statement = _HELD[session.get_bind().dialect.name]
    return set(session.connection().scalars(statement, {"held": batch.lease, "ids": ids}))


_UNCHANGED = _MARKS.c.revision == _MARKS.c.claimed
_FOLLOWING = {"of": BigInteger, "next_us": BigInteger, "next_reason": Integer, "next_priority": Integer}


def _cleared(source: Any) -> Any:
    return (
        update(_MARKS)
        .where(_MARKS.c.entity_id == source["of"], _OURS)
        .values(
            due_us=case((_UNCHANGED, source["next_us"]), else_=_MARKS.c.due_us),
            reasons=case((_UNCHANGED, source["next_reason"]), else_=_MARKS.c.reasons),
            priority=case((_UNCHANGED, source["next_priority"]), else_=_MARKS.c.priority),
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
        func.unnest(*(array_parameter(name, kind) for name, kind in _FOLLOWING.items()))
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
        parameters = [{"held": batch.lease, **dict(zip(_FOLLOWING, row, strict=True))} for row in rows]
        connection.execute(_CLEAR[dialect], parameters)


_GIVEN_BACK: Mapping[str, Any] = {"error": bindparam("said"), "lease": None, "lease_until_us": None, "claimed": None}
_OF_LEASE = (_MARKS.c.entity_id == bindparam("of"), _MARKS.c.lease == bindparam("held"))
_FAIL = (
    update(_MARKS)
    .where(*_OF_LEASE)
    .values(
        due_us=case((_UNCHANGED, bindparam("next_us")), else_=_MARKS.c.due_us),
        attempts=_MARKS.c.attempts + 1,
        quarantined=and_(_UNCHANGED, _MARKS.c.attempts + 1 >= bindparam("most")),
        **_GIVEN_BACK,
    )
)
_PUT_BACK = update(_MARKS).where(*_OF_LEASE).values(**_GIVEN_BACK)


def fail(session: Session, batch: Batch, errors: Mapping[int, str], next_us: Mapping[int, int], most: int) -> None:
    """Give back the leases of entities that failed, with the error to be seen; after *most* failures for good."""
    rows = [
        {"of": entity_id, "held": batch.lease, "next_us": next_us[entity_id], "said": error, "most": most}
        for entity_id, error in sorted(errors.items())
    ]
    if rows:
        session.connection().execute(_FAIL, rows)


def return_leases(session: Session, batch: Batch, errors: Mapping[int, str]) -> None:
    """Give back the leases of entities that failed when somebody asked for them: it is no attempt of the worker's."""
    rows = [{"of": entity_id, "held": batch.lease, "said": error} for entity_id, error in sorted(errors.items())]
    if rows:
        session.connection().execute(_PUT_BACK, rows)
