"""Flows: drafts, versions, and which of them act. For publishers alone: they show every threshold."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from fivefold.domain.paging import Page
from fivefold.flows.language import MOST_STEPS, GivenOutcome
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.routes.rulesets.rulesets import (
    CommitGiven,
    ComparedWith,
    Difference,
    DraftGiven,
    DraftSeen,
    OfType,
    RulesetChange,
    TextPlace,
)
from fivefold.serving.v1.schemas import (
    LARGEST,
    WHOLE,
    Number,
    Reason,
    RequestModel,
    ResponseModel,
    Seen,
    SeenHash,
    Text,
)
from fivefold.usecases.accounts.flows_in_force import AskedVersion
from fivefold.usecases.flows import activate, commit, drafts, read, review
from fivefold.usecases.flows.activate import FlowActivationLine
from fivefold.usecases.flows.commit import FlowCommitted
from fivefold.usecases.flows.drafts import FlowDraftSaved
from fivefold.usecases.flows.read import FlowDraftShown, FlowLine, FlowVersionLine, FlowVersionView
from fivefold.usecases.flows.replays.one import FlowTried, Supposed, try_flow_draft, try_flow_version
from fivefold.usecases.flows.review import FlowExampleLine
from fivefold.usecases.rulesets.life_cycle import refuse_other_name

StepName = Annotated[Text, Field(min_length=1, max_length=200)]


class FlowGiven(RequestModel):
    """A flow as it is written, in YAML or JSON."""

    document: Text


class FlowReview(ResponseModel):
    """What a flow comes to before it is committed: faults, doubts, its examples, what it asks, what it changes."""

    flow: str | None
    content_hash: str | None
    errors: list[TextPlace]
    warnings: list[TextPlace]
    examples: list[FlowExampleLine]
    ways_percent: str
    not_taken: list[str]
    pinned: Mapping[str, Mapping[str, AskedVersion]]
    compared_with: int | None
    changes: list[RulesetChange]


class FlowVersionGiven(RequestModel):
    """The version, and why."""

    version: Annotated[int, Field(ge=1, le=LARGEST), WHOLE]
    reason: Reason


class FlowRolledBack(FlowVersionGiven):
    """The same, and what was looked at; what is not given is not checked.

    `expected_active` is the version that acted then, and `expected_hash` the content hash of the version.
    """

    expected_active: Seen | None = None
    expected_hash: SeenHash | None = None


class FlowActivated(FlowRolledBack):
    """The same; `expected_replay` is the replay that is to be kept with it; without it that is not checked."""

    expected_replay: Seen | None = None


class FlowTryGiven(RequestModel):
    """An entity of the flow's type, and what it is run through.

    `version` is a committed one; without it the draft that is saved, or a `document` that is not. `transaction` is the
    number of a stored one that is looked at. `answers` and `outcomes` are taken for what persons answer (`nobody` for
    no answer in time) and for what comes back from outside (values by name, or `failed`), by the step.
    """

    external_id: Text
    version: Annotated[int, Field(ge=1, le=LARGEST), WHOLE] | None = None
    document: Text | None = None
    transaction: Text | None = None
    answers: dict[StepName, Text] = Field(default_factory=dict, max_length=MOST_STEPS)
    outcomes: dict[StepName, GivenOutcome] = Field(default_factory=dict, max_length=MOST_STEPS)

    @model_validator(mode="after")
    def _through_one(self) -> Self:
        if self.version is not None and self.document is not None:
            raise ValueError("has version and document; give one of them")
        return self


class FlowSwitchedOff(RequestModel):
    """Why; `expected_active` is the version that acted when this was decided; not checked without it."""

    reason: Reason
    expected_active: Seen | None = None


class FlowShadowEnded(RequestModel):
    """Why; `expected_shadow` is the version that ran as a shadow when this was decided; not checked without it."""

    reason: Reason
    expected_shadow: Seen | None = None


class FlowShadowed(FlowVersionGiven):
    """The same, and what was looked at; what is not given is not checked.

    `expected_shadow` is the version that ran as a shadow then, and `expected_hash` the content hash of the version.
    """

    expected_shadow: Seen | None = None
    expected_hash: SeenHash | None = None


def list_flows(context: RequestContext, query: OfType) -> Page[FlowLine]:
    """List the flows by name, and which of their versions act or run as a shadow."""
    return read.list_flows(context, query.type, query.part)


def begin_flow(context: RequestContext, body: FlowGiven) -> FlowDraftSaved:
    """Save the draft of a flow that has none, as which its text names it. It may still be wrong."""
    return drafts.save_flow_draft(context, body.document)


def check_flow(context: RequestContext, body: FlowGiven) -> FlowReview:
    """Look through a text that is not saved, as committing it would; nothing of it is stored."""
    return FlowReview.of(review.check_flow(context, body.document))


def save_flow_draft(context: RequestContext, flow: Text, body: DraftGiven) -> FlowDraftSaved:
    """Save a draft; the first one of a name makes the flow. It may still be wrong."""
    refuse_other_name(body.document, "flow", flow)
    return drafts.save_flow_draft(context, body.document, body.revision)


def read_flow_draft(context: RequestContext, flow: Text) -> FlowDraftShown:
    """Show a draft as it was written."""
    return read.read_flow_draft(context, flow)


def discard_flow_draft(context: RequestContext, flow: Text, body: DraftSeen) -> None:
    """Take a draft away that was seen; the versions stay."""
    drafts.discard_flow_draft(context, flow, body.revision)


def review_flow_draft(context: RequestContext, flow: Text) -> FlowReview:
    """Look through a draft as committing it does: faults, doubts, examples and the ways that none takes."""
    return FlowReview.of(review.review_flow_draft(context, flow))


def try_flow(context: RequestContext, flow: Text, body: FlowTryGiven) -> FlowTried:
    """Run one entity through a version or a draft, with every step's why; nobody is asked, and nothing acts."""
    supposed = Supposed(answers=body.answers, outcomes=body.outcomes)
    if body.version is not None:
        return try_flow_version(context, flow, body.version, body.external_id, body.transaction, supposed)
    return try_flow_draft(context, flow, body.external_id, body.transaction, supposed, body.document)


