"""Events begin runs of the flows that listen to them, in the transaction that stores what happened.

What a flow does is an event too: a tag that it gives may begin runs of other flows. Of itself, or of a flow by which it
came about, it begins none, so what flows cause among each other ends.
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
from fivefold.store.flows.runs import Listener, begin_runs, listeners
from fivefold.store.levels.assessment_queue import NO_FLOW, ORIGIN, Origin
from fivefold.store.tables.flows import CAUSE_CHARACTERS, FlowVersion
from fivefold.usecases.shared.actors import SYSTEM


class Event(NamedTuple):
    """Something that happened to an entity.

    Attributes:
        cause: names it among all that happened to the entity; another event under it is the same one.
        about: what triggers ask for: `direction` and `to`, `tag` and `change`, `transaction_id`, `screening` and
            `found`, `fields`; and `by`, who did it.
        origin: the flows by which it came about, beside those whose action is being carried out.
    """

    entity_id: int
    cause: str
    about: Mapping[str, Any]
    origin: Origin = NO_FLOW


def note(session: Session, organisation_id: int, type_id: int, kind: str, events: Iterable[Event], now_us: int) -> None:
    """Begin the runs of flows that listen to events; where nobody listens, that is one look-up.

    Args:
        session: in the transaction that stores what happened.
        organisation_id: whose entities they are.
        type_id: their type.
        kind: of `flows.triggers.EVENT_KINDS`.
        events: what happened.
        now_us: the present.
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
                _run(organisation_id, listener, kind, event, acting.joined(event.origin), now_us)
                for event in events
                for listener, triggers in listening
                if listener.flow_id not in event.origin.through
                and any(trigger.answers_to(event.about) for trigger in triggers)
            ],
        )


GIVEN, ENDED = "given", "ended"
"""What became of a tag."""


def tag_end_cause(tag_id: int, until_us: int) -> str:
    """Name the end of a tag by its row and the moment: by the last row, where several end at once."""
    return f"tag-end:{tag_id}.{until_us}"


def field_cause(version: int) -> str:
    """Name a change of an entity's fields by the version of what is known of them."""
    return f"field:{version}"


def group_cause(group: str, number: int) -> str:
    """Name a move of an entity, into a group or out of it, by how many there were."""
    return f"group:{group}.{number}"


def about_move(group: str, number: int, *, entered: bool) -> dict[str, Any]:
    """Describe a move into a group, or out of it, as triggers ask for it."""
    return {"group": group, "change": "entered" if entered else "left", "number": number}


def schedule_cause(moment_us: int) -> str:
    """Name a moment of a schedule, which is one cause for all schedules that have it."""
    return f"schedule:{iso_text(moment_us)}"


def transaction_events(rows: pl.DataFrame) -> list[Event]:
    """Give the events of transactions: `entity_id`, `transaction_id`."""
    return [
        Event(entity, f"transaction:{number}", {"transaction_id": number})
        for entity, number in rows.select("entity_id", "transaction_id").iter_rows()
    ]


def _triggers_of(session: Session, listener: Listener, kind: str) -> tuple[Trigger, ...]:
    if listener.content_hash not in _KNOWN:
        canonical = session.scalars(select(FlowVersion.canonical).where(FlowVersion.id == listener.version_id)).one()
        if len(_KNOWN) >= VERSIONS_KEPT:
            _KNOWN.clear()
        _KNOWN[listener.content_hash] = read_stored(Flow, canonical).triggers
    return tuple(trigger for trigger in _KNOWN[listener.content_hash] if trigger.on == kind)


_KNOWN: dict[str, tuple[Trigger, ...]] = {}
"""The triggers of versions, by the hash of their content."""


def _run(
    organisation_id: int, listener: Listener, kind: str, event: Event, origin: Origin, now_us: int
) -> dict[str, Any]:
    return {
        "organisation_id": organisation_id,
        "flow_id": listener.flow_id,
        "version_id": listener.version_id,
        "entity_id": event.entity_id,
        "cause": bounded_cause(event.cause),
        "about": {"kind": kind, **event.about, **_said_of(origin)},
        "acting": listener.acting,
        "due_us": now_us,
        "begun_us": now_us,
        "actor": SYSTEM,
    }


def _said_of(origin: Origin) -> dict[str, Any]:
    """Say of a run by what it came about; nothing of what there is not."""
    return {name: list(those) for name, those in origin._asdict().items() if those}


def origin_of(about: Mapping[str, Any]) -> Origin:
    """Read by what a run came about."""
    return Origin(*(tuple(about.get(name, ())) for name in Origin._fields))


def bounded_cause(cause: str) -> str:
    """Give a cause as it is kept: of one that is too long the kind, and a hash of the rest.

    >>> bounded_cause("transaction:T-1")
    'transaction:T-1'
    """
    if len(cause) <= CAUSE_CHARACTERS:
        return cause
    kind, _, rest = cause.partition(":")
    return f"{kind}:sha256-{sha256(rest.encode()).hexdigest()}"


@contextmanager
def caused_by(session: Session, origin: Origin) -> Iterator[None]:
    """Let what happens in a session come about by flows: events of these begin no run of any of them.

    Runs that begin by it say who is behind it.
    """
    before = session.info.get(ORIGIN, NO_FLOW)
    session.info[ORIGIN] = origin
    try:
        yield
    finally:
        session.info[ORIGIN] = before
