"""Past events of entities in a period, as the triggers of a flow name them: the causes that it is replayed for.

What a flow itself brought about began no run of it, so a replay leaves it out. The flows that brought about an event
are stored with the runs that it began; tags and cases have the run of the action. If an event began no run of any flow,
its origin follows from the version that acted then.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, Final, NamedTuple

from sqlalchemy.orm import Session

from fivefold.domain.schedules import moments_between
from fivefold.domain.text import count_text
from fivefold.flows.language import Flow
from fivefold.flows.triggers import GroupTrigger, ScheduleTrigger, TransactionTrigger, group_of
from fivefold.risk.language.reading import read_stored
from fivefold.store.flows.history import (
    CausingRun,
    PastEvent,
    changes_by_runs,
    moments_sent,
    past_events,
    runs_begun_by,
    versions_that_acted,
)
from fivefold.usecases.flows.replays.then import MembersThen, read_members_then
from fivefold.usecases.flows.runs.actions import GIVEN_AS_TAGS
from fivefold.usecases.ingest.entities import changed_fields
from fivefold.usecases.shared.flow_triggers import (
    ENDED,
    GIVEN,
    SETTLED,
    about_move,
    bounded_cause,
    field_cause,
    group_cause,
    origin_of,
    schedule_cause,
    tag_end_cause,
)

KINDS: Final = ("transaction", "level", "segment", "tag", "case", "alert", "screening", "field", "group")
"""The events that are kept as they happened; that a file brought something is not."""
_SETTLING: Final = "settled transaction"
"""When a pending transaction settled is not kept with it, so what listens to that alone is not replayed."""
SCHEDULE: Final = "schedule"
"""Moments of schedules are replayed too: what they are does not depend on what happened."""
MOST_SCHEDULED: Final = 5_000
"""The most moments of schedules in one replay; everybody may run at each, and facts are read anew."""
_SENT: Final = frozenset({"case", "alert"})
"""The kinds whose runs are named by the moment of sending, which may be later than the event."""
Moments = Mapping[int, frozenset[str] | None]
"""Moments at which versions run by themselves, each with the groups whose members run; None if everybody does."""
_NOBODY: Final = frozenset[str]()


@dataclass(frozen=True, kw_only=True)
class ReplayedCause:
    """A cause that a flow is replayed for.

    Attributes:
        cause: the name that a run has for it; empty if a version is replayed as of one moment.
        at_us: the moment of the facts.
        kind: one of `KINDS`, or `SCHEDULE`; empty if a version is replayed as of one moment.
        transaction: the number of the transaction to look at; None for none.
        listens: whether the replayed version would run; `base_listens` for the one that it is compared with.
        is_origin_unknown: whether it is unknown if the flow itself brought it about.
    """

    entity_id: int
    cause: str
    at_us: int
    kind: str = ""
    transaction: str | None = None
    listens: bool = True
    base_listens: bool = True
    is_origin_unknown: bool = False


class Causes(NamedTuple):
    """The causes that a flow is replayed for.

    Attributes:
        replayed: the causes, in the order of kinds, and of time within each.
        unknown: by entity, the groups whose members or moves are not known for all of the time.
    """

    replayed: list[ReplayedCause]
    unknown: Mapping[int, set[str]]


@dataclass(frozen=True, kw_only=True)
class Listening:
    """The versions to replay, and the time: together they say who would have run for what.

    Attributes:
        flow_id: the flow of both versions.
        acted: the flow's versions that really acted, see `origins.read_versions_that_acted`.
        type_id: the type of the entities.
        flow: the version that is replayed.
        base: the one that it is compared with; None for none.
        as_of_us: the moment of the facts, if there is no period.
        period: the first moment of what happened, and the one after the last; None if there is none.
    """

    flow_id: int
    acted: Sequence[tuple[int, Flow | None]]
    type_id: int
    flow: Flow
    base: Flow | None
    as_of_us: int
    period: tuple[int, int] | None

    @property
    def begins_us(self) -> int:
        """The first moment of the period, or the one moment."""
        return self.as_of_us if self.period is None else self.period[0]

    @property
    def flows(self) -> tuple[Flow, ...]:
        """The versions."""
        return (self.flow,) if self.base is None else (self.flow, self.base)

    @cached_property
    def moments(self) -> tuple[Moments, Moments]:
        """The moments of both versions' schedules in the period, or the one moment; none without a base."""
        return self._moments_of(self.flow), {} if self.base is None else self._moments_of(self.base)

    def _moments_of(self, flow: Flow) -> Moments:
        return {self.as_of_us: members_run_for(flow)} if self.period is None else _scheduled(flow, self.period)

    @property
    def groups(self) -> frozenset[str]:
        """The groups whose members, or whose moves, decide who would have run."""
        if self.period is None:
            return _NOBODY.union(*(members_run_for(flow) or _NOBODY for flow in self.flows))
        triggers = (trigger for flow in self.flows for trigger in flow.triggers)
        return frozenset(name for trigger in triggers if (name := group_of(trigger)) is not None)


