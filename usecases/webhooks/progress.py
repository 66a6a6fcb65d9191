"""The state of an organisation's endpoints: the last arrival, and the deliveries that fail and are tried again."""

from dataclasses import dataclass
from typing import Annotated

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.tables.events import Endpoint
from fivefold.store.webhooks import endpoints
from fivefold.store.webhooks.endpoints import EndpointCounts
from fivefold.usecases.shared.api_fields import INTERNAL, Moment, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks.endpoints import EndpointLine, about_delivery, line_of, revision_of
from fivefold.usecases.webhooks.plan import MOST_ATTEMPTS


@schema("EndpointProgress")
@dataclass(frozen=True, kw_only=True)
class EndpointProgress(EndpointLine):
    """An endpoint with the state of its deliveries.

    Attributes:
        failing: deliveries that failed before and are tried again; of those that wait.
        next_us: when the first of them is tried again; None if none fails.
        delivered_us: when a delivery last arrived; None if none did in the time that deliveries are kept.
        revision: changes with the kinds, the state or the secrets.
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
        entity_type: of the event's entity.
        external_id: of the event's entity; None if that was erased.
        attempts: how often it was tried.
        most_attempts: after this many it is given up.
        next_us: when it is tried again.
        error: of the last attempt.
    """

    endpoint_id: Annotated[int, INTERNAL]
    sequence: int
    event_id: str
    kind: str
    entity_type: str | None
    external_id: str | None
    attempts: int
    most_attempts: int
    next_us: Annotated[Moment, shown_as("next_at")]
    error: str


def list_progress(context: Context, part: Part) -> Page[EndpointProgress]:
    """List the organisation's endpoints, each with the state of its deliveries."""
    now = context.now()
    with context.reading() as session:
        rows = endpoints.counted_endpoints(session, context.organisation_id, part)
        return rows.map(lambda row: _progress(*row, now))


def read_endpoint(context: Context, endpoint_id: int) -> EndpointProgress:
    """Show an endpoint with the state of its deliveries; NotFoundError if the organisation has none of that number."""
    now = context.now()
    with context.reading() as session:
        rows = endpoints.counted_endpoints(session, context.organisation_id, endpoint_id=endpoint_id)
        if not rows:
            raise NotFoundError(f"there is no endpoint {endpoint_id}")
        return _progress(*rows[0], now)


def _progress(endpoint: Endpoint, counts: EndpointCounts, now_us: int) -> EndpointProgress:
    """Describe an endpoint with the counts of its deliveries."""
    return EndpointProgress(
        **vars(line_of(endpoint, counts, now_us)),
        failing=counts.failing,
        next_us=counts.next_us,
        delivered_us=counts.delivered_us,
        revision=revision_of(endpoint),
    )


def list_failing(context: Context, endpoint_id: int | None = None, part: Part = WHOLE) -> Page[FailingDelivery]:
    """List the deliveries that failed and are tried again, by endpoint and sequence number.

    Args:
        context: who asks.
        endpoint_id: of one endpoint only; NotFoundError if the organisation does not have it.
        part: which of them.
    """
    with context.reading() as session:
        if endpoint_id is not None:
            endpoints.find_endpoint(session, context.organisation_id, endpoint_id)
        rows = endpoints.failing_deliveries(session, context.organisation_id, endpoint_id, part)
        return rows.map(
            lambda row: FailingDelivery(**about_delivery(*row), most_attempts=MOST_ATTEMPTS, next_us=row[0].next_us)
        )
