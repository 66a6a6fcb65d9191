"""Leases of due marks: claimed, cleared, failed, returned. Nothing here begins or ends a transaction.

A claim is a transaction of its own, committed before anything is computed, so that writers of facts never wait for an
assessment. A result clears the mark only while its lease is held and the revision is still the claimed one: a fact that
was added in between keeps the entity due.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import (
    BigInteger,
    Integer,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason, Subject
from fivefold.store.sql.arrays import array_parameter
from fivefold.store.sql.clocks import lease_is_over
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.levels import DueMark

_MARKS = cast("Table", DueMark.__table__)
_COMES_TO_MANY = (Reason.INTERVAL, Reason.LIST, Reason.TIME, Reason.SETTLED)
"""Reasons that reach a whole portfolio at once by time, and wait behind events of single entities."""


@dataclass(frozen=True)
class LeasedEntity:
    """An entity leased to a worker, to be assessed.

    Attributes:
        revision: of its mark when it was claimed.
        reasons: `Reason` bits.
        attempts: how often it failed, or its lease was abandoned.
        due_us: since when it is due.
    """

    entity_id: int
    revision: int
    reasons: int
    attempts: int
    due_us: int | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class LeasedBatch:
    """Entities of one organisation and type, leased together.

    Attributes:
        lease: the unique name of the lease.
        claims: in the order of their entities.
        queue: the queue that was served; None for a lease of one entity.
        of_queue: how many entities are from that queue; the others fill the batch.
    """

    organisation_id: int
    type_id: int
    lease: str
    claims: tuple[LeasedEntity, ...]
    queue: "DueQueue | None" = None
    of_queue: int = 0


_IS_OVER = lease_is_over(_MARKS.c.lease_until_us, bindparam("now_us"))
_OPEN = or_(_MARKS.c.lease.is_(None), _IS_OVER)
"""The mark is free."""
_WAITING = and_(_MARKS.c.quarantined.is_(False), _MARKS.c.due_us <= bindparam("now_us"), _OPEN)
_LEFT = _MARKS.c.lease.is_not(None)
"""Among free marks: the lease was abandoned."""


class DueQueue(NamedTuple):
    """The due entities of one organisation and priority; the first is due since `due_us`."""

    priority: int
    due_us: int
    organisation_id: int


# One statement for each priority, so that an index leads to the first of each; compared with now only afterwards:
# PostgreSQL plans once for any moment, and would scan the whole table.
_NOT_QUARANTINED = _MARKS.c.quarantined.is_(False)


def _first(*conditions: Any) -> Any:
    return select(func.min(_MARKS.c.due_us)).where(_NOT_QUARANTINED, *conditions)


def _priority(priority: int) -> Any:
    return _MARKS.c.priority == literal_column(str(priority))


FIRST = union_all(*(_first(_priority(priority)) for priority in (EVENT, BULK)))
"""When the first mark of each priority is due: the query of an idle worker."""
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
ABANDONED = "every worker that assessed it ended without an answer; it may need more memory than there is"
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


Order = Callable[[Sequence[DueQueue]], Sequence[DueQueue]]


def queues(session: Session, now_us: int) -> list[DueQueue]:
    """List the queues with a due entity, leased or not."""
    return [DueQueue(*row) for row in session.execute(QUEUES, {"now_us": now_us})]


def claim(
    session: Session, lease: str, now_us: int, until_us: int, most: int, most_left: int, order: Order = sorted
) -> LeasedBatch | None:
    """Lease up to *most* due entities of one organisation and type; None if none is due.

    The queues are tried in *order*: by default urgent ones first. A batch that the first queue does not fill is filled
    from the organisation's other one.

    Entities of abandoned leases are claimed apart from the others, each time an eighth as many: so an entity that
    crashes every worker is soon alone, and is quarantined after *most_left* abandoned leases in a row.
    """
    if all(first is None or first > now_us for first in session.scalars(FIRST)):
        return None
    for queue in order(queues(session, now_us)):
        batch = _claim_of(session, queue, lease, (now_us, until_us), most, most_left)
        if batch is not None:
            return batch
    return None


def _claim_of(
    session: Session, queue: DueQueue, lease: str, moments: tuple[int, int], most: int, most_left: int
) -> LeasedBatch | None:
    """Claim from one queue; first quarantine entities at its head that were abandoned too often."""
    now_us, until_us = moments
    parameters = {"now_us": now_us, "organisation": queue.organisation_id, "of_priority": queue.priority}
    while (head := session.execute(HEAD, parameters).first()) is not None:
        if head.left and head.attempts + 1 >= most_left:
            session.connection().execute(_GIVE_UP, {"of": head.entity_id, "now_us": now_us})
            continue
        of = parameters | {"of_type": head.type_id, "of_attempts": head.attempts}
        size = max(1, most >> 3 * (head.attempts + 1)) if head.left else most
        statement = _LEASE_OF_QUEUE[head.left]
        first = _lease(session, statement, lease, until_us, of | {"most": size})
        rest = size - len(first)
        of["of_priority"] = BULK if queue.priority == EVENT else EVENT
        more = _lease(session, statement, lease, until_us, of | {"most": rest}) if rest else ()
        if not first and not more:
            return None
        claims = tuple(sorted(first + more, key=lambda claim: claim.entity_id))
        return LeasedBatch(
            organisation_id=queue.organisation_id,
            type_id=head.type_id,
            lease=lease,
            claims=claims,
            queue=queue,
            of_queue=len(first),
        )
    return None


def has_mark(session: Session, entity_id: int) -> bool:
    """Return whether an entity can be assessed: an erased one has no mark."""
    return session.scalar(select(_MARKS.c.entity_id).where(_MARKS.c.entity_id == entity_id)) is not None


def claim_one(
    session: Session, subject: Subject, lease: str, now_us: int, until_us: int, *, takes_over: bool = False
) -> LeasedBatch | None:
    """Lease one entity, due or not; None if another worker holds its lease, or it has no mark.

    *takes_over*: take it from another worker, whose result for it is then not stored.
    """
    parameters = {"now_us": now_us, "of_entity": subject.entity_id}
    claims = _lease(session, _LEASE_OF_ONE[takes_over], lease, until_us, parameters)
    return (
        LeasedBatch(organisation_id=subject.organisation_id, type_id=subject.type_id, lease=lease, claims=claims)
        if claims
        else None
    )


_REASONS_NOW = case((_MARKS.c.due_us <= bindparam("now_us"), _MARKS.c.reasons), else_=int(Reason.VIEW))
"""Why it is assessed: a later reason, such as a decay step, does not count yet."""


def _lease(
    session: Session, statement: Any, lease: str, until_us: int, parameters: Mapping[str, int]
) -> tuple[LeasedEntity, ...]:
    """Lease the marks that a statement selects and no other transaction has locked."""
    rows = session.execute(statement, {**parameters, "new_lease": lease, "new_until_us": until_us}).all()
    return tuple(sorted((LeasedEntity(*row) for row in rows), key=lambda claim: claim.entity_id))


def _leasing(rows_to_lease: Any) -> Any:
    # A CTE is evaluated once; a subquery in the condition may be evaluated for each row, and lock more.
    ready = rows_to_lease.with_for_update(skip_locked=True).cte("ready")
    return (
        update(_MARKS)
        .where(_MARKS.c.entity_id.in_(select(ready.c.entity_id)))
        .values(
            lease=bindparam("new_lease"),
            lease_until_us=bindparam("new_until_us"),
            claimed=_MARKS.c.revision,
            attempts=case((and_(_LEFT, _IS_OVER), _MARKS.c.attempts + 1), else_=_MARKS.c.attempts),
        )
        .returning(_MARKS.c.entity_id, _MARKS.c.revision, _REASONS_NOW, _MARKS.c.attempts, _MARKS.c.due_us)
    )


def _waiting(alike: Any) -> Any:
    of = (_WAITING, *_OF_QUEUE, _MARKS.c.type_id == bindparam("of_type"), alike)
    return select(_MARKS.c.entity_id).where(*of).order_by(_MARKS.c.due_us).limit(bindparam("most", type_=Integer))


_ONE = select(_MARKS.c.entity_id).where(_MARKS.c.entity_id == bindparam("of_entity"))
FREE_OF_QUEUE: Final = {
    False: _waiting(_MARKS.c.lease.is_(None)),
    True: _waiting(and_(_LEFT, _MARKS.c.attempts == bindparam("of_attempts"))),
}
"""The free entities of a queue: those without a lease, and the abandoned ones with the same number of attempts."""
_LEASE_OF_QUEUE: Final = {is_left: _leasing(rows) for is_left, rows in FREE_OF_QUEUE.items()}
_LEASE_OF_ONE: Final = {False: _leasing(_ONE.where(_OPEN)), True: _leasing(_ONE)}
"""Statements that every claim uses are built once: building one takes longer than running it."""


# The planner expects hardly any leases, and would nest loops over them: `coalesce` hides the column from it.
_OURS = func.coalesce(_MARKS.c.lease, "") == bindparam("held")


def _lock_leased(among: Any) -> Any:
    mine = select(_MARKS.c.entity_id).where(among, _OURS)
    return mine.order_by(_MARKS.c.entity_id).with_for_update(of=_MARKS)


def _one_of_ids() -> Any:
    """Join with the numbers: with `= ANY`, a small table is scanned whole, and the array for each row."""
    ids = func.unnest(array_parameter("ids", BigInteger)).table_valued("id").render_derived("asked")
    return _MARKS.c.entity_id == ids.c.id


_LOCK_LEASED = {
    "sqlite": _lock_leased(_MARKS.c.entity_id.in_(bindparam("ids", expanding=True))),
    "postgresql": _lock_leased(_one_of_ids()),
}


def lock_leased(session: Session, batch: LeasedBatch) -> set[int]:
    """Lock the marks that a batch's lease still holds, and return their entities: only their results are stored."""
    ids = [claim.entity_id for claim in batch.claims]
    statement = _LOCK_LEASED[session.get_bind().dialect.name]
    return set(session.connection().scalars(statement, {"held": batch.lease, "ids": ids}))


