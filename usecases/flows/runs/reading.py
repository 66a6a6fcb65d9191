"""Runs as people and programs read them: lists, single runs with their why, and the actions in force on an entity."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.flows.actions import is_reversible
from fivefold.flows.analysis import AnalysedFlow, analyse_canonical_flow
from fivefold.flows.asking.choices import step_without_conditions, words_without_conditions
from fivefold.flows.language import Flow, PersonStep
from fivefold.flows.paths import irreversible_after
from fivefold.flows.run import needs_of
from fivefold.risk.engine.explain.describe import input_words
from fivefold.risk.facts.inputs import Needs, parts_of
from fivefold.store.flows.actions import OF_TRANSACTION, actions_of_run, standing_actions
from fivefold.store.flows.run_search import RunFilter, RunRow, run_row, runs_among
from fivefold.store.flows.runs import FAILED, WAITING, outcomes_of, run_numbered
from fivefold.store.flows.versions import canonical_of
from fivefold.store.ingest.entities import entity_named
from fivefold.store.tables.flows import FlowAction
from fivefold.usecases.flows.runs.outcomes import OFF, version_kept
from fivefold.usecases.levels.content.breakdowns import removal_text
from fivefold.usecases.levels.explain import input_named, names_in_words, renamed
from fivefold.usecases.shared.actors import OF_VERSIONS, Role
from fivefold.usecases.shared.api_fields import Moment, StoredObject, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context

STATUSES: Final = ("approved", "flagged", "escalated", "blocked")
"""The statuses, the mildest first: of several in force, the last of these counts."""


@dataclass(frozen=True, kw_only=True)
class RunFilters:
    """Which runs are listed; None sets no condition.

    Attributes:
        flow: its name, in whatever version.
        state: queued, running, waiting, ended, failed or quarantined.
        at: the step at which they stopped: an end, or where they wait.
        entity: type and identifier.
        acting: true for those whose actions happen, false for shadows.
        since_us: they began then or later.
        until_us: they began before.
    """

    flow: str | None = None
    state: str | None = None
    at: str | None = None
    entity: tuple[str, str] | None = None
    acting: bool | None = None
    since_us: int | None = None
    until_us: int | None = None


EVERY_RUN = RunFilters()


@schema("FlowRunLine")
@dataclass(frozen=True, kw_only=True)
class RunLine:
    """A run, in short.

    Attributes:
        cause: what it was begun for, such as transaction:T-1.
        at: the step at which it ended, failed or waits; None before its facts were read.
        due_us: when it is looked at next; for a run that waits, until when a person may answer.
        acting: its actions happen; false for a shadow's.
        actor: who called it; `system` where an event began it.
        error: why it failed; of one that is queued, why it is tried again; of a quarantined one, why it is not.
    """

    number: Annotated[int, shown_as("run")]
    flow: str
    version: int
    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    cause: str
    state: str
    at: str | None
    acting: bool
    actor: str
    begun_us: Annotated[Moment, shown_as("begun_at")]
    due_us: Annotated[Moment | None, shown_as("due_at")]
    ended_us: Annotated[Moment | None, shown_as("ended_at")]
    error: str | None


@schema("FlowActionLine")
@dataclass(frozen=True, kw_only=True)
class ActionLine:
    """An action that was taken.

    Attributes:
        kind: status, limit, review, tag, group, case or webhook.
        subject: what it does that to.
        content: the status, the limit and its amount in the smallest unit, the date, the tag, the group, the case or
            the event.
        reversible: a person can take it back.
        done_us: of a review, when a person did it.
    """

    number: Annotated[int, shown_as("number")]
    action: str
    kind: str
    subject: str
    content: StoredObject
    reversible: bool
    at_us: Annotated[Moment, shown_as("at")]
    taken_back_us: Annotated[Moment | None, shown_as("taken_back_at")]
    taken_back_by: str | None
    taken_back_reason: str | None
    done_us: Annotated[Moment | None, shown_as("done_at")]
    done_by: str | None
    done_reason: str | None


@schema("FlowStepAnswered")
@dataclass(frozen=True, kw_only=True)
class StepAnswered:
    """What a step came to that asked a person or another system."""

    step: str
    kind: str
    outcome: StoredObject
    at_us: Annotated[Moment, shown_as("at")]
    actor: str


@schema("FlowQuestion")
@dataclass(frozen=True, kw_only=True)
class QuestionOpen:
    """What a run asks a person; `role` says who may answer.

    Attributes:
        look_at: what to look at before: words of the flow, and what its inputs were when the run began.
        irreversible: by answer, the titles of the actions that may follow and that nobody can take back; an answer
            without such is left out.
        asked_us: since when; an answer names it as `expected_asked_at`. None of a shadow, which asks nobody.
    """

    step: str
    question: str
    look_at: tuple[str, ...]
    role: str
    answers: tuple[str, ...]
    irreversible: dict[str, tuple[str, ...]]
    asked_us: Annotated[Moment | None, shown_as("asked_at")]


@schema("FlowRunView")
@dataclass(frozen=True, kw_only=True)
class RunView(RunLine):
    """A run with its why.

    Attributes:
        why: the steps that it passed, each with what it saw, and the actions that follow; None before it came anywhere,
            and once that is gone.
        gone: how what it was made from went, in words; None where it is there.
        taken: its actions, as they stand.
        answered: the steps that asked.
        question: what it waits for.
    """

    why: StoredObject | None
    taken: tuple[ActionLine, ...]
    answered: tuple[StepAnswered, ...]
    question: QuestionOpen | None
    gone: str | None

    @property
    def error_in_short(self) -> str | None:
        """The kind of the error and its place, for programs.

        The rest of a message may say what was seen of the customer, and what the flow looks at.
        """
        if self.error is None or self.error == OFF:
            return self.error
        return f"the step {self.at} failed" if self.state == FAILED else self.error.partition(": ")[0]


def search_runs(context: Context, filters: RunFilters, part: Part = WHOLE) -> Page[RunLine]:
    """List runs, the latest first; NotFoundError if the named entity is missing."""
    with context.reading() as session:
        of = context.organisation_id
        wanted = RunFilter(
            organisation_id=of,
            flow=filters.flow,
            state=filters.state,
            at=filters.at,
            entity_id=None if filters.entity is None else entity_named(session, of, *filters.entity).id,
            acting=filters.acting,
            since_us=filters.since_us,
            until_us=filters.until_us,
        )
        return runs_among(session, wanted, part).map(lambda row: RunLine(**_line(row)))


def view_run(context: Context, number: int) -> RunView:
    """Return a run with its why; NotFoundError if the organisation has none of that number."""
    with context.reading() as session:
        run = run_numbered(session, context.organisation_id, number)
        return view_of(session, run_row(session, run.id))


def runs_seen_by(role: Role, runs: Page[RunLine]) -> Page[RunLine]:
    """Return runs as a role may see them in a list."""
    return runs if role in OF_VERSIONS else runs.map(lambda run: replace(run, error=_of_error(run.error)))


def run_seen_by(context: Context, role: Role, run: RunView) -> RunView:
    """Return a run as a role may see it, with linked entities by their names.

    Conditions, also those within inputs, are shown to roles that see versions of flows.

    Args:
        context: who reads the run.
        role: the role of the reader.
        run: the run as it was read.
    """
    with_conditions = role in OF_VERSIONS
    if not with_conditions:
        run = replace(run, error=_of_error(run.error))
    if run.why is None:
        return run
    why = run.why
    with context.reading() as session:
        stored = run_numbered(session, context.organisation_id, run.number)
        names: dict[str, str] = {}
        if stored.inputs is not None:
            facts = json.loads(stored.inputs)
            analysed = version_kept(session, stored.version_id, facts).analysed
            names = names_linked(session, analysed, facts["own"]["inputs"], _inputs_asked(facts))
            names |= {} if with_conditions else _inputs_renamed(analysed)
    if not with_conditions:
        steps = [step_without_conditions(step) for step in why["steps"]]
        why = {**why, "line": words_without_conditions(why["line"]), "steps": steps}
    question = run.question
    if question is not None:
        question = replace(question, look_at=tuple(renamed(question.look_at, names)))
    return replace(run, error=renamed(run.error, names), why=renamed(why, names), question=question)


def _of_error(error: str | None) -> str | None:
    return None if error is None else words_without_conditions(error)


def _inputs_asked(stored_facts: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {key: each["inputs"] for key, each in stored_facts["asked"].items()}


def names_linked(
    session: Session, analysed: AnalysedFlow, own: Mapping[str, Any], others: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return the words for the entities that values were made of, with their names, as `explain.names_in_words` does.

    Args:
        session: to read with.
        analysed: the flow, with all that it asks.
        own: the values of what it reads by itself, by their keys.
        others: the same for what it asks, by the keys of `AnalysedFlow.dependencies`.
    """
    needs = [(needs_of(analysed), own)]
    for key, of in analysed.dependencies.items():
        needs.append((needs_of(of) if isinstance(of, AnalysedFlow) else Needs.of(of), others.get(key, {})))
    return names_in_words(session, [(each.everything(), inputs) for each, inputs in needs])


