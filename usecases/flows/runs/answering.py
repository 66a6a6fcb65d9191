"""What people do with runs: answer their questions, take back their actions, and retry quarantined ones."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import second_text
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.flows.actions import is_reversible
from fivefold.flows.analysis import analyse_canonical_flow
from fivefold.flows.language import Flow, PersonStep
from fivefold.store.audit.bound_rows import digests
from fivefold.store.flows.actions import action_numbered, actions_of_run, standing_actions
from fivefold.store.flows.run_search import run_row
from fivefold.store.flows.runs import (
    ENDED,
    QUARANTINED,
    QUEUED,
    RUNNING,
    WAITING,
    add_outcome,
    hold,
    is_off,
    outcome_digests,
    outcomes_of,
    run_numbered,
    version_and_flow,
)
from fivefold.store.ingest.entities import lock_entities
from fivefold.store.sql.clocks import clock_of
from fivefold.store.tables.entities import Entity, Tag
from fivefold.store.tables.flows import FLOW_ACTOR, FlowAction, FlowRun, StepOutcome
from fivefold.store.webhooks.outbox import add_events
from fivefold.usecases.flows.runs.actions import GIVEN_AS_TAGS
from fivefold.usecases.flows.runs.calling import carried_on
from fivefold.usecases.flows.runs.execute import LEASE_US
from fivefold.usecases.flows.runs.outcomes import PERSON
from fivefold.usecases.flows.runs.reading import ActionLine, RunView, action_line, view_of
from fivefold.usecases.flows.runs.reviews import action_event, refuse_settled
from fivefold.usecases.flows.runs.second_people import part_taken, question_at
from fivefold.usecases.flows.runs.shadows import pass_on
from fivefold.usecases.ingest.facts import end_of_tag, end_tag_in, live_tag_in, shorten_tag_in
from fivefold.usecases.levels.lowering import Concern, LoweringGuard
from fivefold.usecases.levels.worker import new_lease
from fivefold.usecases.shared.actors import SYSTEM, Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason, refuse_unseen_moment

ANSWERED_BY: Final = {
    "investigator": frozenset({Role.INVESTIGATOR, Role.ADMIN}),
    "publisher": frozenset({Role.PUBLISHER, Role.ADMIN}),
}
"""The roles that may answer, by the role that a step asks."""


def answer_run(
    context: Context, role: Role, number: int, answer: str, reason: str, *, expected_asked_us: int | None = None
) -> RunView:
    """Answer the question of a run, and carry the run on.

    A person who called the run, or caused it by a tag or a case, cannot answer it: they would decide on their own
    request. Nor can a person who answered in another role before: steps that ask different roles ask different people.

    Args:
        context: who answers.
        role: the role of that person.
        number: the number of the run.
        answer: an answer that its step takes.
        reason: the reason for the answer.
        expected_asked_us: when the question that the person saw was asked; None to skip the check.

    Raises:
        NotFoundError: there is no such run.
        ConfigError: the step takes no such answer, or asks another role.
        ConflictError: the run asks nothing, or not any more, or another question than the person saw, or no version of
            the flow acts now; or the person called or caused the run, or answered in another role before.
    """
    now, reason, lease = context.now(), checked_reason(reason), new_lease()
    with context.writing() as session:
        run = _locked(session, context, number)
        stopped_at = _asking_step(session, run, now, expected_asked_us)
        version, flow_row = version_and_flow(session, run.version_id)
        flow = analyse_canonical_flow(version.canonical).flow
        step = question_at(flow, stopped_at)
        _refuse_strange(step, role, answer)
        if part := part_taken(session, run, flow, context.actor.name, stopped_at):
            raise ConflictError(f"{context.actor.name} {part}; another person must answer it")
        outcome = {"answer": answer, "reason": reason}
        added = add_outcome(
            session,
            {
                "run_id": run.id,
                "step": step.id,
                "entity_id": run.entity_id,
                "kind": PERSON,
                "outcome": canonical_json(outcome),
                "at_us": now,
                "actor": context.actor.name,
            },
        )
        if not added:
            raise ConflictError(_answered_already(session, run, step.id))
        run.due_us, run.asks, run.asked_us = now, None, None
        written = [(run.id, step.id), *pass_on(session, run, step.id, now)]
        context.record(
            session,
            "flow.answered",
            ("flow run", run.id),
            after=outcome,
            details={"flow": flow_row.name, "version": version.number, "step": step.id},
            rows=outcome_digests(session, written),
        )
        hold(session, run.id, lease, now, now + LEASE_US)
    return carried_on(context, number, lease)


def _refuse_strange(step: PersonStep, role: Role, answer: str) -> None:
    """Raise ConfigError if a step asks another role, or takes no such answer."""
    if role not in ANSWERED_BY[step.person.role]:
        raise ConfigError(f"{step.title!r} asks a member of the role {step.person.role}, and you are {role}")
    if answer not in step.person.answers:
        raise ConfigError(f"{step.title!r} takes no answer {answer!r}; it takes {', '.join(step.person.answers)}")


def _asking_step(session: Session, run: FlowRun, now: int, expected_asked_us: int | None) -> str:
    """Return the step at which a locked run asks a person; ConflictError if it asks none now, or another question."""
    if not run.acting:
        raise ConflictError(f"run f:{run.id} is of a version that ran as a shadow: it asks nobody")
    if run.state != WAITING or run.stopped_at is None or run.asks is None:
        if run.state == RUNNING and run.asks is not None:
            raise ConflictError(f"{_time_over(run, now)}, and the run is being carried on")
        if (last := _last_outcome(session, run)) is not None:
            if last.actor == SYSTEM:
                over = f"was over by {second_text(last.at_us)}: nobody gave one"
                raise ConflictError(f"the time for an answer to run f:{run.id} {over}")
            raise ConflictError(_answered_already(session, run, last.step))
        raise ConflictError(f"run f:{run.id} asks nobody, or does not any more: it is {run.state}")
    if run.due_us is None or run.due_us <= now:
        raise ConflictError(_time_over(run, now))
    if is_off(session, run.flow_id, locked=True):  # the answer would end the run, and do nothing
        raise ConflictError(f"run f:{run.id} asks nobody while its flow is switched off")
    assert run.asked_us is not None  # a run that asks a role has the moment of its question
    refuse_unseen_moment(f"the question of run f:{run.id}", expected_asked_us, run.asked_us)
    return run.stopped_at


def _answered_already(session: Session, run: FlowRun, step: str) -> str:
    """Return words for who answered a step of a run, and when; the step is named by its title."""
    version, _ = version_and_flow(session, run.version_id)
    flow = analyse_canonical_flow(version.canonical).flow
    outcome = outcomes_of(session, [run.id])[run.id][step]
    whose = f"by {outcome.actor} at {second_text(outcome.at_us)}"
    return f"the question {question_at(flow, step).title!r} of run f:{run.id} was answered already, {whose}"


def _time_over(run: FlowRun, now: int) -> str:
    return f"the time for an answer to run f:{run.id} was over at {second_text(run.due_us or now)}"


def _last_outcome(session: Session, run: FlowRun) -> StepOutcome | None:
    """Return the latest outcome of a run's questions to people; None without one, and for a shadow's run."""
    steps = outcomes_of(session, [run.id]).get(run.id, {}) if run.acting else {}
    outcomes = [outcome for outcome in steps.values() if outcome.kind == PERSON]
    return max(outcomes, key=lambda outcome: (outcome.at_us, outcome.step), default=None)


def retry_run(context: Context, number: int) -> RunView:
    """Queue a quarantined run again, with as many attempts as a new one has.

    A worker carries it on, not this call: the run may be what ended the workers that tried it.

    Raises:
        NotFoundError: there is no such run.
        ConflictError: it is not quarantined: it ended, or another person was faster.
    """
    now = context.now()
    with context.writing() as session:
        run = run_numbered(session, context.organisation_id, number, locked=True)
        if run.state != QUARANTINED:
            raise ConflictError(f"run f:{number} is not quarantined: it is {run.state}")
        version, flow_row = version_and_flow(session, run.version_id)
        before = {"error": run.error}
        run.state, run.attempts, run.due_us, run.error = QUEUED, 0, now, None
        run.revision += 1
        session.flush()
        context.record(
            session,
            "flow.retried",
            ("flow run", run.id),
            before=before,
            details={"flow": flow_row.name, "version": version.number},
        )
        return view_of(session, run_row(session, number))


def _locked(session: Session, context: Context, number: int) -> FlowRun:
    """Lock a run, and its entity before, as workers do: its shadow may be stopping at this moment."""
    lock_entities(session, [run_numbered(session, context.organisation_id, number).entity_id])
    return run_numbered(session, context.organisation_id, number, locked=True)


def is_run_off(context: Context, number: int) -> bool:
    """Check whether a run's flow has no acting version, so that it asks no person; NotFoundError without such a run."""
    with context.reading() as session:
        return is_off(session, run_numbered(session, context.organisation_id, number).flow_id)


