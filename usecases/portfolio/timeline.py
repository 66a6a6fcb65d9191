"""The events of one entity on a timeline with two clocks: when they happened, and when they became known here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fivefold.domain.clock import second_text
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.domain.segments import score_text
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.ingest.entities import entity_named
from fivefold.store.levels.timeline import LABELS, Clock, EventKind, EventRow, events_of
from fivefold.usecases.levels.content.breakdowns import Name, StoredAssessment, lines_of_records
from fivefold.usecases.levels.explain import shown_line
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import require_known

KINDS: Final = (*(kind.value for kind in EventKind), *LABELS)
"""Kinds of events, and groups of them."""
_TRUE: Final = frozenset({"1", "true"})
"""How the databases write true."""
_OF_LEVELS: Final = frozenset({EventKind.LEVEL, EventKind.ASKED, EventKind.DECIDED, EventKind.REVOKED})


@dataclass(frozen=True, kw_only=True)
class AttributeChange:
    """An attribute before and after; null if it was unknown."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class TimelineEvent:
    """An event of an entity.

    `kind` is attributes, tag_set, tag_ended, screening, case_opened, case_closed, owned_from, owned_until, correction,
    level, value, override_requested, override_decided, override_ended, decision, queue, challenge_opened,
    challenge_settled, challenge_answered (a reply was given), linked, link_ended, link_taken_back (it never held),
    tag_end_moved (the tag goes on until another moment), flow (it took an action), flow_taken_back, flow_answered (a
    person did), group_entered or group_left.
    `known_at` is null if the time when it became known is not stored. Of a link that ended or was taken back it is
    null, and so is `by`: the entry `links.put` of the audit log says who did it and when.

    Attributes:
        happened_us: when it happened.
        known_us: when it became known here; None if that is not stored.
        about: the tag, the screening, the number of a case or a transaction, an entity, a policy, a state, the number
            of a challenge, the type of a link, a flow, or a group.
        before: the level before; for a case or an alert, which of the two it is; for a link, its direction: to or from
            another entity, shared, or none.
        after: the level since, or the result, also of a challenge; for a link, the entity at its other end, or the
            shared value; for a flow, its action, or the answer; for a tag that goes on, its new end.
        reason: why; for a challenge, the person's words; for a level, the arithmetic in one line.
        by: who did it; for a level, its source; `flow:` and its name for a flow, also for a case that a flow opened.
        assessment: the number of a level's assessment, such as 12.3.
        changes: the changes of attributes.
        decision: the number of a decision; None for all else, like the next three.
        transaction: the number of the transaction that was decided on, if it has one.
        run: the run of a flow, such as f:12.
        step: the step of a flow that asked; for an action its id.
        proposed_by: who proposed what `by` approved: a tag that was set or ended, or an override that was ended.
    """

    kind: str
    happened_us: Annotated[Moment, shown_as("happened_at")]
    known_us: Annotated[Moment | None, shown_as("known_at")]
    about: str
    before: str | None
    after: str | None
    reason: str
    by: str | None
    assessment: str | None
    changes: tuple[AttributeChange, ...]
    decision: int | None = None
    transaction: str | None = None
    run: str | None = None
    step: str | None = None
    proposed_by: str | None = None


def list_events(
    context: Context,
    type_name: str,
    external_id: str,
    part: Part = WHOLE,
    *,
    kinds: Sequence[str] = (),
    clock: Clock = Clock.KNOWN,
) -> Page[TimelineEvent]:
    """List the events of an entity up to now, the latest first, without its transactions, which have their own list.

    NotFoundError if there is no such entity; ConfigError if there is no such kind.
    """
    require_known("kind of event", kinds, KINDS)
    event_kinds: set[EventKind] = set()
    by_people = True
    for kind in kinds or LABELS:
        these = LABELS.get(kind) or {EventKind(kind)}
        by_people &= kind == "people" or EventKind.TAG_ENDED not in these
        event_kinds |= these
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        names = (None, *levels_of(session, context.organisation_id))
        rows = events_of(session, entity.id, sorted(event_kinds), clock, context.now(), part, by_people)
        records = [
            StoredAssessment(entity.id, row.number, row.happened_us, row.about or "", row.reason, row.content)
            for row in rows
            if row.kind == EventKind.LEVEL
        ]
        lines = lines_of_records(session, context.organisation_id, records)
        return rows.map(lambda row: _timeline_event(row, entity.id, names, lines))


