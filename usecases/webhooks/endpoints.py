"""An organisation's webhooks: endpoints and their secrets, dead letters, and their replay."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated, Any, Final, Unpack

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import HOUR_US
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.domain.text import perhaps
from fivefold.store.audit.bound_rows import digests
from fivefold.store.audit.chain import digest_of
from fivefold.store.sql.database import writing
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.events import Delivery, Endpoint, OutboxEvent
from fivefold.store.webhooks import deliveries, endpoints
from fivefold.store.webhooks.endpoints import EndpointCounts
from fivefold.store.webhooks.outbox import EVENT_KINDS, settled_number
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.addresses import checked_url
from fivefold.usecases.shared.api_fields import INTERNAL, Moment, schema, shown_as
from fivefold.usecases.shared.context import Context, EntryValues
from fivefold.usecases.webhooks.signing import (
    Secret,
    count_signing,
    live_secrets,
    new_secret,
    read_secrets,
    rotate,
    secrets_json,
)

KINDS: Final = EVENT_KINDS
"""The kinds of events."""
KEPT_HOURS = 24
"""How long a secret still signs after it was replaced."""
MOST_SECRETS = 5
"""The most secrets that sign for an endpoint. Each adds a signature to every webhook; receivers limit their headers."""
REVISION_CHARACTERS = 16
_SHOWN = 100
"""The most characters that a refusal quotes of an unknown kind."""


@schema("Endpoint")
@dataclass(frozen=True, kw_only=True)
class EndpointLine:
    """An endpoint, without its secrets: `secrets` is the number of those that sign now.

    Attributes:
        kinds: of events that it receives; empty for all.
        secrets: how many sign now: two for a while after a rotation; 0 where this host lacks the key to read them.
        waiting: events that were not sent yet, or are tried again.
        dead: deliveries that were given up.
    """

    id: int
    url: str
    kinds: tuple[str, ...]
    enabled: bool
    private_allowed: bool
    secrets: int
    waiting: int
    dead: int
    created_us: Annotated[Moment, shown_as("created_at")]


@dataclass(frozen=True)
class EndpointMade:
    """A new endpoint, or its new secret, which is shown only once."""

    endpoint_id: int
    secret: str = field(repr=False)


def add_endpoint(
    context: Context, url: str, *, kinds: Sequence[str] = (), private_allowed: bool = False, http_allowed: bool = False
) -> EndpointMade:
    """Add an endpoint for events from now on; return its number and its secret.

    Args:
        context: who adds it.
        url: https or http, without a user in it.
        kinds: of events; all of them by default.
        private_allowed: it may have an address of a private range. Only an operator at the machine may allow it: such
            addresses may be reachable for the machine but not for others.
        http_allowed: it may be plain http, though not in a private range. Only an operator at the machine may allow it.

    Raises:
        ConfigError: the URL or a kind is invalid.
        ConflictError: a private range, and the actor is not at the machine.
    """
    now = context.now()
    if (private_allowed or http_allowed) and not context.actor.name.startswith("cli:"):
        raise ConflictError(
            "private addresses and plain http can be allowed at the machine only: fivefold webhooks add"
            " --allow-private, or --allow-http"
        )
    or_else = ", or an operator must allow it at the machine: fivefold webhooks add --allow-private"
    target = checked_url(url, private_allowed=private_allowed, http_allowed=http_allowed, or_else=or_else)
    kind_names = _checked_kinds(kinds)
    secret = new_secret()
    with context.writing() as session:
        endpoint = Endpoint(
            organisation_id=context.organisation_id,
            url=str(target),
            kinds=kind_names,
            secrets=secrets_json([Secret(secret)]),
            enabled=True,
            private_allowed=private_allowed,
            planned_id=settled_number(session),
            created_us=now,
        )
        session.add(endpoint)
        session.flush()
        details = {
            "scheme": target.scheme,
            "host": target.host,
            "kinds": kind_names,
            "private_allowed": private_allowed,
        }
        record_endpoint_change(session, context, endpoint, "added", details=details)
        return EndpointMade(endpoint.id, secret)


def list_endpoints(context: Context, part: Part = WHOLE) -> Page[EndpointLine]:
    """List the organisation's endpoints."""
    now = context.now()
    with context.reading() as session:
        rows = endpoints.counted_endpoints(session, context.organisation_id, part)
        return rows.map(lambda row: line_of(*row, now))


def line_of(endpoint: Endpoint, counts: EndpointCounts, now_us: int) -> EndpointLine:
    """Describe an endpoint with the numbers of its deliveries."""
    return EndpointLine(
        id=endpoint.id,
        url=endpoint.url,
        kinds=tuple(endpoint.kinds),
        enabled=endpoint.enabled,
        private_allowed=endpoint.private_allowed,
        secrets=count_signing(endpoint.secrets, now_us),
        waiting=counts.waiting,
        dead=counts.dead,
        created_us=endpoint.created_us,
    )


