"""Events begin runs of the flows that listen to them, in the transaction that stores their cause.

An action of a flow is an event too: a tag that it sets may begin runs of other flows. It begins no run of the same
flow, or of a flow that caused it, so chains of flows end.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.clock import iso_text
from fivefold.flows.language import Flow
from fivefold.flows.triggers import Trigger
from fivefold.risk.compiler.analysis import VERSIONS_KEPT
from fivefold.risk.language.reading import read_stored
from fivefold.store.flows.runs import Listener, begin_runs, has_listeners, listeners
from fivefold.store.levels.assessment_queue import NO_FLOW, ORIGIN, Origin
from fivefold.store.tables.flows import CAUSE_CHARACTERS, FlowVersion
from fivefold.usecases.shared.actors import SYSTEM


class TriggerEvent(NamedTuple):
    """An event of an entity.

    Attributes:
        cause: its name among all events of the entity; an event of the same name is the same event.
        about: the data that triggers test: `direction` and `to`, `tag` and `change`, `transaction_id` and `change`,
            `screening` and `found`, `fields`; and `by`, who did it.
        origin: the flows and people that caused it, beside those whose action runs now.
    """

    entity_id: int
    cause: str
    about: Mapping[str, Any]
    origin: Origin = NO_FLOW


def note(
    session: Session, organisation_id: int, type_id: int, kind: str, events: Iterable[TriggerEvent], now_us: int
) -> None:
    """Begin the runs of flows that listen to events; costs one look-up without listeners.

    Args:
        session: in the transaction that stores the cause.
        organisation_id: the organisation of the entities.
        type_id: their type.
        kind: one of `flows.triggers.EVENT_KINDS`.
        events: the events.
        now_us: the current time.
    """
    acting: Origin = session.info.get(ORIGIN, NO_FLOW)
    listening = [
        (listener, triggers)
        for listener in listeners(session, organisation_id, type_id)
        if listener.flow_id not in acting.through and (triggers := _triggers_of(session, listener, kind))
    ]
    if listening:
        begin_runs(
            session,
            [
                _run(organisation_id, listener, kind, event, acting.combined_with(event.origin), now_us)
                for event in events
                for listener, triggers in listening
                if listener.flow_id not in event.origin.through
                and any(trigger.answers_to(event.about) for trigger in triggers)
            ],
        )


GIVEN, ENDED = "given", "ended"
"""The changes of a tag."""
SETTLED = "settled"
"""The change of a pending transaction that gets its final state."""


def tag_end_cause(tag_id: int, until_us: int) -> str:
    """Return the cause of a tag's end, by its row and moment: by the last row, if several end at once."""
    return f"tag-end:{tag_id}.{until_us}"


def field_cause(version: int) -> str:
    """Return the cause of a change of an entity's fields, by the version of its attributes."""
    return f"field:{version}"


def group_cause(group: str, number: int) -> str:
    """Return the cause of an entity's move into a group or out of it, by the number of the move."""
    return f"group:{group}.{number}"


def about_move(group: str, number: int, *, entered: bool) -> dict[str, Any]:
    """Return the data of a move into a group, or out of it, that triggers test."""
    return {"group": group, "change": "entered" if entered else "left", "number": number}


def schedule_cause(moment_us: int) -> str:
    """Return the cause of a scheduled moment, which all schedules share."""
    return f"schedule:{iso_text(moment_us)}"


def transaction_events(rows: pl.DataFrame, senders: Iterable[str], change: str | None = None) -> Iterator[TriggerEvent]:
    """Yield an event for each transaction, `entity_id` and `transaction_id`, with its sender.

    Events are built as they are consumed, so that none is without a flow that listens. *change* is the change of stored
    transactions; None for new ones.
    """
    kind, changed = ("transaction", {}) if change is None else (f"transaction-{change}", {"change": change})
    pairs = zip(rows.select("entity_id", "transaction_id").iter_rows(), senders, strict=False)
    for (entity, number), sender in pairs:
        yield TriggerEvent(entity, f"{kind}:{number}", {"transaction_id": number, **changed, "by": sender})


def _triggers_of(session: Session, listener: Listener, kind: str) -> tuple[Trigger, ...]:
    if listener.content_hash not in _TRIGGERS:
        canonical = session.scalars(select(FlowVersion.canonical).where(FlowVersion.id == listener.version_id)).one()
        if len(_TRIGGERS) >= VERSIONS_KEPT:
            _TRIGGERS.clear()
        _TRIGGERS[listener.content_hash] = read_stored(Flow, canonical).triggers
    return tuple(trigger for trigger in _TRIGGERS[listener.content_hash] if trigger.on == kind)


_TRIGGERS: dict[str, tuple[Trigger, ...]] = {}
"""The triggers of versions, by the hash of their content."""


def _run(
    organisation_id: int, listener: Listener, kind: str, event: TriggerEvent, origin: Origin, now_us: int
) -> dict[str, Any]:
    """Return the columns of a new run."""
    return {
        "organisation_id": organisation_id,
        "flow_id": listener.flow_id,
        "version_id": listener.version_id,
        "entity_id": event.entity_id,
        "cause": bounded_cause(event.cause),
        "about": {"kind": kind, **event.about, **_origin_fields(origin)},
        "acting": listener.acting,
        "due_us": now_us,
        "begun_us": now_us,
        "actor": SYSTEM,
    }


def _origin_fields(origin: Origin) -> dict[str, Any]:
    """Return the origin of a run as fields; empty parts are left out."""
    return {name: list(those) for name, those in origin._asdict().items() if those}


def origin_of(about: Mapping[str, Any]) -> Origin:
    """Read the origin from a run's fields."""
    return Origin(*(tuple(about.get(name, ())) for name in Origin._fields))


def bounded_cause(cause: str) -> str:
    """Return a cause for storage; one that is too long becomes its kind and a hash of the rest.

    >>> bounded_cause("transaction:T-1")
    'transaction:T-1'
    """
    if len(cause) <= CAUSE_CHARACTERS:
        return cause
    kind, _, rest = cause.partition(":")
    return f"{kind}:sha256-{sha256(rest.encode()).hexdigest()}"


@contextmanager
def behind(session: Session, organisation_id: int, people: Iterable[str | None]) -> Iterator[None]:
    """Attribute changes of level, segment or group to the people who made entities due within this context.

    They are added to the people who are already behind the change, such as the proposer. While a flow acts, the people
    behind it stay unchanged. If no flow listens, nothing is stored.
    """
    acting: Origin = session.info.get(ORIGIN, NO_FLOW)
    if acting.through or not has_listeners(session, organisation_id):
        yield
        return
    names = {*acting.people, *(name for name in people if name is not None)}
    with caused_by(session, Origin(people=tuple(sorted(names)))):
        yield


@contextmanager
def caused_by(session: Session, origin: Origin) -> Iterator[None]:
    """Attribute the events of a session to flows and people; the events begin no run of any of these flows.

    Runs that they begin record this origin.
    """
    before = session.info.get(ORIGIN, NO_FLOW)
    session.info[ORIGIN] = origin
    try:
        yield
    finally:
        session.info[ORIGIN] = before
