"""Endpoints, their state, dead deliveries, replays. Nothing here begins or ends a transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    Text,
    and_,
    delete,
    func,
    literal,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.sql.arrays import among
from fivefold.store.sql.keyset import rows_of
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.events import Delivery, Endpoint, OutboxEvent
from fivefold.store.webhooks.deliveries import is_in

_DELIVERIES = cast("Table", Delivery.__table__)


def find_endpoint(session: Session, organisation_id: int, endpoint_id: int, *, locked: bool = False) -> Endpoint:
    """Find an endpoint, and lock it until the transaction ends if *locked*.

    NotFoundError if the organisation has no such endpoint.
    """
    statement = select(Endpoint).where(Endpoint.id == endpoint_id, Endpoint.organisation_id == organisation_id)
    row = session.scalar(statement.with_for_update(key_share=True) if locked else statement)
    if row is None:
        raise NotFoundError(f"there is no endpoint {endpoint_id}")
    return row


@dataclass(frozen=True, kw_only=True)
class EndpointCounts:
    """The state of an endpoint.

    Attributes:
        waiting: events that were not sent yet, or will be tried again.
        failing: the waiting events that failed before.
        dead: deliveries that were given up.
        next_us: when the first failing one is tried again; None if none fails.
        delivered_us: when a delivery last arrived; None if none did in the time that deliveries are kept.
    """

    waiting: int
    failing: int
    dead: int
    next_us: int | None
    delivered_us: int | None


@dataclass(frozen=True, kw_only=True)
class DeliveryCounts:
    """The counts of all endpoints of an organisation together, like the `EndpointCounts` of each.

    Attributes:
        waiting: events that were not sent yet, or will be tried again; also those that no worker has planned yet.
        next_us: when the first planned one is tried; None if none is planned.
        dead: deliveries that were given up.
    """

    waiting: int = 0
    next_us: int | None = None
    dead: int = 0


def counted_deliveries(session: Session, organisation_id: int | None = None) -> dict[int, DeliveryCounts]:
    """Sum up the endpoints of each organisation, or of one; those without waiting or dead events are left out."""
    planned = [_DELIVERIES.c.endpoint_id == Endpoint.id, is_in("waiting")]
    by_endpoint = select(
        Endpoint.organisation_id,
        _waiting().label("waiting"),
        select(func.min(_DELIVERIES.c.next_us)).where(*planned).scalar_subquery().label("next_us"),
        _count("dead").label("dead"),
    )
    if organisation_id is not None:
        by_endpoint = by_endpoint.where(Endpoint.organisation_id == organisation_id)
    each = by_endpoint.subquery().c
    totals = select(each.organisation_id, func.sum(each.waiting), func.min(each.next_us), func.sum(each.dead))
    return {
        of: DeliveryCounts(waiting=int(waiting), next_us=next_us, dead=int(dead))
        for of, waiting, next_us, dead in session.execute(totals.group_by(each.organisation_id))
        if waiting or dead
    }


def counted_endpoints(
    session: Session, organisation_id: int, part: Part = WHOLE, endpoint_id: int | None = None
) -> Page[tuple[Endpoint, EndpointCounts]]:
    """List an organisation's endpoints, or one by its number, each with its state."""
    failing = [_DELIVERIES.c.endpoint_id == Endpoint.id, is_in("waiting"), _DELIVERIES.c.attempts > 0]
    arrived = [_DELIVERIES.c.endpoint_id == Endpoint.id, is_in("delivered")]
    statement = select(
        Endpoint,
        _waiting(),
        select(func.count()).select_from(_DELIVERIES).where(*failing).scalar_subquery(),
        _count("dead"),
        select(func.min(_DELIVERIES.c.next_us)).where(*failing).scalar_subquery(),
        select(func.max(_DELIVERIES.c.delivered_us)).where(*arrived).scalar_subquery(),
    ).where(Endpoint.organisation_id == organisation_id)
    if endpoint_id is not None:
        statement = statement.where(Endpoint.id == endpoint_id)
    return rows_of(session, statement, (Endpoint.id,), part).map(
        lambda row: (
            row[0],
            EndpointCounts(waiting=row[1], failing=row[2], dead=row[3], next_us=row[4], delivered_us=row[5]),
        )
    )


def _waiting() -> Any:
    """Count the events that an endpoint is yet to receive, planned by a worker or not."""
    return _count("waiting") + _unplanned()


