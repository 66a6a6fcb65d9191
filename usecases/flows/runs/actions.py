"""Execution of actions: each once for a flow, an entity and a cause, in the transaction that ends the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import DAY_US, utc_text
from fivefold.domain.errors import ConflictError
from fivefold.features import schema as c
from fivefold.flows.actions import (
    Action,
    CaseAction,
    GivesTag,
    GroupAction,
    LimitAction,
    ReviewAction,
    StatusAction,
    WebhookAction,
    is_reversible,
)
from fivefold.flows.groups.analysis import analyse_canonical_group
from fivefold.flows.language import Flow
from fivefold.flows.trace import ActionTaken
from fivefold.store.flows.actions import action_under, add_action
from fivefold.store.groups.groups import active_version, group_named
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.flows import FLOW_ACTOR, FlowRun
from fivefold.store.webhooks.outbox import NewEvent
from fivefold.usecases.flows.runs.facts import transaction_about
from fivefold.usecases.flows.runs.reading import standing_of
from fivefold.usecases.flows.runs.second_people import origin_by
from fivefold.usecases.ingest.facts import RecordGiven, free_case_number, live_tag_in, put_record_in, set_tag_in
from fivefold.usecases.shared.api_fields import with_moments
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.flow_triggers import bounded_cause, caused_by

ACTED: Final = "flow.acted"
REVIEW_AHEAD_US: Final = 7 * DAY_US
"""The time before its due date at which a review enters the queue."""
GIVEN_AS_TAGS: Final = ("tag", "group")
"""The kinds of actions that give a tag."""


@dataclass(frozen=True)
class Doing:
    """The flow, moment and people behind an action.

    Attributes:
        context: the context of the flow, which acts.
        flow: the flow in the version that ran.
        version: the number of that version.
        answered: the people who answered on the way to it, as the audit log names them.
        by_person: whether it follows from a person's answer; false if the run failed after one.
    """

    context: Context
    flow: Flow
    version: int
    now_us: int
    answered: frozenset[str]
    by_person: bool


class Done(NamedTuple):
    """An action that was just carried out: its number, and the event that reports it."""

    number: int
    event: NewEvent


def carry_out(session: Session, doing: Doing, run: FlowRun, entity: Entity, action_taken: ActionTaken) -> Done | None:
    """Carry out an action; None if it was done before for the same cause.

    Any error undoes the transaction, so that no action is half done.
    """
    content = _content(doing, run, action_taken)
    if action_taken.kind == "case":  # a case that others sent under that number stays as it is
        content["case"] = free_case_number(session, run.organisation_id, content["case"])
    due_us = content["due_us"] if action_taken.kind == "review" else None
    values = {
        "organisation_id": run.organisation_id,
        "flow_id": run.flow_id,
        "run_id": run.id,
        "entity_id": entity.id,
        "cause": run.cause,
        "action": action_taken.action,
        "kind": action_taken.kind,
        "subject": action_taken.subject,
        "content": content,
        "at_us": doing.now_us,
        "due_us": due_us,
        "waits_us": None if due_us is None else max(doing.now_us, due_us - REVIEW_AHEAD_US),
    }
    number = add_action(session, values)
    if number is None and content.get("by_person"):
        number = _add_decision(session, values)
    if number is None:
        return None
    with caused_by(session, origin_by(run, doing.answered)):
        _affect(session, doing, entity, action_taken, content)
    body = {
        "entity_type": doing.flow.entity_type,
        "external_id": entity.external_id,
        "flow": doing.flow.name,
        "version": doing.version,
        "run": f"f:{run.id}",
        "cause": run.cause,
        "action": action_taken.action,
        "title": action_taken.title,
        "kind": action_taken.kind,
        "purpose": action_taken.purpose,
        "content": with_moments(content),
        **standing_of(session, entity.id, action_taken.subject),
        "at": utc_text(doing.now_us),
    }
    event = NewEvent(event_name(number, doing.now_us), ACTED, entity.id, doing.now_us, canonical_json(body))
    return Done(number, event)


def _add_decision(session: Session, values: Mapping[str, Any]) -> int | None:
    """Add a status or a limit that the fallback of this run set, now as a person's decision, under its own cause.

    The fallback's row does not count as a person's answer, and stays as it was. None if the decision is stored already,
    or a person took the fallback's action back.
    """
    present = action_under(session, *(values[name] for name in ("flow_id", "entity_id", "cause", "action")))
    if present.taken_back_us is not None or present.content.get("by_person"):
        return None
    return add_action(session, {**values, "cause": bounded_cause(f"{values['cause']}, decided")})


def event_name(number: int, at_us: int) -> str:
    """Return the name of an action's event, made of its number, which is unique, and when it was taken."""
    return f"flow-action-{number}-{at_us}"