_UNCHANGED = _MARKS.c.revision == _MARKS.c.claimed
_FOLLOWING = {
    "of": BigInteger,
    "next_us": BigInteger,
    "next_reason": Integer,
    "next_priority": Integer,
    "next_settled_us": BigInteger,
}


def _cleared(source: Any) -> Any:
    """Build the update that clears marks; a mark whose revision has changed stays due."""
    return (
        update(_MARKS)
        .where(_MARKS.c.entity_id == source["of"], _OURS)
        .values(
            due_us=case((_UNCHANGED, source["next_us"]), else_=_MARKS.c.due_us),
            reasons=case((_UNCHANGED, source["next_reason"]), else_=_MARKS.c.reasons),
            priority=case((_UNCHANGED, source["next_priority"]), else_=_MARKS.c.priority),
            planned_us=case((_UNCHANGED, null()), else_=source["next_us"]),
            settled_us=source["next_settled_us"],
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


def clear(
    session: Session,
    batch: LeasedBatch,
    following: Mapping[int, tuple[int | None, Reason]],
    settled: Mapping[int, int],
) -> None:
    """Return the leases of assessed entities.

    Each is due again according to *following*, or at once if something happened to it since it was claimed. *settled*
    has by entity the `DueMark.settled_us`.
    """
    rows = [
        (entity_id, next_us, int(reason), BULK if reason in _COMES_TO_MANY else EVENT, settled.get(entity_id))
        for entity_id, (next_us, reason) in sorted(following.items())
    ]
    if not rows:
        return
    connection = session.connection()
    dialect = connection.dialect.name
    if dialect == "postgresql":  # as arrays, like inserts of marks
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
        attempts=_MARKS.c.attempts + bindparam("counted"),
        quarantined=and_(_UNCHANGED, _MARKS.c.attempts + bindparam("counted") >= bindparam("most")),
        **_GIVEN_BACK,
    )
)
_PUT_BACK = update(_MARKS).where(*_OF_LEASE).values(**_GIVEN_BACK)
_LEAVE = update(_MARKS).where(*_OF_LEASE).values(lease=None, lease_until_us=None, claimed=None)