def revision_of(endpoint: Endpoint) -> str:
    """Return a name for the present state of an endpoint: it changes with its kinds, its state or its secrets."""
    settings = canonical_json([list(endpoint.kinds), endpoint.enabled, endpoint.secrets])
    return sha256(settings.encode()).hexdigest()[:REVISION_CHARACTERS]


def _seen_endpoint(session: Session, context: Context, endpoint_id: int, revision: str | None) -> Endpoint:
    """Find an endpoint and lock it; ConflictError if it has changed since *revision*, if that is given."""
    endpoint = endpoints.find_endpoint(session, context.organisation_id, endpoint_id, locked=True)
    if revision is not None and revision != revision_of(endpoint):
        raise ConflictError(f"endpoint {endpoint_id} was changed meanwhile; look at it again")
    return endpoint


def change_kinds(context: Context, endpoint_id: int, kinds: Sequence[str], *, revision: str | None = None) -> bool:
    """Change the kinds of events that an endpoint receives, all for an empty list; return whether that is a change.

    It applies to events from now on: waiting events are sent whatever their kind, also those not planned yet.

    Args:
        context: who changes it.
        endpoint_id: of the endpoint.
        kinds: of events.
        revision: of the endpoint as the person saw it; None to change it in any case.

    Raises:
        ConfigError: a kind is invalid.
        NotFoundError: the organisation has no such endpoint.
        ConflictError: another person changed it meanwhile.
    """
    new_kinds, now = _checked_kinds(kinds), context.now()
    with context.writing() as session:
        endpoint = _seen_endpoint(session, context, endpoint_id, revision)
        before = list(endpoint.kinds)
        if before == new_kinds:
            return False
        deliveries.plan(session, deliveries.backlog_of(endpoint, settled_number(session)), now)
        endpoint.kinds = new_kinds
        record_endpoint_change(
            session, context, endpoint, "kinds_changed", before={"kinds": before}, after={"kinds": new_kinds}
        )
        return True


def rotate_secret(
    context: Context, endpoint_id: int, *, kept_hours: int = KEPT_HOURS, revision: str | None = None
) -> EndpointMade:
    """Make a new secret for an endpoint; the earlier ones also sign for *kept_hours*, or end at once if that is 0.

    Raises:
        ConfigError: an invalid number of hours, or earlier secrets are to be kept and cannot be read.
        NotFoundError: the organisation has no such endpoint.
        ConflictError: it has changed since *revision*, None for no check; or `MOST_SECRETS` would be exceeded.
    """
    now = context.now()
    if not 0 <= kept_hours <= KEPT_HOURS:
        raise ConfigError(f"kept_hours is {kept_hours}; it must be from 0 to {KEPT_HOURS}")
    secret = new_secret()
    with context.writing() as session:
        endpoint = _seen_endpoint(session, context, endpoint_id, revision)
        # To replace them at once needs no earlier secret, so it works even if the key that read them is lost.
        earlier = read_secrets(endpoint.secrets) if kept_hours else ()
        signing = rotate(earlier, secret, now, now + kept_hours * HOUR_US)
        if len(signing) > MOST_SECRETS:
            raise ConflictError(
                f"endpoint {endpoint_id} has {len(signing) - 1} secrets that sign, and each makes every webhook longer;"
                " end the older ones first, or all of them at once with kept_hours 0"
            )
        endpoint.secrets = secrets_json(signing)
        record_endpoint_change(session, context, endpoint, "secret_rotated", details={"kept_hours": kept_hours})
        return EndpointMade(endpoint_id, secret)


def drop_old_secrets(context: Context, endpoint_id: int) -> int:
    """Let only the newest secret sign from now on; return the number of others.

    NotFoundError if the organisation has no such endpoint.
    """
    now = context.now()
    with context.writing() as session:
        endpoint = endpoints.find_endpoint(session, context.organisation_id, endpoint_id, locked=True)
        newest, *older = live_secrets(read_secrets(endpoint.secrets), now)
        if not older:
            return 0
        endpoint.secrets = secrets_json([newest])
        record_endpoint_change(session, context, endpoint, "old_secrets_dropped", details={"dropped": len(older)})
        return len(older)


def set_enabled(context: Context, endpoint_id: int, *, enabled: bool) -> None:
    """Enable or disable an endpoint: events wait while it is disabled, and are sent once it is enabled again.

    NotFoundError if the organisation has no such endpoint. Setting the present state changes and records nothing.
    """
    with context.writing() as session:
        endpoint = endpoints.find_endpoint(session, context.organisation_id, endpoint_id, locked=True)
        if endpoint.enabled != enabled:
            endpoint.enabled = enabled
            record_endpoint_change(
                session,
                context,
                endpoint,
                "enabled" if enabled else "disabled",
                before={"enabled": not enabled},
                after={"enabled": enabled},
            )


