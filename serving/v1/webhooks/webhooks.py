"""Webhooks: who is told of what happens, what could not be told, and sending again."""

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageAsked
from fivefold.serving.v1.route import Asked
from fivefold.serving.v1.schemas import LARGEST_BIG, Given, Moment, Number, Shown, Text
from fivefold.usecases.webhooks import endpoints


class EndpointGiven(Given):
    """Where to tell, and what: all kinds of events where none is named."""

    url: Text
    kinds: list[Text] = Field(default_factory=list)


class EndpointMade(Shown):
    """A new endpoint, or its new secret, which is told this once."""

    endpoint_id: int
    secret: str


class Endpoint(Shown):
    """An endpoint, without its secrets: `secrets` says how many sign now."""

    id: int
    url: str
    kinds: list[str]
    enabled: bool
    private_allowed: bool
    secrets: int
    waiting: int
    dead: int
    created_at: Moment = Field(validation_alias="created_us")


class EnabledGiven(Given):
    """Whether an endpoint is told for now; what happens meanwhile waits."""

    enabled: bool


class RotationGiven(Given):
    """How many hours older secrets go on signing."""

    kept_hours: int = Field(default=endpoints.KEPT_HOURS, ge=0, le=endpoints.KEPT_HOURS)


class DeadLetter(Shown):
    """A delivery that was given up."""

    sequence: int
    event_id: str
    kind: str
    entity_type: str | None
    external_id: str | None
    attempts: int
    died_at: Moment = Field(validation_alias="died_us")
    error: str


class ReplayGiven(Given):
    """All dead letters, or everything of a range of sequence numbers, both ends included."""

    first: int | None = Field(default=None, ge=1, le=LARGEST_BIG)
    last: int | None = Field(default=None, ge=1, le=LARGEST_BIG)


class Counted(Shown):
    """How many."""

    count: int


def list_endpoints(asked: Asked, query: PageAsked) -> Page[Endpoint]:
    """List the endpoints."""
    return endpoints.list_endpoints(asked.engine, asked.actor, part=query.part).map(Endpoint.of)


def add_endpoint(asked: Asked, body: EndpointGiven) -> EndpointMade:
    """Add an endpoint, which is told of what happens from now on. Its secret is told this once."""
    return EndpointMade.of(endpoints.add_endpoint(asked.engine, asked.actor, body.url, kinds=body.kinds))


def remove_endpoint(asked: Asked, endpoint: Number) -> Counted:
    """Remove an endpoint with all its deliveries; tell how many of them were waiting."""
    return Counted(count=endpoints.remove_endpoint(asked.engine, asked.actor, endpoint))


def set_enabled(asked: Asked, endpoint: Number, body: EnabledGiven) -> None:
    """Let an endpoint be told, or not for now."""
    endpoints.set_enabled(asked.engine, asked.actor, endpoint, enabled=body.enabled)


def rotate_secret(asked: Asked, endpoint: Number, body: RotationGiven) -> EndpointMade:
    """Make an endpoint a new secret; older ones go on signing for a while."""
    made = endpoints.rotate_secret(asked.engine, asked.actor, endpoint, kept_hours=body.kept_hours)
    return EndpointMade.of(made)


def drop_old_secrets(asked: Asked, endpoint: Number) -> Counted:
    """Let only the newest secret sign from now on; tell how many did so beside it."""
    return Counted(count=endpoints.drop_old_secrets(asked.engine, asked.actor, endpoint))


def list_dead_letters(asked: Asked, endpoint: Number, query: PageAsked) -> Page[DeadLetter]:
    """List what could not be delivered, by sequence number."""
    return endpoints.dead_letters(asked.engine, asked.actor, endpoint, query.part).map(DeadLetter.of)


def replay_deliveries(asked: Asked, endpoint: Number, body: ReplayGiven) -> Counted:
    """Send again, in their order; tell how many that are."""
    numbers = None
    if body.first is not None or body.last is not None:
        numbers = (body.first or 1, body.last or LARGEST_BIG)
    return Counted(count=endpoints.replay_dead_letters(asked.engine, asked.actor, endpoint, numbers))
