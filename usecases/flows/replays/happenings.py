"""What happened to entities in a period, as the triggers of a flow name it: the causes that it is replayed for."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.orm import Session

from fivefold.flows.language import Flow
from fivefold.store.flows.history import PastEvent, moments_sent, past_events
from fivefold.usecases.ingest.entities import changed_fields
from fivefold.usecases.shared.flow_triggers import ENDED, GIVEN, bounded_cause, field_cause, tag_end_cause

KINDS: Final = ("transaction", "level", "segment", "tag", "case", "alert", "screening", "field")
"""The events that are kept as they happened; that a file brought something is not."""
_SENT: Final = frozenset({"case", "alert"})
"""Those whose runs are named by when they were sent, which may be later than they happened."""


@dataclass(frozen=True, kw_only=True)
class ReplayedCause:
    """A cause that a flow is replayed for.

    Attributes:
        cause: as a run names it.
        at_us: the moment of the facts.
        kind: one of `KINDS`; empty where everybody is replayed.
        transaction: the number of the one that is looked at; None for none.
        listens: the replayed version would run; `base_listens` the one that it is compared with.
    """

    entity_id: int
    cause: str
    at_us: int
    kind: str = ""
    transaction: str | None = None
    listens: bool = True
    base_listens: bool = True


def kinds_of(flows: Sequence[Flow]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the events that any of some flows listens to and that are kept, and those that are not kept."""
    on = {trigger.on for flow in flows for trigger in flow.triggers}
    return tuple(kind for kind in KINDS if kind in on), tuple(sorted(on - {*KINDS}))


def causes_in(
    session: Session, flow: Flow, base: Flow | None, entity_ids: Sequence[int], period: tuple[int, int]
) -> Iterator[ReplayedCause]:
    """Go through what happened to entities for which a flow, or its *base*, runs by itself.

    Args:
        session: to read with.
        flow: the version that is replayed.
        base: the one that it is compared with; None for none.
        entity_ids: their numbers.
        period: the first moment, and the one behind the last.
    """
    kinds, _ = kinds_of([flow] if base is None else [flow, base])
    for kind in kinds:
        sent = moments_sent(session, kind, entity_ids) if kind in _SENT else {}
        for each in past_events(session, kind, entity_ids, *period):
            about = _about(kind, each, flow.levels)
            listens = _listens(flow, kind, about)
            base_listens = base is not None and _listens(base, kind, about)
            if listens or base_listens:
                yield ReplayedCause(
                    entity_id=each.entity_id,
                    cause=bounded_cause(_named(kind, each, sent)),
                    at_us=each.at_us,
                    kind=kind,
                    transaction=each.key if kind == "transaction" else None,
                    listens=listens,
                    base_listens=base_listens,
                )


def _listens(flow: Flow, kind: str, about: Mapping[str, Any]) -> bool:
    return any(trigger.on == kind and trigger.answers_to(about) for trigger in flow.triggers)


def _about(kind: str, happening: PastEvent, levels: Sequence[str]) -> dict[str, Any]:
    """Say what triggers ask for, as the event that began runs said it."""
    if kind == "level":
        names, before, after = (None, *levels), happening.before or 0, happening.after or 0
        return {"direction": None if not after else "up" if after > before else "down", "to": names[after]}
    if kind == "screening":
        return {"screening": happening.before, "found": happening.after}
    if kind == "field":
        return {"fields": changed_fields(*(json.loads(each or "{}") for each in (happening.before, happening.after)))}
    if kind == "tag":
        return {"tag": happening.before, "change": ENDED if happening.after else GIVEN}
    return {"to": happening.after} if kind == "segment" else {}


def _named(kind: str, happening: PastEvent, sent: Mapping[int, Sequence[int]]) -> str:
    if kind == "level":
        return f"level:{happening.entity_id}.{happening.key}"
    if kind in _SENT:
        return f"{kind}:{happening.key}.{_moment_sent(happening, sent.get(happening.key, ()))}"
    if kind == "tag" and happening.after:
        return tag_end_cause(happening.key, happening.at_us)
    return field_cause(happening.key) if kind == "field" else f"{kind}:{happening.key}"


def _moment_sent(happening: PastEvent, sent: Sequence[int]) -> int:
    """Give the moment by which the run names that a case opened or closed: the first at which it was sent from then on.

    Where none is known, as of a case that was sent once it was closed, that is the moment of the case itself.
    """
    at_us, closed_us = happening.at_us, happening.after
    return next((one for one in sent if one >= at_us and (closed_us in {None, at_us} or one < closed_us)), at_us)
