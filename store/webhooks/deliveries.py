"""Deliveries of events to endpoints: planned, claimed, delivered or dead. Nothing here begins or ends a transaction.

A delivery is sent only if no earlier one to the same endpoint about the same entity waits, and none is being sent. So
events arrive in their order, and a failure delays only those of its endpoint and entity.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import (
    Table,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from fivefold.store.sql.clocks import lease_is_over
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.events import Delivery, Endpoint, OutboxEvent
from fivefold.store.webhooks.outbox import NOBODY

_DELIVERIES = cast("Table", Delivery.__table__)
_OUTBOX = cast("Table", OutboxEvent.__table__)
_BEFORE = _DELIVERIES.alias("before")
_ENDPOINTS = cast("Table", Endpoint.__table__)


def is_in(state: str, table: Any = _DELIVERIES) -> Any:
    """Compare the state with a literal, as a partial index is not used for a bound parameter."""
    return table.c.state == literal_column(f"'{state}'")


@dataclass(frozen=True, kw_only=True)
class PlanningBacklog:
    """An endpoint whose deliveries of the events after *after*, up to *upto*, are not planned yet."""

    endpoint_id: int
    organisation_id: int
    kinds: tuple[str, ...]
    after: int
    upto: int


def planning_backlogs(session: Session, settled: int, most: int) -> list[PlanningBacklog]:
    """List endpoints with events that are not planned yet, up to *most* events of each.

    Disabled endpoints too: their kinds now decide what they receive, and it can be counted.
    """
    following = (
        select(_OUTBOX.c.id)
        .where(
            _OUTBOX.c.organisation_id == _ENDPOINTS.c.organisation_id,
            _OUTBOX.c.id > _ENDPOINTS.c.planned_id,
            _OUTBOX.c.id <= settled,
        )
        .order_by(_OUTBOX.c.id)
        .limit(most)
        .correlate(_ENDPOINTS)
        .subquery()
    )
    upto = select(func.max(following.c.id)).scalar_subquery()
    rows = session.execute(select(Endpoint, upto).order_by(Endpoint.id)).all()
    return [backlog_of(endpoint, last) for endpoint, last in rows if last is not None]


def backlog_of(endpoint: Endpoint, upto: int) -> PlanningBacklog:
    """Return an endpoint's backlog of events up to a number, by the kinds that it receives now."""
    return PlanningBacklog(
        endpoint_id=endpoint.id,
        organisation_id=endpoint.organisation_id,
        kinds=tuple(endpoint.kinds),
        after=endpoint.planned_id,
        upto=max(upto, endpoint.planned_id),
    )


def plan(session: Session, backlog: PlanningBacklog, now_us: int) -> int:
    """Plan the deliveries of one endpoint; return how many. 0 if another planner was first."""
    statement = (
        update(_ENDPOINTS)
        .where(_ENDPOINTS.c.id == backlog.endpoint_id, _ENDPOINTS.c.planned_id == backlog.after)
        .values(planned_id=backlog.upto)
    )
    connection = session.connection()
    if not connection.execute(statement).rowcount:
        return 0
    events = select(
        literal(backlog.endpoint_id), _OUTBOX.c.id, _OUTBOX.c.entity_id, literal("waiting"), literal(0), literal(now_us)
    ).where(
        _OUTBOX.c.organisation_id == backlog.organisation_id,
        _OUTBOX.c.id > backlog.after,
        _OUTBOX.c.id <= backlog.upto,
    )
    if backlog.kinds:
        events = events.where(_OUTBOX.c.kind.in_(backlog.kinds))
    columns = ("endpoint_id", "event_number", "entity_id", "state", "attempts", "next_us")
    new_deliveries = insert(_DELIVERIES).from_select(columns, events).execution_options(preserve_rowcount=True)
    return connection.execute(new_deliveries).rowcount


