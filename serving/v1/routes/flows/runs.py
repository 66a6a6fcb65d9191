"""Runs of flows: called and read by programs, answered and taken back by people; and replays over history."""

from typing import Annotated, Any

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import (
    LARGEST,
    WHOLE,
    BigNumber,
    MomentGiven,
    Number,
    Reason,
    RequestModel,
    ResponseModel,
    Text,
)
from fivefold.usecases.flows.replays import jobs
from fivefold.usecases.flows.replays.jobs import FlowReplayLine, ReplayAsked, ReplayPerson
from fivefold.usecases.flows.runs import answering, calling, reading, reviews, shadows
from fivefold.usecases.flows.runs.reading import (
    ActionLine,
    EntityActions,
    RunFilters,
    RunLine,
    RunView,
)
from fivefold.usecases.flows.runs.shadows import EndsOfBoth, ShadowPair
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.api_fields import Moment, StoredObject


class FlowCalled(RequestModel):
    """For whom a flow is run.

    The transaction has the fields of POST /v1/transactions; its number, date and state may be missing; it is not
    stored.
    `run_key` is what you call this run of this customer, by default the transaction's number: a repeated call
    with the same key returns the existing run.
    """

    type: Text = "customer"
    external_id: Text
    transaction: dict[str, Any] | None = None
    run_key: Text | None = None


class ActionForApps(ResponseModel):
    """An action that was taken."""

    number: int
    action: str
    kind: str
    content: StoredObject


class RunForApps(ResponseModel):
    """The state of a run, without its why.

    `state`: ended, failed, waiting (for a person), queued, running or quarantined: given up after a fault of the
    machine that stayed, with the actions of `on_failure` among those that were `taken`. `at`: the step. `error`: what
    went wrong; of a run that is queued, why it is tried again.
    """

    run: int
    flow: str
    version: int
    cause: str
    state: str
    at: str | None
    due_at: Moment | None
    error: str | None
    taken: list[ActionForApps]


RunAnswer = RunView | RunForApps


class PageOfRuns(PageQuery):
    """Which runs: from `since` until before `until`; without a filter all.

    `external_id` is of an entity of the `type`. `acting`: false for runs of shadows.
    """

    flow: Text | None = None
    state: Text | None = None
    at: Text | None = None
    type: Text = "customer"
    external_id: Text | None = None
    acting: bool | None = None
    since: MomentGiven | None = None
    until: MomentGiven | None = None


class PageOfPairs(PageQuery):
    """Which pairs: those at whose steps the version that acts, or the shadow, stopped; without a filter all."""

    acting_at: Text | None = None
    shadow_at: Text | None = None


class AnswerGiven(RequestModel):
    """One of the answers that the step takes, why, and what was looked at: where it is left out, that is not checked.

    `expected_asked_at` is the question's `asked_at`: where nobody answered in time, a run may ask something else, which
    takes the same answers.
    """

    answer: Text
    reason: Reason
    expected_asked_at: MomentGiven | None = None


class WhyTakenBack(RequestModel):
    """Why."""

    reason: Reason


class WhyDone(RequestModel):
    """Why the review counts as done."""

    reason: Reason


def call_flow(context: RequestContext, flow: Text, body: FlowCalled) -> RunAnswer:
    """Run a flow for an entity in this request, with what it does; programs see where it came to, people why."""
    run = calling.call_flow(context, flow, body.type, body.external_id, body.transaction, body.run_key)
    return _for(context, run)


def list_flow_runs(context: RequestContext, query: PageOfRuns) -> Page[RunLine]:
    """List runs, the latest first."""
    filters = RunFilters(
        flow=query.flow,
        state=query.state,
        at=query.at,
        entity=None if query.external_id is None else (query.type, query.external_id),
        acting=query.acting,
        since_us=query.since,
        until_us=query.until,
    )
    return reading.runs_seen_by(context.role, reading.search_runs(context, filters, query.part))


def read_flow_run(context: RequestContext, run: BigNumber) -> RunAnswer:
    """Show a run, with its why for people; no condition for those who may not see versions of flows."""
    return _for(context, reading.view_run(context, run))


def answer_flow_run(context: RequestContext, run: BigNumber, body: AnswerGiven) -> RunView:
    """Answer what a run asks; it goes on in this request. A person who called it cannot."""
    view = answering.answer_run(
        context, context.role, run, body.answer, body.reason, expected_asked_us=body.expected_asked_at
    )
    return reading.run_seen_by(context, context.role, view)


