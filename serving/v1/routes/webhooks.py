"""Webhooks: endpoints, dead letters and replays."""

from typing import Annotated

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import LARGEST_BIG, WHOLE, Number, RequestModel, ResponseModel, Text
from fivefold.usecases.webhooks import endpoints, progress
from fivefold.usecases.webhooks.endpoints import DeadLetter, EndpointLine, EndpointMade
from fivefold.usecases.webhooks.progress import EndpointProgress, FailingDelivery


class EndpointGiven(RequestModel):
    """The URL of an endpoint, and the kinds of events to deliver: all by default."""

    url: Text
    kinds: list[Text] = Field(default_factory=list)


class EnabledGiven(RequestModel):
    """Whether deliveries to an endpoint are on; meanwhile they wait."""

    enabled: bool


class KindsGiven(RequestModel):
    """The kinds of events to deliver, all where there are none; `revision`: of the endpoint as it was read."""

    kinds: list[Text]
    revision: Text | None = None


class KindsChanged(ResponseModel):
    """Whether the endpoint received other kinds before."""

    changed: bool


class RotationGiven(RequestModel):
    """How many hours older secrets go on signing."""

    kept_hours: Annotated[int, Field(ge=0, le=endpoints.KEPT_HOURS), WHOLE] = endpoints.KEPT_HOURS


class ReplayGiven(RequestModel):
    """All dead letters, or everything of a range of sequence numbers, both ends included."""

    first: Annotated[int, Field(ge=1, le=LARGEST_BIG), WHOLE] | None = None
    last: Annotated[int, Field(ge=1, le=LARGEST_BIG), WHOLE] | None = None


class Counted(ResponseModel):
    """How many."""

    count: int


def list_endpoints(context: RequestContext, query: PageQuery) -> Page[EndpointLine]:
    """List the endpoints."""
    return endpoints.list_endpoints(context, part=query.part)


def add_endpoint(context: RequestContext, body: EndpointGiven) -> EndpointMade:
    """Add an endpoint, which receives events from now on. Its secret is shown only once."""
    return endpoints.add_endpoint(context, body.url, kinds=body.kinds)


def read_endpoint(context: RequestContext, endpoint: Number) -> EndpointProgress:
    """Show an endpoint: what arrived last, and how much fails and is tried again."""
    return progress.read_endpoint(context, endpoint)


def change_kinds(context: RequestContext, endpoint: Number, body: KindsGiven) -> KindsChanged:
    """Let an endpoint receive other kinds of events from now on; refused where it is of another revision."""
    return KindsChanged(changed=endpoints.change_kinds(context, endpoint, body.kinds, revision=body.revision))


def list_failing(context: RequestContext, endpoint: Number, query: PageQuery) -> Page[FailingDelivery]:
    """List deliveries that failed and are tried again, by sequence number."""
    return progress.list_failing(context, endpoint, query.part)


def remove_endpoint(context: RequestContext, endpoint: Number) -> Counted:
    """Remove an endpoint with all its deliveries; the count is of those that were waiting."""
    return Counted(count=endpoints.remove_endpoint(context, endpoint))


def set_enabled(context: RequestContext, endpoint: Number, body: EnabledGiven) -> None:
    """Switch the deliveries to an endpoint on or off."""
    endpoints.set_enabled(context, endpoint, enabled=body.enabled)


def rotate_secret(context: RequestContext, endpoint: Number, body: RotationGiven) -> EndpointMade:
    """Make an endpoint a new secret; older ones go on signing for a while."""
    return endpoints.rotate_secret(context, endpoint, kept_hours=body.kept_hours)


def drop_old_secrets(context: RequestContext, endpoint: Number) -> Counted:
    """Let only the newest secret sign from now on; the count is of the secrets that ended."""
    return Counted(count=endpoints.drop_old_secrets(context, endpoint))


def list_dead_letters(context: RequestContext, endpoint: Number, query: PageQuery) -> Page[DeadLetter]:
    """List what could not be delivered, by sequence number."""
    return endpoints.dead_letters(context, endpoint, query.part)


def replay_deliveries(context: RequestContext, endpoint: Number, body: ReplayGiven) -> Counted:
    """Send deliveries again, in their order; the count is of these."""
    numbers = None
    if body.first is not None or body.last is not None:
        numbers = (body.first or 1, body.last or LARGEST_BIG)
    return Counted(count=endpoints.replay_dead_letters(context, endpoint, numbers))