@dataclass(frozen=True, kw_only=True)
class LeasedDelivery:
    """A delivery leased to be sent, with its event.

    Attributes:
        attempts: how often it failed before.
        lease: the lease, which must still be held when the result is recorded.
        lease_until_us: the end of the lease; no other process sends the delivery until then.
        body: the event's body; None if it was erased.
        external_id: the entity's identifier; None if it was erased, or the event is about no entity.
    """

    endpoint_id: int
    event_number: int
    entity_id: int
    attempts: int
    lease: str
    lease_until_us: int
    event_id: str
    kind: str
    at_us: int
    body: str | None = field(repr=False)
    entity_type: str | None
    external_id: str | None = field(repr=False)


_OPEN = or_(_DELIVERIES.c.lease.is_(None), lease_is_over(_DELIVERIES.c.lease_until_us, bindparam("now_us")))
_IS_BLOCKED = exists().where(
    _BEFORE.c.endpoint_id == _DELIVERIES.c.endpoint_id,
    _BEFORE.c.entity_id == _DELIVERIES.c.entity_id,
    is_in("waiting", _BEFORE),
    or_(
        _BEFORE.c.event_number < _DELIVERIES.c.event_number,
        # A replayed delivery waits while a later one is being sent.
        and_(
            _BEFORE.c.event_number > _DELIVERIES.c.event_number,
            ~lease_is_over(_BEFORE.c.lease_until_us, bindparam("now_us")),
        ),
    ),
)
_READY = (
    select(_DELIVERIES.c.event_number)
    .where(
        _DELIVERIES.c.endpoint_id == bindparam("endpoint"),
        is_in("waiting"),
        _DELIVERIES.c.next_us <= bindparam("now_us"),
        _OPEN,
        ~_IS_BLOCKED,
        exists().where(_ENDPOINTS.c.id == bindparam("endpoint"), _ENDPOINTS.c.enabled),
    )
    .order_by(_DELIVERIES.c.next_us)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True, of=_DELIVERIES)
    .cte("ready")
)
_LEASE = (
    update(_DELIVERIES)
    .where(_DELIVERIES.c.endpoint_id == bindparam("endpoint"), _DELIVERIES.c.event_number.in_(select(_READY)))
    .values(lease=bindparam("by"), lease_until_us=bindparam("until_us"))
    .returning(_DELIVERIES.c.event_number)
)


def claim(
    session: Session, endpoint_id: int, lease: str, now_us: int, until_us: int, most: int
) -> list[LeasedDelivery]:
    """Lease up to *most* deliveries of an endpoint that may be sent now, one for each entity, in their order."""
    leased = session.scalars(
        _LEASE, {"endpoint": endpoint_id, "by": lease, "now_us": now_us, "until_us": until_us, "most": most}
    ).all()
    if not leased:
        return []
    rows = session.execute(
        select(Delivery, OutboxEvent, EntityType.name, Entity)
        .join(OutboxEvent, OutboxEvent.id == Delivery.event_number)
        .outerjoin(Entity, Entity.id == Delivery.entity_id)
        .outerjoin(EntityType, EntityType.id == Entity.type_id)
        .where(Delivery.endpoint_id == endpoint_id, Delivery.event_number.in_(leased))
        .order_by(Delivery.event_number)
    )
    return [_claim(delivery, event, type_name, entity) for delivery, event, type_name, entity in rows]


def _claim(delivery: Delivery, event: OutboxEvent, entity_type: str | None, entity: Entity | None) -> LeasedDelivery:
    """Combine a delivery with its event; the data of an erased entity are left out."""
    erased = event.body is None or (delivery.entity_id != NOBODY and (entity is None or entity.erased_us is not None))
    return LeasedDelivery(
        endpoint_id=delivery.endpoint_id,
        event_number=delivery.event_number,
        entity_id=delivery.entity_id,
        attempts=delivery.attempts,
        lease=delivery.lease or "",
        lease_until_us=delivery.lease_until_us or 0,
        event_id=event.event_id,
        kind=event.kind,
        at_us=event.at_us,
        body=None if erased else event.body,
        entity_type=entity_type,
        external_id=None if erased or entity is None else entity.external_id,
    )


