"""Reviews that flows request: a person records one as done, with a reason, and webhooks report it."""

from typing import Final

from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import utc_text
from fivefold.domain.errors import ConflictError
from fivefold.store.audit.bound_rows import digests
from fivefold.store.flows.actions import action_numbered
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.flows import FlowAction, FlowRow
from fivefold.store.webhooks.outbox import EventKind, NewEvent, add_events
from fivefold.usecases.flows.runs.actions import event_name
from fivefold.usecases.flows.runs.reading import ActionLine, action_line, standing_of
from fivefold.usecases.shared.api_fields import with_moments
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason

REVIEWED: Final = "flow.reviewed"


def finish_review(context: Context, number: int, reason: str) -> ActionLine:
    """Record that a review requested by a flow was done, also before its due date.

    Raises:
        NotFoundError: there is no such action.
        ConfigError: there is no reason.
        ConflictError: the action is not a review, was taken back, or was done.
    """
    with context.writing() as session:
        row = action_numbered(session, context.organisation_id, number)
        finish_review_in(session, context, row, reason)
        return action_line(row, {})


def finish_review_in(session: Session, context: Context, row: FlowAction, reason: str) -> None:
    """Record in this transaction that a review was done; errors as in `finish_review`."""
    now, reason = context.now(), checked_reason(reason)
    if row.kind != "review":
        raise ConflictError(f"action {row.id} is a {row.kind}, and no review that could be done")
    refuse_settled(row)
    row.done_us, row.done_by, row.done_reason = now, context.actor.name, reason
    session.flush()
    flow = session.get_one(FlowRow, row.flow_id)
    add_events(session, row.organisation_id, [action_event(session, row, flow.name, REVIEWED, now)])
    context.record(
        session,
        REVIEWED,
        ("flow action", row.id),
        after={"reason": reason},
        details={"flow": flow.name, "action": row.action},
        rows=digests(session, "flow_actions", [row.id]),
    )


def refuse_settled(row: FlowAction) -> None:
    """Raise ConflictError if an action was taken back, or is a review that was done."""
    if row.taken_back_us is not None:
        raise ConflictError(f"action {row.id} was taken back already")
    if row.done_us is not None:
        raise ConflictError(f"action {row.id} is a review that was done already")


def action_event(session: Session, row: FlowAction, flow: str, kind: EventKind, at_us: int) -> NewEvent:
    """Return the event that reports an action as taken back or done."""
    entity = session.get_one(Entity, row.entity_id)
    body = {
        "entity_type": session.get_one(EntityType, entity.type_id).name,
        "external_id": entity.external_id,
        "flow": flow,
        "run": f"f:{row.run_id}",
        "action": row.action,
        "kind": row.kind,
        "content": with_moments(row.content),
        **standing_of(session, row.entity_id, row.subject),
        "at": utc_text(at_us),
    }
    name = f"{event_name(row.id, row.at_us)}-{'done' if kind == REVIEWED else 'back'}"
    return NewEvent(name, kind, row.entity_id, at_us, canonical_json(body))