def _inputs_renamed(analysed: AnalysedFlow) -> dict[str, str]:
    """Return the words that replace those of inputs with conditions within, by the words replaced."""
    names = {input_words(each): input_named(each) for each in _inputs(analysed)}
    return {words: name for words, name in names.items() if words != name}


def _inputs(analysed: AnalysedFlow) -> Iterator[Any]:
    for each in analysed.inputs:
        yield from (each, *parts_of(each, analysed.names))
    for inner in analysed.flows.values():
        yield from _inputs(inner)


def view_of(session: Session, row: RunRow) -> RunView:
    """Return the view of a run that was read."""
    run = row.run
    flow = analyse_canonical_flow(canonical_of(session, [run.version_id])[run.version_id]).flow
    reversible = {action.id: is_reversible(action) for action in flow.actions}
    steps = outcomes_of(session, [run.id]).get(run.id, {})
    outcomes = {name: json.loads(each.outcome) for name, each in steps.items()}
    why = None if run.answer is None else _with_costs(json.loads(run.answer), outcomes if run.acting else {})
    question = None
    if run.state == WAITING and run.stopped_at is not None and run.stopped_at not in steps and run.removed_by is None:
        step = flow.steps[flow.positions[run.stopped_at]]
        if isinstance(step, PersonStep):  # a shadow also waits where another system would be asked
            question = _question(flow, step, why, run.asked_us)
    return RunView(
        **_line(row),
        why=why,
        taken=tuple(action_line(each, reversible) for each in actions_of_run(session, run.id)),
        answered=tuple(
            row_as(StepAnswered, each, outcome=outcomes[each.step])
            for each in sorted(steps.values(), key=lambda each: flow.positions[each.step])
        ),
        question=question,
        gone=None if run.removed_by is None else removal_text(session, run.removed_by),
    )


