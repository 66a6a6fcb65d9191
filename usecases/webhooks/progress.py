"""How an organisation's endpoints get on: what arrived last, and what fails and is tried again."""

from dataclasses import dataclass
from typing import Annotated

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.events import Delivery, Endpoint, OutboxEvent
from fivefold.store.webhooks import endpoints
from fivefold.store.webhooks.endpoints import EndpointCounts
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks.endpoints import EndpointLine, revision_of
from fivefold.usecases.webhooks.plan import MOST_ATTEMPTS
from fivefold.usecases.webhooks.signing import live_secrets, read_secrets


@schema("EndpointProgress")
@dataclass(frozen=True, kw_only=True)
class EndpointProgress(EndpointLine):
    """An endpoint, and how it gets on.

    Attributes:
        failing: deliveries that failed before and are tried again; of those that wait.
        next_us: when the first of them is tried again; None where nothing fails.
        delivered_us: when something arrived last; None where nothing did in the time that deliveries are kept.
        revision: another one once the kinds, the state or the secrets are others.
    """

    failing: int
    next_us: Annotated[Moment | None, shown_as("next_at")]
    delivered_us: Annotated[Moment | None, shown_as("delivered_at")]
    revision: str


@dataclass(frozen=True, kw_only=True)
class FailingDelivery:
    """A delivery that failed, and is tried again.

    Attributes:
        sequence: the number of its event.
        entity_type: of whom it tells.
        external_id: of whom it tells; None where that was erased.
        attempts: how often it was tried.
        most_attempts: after so many it is given up.
        next_us: when it is tried again.
        error: what was wrong at last.
    """

    sequence: int
    event_id: str
    kind: str
    entity_type: str | None
    external_id: str | None
    attempts: int
    most_attempts: int
    next_us: Annotated[Moment, shown_as("next_at")]
    error: str


def list_progress(context: Context, part: Part = WHOLE) -> Page[EndpointProgress]:
    """List the organisation's endpoints, each with how it gets on."""
    now = context.now()
    with context.reading() as session:
        rows = endpoints.counted_endpoints(session, context.organisation_id, part)
        return rows.map(lambda row: _progress(*row, now))


def read_endpoint(context: Context, endpoint_id: int) -> EndpointProgress:
    """Show an endpoint, and how it gets on; NotFoundError where the organisation has none of that number."""
    now = context.now()
    with context.reading() as session:
        rows = endpoints.counted_endpoints(session, context.organisation_id, endpoint_id=endpoint_id)
        if not rows:
            raise NotFoundError(f"there is no endpoint {endpoint_id}")
        return _progress(*rows[0], now)


def _progress(endpoint: Endpoint, counts: EndpointCounts, now_us: int) -> EndpointProgress:
    return EndpointProgress(
        id=endpoint.id,
        url=endpoint.url,
        kinds=tuple(endpoint.kinds),
        enabled=endpoint.enabled,
        private_allowed=endpoint.private_allowed,
        secrets=len(live_secrets(read_secrets(endpoint.secrets), now_us)),
        waiting=counts.waiting,
        dead=counts.dead,
        created_us=endpoint.created_us,
        failing=counts.failing,
        next_us=counts.next_us,
        delivered_us=counts.delivered_us,
        revision=revision_of(endpoint),
    )


def list_failing(context: Context, endpoint_id: int, part: Part = WHOLE) -> Page[FailingDelivery]:
    """List what failed at an endpoint and is tried again, by when that is.

    NotFoundError where the organisation has no such endpoint.
    """
    with context.reading() as session:
        endpoints.find_endpoint(session, context.organisation_id, endpoint_id)
        rows = endpoints.failing_deliveries(session, context.organisation_id, endpoint_id, part)
        return rows.map(lambda row: _failing(*row))


def _failing(delivery: Delivery, event: OutboxEvent, entity_type: str | None, entity: Entity | None) -> FailingDelivery:
    return FailingDelivery(
        sequence=delivery.event_number,
        event_id=event.event_id,
        kind=event.kind,
        entity_type=entity_type,
        external_id=None if entity is None or entity.erased_us is not None else entity.external_id,
        attempts=delivery.attempts,
        most_attempts=MOST_ATTEMPTS,
        next_us=delivery.next_us,
        error=delivery.error or "",
    )