def members_run_for(flow: Flow) -> frozenset[str] | None:
    """Return the groups whose members alone a flow runs for by itself; None if there is no such limit.

    There is one if all its triggers are schedules for groups.
    """
    groups = {trigger.group if isinstance(trigger, ScheduleTrigger) else None for trigger in flow.triggers}
    named = frozenset(name for name in groups if name is not None)
    return named if named and named == groups else None


def kinds_of(flows: Sequence[Flow]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the kinds that any of the flows listens to: those to replay over a period, and those that cannot be."""
    triggers = [trigger for flow in flows for trigger in flow.triggers]
    settlings = [each for each in triggers if isinstance(each, TransactionTrigger) and each.change == SETTLED]
    on = {trigger.on for trigger in triggers if trigger not in settlings}
    replayed = (*KINDS, SCHEDULE)
    left_out = {*(on - {*replayed}), *([_SETTLING] if settlings else [])}
    return tuple(kind for kind in replayed if kind in on), tuple(sorted(left_out))


def has_more_moments(flows: Sequence[Flow], period: tuple[int, int], most: int) -> bool:
    """Return whether the schedules of some flows have more than *most* moments in a period; counting stops there."""
    moments = set[int]()
    for flow in flows:
        for trigger in flow.triggers:
            if isinstance(trigger, ScheduleTrigger):
                moments.update(islice(moments_between(trigger.schedule, *period), most + 1))
    return len(moments) > most


def causes_in(session: Session, of: Listening, entity_ids: Sequence[int]) -> Causes:
    """Find the causes for which entities would have run: as of one moment, or from events in a period."""
    members = read_members_then(session, of.type_id, of.groups, entity_ids)
    if of.period is None:
        return Causes(list(_at_moments(of, members, entity_ids)), members.unknown)
    kinds, _ = kinds_of(of.flows)
    causes_by_key: dict[tuple[int, str], ReplayedCause] = {}  # a case that closed at once is one
    for kind in kinds:
        if kind == SCHEDULE:
            causes = _at_moments(of, members, entity_ids)
        else:
            causes = _by_events(session, kind, of, of.period, entity_ids)
        causes_by_key.update(((each.entity_id, each.cause), each) for each in causes)
    _ask_for_moves(of, members, entity_ids)
    return Causes(list(causes_by_key.values()), members.unknown)


def _at_moments(of: Listening, members: MembersThen, entity_ids: Sequence[int]) -> Iterator[ReplayedCause]:
    """Yield the causes of scheduled moments, or of the one moment, for the entities that would have run then."""
    scheduled = of.period is not None
    for at_us in sorted(set[int]().union(*of.moments)):
        groups, base_groups = (each.get(at_us, _NOBODY) for each in of.moments)
        cause, kind = (schedule_cause(at_us), SCHEDULE) if scheduled else ("", "")
        for entity in entity_ids:
            listens = members.would_run(groups, entity, at_us)
            base_listens = members.would_run(base_groups, entity, at_us)
            if listens or base_listens:
                yield ReplayedCause(
                    entity_id=entity, cause=cause, at_us=at_us, kind=kind, listens=listens, base_listens=base_listens
                )


def _by_events(
    session: Session, kind: str, of: Listening, period: tuple[int, int], entity_ids: Sequence[int]
) -> Iterator[ReplayedCause]:
    sent_moments = moments_sent(session, kind, entity_ids) if kind in _SENT else {}
    origins = read_origins(session, of.flow_id, kind, entity_ids, of.acted)
    for each in past_events(session, kind, entity_ids, *period):
        about = _about(kind, each, of.flow.levels)
        flow_listens = listens(of.flow, kind, about)
        base_listens = of.base is not None and listens(of.base, kind, about)
        if not (flow_listens or base_listens):
            continue
        cause = bounded_cause(_named(kind, each, sent_moments))
        is_own = origins.is_own(each, cause, about)
        if is_own is not True:
            yield ReplayedCause(
                entity_id=each.entity_id,
                cause=cause,
                at_us=each.at_us,
                kind=kind,
                transaction=each.key if kind == "transaction" else None,
                listens=flow_listens,
                base_listens=base_listens,
                is_origin_unknown=is_own is None,
            )


def _scheduled(flow: Flow, period: tuple[int, int]) -> Moments:
    groups_by_moment: dict[int, frozenset[str] | None] = {}
    for trigger in flow.triggers:
        if isinstance(trigger, ScheduleTrigger):
            for at_us in moments_between(trigger.schedule, *period):
                others = groups_by_moment.get(at_us, _NOBODY)
                groups_by_moment[at_us] = None if trigger.group is None or others is None else others | {trigger.group}
    return groups_by_moment


def _ask_for_moves(of: Listening, members: MembersThen, entity_ids: Sequence[int]) -> None:
    """Note for each entity if moves of the period are missing: otherwise its membership at the beginning is known."""
    listened = {trigger.group for flow in of.flows for trigger in flow.triggers if isinstance(trigger, GroupTrigger)}
    for entity in entity_ids:
        members.would_run(listened, entity, of.begins_us)


def _about(kind: str, happening: PastEvent, levels: Sequence[str]) -> dict[str, Any]:
    """Return what triggers test of an event, as the event that began runs had it."""
    if kind == "level":
        names, before, after = (None, *levels), happening.before or 0, happening.after or 0
        return {"direction": None if not after else "up" if after > before else "down", "to": names[after]}
    if kind == "screening":
        return {"screening": happening.before, "found": happening.after}
    if kind == "field":
        return {"fields": changed_fields(*(json.loads(each or "{}") for each in (happening.before, happening.after)))}
    if kind == "tag":
        return {"tag": happening.before, "change": ENDED if happening.after else GIVEN}
    if kind == "group":
        return about_move(happening.before, happening.key, entered=happening.after)
    return {"to": happening.after} if kind == "segment" else {}


def _named(kind: str, happening: PastEvent, sent_moments: Mapping[int, Sequence[int]]) -> str:
    if kind == "level":
        return f"level:{happening.entity_id}.{happening.key}"
    if kind in _SENT:
        return f"{kind}:{happening.key}.{_moment_sent(happening, sent_moments.get(happening.key, ()))}"
    if kind == "tag" and happening.after:
        return tag_end_cause(happening.key, happening.at_us)
    if kind == "group":
        return group_cause(happening.before, happening.key)
    return field_cause(happening.key) if kind == "field" else f"{kind}:{happening.key}"


def _moment_sent(happening: PastEvent, sent_moments: Sequence[int]) -> int:
    """Return the moment by which the run names an opened or closed case: the first at or after it when it was sent.

    If none is known, as for a case that was sent once it was closed, it is the moment of the case itself.
    """
    at_us, closed_us = happening.at_us, happening.after
    return next(
        (one for one in sent_moments if one >= at_us and (closed_us in {None, at_us} or one < closed_us)), at_us
    )


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
        kind: the kind of the events.
        own_by_cause: whether the flow brought an event about, by entity and cause, where a run says so.
        own_changes: its tags and cases: entity, moment, and tag.
        own_since_us: by entity, the moment of the first of these.
        acted: see `read_versions_that_acted`.
    """

    kind: str
    own_by_cause: Mapping[tuple[int, str], bool] = field(default_factory=dict)
    own_changes: frozenset[tuple[int, int, str | None]] = frozenset()
    own_since_us: Mapping[int, int] = field(default_factory=dict)
    acted: Sequence[tuple[int, Flow | None]] = ()

    def is_own(self, event: PastEvent, cause: str, about: Mapping[str, Any]) -> bool | None:
        """Return whether the flow itself brought an event about; None if that is unknown."""
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
    """Return whether a version listens to an event."""
    return any(trigger.on == kind and trigger.answers_to(about) for trigger in flow.triggers)


def read_versions_that_acted(session: Session, flow_id: int) -> list[tuple[int, Flow | None]]:
    """Read which version of a flow acted from which moment on, the latest first; None for none."""
    acted = versions_that_acted(session, flow_id)
    return [(at_us, None if text is None else read_stored(Flow, text)) for at_us, text in acted]


def read_origins(
    session: Session, flow_id: int, kind: str, entity_ids: Sequence[int], acted: Sequence[tuple[int, Flow | None]]
) -> Origins:
    """Read which events of one kind a flow brought about; reads nothing for a kind that no flow brings about."""
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
    """Describe, by kind, for how many events it is unknown whether the flow itself brought them about."""
    return [
        f"Of {count_text(count, f'{kind} event')} it is not known whether the flow itself brought them about, as no run"
        " that is stored says so; the flow is replayed for them."
        for kind, count in sorted(unknown.items())
    ]