def part_of_asker(context: Context, number: int) -> str:
    """Return the part in a run that bars the caller from answering its question, in words; empty if they can.

    NotFoundError if the organisation has no run of that number.
    """
    with context.reading() as session:
        run = run_numbered(session, context.organisation_id, number)
        if run.state != WAITING or run.stopped_at is None:
            return ""
        version, _ = version_and_flow(session, run.version_id)
        flow = analyse_canonical_flow(version.canonical).flow
        return part_taken(session, run, flow, context.actor.name, run.stopped_at)


def bars_to_take_back(context: Context, role: Role, number: int) -> dict[int, str]:
    """Return why the caller cannot take back the actions of a run, by number, without those that they can.

    NotFoundError if the organisation has no run of that number.
    """
    with context.reading() as session:
        run = run_numbered(session, context.organisation_id, number)
        version, _ = version_and_flow(session, run.version_id)
        flow = analyse_canonical_flow(version.canonical).flow
        bars = {
            row.id: _bar_to_take_back(session, run, flow, row, (role, context.actor.name))
            for row in actions_of_run(session, run.id)
        }
        return {action: bar for action, bar in bars.items() if bar}


def _bar_to_take_back(session: Session, run: FlowRun, flow: Flow, row: FlowAction, who: tuple[Role, str]) -> str:
    """Return why a person cannot take back an action of a run, in words; empty if they can.

    An action that follows from answers needs a person who could have given each of them; otherwise one person alone
    would undo what several decided.
    """
    role, name = who
    steps = outcomes_of(session, [run.id]).get(run.id, {}) if run.state == ENDED else {}
    answered = [
        step
        for step, outcome in steps.items()
        if outcome.kind == PERSON and outcome.actor != SYSTEM and outcome.at_us <= row.at_us
    ]
    for step in answered:
        question = question_at(flow, step)
        follows = f"it follows from the answer to {question.title!r}"
        if role not in ANSWERED_BY[question.person.role]:
            return f"{follows}: a member of the role {question.person.role} can, and you are {role}"
        if part := part_taken(session, run, flow, name, step):
            return f"{follows}, and {name} {part}; another person must do it"
    if not answered and role not in ANSWERED_BY["investigator"]:
        return f"it follows from no answer: a member of the role investigator can, and you are {role}"
    return ""


