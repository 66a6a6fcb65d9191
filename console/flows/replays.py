"""Replays of a version over history: requests, progress and results, with the customers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fivefold.console.texts import text
from fivefold.console.visit import Answer, FieldError, Redirect, Rendered, Visit, address, existing_number
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import Page
from fivefold.flows.analysis import analyse_canonical_flow
from fivefold.usecases.flows.read import read_flow_version
from fivefold.usecases.flows.replays.jobs import (
    FlowReplayLine,
    ReplayAsked,
    ReplayPerson,
    cancel_flow_replay,
    list_replay_people,
    read_flow_replay,
    request_flow_replay,
)
from fivefold.usecases.flows.replays.tally import MOST_EXPLAINED

REPLAYS: Final = "/console/flow-replays"
EVERYBODY, PERIOD = "everybody", "period"
ALONE: Final = "alone"
"""The form's value for no comparison; a number names a version, and an empty value names the version that acts."""


@dataclass(frozen=True, kw_only=True)
class ActionsCounted:
    """How many runs of each version would take an action; *before* is None without a comparison."""

    action: str
    title: str
    before: int | None
    after: int


@dataclass(frozen=True, kw_only=True)
class ReplayShown:
    """The results of a replay.

    Attributes:
        line: the job, with its `report`.
        steps: the titles of the steps of the replayed version, by id; `base_steps` are those of the other one.
        rows: state, step and runs, after state and step of the other version if there is one.
        failed: the number of runs that failed, by step.
    """

    line: FlowReplayLine
    report: Mapping[str, Any]
    steps: Mapping[str, str]
    base_steps: Mapping[str, str]
    rows: tuple[tuple[Any, ...], ...]
    actions: tuple[ActionsCounted, ...]
    failed: Mapping[str, int]
    explained: int = MOST_EXPLAINED


@dataclass(frozen=True, kw_only=True)
class ReplayPage:
    """A finished replay.

    Attributes:
        before_at: the step at which the other version stopped for the listed customers; None for any.
        stopped_at: the same for the replayed version.
        people: the customers with another outcome.
        next: the address of their next page.
    """

    shown: ReplayShown
    before_at: str | None
    stopped_at: str | None
    people: Page[ReplayPerson]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class ReplayStatePage:
    """A replay without results; `why` says what ended it, with names of members."""

    replay: FlowReplayLine
    why: str


def ended_why(visit: Visit, line: FlowReplayLine) -> str:
    """Say what ended a replay, with the name of the person who cancelled it; empty if nothing did."""
    who, middle, rest = (line.error or "").partition(" cancelled it: ")
    return f"{visit.person(who)}{middle}{rest}" if middle else line.error or ""


def replay_shown(visit: Visit, line: FlowReplayLine) -> ReplayShown:
    """Arrange the results of a replay, with the titles of steps and actions."""
    report = line.report
    assert report is not None, "it is done"
    steps, titles = _titles(visit, line.flow, line.version)
    base_steps, base_titles = ({}, {}) if line.base_version is None else _titles(visit, line.flow, line.base_version)
    before, after = dict(report["base_actions"]), dict(report["actions"])
    return ReplayShown(
        line=line,
        report=report,
        steps=steps,
        base_steps=base_steps,
        rows=tuple(map(tuple, report["ends"] if line.base_version is None else report["moves"])),
        actions=tuple(
            ActionsCounted(
                action=name,
                title=titles.get(name) or base_titles[name],
                before=None if line.base_version is None else before.get(name, 0),
                after=after.get(name, 0),
            )
            for name in dict.fromkeys((*titles, *base_titles))
        ),
        failed={step: runs for state, step, runs in report["ends"] if state == "failed"},
    )


def _titles(visit: Visit, name: str, number: int) -> tuple[dict[str, str], dict[str, str]]:
    flow = analyse_canonical_flow(read_flow_version(visit, name, number).canonical).flow
    return {each.id: each.title for each in flow.steps}, {each.id: each.title for each in flow.actions}


def show_replay(visit: Visit) -> Rendered:
    """Show the results of a replay, with the customers; its progress if it has none yet."""
    line = read_flow_replay(visit, _number(visit))
    title = text("Replay {number} of {flow}", number=line.id, flow=line.flow)
    if line.state != "done":
        state = ReplayStatePage(replay=line, why=ended_why(visit, line))
        return Rendered(template="flows/replay_state.html", title=title, page=state)
    before_at, stopped_at = visit.query.get("before"), visit.query.get("stopped")
    people = list_replay_people(visit, line.id, before_at, stopped_at, visit.part("people"))
    page = ReplayPage(
        shown=replay_shown(visit, line),
        before_at=before_at,
        stopped_at=stopped_at,
        people=people,
        next=visit.next_of("people", people),
    )
    return Rendered(template="flows/replay.html", title=title, page=page)


def ask_for_replay(visit: Visit) -> Answer:
    """Request a replay of a version: for all customers as of a moment, or for events in a period."""
    name, number = visit.parts["flow"], existing_number(visit.parts["number"], text("version"))
    read_flow_version(visit, name, number)
    kind, beside = visit.form.get("kind", ""), visit.form.get("beside", "")
    if kind not in {EVERYBODY, PERIOD}:
        raise FieldError("kind", text("choose what is replayed"))
    moments: dict[str, int | None] = {}
    if kind == EVERYBODY:
        moments["as_of_us"] = visit.moment_if_any("as_of", text("As of (UTC)"))
    else:
        from_us = visit.moment("from", text("From (UTC)"))
        moments = {"from_us": from_us, "until_us": visit.moment("until", text("Before (UTC)"))}
    base = existing_number(beside, text("version")) if beside not in {"", ALONE} else None
    replay_request = ReplayAsked(version=number, base_version=base, alone=beside == ALONE, **moments)
    try:
        line, is_new = request_flow_replay(visit, name, replay_request)
    except ConfigError as wrong:
        raise FieldError(_field(str(wrong)), str(wrong)) from wrong
    return Redirect(address("flow-replays", str(line.id)), "replay-asked" if is_new else "replay-under-way")


def _field(problem: str) -> str:
    """Return the field that a refusal is about, by the first word of the refusal."""
    word = problem.partition(" ")[0]
    return {"as_of": "as_of", "from,": "until", "until": "until", "version": "beside"}.get(word, "kind")


def cancel(visit: Visit) -> Answer:
    """Cancel a waiting or running replay: its worker stops after its present part."""
    number = _number(visit)
    read_flow_replay(visit, number)
    cancel_flow_replay(visit, number, visit.typed("reason", text("Reason")))
    return Redirect(visit.path, "replay-cancelled")


def _number(visit: Visit) -> int:
    return existing_number(visit.parts["replay"], text("replay"))