def commit_flow(context: RequestContext, flow: Text, body: CommitGiven) -> FlowCommitted:
    """Make a version of a draft, which nothing changes any more. It must be without faults, and tested."""
    return commit.commit_flow(context, flow, body.revision, body.accept_warnings)


def list_flow_versions(context: RequestContext, flow: Text, query: PageQuery) -> Page[FlowVersionLine]:
    """List the versions of a flow, the newest first."""
    return read.list_flow_versions(context, flow, query.part)


def read_flow_version(context: RequestContext, flow: Text, number: Number) -> FlowVersionView:
    """Show a version as it was written, the versions of what it asks, and the results of its examples."""
    return read.read_flow_version(context, flow, number)


def compare_flow_versions(context: RequestContext, flow: Text, number: Number, query: ComparedWith) -> Difference:
    """List every change from one version of a flow to another, and the ends that a run can come to no more."""
    return Difference.of(read.compare_flow_versions(context, flow, number, query.before))


def list_flow_activations(context: RequestContext, flow: Text, query: PageQuery) -> Page[FlowActivationLine]:
    """List which versions acted or ran as a shadow, since when and why, the newest first."""
    return activate.list_flow_activations(context, flow, query.part)


def activate_flow(context: RequestContext, flow: Text, body: FlowActivated) -> None:
    """Let a version act from now on; another person than who edited or committed it does."""
    expected = (body.expected_active, body.expected_replay, body.expected_hash)
    activate.activate_flow(context, flow, body.version, body.reason, *expected)


def roll_back_flow(context: RequestContext, flow: Text, body: FlowRolledBack) -> None:
    """Let a version act again that acted before; another person than who edited or committed it does."""
    activate.roll_back_flow(context, flow, body.version, body.reason, body.expected_active, body.expected_hash)


def switch_flow_off(context: RequestContext, flow: Text, body: FlowSwitchedOff) -> None:
    """Let no version of a flow act any more; that takes no second person, and what was done stays."""
    activate.switch_flow_off(context, flow, body.reason, body.expected_active)


def shadow_flow(context: RequestContext, flow: Text, body: FlowShadowed) -> None:
    """Let a version run as a shadow beside the active one: it acts on nothing."""
    activate.shadow_flow(context, flow, body.version, body.reason, body.expected_shadow, body.expected_hash)


def end_flow_shadow(context: RequestContext, flow: Text, body: FlowShadowEnded) -> None:
    """Let no version of a flow run as a shadow any more."""
    activate.end_flow_shadow(context, flow, body.reason, body.expected_shadow)
