"""What a flow itself brought about: such events began no run of it, so a replay leaves them out.

The flows by which an event came about are stored with the runs that it began, and tags and cases have the run of the
action. Where an event began no run of any flow, its origin follows from the version that acted then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy.orm import Session

from fivefold.domain.text import count_text
from fivefold.flows.language import Flow
from fivefold.risk.language.reading import read_stored
from fivefold.store.flows.history import CausingRun, PastEvent, changes_by_runs, runs_begun_by, versions_that_acted
from fivefold.usecases.flows.runs.actions import GIVEN_AS_TAGS
from fivefold.usecases.shared.flow_triggers import origin_of

_FOLLOWING: Final = frozenset({"level", "segment", "group"})
"""The events that follow from tags and cases, once an entity is assessed."""
_ACTIONS: Final[Mapping[str, Sequence[str]]] = {
    "tag": GIVEN_AS_TAGS,
    "case": ("case",),
    **dict.fromkeys(_FOLLOWING, (*GIVEN_AS_TAGS, "case")),
}
"""The kinds of actions that bring events about, by the kind of event; no flow brings about the other kinds."""


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Which events of one kind a flow brought about.

    Attributes:
        kind: of the events.
        own_by_cause: whether it brought an event about, by entity and cause, where a run says so.
        own_changes: its tags and cases: entity, moment, and tag.
        own_since_us: by entity the moment of the first of these.
        acted: see `read_versions_that_acted`.
    """

    kind: str
    own_by_cause: Mapping[tuple[int, str], bool] = field(default_factory=dict)
    own_changes: frozenset[tuple[int, int, str | None]] = frozenset()
    own_since_us: Mapping[int, int] = field(default_factory=dict)
    acted: Sequence[tuple[int, Flow | None]] = ()

    def is_own(self, event: PastEvent, cause: str, about: Mapping[str, Any]) -> bool | None:
        """Tell whether the flow itself brought an event about; None if nobody knows."""
        entity, at_us = event.entity_id, event.at_us
        if (entity, cause) in self.own_by_cause:
            return self.own_by_cause[entity, cause]
        if self.kind not in _FOLLOWING:
            return (entity, at_us, event.before) in self.own_changes
        acted = next((flow for since_us, flow in self.acted if since_us < at_us), None)
        if acted is not None and listens(acted, self.kind, about):
            return True  # any other origin would have begun a run of that version
        return None if entity in self.own_since_us and self.own_since_us[entity] <= at_us else False


def listens(flow: Flow, kind: str, about: Mapping[str, Any]) -> bool:
    """Tell whether a version listens to an event."""
    return any(trigger.on == kind and trigger.answers_to(about) for trigger in flow.triggers)


def read_versions_that_acted(session: Session, flow_id: int) -> list[tuple[int, Flow | None]]:
    """Read from when on which version of a flow acted, the latest first; None for none."""
    acted = versions_that_acted(session, flow_id)
    return [(at_us, None if text is None else read_stored(Flow, text)) for at_us, text in acted]


def read_origins(
    session: Session, flow_id: int, kind: str, entity_ids: Sequence[int], acted: Sequence[tuple[int, Flow | None]]
) -> Origins:
    """Read which events of one kind a flow brought about; nothing is read of a kind that no flow brings about."""
    if kind not in _ACTIONS:
        return Origins(kind=kind)
    own = [
        each
        for each in changes_by_runs(session, _ACTIONS[kind], entity_ids)
        if each.run.flow_id == flow_id or _is_through(flow_id, each.run)
    ]
    since_us: dict[int, int] = {}
    for each in own:
        since_us[each.run.entity_id] = min(each.at_us, since_us.get(each.run.entity_id, each.at_us))
    runs = runs_begun_by(session, kind, entity_ids)
    return Origins(
        kind=kind,
        own_by_cause={(run.entity_id, run.cause): _is_through(flow_id, run) for run in runs},
        own_changes=frozenset((each.run.entity_id, each.at_us, each.tag) for each in own),
        own_since_us=since_us,
        acted=acted,
    )


def _is_through(flow_id: int, run: CausingRun) -> bool:
    return flow_id in origin_of(run.about).through


def notes_of_origins(unknown: Mapping[str, int]) -> list[str]:
    """Say in words of how many events, by kind, nobody knows whether the flow itself brought them about."""
    return [
        f"Of {count_text(count, f'{kind} event')} it is not known whether the flow itself brought them about, as no run"
        " that is stored says so; the flow is replayed for them."
        for kind, count in sorted(unknown.items())
    ]