def remove_endpoint(context: Context, endpoint_id: int, *, revision: str | None = None) -> int:
    """Remove an endpoint with all its deliveries, for good; return how many events it was yet to receive.

    Raises:
        NotFoundError: the organisation has no such endpoint.
        ConflictError: it has changed since *revision*; None for no check.
    """
    with context.writing() as session:
        endpoint = _seen_endpoint(session, context, endpoint_id, revision)
        waiting_count = endpoints.remove(session, endpoint)
        record_endpoint_change(session, context, endpoint, "removed", details={"waiting": waiting_count})
        return waiting_count


def encrypt_secrets(engine: Engine, who: str) -> int:
    """Encrypt the secrets of all endpoints, of all organisations, with the newest key; return how many endpoints.

    Afterwards an older key may be removed from the settings. ConfigError if one cannot be decrypted; then nothing is
    changed.
    """
    with writing(engine) as session:
        rows = endpoints.all_endpoints(session)
        for endpoint in rows:
            endpoint.secrets = secrets_json(read_secrets(endpoint.secrets))
            context = Context(engine, Actor(endpoint.organisation_id, who))
            record_endpoint_change(session, context, endpoint, "secrets_encrypted")
        return len(rows)


def _checked_kinds(kinds: Sequence[str]) -> list[str]:
    kind_names = sorted(set(kinds))
    for kind in kind_names:
        if kind not in KINDS:
            hint = f"{perhaps(kind, KINDS)}; there are {', '.join(KINDS)}"
            raise ConfigError(f"there is no kind of event {kind[:_SHOWN]!r}{hint}")
    return kind_names


def record_endpoint_change(
    session: Session, context: Context, endpoint: Endpoint, action: str, **values: Unpack[EntryValues]
) -> None:
    """Record a change of an endpoint in the audit log, or that it was removed, as the last thing in the transaction."""
    values["rows"] = digests(session, "endpoints", [endpoint.id]) or {"endpoints": {str(endpoint.id): None}}
    context.record(session, f"webhook.{action}", ("endpoint", endpoint.id), **values)


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """A delivery that was given up.

    Attributes:
        sequence: the number of its event.
        entity_type: of the event's entity.
        external_id: of the event's entity; None if that was erased.
        died_us: when it was tried for the last time.
        error: of that attempt.
    """

    endpoint_id: Annotated[int, INTERNAL]
    sequence: int
    event_id: str
    kind: str
    entity_type: str | None
    external_id: str | None
    attempts: int
    died_us: Annotated[Moment, shown_as("died_at")]
    error: str


def dead_letters(context: Context, endpoint_id: int | None = None, part: Part = WHOLE) -> Page[DeadLetter]:
    """List the given-up deliveries, by endpoint and sequence number.

    Args:
        context: who asks.
        endpoint_id: of one endpoint only; NotFoundError if the organisation does not have it.
        part: which of them.
    """
    with context.reading() as session:
        if endpoint_id is not None:
            endpoints.find_endpoint(session, context.organisation_id, endpoint_id)
        rows = endpoints.dead_deliveries(session, context.organisation_id, endpoint_id, part)
        return rows.map(lambda row: DeadLetter(**about_delivery(*row), died_us=row[0].next_us))


def about_delivery(
    delivery: Delivery, event: OutboxEvent, entity_type: str | None, entity: Entity | None
) -> dict[str, Any]:
    """Return what is shown of a delivery and its event; the identifier of an erased entity is left out."""
    return {
        "endpoint_id": delivery.endpoint_id,
        "sequence": delivery.event_number,
        "event_id": event.event_id,
        "kind": event.kind,
        "entity_type": entity_type,
        "external_id": None if entity is None or entity.erased_us is not None else entity.external_id,
        "attempts": delivery.attempts,
        "error": delivery.error or "",
    }


def replay_dead_letters(
    context: Context, endpoint_id: int, numbers: tuple[int, int] | None = None, *, dead_only: bool = False
) -> int:
    """Send again, in their order: all dead letters, or everything of a range of sequence numbers, both ends included.

    *dead_only*: in a range, delivered and waiting ones are left alone. Returns the number of replayed deliveries; those
    that are being sent now are left out. Nothing is recorded if there are none.

    Raises:
        NotFoundError: the organisation has no such endpoint.
        ConfigError: the range ends before it begins.
    """
    now = context.now()
    if numbers is not None and numbers[0] > numbers[1]:
        raise ConfigError(
            f"the range begins at {numbers[0]} and ends at {numbers[1]}; it must not end before it begins"
        )
    with context.writing() as session:
        endpoint = endpoints.find_endpoint(session, context.organisation_id, endpoint_id, locked=True)
        again = endpoints.replay(session, endpoint.id, numbers, now, dead_only=dead_only)
        if again:
            details = {"first": again[0], "last": again[-1], "dead_only": dead_only or numbers is None}
            about, bulk = ("endpoint", endpoint.id), (len(again), digest_of(again))
            context.record(session, "webhook.replayed", about, details=details, bulk=bulk)
        return len(again)