def take_back_action(context: Context, role: Role, number: int, reason: str) -> ActionLine:
    """Take back an action of a run: a status, a limit and a review no longer count, and a tag ends.

    A case stays, for the people who work on it; its action is only marked. An action that follows from answers is
    taken back by a person who could have given each of them; any other by an investigator.

    Args:
        context: who takes it back.
        role: the role of that person.
        number: the number of the action.
        reason: the reason.

    Raises:
        NotFoundError: there is no such action.
        ConflictError: it cannot be taken back, was already, or cannot be by this person.
        WouldLowerError: a level or a floor would fall as a result.
    """
    now, reason = context.now(), checked_reason(reason)
    with context.writing() as session:
        row = action_numbered(session, context.organisation_id, number)
        run = run_numbered(session, row.organisation_id, row.run_id)
        version, flow_row = version_and_flow(session, run.version_id)
        flow = analyse_canonical_flow(version.canonical).flow
        action = flow.action(row.action)
        if not is_reversible(action):
            raise ConflictError(f"{action.title} cannot be taken back")
        refuse_settled(row)
        if bar := _bar_to_take_back(session, run, flow, row, (role, context.actor.name)):
            raise ConflictError(f"{action.title} cannot be taken back: {bar}")
        row.taken_back_us, row.taken_back_by, row.taken_back_reason = now, context.actor.name, reason
        session.flush()
        if row.kind in GIVEN_AS_TAGS:
            _take_back_tag(session, context, row, reason, now)
        add_events(session, row.organisation_id, [action_event(session, row, flow_row.name, "flow.taken_back", now)])
        context.record(
            session,
            "flow.taken_back",
            ("flow action", row.id),
            after={"reason": reason},
            details={"flow": flow_row.name, "action": row.action},
            rows=digests(session, "flow_actions", [row.id]),
        )
        return action_line(row, {row.action: True})