def retry_flow_run(context: RequestContext, run: BigNumber) -> RunView:
    """Let a quarantined run be tried again, with as many attempts as a new one has."""
    return reading.run_seen_by(context, context.role, answering.retry_run(context, run))


def take_back_flow_action(context: RequestContext, action: BigNumber, body: WhyTakenBack) -> ActionLine:
    """Take back what a run did; what follows from an answer is for who could have given it."""
    return answering.take_back_action(context, context.role, action, body.reason)


def finish_flow_review(context: RequestContext, action: BigNumber, body: WhyDone) -> ActionLine:
    """Record that a review which a flow asked for was done."""
    return reviews.finish_review(context, action, body.reason)


def read_flow_actions(context: RequestContext, type_: Text, external_id: Text) -> EntityActions:
    """Tell the status, the limits and the reviews that stand because of flows."""
    return reading.entity_actions(context, type_, external_id)


def compare_flow_shadow(context: RequestContext, flow: Text) -> list[EndsOfBoth]:
    """Count where what acts and its shadow came to for the same causes, and whether both would do the same."""
    return list(shadows.compare_shadow(context, flow))


def list_shadow_pairs(context: RequestContext, flow: Text, query: PageOfPairs) -> Page[ShadowPair]:
    """List for whom a shadow came to another end, or would do something else, than what acts; the latest first."""
    return shadows.list_shadow_pairs(context, flow, query.acting_at, query.shadow_at, query.part)


def _for(context: RequestContext, run: RunView) -> RunAnswer:
    if context.role is not Role.APP:
        return reading.run_seen_by(context, context.role, run)
    actions = [{name: getattr(each, name) for name in ("number", "action", "kind", "content")} for each in run.taken]
    fields = {name: getattr(run, name) for name in ("flow", "version", "cause", "state", "at")}
    own_fields = {"run": run.number, "due_at": run.due_us, "error": run.error_in_short, "taken": actions}
    return RunForApps.model_validate({**fields, **own_fields})


class FlowReplayGiven(RequestModel):
    """The version, by default the newest; the one that it is compared with, by default the one that acts; and on what.

    `alone` compares it with none.
    `as_of` runs everybody on the facts of that moment, by default now; `from` and `until` what happened between them,
    each on the facts of its own moment.
    """

    version: Annotated[int, Field(ge=1, le=LARGEST), WHOLE] | None = None
    base_version: Annotated[int, Field(ge=1, le=LARGEST), WHOLE] | None = None
    alone: bool = False
    as_of: MomentGiven | None = None
    begins: MomentGiven | None = Field(default=None, alias="from")
    until: MomentGiven | None = None


class FlowReplayCancelled(RequestModel):
    """Why it is not wanted any more."""

    reason: Reason


class OfReplayPeople(PageQuery):
    """Those who stop at one step by the version that it is compared with, or at one by the replayed version."""

    before_at: Text | None = None
    stopped_at: Text | None = None


def request_flow_replay(context: RequestContext, flow: Text, body: FlowReplayGiven) -> FlowReplayLine:
    """Ask for a replay of a version over history, which a worker makes; nothing acts by that.

    Where the same is asked for already, the one that waits or runs is given; another one of the version is refused.
    """
    request = ReplayAsked(
        version=body.version,
        base_version=body.base_version,
        alone=body.alone,
        as_of_us=body.as_of,
        from_us=body.begins,
        until_us=body.until,
    )
    return jobs.request_flow_replay(context, flow, request)[0]


def list_flow_replays(context: RequestContext, flow: Text, query: PageQuery) -> Page[FlowReplayLine]:
    """List the replays of a flow, the newest first."""
    return jobs.list_flow_replays(context, flow, query.part)


def read_flow_replay(context: RequestContext, replay: Number) -> FlowReplayLine:
    """Show how far a replay is, and what it found once it is done."""
    return jobs.read_flow_replay(context, replay)


def list_replay_people(context: RequestContext, replay: Number, query: OfReplayPeople) -> Page[ReplayPerson]:
    """List whom a replayed version treats otherwise than the one that it is compared with."""
    return jobs.list_replay_people(context, replay, query.before_at, query.stopped_at, query.part)


def cancel_flow_replay(context: RequestContext, replay: Number, body: FlowReplayCancelled) -> FlowReplayLine:
    """Cancel a replay that waits or runs."""
    return jobs.cancel_flow_replay(context, replay, body.reason)
