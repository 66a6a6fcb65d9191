"""What could not be delivered, and sending again."""

from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.audit.chain import digest_of
from fivefold.store.sql.database import reachable, writing
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.events import Delivery, OutboxEvent
from fivefold.store.webhooks import endpoints
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.webhooks.endpoints import record


@dataclass(frozen=True)
class DeadLetter:
    """A delivery that was given up.

    Attributes:
        sequence: the number of its event.
        entity_type: of whom it tells.
        external_id: of whom it tells; None where that was erased.
        died_us: when it was tried for the last time.
        error: what was wrong then.
    """

    endpoint_id: int
    sequence: int
    event_id: str
    kind: str
    entity_type: str | None
    external_id: str | None
    attempts: int
    died_us: int
    error: str


def dead_letters(engine: Engine, actor: Actor, endpoint_id: int | None = None, part: Part = WHOLE) -> Page[DeadLetter]:
    """List what was given up, by endpoint and sequence number.

    Args:
        engine: the database.
        actor: who asks.
        endpoint_id: of one endpoint only; NotThere where the organisation has none such.
        part: which of them.
    """
    with reachable(), Session(engine) as session:
        if endpoint_id is not None:
            endpoints.endpoint_of(session, actor.organisation_id, endpoint_id)
        return endpoints.dead_of(session, actor.organisation_id, endpoint_id, part).map(lambda row: _letter(*row))


def _letter(delivery: Delivery, event: OutboxEvent, entity_type: str | None, entity: Entity | None) -> DeadLetter:
    return DeadLetter(
        endpoint_id=delivery.endpoint_id,
        sequence=delivery.event_number,
        event_id=event.event_id,
        kind=event.kind,
        entity_type=entity_type,
        external_id=None if entity is None or entity.erased_us is not None else entity.external_id,
        attempts=delivery.attempts,
        died_us=delivery.next_us,
        error=delivery.error or "",
    )


def replay(
    engine: Engine,
    actor: Actor,
    endpoint_id: int,
    numbers: tuple[int, int] | None = None,
    now_us: int | None = None,
) -> int:
    """Send again, in their order: all dead letters, or everything of a range of sequence numbers, both ends included.

    Tell how many that are; those that are being sent now are left to that. Nothing is recorded where there are none.

    Raises:
        NotThere: the organisation has no such endpoint.
        ConfigError: the range ends before it begins.
    """
    now = now_microseconds() if now_us is None else now_us
    if numbers is not None and numbers[0] > numbers[1]:
        raise ConfigError(
            f"the range begins at {numbers[0]} and ends at {numbers[1]}; it must not end before it begins"
        )
    with writing(engine) as session:
        endpoint = endpoints.endpoint_of(session, actor.organisation_id, endpoint_id, held=True)
        again = endpoints.put_back(session, endpoint.id, numbers, now)
        if again:
            details = {"first": again[0], "last": again[-1], "dead_only": numbers is None}
            record(session, actor, endpoint, "replayed", details=details, bulk=(len(again), digest_of(again)))
        return len(again)