def _content(doing: Doing, run: FlowRun, action_taken: ActionTaken) -> dict[str, Any]:
    """Return the content of an action, all of it known before the action is carried out."""
    action = doing.flow.action(action_taken.action)
    if isinstance(action, StatusAction):
        of_transaction = {"of": action.of, c.TRANSACTION_ID: transaction_of(run)}
        return {"status": action.status, **(_lasting(doing, action) if action.of == "entity" else of_transaction)}
    if isinstance(action, LimitAction):
        amount = {"limit": action.limit, "amount_minor": action_taken.amount_minor, "sets": action_taken.sets}
        return {**amount, **_lasting(doing, action)}
    if isinstance(action, ReviewAction):
        return {"due_us": action.review.moment_after(doing.now_us)}
    if isinstance(action, GivesTag):
        until = None if action.lasts is None else action.lasts.moment_after(doing.now_us)
        group = {"group": action.group} if isinstance(action, GroupAction) else {}
        return {**group, "tag": action.given_tag, "until_us": until}
    if isinstance(action, CaseAction):
        return {"case": f"flow-{run.id}-{action_taken.action}", "words": action.case}
    assert isinstance(action, WebhookAction)
    return {"event": action.webhook}


def _lasting(doing: Doing, action: Action) -> dict[str, Any]:
    """Return what keeps a status or a limit from being replaced, see `reading.actions_standing`; usually empty."""
    lasting = {} if is_reversible(action) else {"lasting": True}
    decides = {} if action.relationship is None else {"relationship": action.relationship}
    return {**lasting, **decides, **({"by_person": True} if doing.by_person else {})}


def transaction_of(run: FlowRun) -> str | None:
    """Return the identifier of the transaction that a run looks at; None without a transaction or identifier."""
    about = transaction_about(run)
    name = about.get(c.TRANSACTION_ID) if isinstance(about, Mapping) else about
    return None if name is None else str(name)


def _affect(
    session: Session, doing: Doing, entity: Entity, action_taken: ActionTaken, content: Mapping[str, Any]
) -> None:
    """Change the facts that an action affects; a status, a limit and a review have their own rows only.

    A tag that a person gave stays as it is. One that another flow gave is not shortened: it may hold a level up.
    """
    if action_taken.kind == "group":
        _refuse_group_not_kept(session, entity, content["group"])
    if action_taken.kind in GIVEN_AS_TAGS and not _is_held(session, entity, content, doing.now_us):
        set_tag_in(session, doing.context, entity, content["tag"], content["until_us"], "", doing.now_us)
    elif action_taken.kind == "case":
        record = RecordGiven(external_id=content["case"], opened_us=doing.now_us)
        put_record_in(session, doing.context, entity, "case", record, doing.now_us)


def _refuse_group_not_kept(session: Session, entity: Entity, name: str) -> None:
    """Raise ConflictError if flows no longer keep a group: the entity would not enter, and the run would claim it did.

    Groups that active flows name stay in force, as do those of replaced versions with waiting runs. A quarantined run
    may be retried later than that.
    """
    version = active_version(session, group_named(session, entity.organisation_id, name).id)
    if version is None or analyse_canonical_group(version.canonical).group.kept_by is None:
        why = "it was retired" if version is None else "it has a condition of its own now"
        raise ConflictError(f"flows put into the group {name} no more: {why}")


def _is_held(session: Session, entity: Entity, content: Mapping[str, Any], now: int) -> bool:
    """Check whether a person gave the tag, or it already lasts as long."""
    live, until_us = live_tag_in(session, entity, content["tag"], now), content["until_us"]
    if live is None:
        return False
    lasts = live.until_us is None or (until_us is not None and live.until_us >= until_us)
    return lasts or not live.set_by.startswith(FLOW_ACTOR)