def fail(
    session: Session,
    batch: LeasedBatch,
    errors: Mapping[int, str],
    next_us: Mapping[int, int],
    most: int,
    waiting: Collection[int] = (),
) -> None:
    """Return the leases of entities that failed, with the error; after *most* failures they are quarantined.

    For entities *waiting* for their next moment this does not count as an attempt.
    """
    of_all = {"held": batch.lease, "most": most}
    rows = [
        {**of_all, "of": each, "next_us": next_us[each], "said": error, "counted": int(each not in waiting)}
        for each, error in sorted(errors.items())
    ]
    if rows:
        session.connection().execute(_FAIL, rows)


def return_leases(session: Session, batch: LeasedBatch, errors: Mapping[int, str]) -> None:
    """Return the leases of entities that failed on request; such a failure does not count as a worker's attempt."""
    rows = [{"of": entity_id, "held": batch.lease, "said": error} for entity_id, error in sorted(errors.items())]
    if rows:
        session.connection().execute(_PUT_BACK, rows)


def put_back(session: Session, batch: LeasedBatch, entity_ids: Iterable[int]) -> None:
    """Return leases of entities that were not assessed: they are due as before, without a failure."""
    rows = [{"of": entity_id, "held": batch.lease} for entity_id in sorted(entity_ids)]
    if rows:
        session.connection().execute(_LEAVE, rows)
