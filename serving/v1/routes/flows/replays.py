"""Replays of versions of flows over history: asked for, shown and cancelled."""

from typing import Annotated

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import LARGEST, WHOLE, MomentGiven, Number, Reason, RequestModel, Text
from fivefold.usecases.flows.replays import jobs
from fivefold.usecases.flows.replays.jobs import FlowReplayLine, ReplayAsked, ReplayPerson


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