def _question(flow: Flow, step: PersonStep, why: Mapping[str, Any] | None, asked_us: int | None) -> QuestionOpen:
    """Return the question of a step, with the values of its inputs from the trace."""
    question = step.person
    values_seen = [each["seen"] for each in (why or {}).get("steps", ()) if each["step"] == step.id and each["seen"]]
    return QuestionOpen(
        step=step.id,
        question=question.question,
        look_at=(*question.words_looked_at, *values_seen),
        role=question.role,
        answers=tuple(question.answers),
        irreversible={
            answer: titles for answer, to in question.answers.items() if (titles := irreversible_after(flow, to))
        },
        asked_us=asked_us,
    )


def _with_costs(why: Mapping[str, Any], outcomes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Add the cost to each step that asked the outside: costs are stored beside the run, and not part of a replay.

    Steps that ask nothing outside, steps from before costs were measured, and steps of shadows have no cost.
    """
    costs = {name: each["cost"] for name, each in outcomes.items() if "cost" in each}
    steps = [{**each, "cost": costs[each["step"]]} if each["step"] in costs else each for each in why["steps"]]
    return {**why, "steps": steps}


def _line(row: RunRow) -> dict[str, Any]:
    run = row.run
    return {
        "number": run.id,
        "flow": row.flow,
        "version": row.version,
        "entity_type": row.entity_type,
        "external_id": row.external_id,
        "cause": run.cause,
        "state": run.state,
        "at": run.stopped_at,
        "acting": run.acting,
        "actor": run.actor,
        "begun_us": run.begun_us,
        "due_us": run.due_us,
        "ended_us": run.ended_us,
        "error": run.error,
    }


def action_line(row: FlowAction, reversible: Mapping[str, bool]) -> ActionLine:
    """Return the view of an action; *reversible* has whether a person can take it back, by action of its flow."""
    return row_as(ActionLine, row, number=row.id, reversible=reversible.get(row.action, False))


@schema("FlowLimit")
@dataclass(frozen=True, kw_only=True)
class LimitStanding:
    """A limit that stands: the lowest of those that flows set under one name, the latest of each flow.

    Attributes:
        amount_minor: in the smallest unit of the base currency.
        sets: the same in words.
        action: the number of the action that set it.
    """

    limit: str
    amount_minor: int
    sets: str
    action: int


@schema("FlowStanding")
@dataclass(frozen=True, kw_only=True)
class EntityActions:
    """What stands about an entity because of flows.

    Attributes:
        status: the most severe of those that flows gave, the latest of each flow; None for none.
        status_action: the number of the action that gave it.
        limits: one of each name.
        reviews: by when a person is to look at it, the first one first.
        erased_us: when what was personal was erased, and all of this with it; None where it was not.
    """

    status: str | None
    status_action: int | None
    limits: tuple[LimitStanding, ...]
    reviews: tuple[Moment, ...]
    erased_us: Annotated[Moment | None, shown_as("erased_at")]


def entity_actions(context: Context, type_name: str, external_id: str) -> EntityActions:
    """Return the actions of flows in force on an entity; NotFoundError if the entity is missing."""
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id)
        rows = standing_actions(session, entity.id, ("status", "limit", "review"))
        return actions_standing(rows, entity.erased_us)


def actions_standing(rows: Sequence[FlowAction], erased_us: int | None = None) -> EntityActions:
    """Return the actions in force: the most severe status of all flows, and the lowest limit of each name.

    Args:
        rows: the actions on one entity that were neither taken back nor done, the oldest first.
        erased_us: when the personal data of the entity were erased.
    """
    severest: FlowAction | None = None
    limits: dict[str, FlowAction] = {}
    for row in _not_replaced(rows):
        if row.kind == "status" and (severest is None or _severity(row) >= _severity(severest)):
            severest = row
        if row.kind == "limit":
            name, before = row.content["limit"], limits.get(row.content["limit"])
            if before is None or row.content["amount_minor"] < before.content["amount_minor"]:
                limits[name] = row
    return EntityActions(
        status=None if severest is None else severest.content["status"],
        status_action=None if severest is None else severest.id,
        limits=tuple(
            LimitStanding(limit=name, amount_minor=row.content["amount_minor"], sets=row.content["sets"], action=row.id)
            for name, row in sorted(limits.items())
        ),
        reviews=tuple(sorted(row.content["due_us"] for row in rows if row.kind == "review")),
        erased_us=erased_us,
    )


def _not_replaced(rows: Sequence[FlowAction]) -> list[FlowAction]:
    """Leave out actions that a later run of the same flow replaced: it set the same limit, or gave a status again.

    A run that was given up and then tried again replaces its own earlier actions too. A run that began before, and
    acted later on older facts, replaces nothing, unless a person answered it. A person's decision is replaced only by a
    run that a person answered; a person's decision on the relationship, only by another such decision; a lasting
    action, by none. A status of a transaction does not count for the entity.
    """
    remaining: list[FlowAction] = []
    newest: dict[tuple[int, str], int] = {}  # the newest run that acted later
    weightiest: dict[tuple[int, str], int] = {}  # the weight of a later one
    for row in reversed(rows):
        if row.subject == OF_TRANSACTION:
            continue
        of, weight = (row.flow_id, row.subject), _weight(row)
        is_replaced = weightiest.get(of, 0) >= max(weight, 1) or (weight == 0 and row.run_id <= newest.get(of, 0))
        if row.content.get("lasting") or not is_replaced:
            remaining.append(row)
        if row.kind != "review":
            newest[of] = max(row.run_id, newest.get(of, 0))
            weightiest[of] = max(weight, weightiest.get(of, 0))
    return remaining[::-1]


def _weight(row: FlowAction) -> int:
    """Return 2 for a decision on the relationship, 1 for an action after another answer of a person, else 0."""
    return 2 if "relationship" in row.content else 1 if row.content.get("by_person") else 0


def standing_of(session: Session, entity_id: int, subject: str) -> dict[str, Any]:
    """Return, for an event, the status or limit in force and the action that set it; empty for other subjects.

    It differs from what was just done if something more severe is in force, such as from another flow.
    """
    kind = subject.partition(" ")[0]
    if subject != "status" and kind != "limit":
        return {}
    standing = actions_standing(standing_actions(session, entity_id, (kind,)))
    stands: dict[str, Any] | None = None
    if standing.status is not None:
        stands = {"status": standing.status, "action": standing.status_action}
    for limit in standing.limits:
        if f"limit {limit.limit}" == subject:
            stands = {"amount_minor": limit.amount_minor, "sets": limit.sets, "action": limit.action}
    return {"stands": stands}


def _severity(row: FlowAction) -> int:
    return STATUSES.index(row.content["status"])