_IS_LEASED = and_(
    _DELIVERIES.c.endpoint_id == bindparam("endpoint"),
    _DELIVERIES.c.event_number == bindparam("numbered"),
    _DELIVERIES.c.lease == bindparam("held"),
)
_DONE = {"lease": None, "lease_until_us": None, "attempts": _DELIVERIES.c.attempts + 1}
_ARRIVED = (
    update(_DELIVERIES)
    .where(_IS_LEASED)
    .values(state="delivered", delivered_us=bindparam("at_us"), error=None, **_DONE)
)
_FAILED = (
    update(_DELIVERIES)
    .where(_IS_LEASED)
    .values(state=bindparam("then"), next_us=bindparam("then_us"), error=bindparam("said"), **_DONE)
)
_POSTPONED = (
    update(_DELIVERIES)
    .where(
        _DELIVERIES.c.endpoint_id == bindparam("endpoint"),
        _DELIVERIES.c.entity_id == bindparam("of"),
        _DELIVERIES.c.event_number > bindparam("numbered"),
        is_in("waiting"),
        _DELIVERIES.c.next_us < bindparam("then_us"),
        exists().where(
            _BEFORE.c.endpoint_id == bindparam("endpoint"),
            _BEFORE.c.event_number == bindparam("numbered"),
            _BEFORE.c.lease == bindparam("held"),
        ),
    )
    .values(next_us=bindparam("then_us"))
)
"""Postpone the deliveries behind one that waits for a retry: they need not be checked before that."""


@dataclass(frozen=True)
class DeliveryFailure:
    """An attempt that failed.

    Attributes:
        error: the cause, for people.
        next_us: when to try again; None for a dead delivery.
    """

    claim: LeasedDelivery
    error: str
    next_us: int | None


def record_delivered(session: Session, claims: Iterable[LeasedDelivery], now_us: int) -> None:
    """Record arrived deliveries, if their lease is still held; otherwise another process sends them again."""
    rows = [{**_lease_parameters(claim), "at_us": now_us} for claim in claims]
    if rows:
        session.connection().execute(_ARRIVED, rows)


def record_failed(session: Session, failures: Sequence[DeliveryFailure], now_us: int) -> None:
    """Record failed attempts, if their lease is still held; a dead delivery no longer blocks later ones."""
    connection = session.connection()
    again = [
        {**_lease_parameters(failure.claim), "of": failure.claim.entity_id, "then_us": failure.next_us}
        for failure in failures
        if failure.next_us is not None
    ]
    if again:
        connection.execute(_POSTPONED, again)
    rows = [
        {
            **_lease_parameters(failure.claim),
            "then": "dead" if failure.next_us is None else "waiting",
            "then_us": failure.next_us or now_us,
            "said": failure.error,
        }
        for failure in failures
    ]
    if rows:
        connection.execute(_FAILED, rows)


def _lease_parameters(claim: LeasedDelivery) -> dict[str, Any]:
    return {"endpoint": claim.endpoint_id, "numbered": claim.event_number, "held": claim.lease}


def endpoints_with_work(session: Session, now_us: int) -> Sequence[int]:
    """List enabled endpoints with deliveries to send now."""
    has_due = exists().where(
        _DELIVERIES.c.endpoint_id == _ENDPOINTS.c.id, is_in("waiting"), _DELIVERIES.c.next_us <= now_us
    )
    return session.scalars(select(_ENDPOINTS.c.id).where(_ENDPOINTS.c.enabled, has_due).order_by(_ENDPOINTS.c.id)).all()


def count_failing(session: Session) -> int:
    """Count the deliveries to enabled endpoints that failed and wait to be sent again."""
    failing = (is_in("waiting"), _DELIVERIES.c.attempts > 0, _ENDPOINTS.c.enabled)
    statement = select(func.count()).select_from(_DELIVERIES).join(_ENDPOINTS).where(*failing)
    return session.scalar(statement) or 0