def _timeline_event(
    row: EventRow, entity_id: int, names: Sequence[str | None], lines: Mapping[Name, str]
) -> TimelineEvent:
    """Return an event as it is listed, with names of levels; the reason of a level is the line of its assessment."""
    kind = EventKind(row.kind)
    before, after, about, reason = row.before, row.after, row.about, row.reason
    changes: tuple[AttributeChange, ...] = ()
    if kind in _OF_LEVELS:
        before, after = names[int(before or 0)], names[int(after or 0)]
    if kind is EventKind.ATTRIBUTES:
        changes, before, after = _changes(before, after), None, None
    elif kind is EventKind.LEVEL:
        line = lines.get((entity_id, row.number))
        reason = "" if line is None else shown_line(about or "", line)
        about = None
    elif kind is EventKind.VALUE:
        after = None if after is None else score_text(float(after))
    elif kind is EventKind.SCREENING:
        after = "hit" if after in _TRUE else "clean"
    elif kind is EventKind.WORK:
        after = "put away" if after is not None else "assigned"
    elif kind in {EventKind.OWNED, EventKind.SOLD}:
        before = "owner" if before != str(entity_id) else "owned"
    elif kind in _SAID_BY_THEMSELVES:
        after, reason = _after_and_reason(kind, row)
    return TimelineEvent(
        kind=row.kind,
        happened_us=row.happened_us,
        known_us=row.known_us,
        about=about or "",
        before=before,
        after=after,
        reason=reason or "",
        by=row.by,
        assessment=f"{entity_id}.{row.number}" if kind is EventKind.LEVEL else None,
        changes=changes,
        decision=row.number if kind is EventKind.DECISION else None,
        transaction=_transaction_of(row) if kind is EventKind.DECISION else None,
        run=None if row.run is None else f"f:{row.run}",
        step=row.step,
        proposed_by=row.proposed_by,
    )


_SAID_BY_THEMSELVES: Final = frozenset(
    {EventKind.TAG_SET, EventKind.TAG_MOVED, EventKind.FLOW, EventKind.FLOW_BACK, EventKind.FLOW_ANSWER}
)


def _after_and_reason(kind: EventKind, row: EventRow) -> tuple[str | None, str | None]:
    """Return the new end of a tag, the action of a flow, or a person's answer; and the reason."""
    content = json.loads(row.content or "{}")
    if kind is EventKind.TAG_SET:
        return None, row.reason
    if kind is EventKind.TAG_MOVED:
        return "no end" if row.after is None else second_text(int(row.after)), row.reason
    if kind is EventKind.FLOW_ANSWER:
        return content.get("answer"), content.get("reason")
    return f"{row.after} {_said_of_action(content)}".rstrip(), row.reason


def _transaction_of(row: EventRow) -> str | None:
    """Return the number of the transaction that was decided on; None if it had none, or the decision was erased."""
    number = None if row.content is None else json.loads(row.content)["transaction"]["transaction_id"]
    return None if number is None else str(number)


_SAID: Final = ("status", "sets", "group", "tag", "case", "event")
"""The keys of an action's data that describe it: the first that is there counts; a review has none."""


def _said_of_action(content: Mapping[str, Any]) -> str:
    """Return what an action set, opened or sent.

    >>> _said_of_action({"limit": "daily", "amount_minor": 10000, "sets": "daily 100 EUR"})
    'daily 100 EUR'
    """
    return next((str(content[name]) for name in _SAID if content.get(name) is not None), "")


def _changes(before: str | None, after: str | None) -> tuple[AttributeChange, ...]:
    """Compare two versions of attributes.

    >>> [change.name for change in _changes('{"a": 1, "b": 2}', '{"a": 1, "b": 3, "c": 4}')]
    ['b', 'c']
    """
    was, holds = (json.loads(content) if content else {} for content in (before, after))
    return tuple(
        AttributeChange(name=name, before=was.get(name), after=holds.get(name))
        for name in sorted({*was, *holds})
        if was.get(name) != holds.get(name)
    )