def _unplanned() -> Any:
    """Count the events that an endpoint will receive and no worker has planned yet."""
    kinds = type_coerce(Endpoint.kinds, Text)  # a JSON list; a kind is of lower-case letters, dots and underscores
    return (
        select(func.count())
        .select_from(OutboxEvent)
        .where(
            OutboxEvent.organisation_id == Endpoint.organisation_id,
            OutboxEvent.id > Endpoint.planned_id,
            or_(kinds == "[]", kinds.like(literal('%"') + OutboxEvent.kind + literal('"%'))),
        )
        .correlate(Endpoint)
        .scalar_subquery()
    )


def all_endpoints(session: Session) -> Sequence[Endpoint]:
    """List and lock the endpoints of all organisations, by organisation and number."""
    statement = select(Endpoint).order_by(Endpoint.organisation_id, Endpoint.id)
    return session.scalars(statement.with_for_update(key_share=True)).all()


def _count(state: str) -> Any:
    return (
        select(func.count())
        .select_from(_DELIVERIES)
        .where(_DELIVERIES.c.endpoint_id == Endpoint.id, is_in(state))
        .scalar_subquery()
    )


def dead_deliveries(
    session: Session, organisation_id: int, endpoint_id: int | None, part: Part
) -> Page[tuple[Delivery, OutboxEvent, str | None, Entity | None]]:
    """List dead deliveries, of all endpoints or one, by endpoint and number: delivery, event, type and entity."""
    return _listed(session, _with_events(organisation_id).where(is_in("dead")), endpoint_id, part)


def failing_deliveries(
    session: Session, organisation_id: int, endpoint_id: int | None, part: Part
) -> Page[tuple[Delivery, OutboxEvent, str | None, Entity | None]]:
    """List deliveries that failed and will be tried again, like `dead_deliveries`."""
    failing = _with_events(organisation_id).where(is_in("waiting"), Delivery.attempts > 0)
    return _listed(session, failing, endpoint_id, part)


def _listed(
    session: Session, statement: Select[Delivery, OutboxEvent, str, Entity], endpoint_id: int | None, part: Part
) -> Page[tuple[Delivery, OutboxEvent, str | None, Entity | None]]:
    if endpoint_id is not None:
        statement = statement.where(Delivery.endpoint_id == endpoint_id)
    return rows_of(session, statement, (Delivery.endpoint_id, Delivery.event_number), part)


def _with_events(organisation_id: int) -> Select[Delivery, OutboxEvent, str, Entity]:
    """Select deliveries with their event, and the event's type and entity."""
    return (
        select(Delivery, OutboxEvent, EntityType.name, Entity)
        .join(Endpoint, Endpoint.id == Delivery.endpoint_id)
        .join(OutboxEvent, OutboxEvent.id == Delivery.event_number)
        .outerjoin(Entity, Entity.id == Delivery.entity_id)
        .outerjoin(EntityType, EntityType.id == Entity.type_id)
        .where(Endpoint.organisation_id == organisation_id)
    )


def replay(
    session: Session, endpoint_id: int, numbers: tuple[int, int] | None, now_us: int, *, dead_only: bool = False
) -> list[int]:
    """Let deliveries wait again from now on, as if never tried: those of *numbers*, both ends included, or all dead.

    With *dead_only*, only dead ones of *numbers*. Return the numbers of their events, in order. A delivery that is
    being sent is left alone. Deliveries behind them, postponed until their next attempt, may follow at once.
    """
    if numbers is None:
        which: ColumnElement[bool] = is_in("dead")
    else:
        which = and_(_DELIVERIES.c.event_number.between(*numbers), _DELIVERIES.c.lease.is_(None))
        which = and_(which, is_in("dead")) if dead_only else which
    again = (
        update(_DELIVERIES)
        .where(_DELIVERIES.c.endpoint_id == endpoint_id, which)
        .values(state="waiting", attempts=0, next_us=now_us, delivered_us=None, error=None)
        .returning(_DELIVERIES.c.event_number, _DELIVERIES.c.entity_id)
    )
    rows = session.execute(again).all()
    behind = and_(
        _DELIVERIES.c.endpoint_id == endpoint_id,
        among(session, _DELIVERIES.c.entity_id, [row.entity_id for row in rows]),
        is_in("waiting"),
        _DELIVERIES.c.attempts == 0,
        _DELIVERIES.c.next_us > now_us,
    )
    session.execute(update(_DELIVERIES).where(behind).values(next_us=now_us))
    return sorted(row.event_number for row in rows)


def remove(session: Session, endpoint: Endpoint) -> int:
    """Delete an endpoint with its deliveries; return how many events it was yet to receive."""
    ours = _DELIVERIES.c.endpoint_id == endpoint.id
    undelivered = session.scalar(select(_waiting()).where(Endpoint.id == endpoint.id)) or 0
    session.execute(delete(_DELIVERIES).where(ours))
    session.delete(endpoint)
    return undelivered