def _take_back_tag(session: Session, context: Context, row: FlowAction, reason: str, now: int) -> None:
    """End the tag of an action that was just taken back, if the entity has it by flows alone.

    If other actions still give the tag, it lasts until the last of these ends. An action no longer gives it once its
    time is over, or the tag ended since, for example by a person. A tag that a person gave stays as it is.

    WouldLowerError if a level or a floor would fall as a result, as one person alone asks for that.
    """
    lock_entities(session, [row.entity_id])
    entity, tag = session.get_one(Entity, row.entity_id), row.content["tag"]
    live = live_tag_in(session, entity, tag, now)
    if live is None or not live.set_by.startswith(FLOW_ACTOR):
        return
    until_us = _still_given_until(session, row, now)
    if until_us is None:
        watch = LoweringGuard(session, context, "tags", {entity.id: Concern.of_change(now)}, now)
        end_tag_in(session, context, entity, tag, reason, now)
        watch.refuse_falls()
    elif live.until_us == row.content["until_us"] and until_us < end_of_tag(live.until_us):
        concern = Concern.of_change(now, live.until_us, until_us)
        watch = LoweringGuard(session, context, "tags", {entity.id: concern}, now)
        shorten_tag_in(session, context, entity, live, until_us, reason, now)
        watch.refuse_falls()


def _still_given_until(session: Session, row: FlowAction, now: int) -> int | None:
    """Return when the last of the other actions that still give a tag ends; None if no other action gives it."""
    of_tag = (Tag.entity_id == row.entity_id, Tag.tag == row.content["tag"])
    tags = session.scalars(select(Tag).where(*of_tag).order_by(Tag.from_us, Tag.id)).all()
    near_us = clock_of(session.get_bind().engine).tolerance_us  # another machine's clock may have been ahead
    ends = (
        end_of_tag(each.content["until_us"])
        for each in standing_actions(session, row.entity_id, GIVEN_AS_TAGS)
        if each.subject == row.subject and _lasts_since(tags, each.at_us, near_us, now)
    )
    return max((end_us for end_us in ends if end_us > now), default=None)


def _lasts_since(tags: Iterable[Tag], since_us: int, near_us: int, now: int) -> bool:
    """Check whether rows of a tag, ordered by begin, cover the time from about *since_us* until after now."""
    reached_us = since_us
    for tag in tags:
        if tag.from_us > (reached_us if reached_us > since_us else since_us + near_us):
            break
        reached_us = max(reached_us, end_of_tag(tag.until_us))
    return reached_us > now
