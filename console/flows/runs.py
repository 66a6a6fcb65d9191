"""Runs of flows: those that were looked for; one with its path lit up, its question, and what it did."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.filters import Listing, entity_filter, listing_of, period
from fivefold.console.flows.graph import FlowPicture, picture_of
from fivefold.console.queue.place import QueueBar, queue_bar
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, existing_number, row_number
from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Page, Part
from fivefold.flows.analysis import analyse_canonical_flow
from fivefold.usecases.flows.read import read_flow_version
from fivefold.usecases.flows.runs.answering import (
    ANSWERED_BY,
    answer_run,
    bars_to_take_back,
    is_run_off,
    part_of_asker,
    retry_run,
    take_back_action,
)
from fivefold.usecases.flows.runs.reading import (
    RunFilters,
    RunLine,
    RunView,
    run_seen_by,
    runs_seen_by,
    search_runs,
    view_run,
)
from fivefold.usecases.flows.runs.reviews import finish_review
from fivefold.usecases.shared.actors import OF_VERSIONS
from fivefold.usecases.shared.inputs import MOST_DIGITS

RUNS: Final = "/console/flow-runs"
FILTERS: Final = ("flow", "state", "at", "type", "external_id", "acting", "since", "until")
STATES: Final = ("waiting", "failed", "quarantined", "ended", "running", "queued")
ACTING: Final = {"": None, "acts": True, "shadow": False}


@dataclass(frozen=True, kw_only=True)
class RunsPage:
    """Runs, the latest first.

    Attributes:
        chosen: the typed filters; the type is the one in which an identifier is searched, or empty.
        types: the entity types.
    """

    chosen: dict[str, str]
    types: tuple[str, ...]
    states: tuple[str, ...]
    listing: Listing[RunLine]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """One run.

    Attributes:
        picture: the flow with the path of the run.
        titles: the titles of the flow's steps, by id.
        actions: the titles of its actions, by id.
        leads: each answer to the open question, and the title of the step to which it leads. Answers after
            which something irreversible may follow are last.
        unasked: why no person is asked; empty if one is.
        hindrance: why this person cannot answer; empty if they can, or if no person is asked.
        bars: why this person cannot take actions back, by their numbers.
        bar: the item of the queue from which the person came.
    """

    bar: QueueBar | None
    run: RunView
    address: str
    picture: FlowPicture
    titles: dict[str, str]
    actions: dict[str, str]
    leads: tuple[tuple[str, str], ...]
    unasked: str
    hindrance: str
    bars: dict[int, str]


def show_runs(visit: Visit) -> Rendered:
    """List the runs that match the filters."""
    chosen = visit.filters(FILTERS)
    types, entity = entity_filter(visit, chosen)

    def rows(part: Part) -> Page[RunLine]:
        since, until = period(chosen)
        visit.choice("state", ("", *STATES))
        filters = RunFilters(
            flow=chosen["flow"] or None,
            state=chosen["state"] or None,
            at=chosen["at"] or None,
            entity=entity,
            acting=ACTING[visit.choice("acting", tuple(ACTING))],
            since_us=since,
            until_us=until,
        )
        return runs_seen_by(visit.role, search_runs(visit, filters, part))

    listing = listing_of(rows, visit.part("flow-runs"))
    page = RunsPage(
        chosen=chosen, types=types, states=STATES, listing=listing, next=visit.next_of("flow-runs", listing.rows)
    )
    return Rendered(template="flows/runs.html", title=text("Runs of flows"), page=page, status=listing.status)


def show_run(visit: Visit) -> Rendered:
    """Show one run; people who may not see versions of flows see no conditions."""
    run = run_seen_by(visit, visit.role, view_run(visit, _number(visit)))
    flow = analyse_canonical_flow(read_flow_version(visit, run.flow, run.version).canonical).flow
    steps = [] if run.why is None else run.why["steps"]
    picture = picture_of(flow, steps, with_conditions=visit.role in OF_VERSIONS)
    steps_by_id = {each.id: each for each in picture.steps}
    leads: tuple[tuple[str, str], ...] = ()
    if (question := run.question) is not None:
        answers = (lead for lead in steps_by_id[question.step].leads if lead[0] in question.answers)
        leads = tuple(sorted(answers, key=lambda lead: lead[0] in question.irreversible))
    unasked = _unasked(visit, run)
    page = RunPage(
        bar=queue_bar(visit),
        run=run,
        address=f"{RUNS}/{run.number}",
        picture=picture,
        titles={step.id: step.title for step in flow.steps},
        actions={action.id: action.title for action in flow.actions},
        leads=leads,
        unasked=unasked,
        hindrance="" if unasked else _hindrance(visit, run),
        bars=bars_to_take_back(visit, visit.role, run.number),
    )
    return Rendered(template="flows/run.html", title=text("Run f:{number}", number=run.number), page=page)


def _unasked(visit: Visit, run: RunView) -> str:
    if run.question is None:
        return ""
    if not run.acting:
        return text("It runs as a shadow, so no person is asked.")
    return text("The flow is switched off, so no person is asked.") if is_run_off(visit, run.number) else ""


def _hindrance(visit: Visit, run: RunView) -> str:
    if run.question is None:
        return ""
    if visit.role not in ANSWERED_BY[run.question.role]:
        return text("A member with the role {role} has to answer.", role=run.question.role)
    if (run.due_us or 0) <= visit.now():
        return text("The time for an answer is over.")
    part = part_of_asker(visit, run.number)
    return text("You {part}, so another person has to answer.", part=part) if part else ""


def answer(visit: Visit) -> Answer:
    """Answer the question of a run, with a reason; the run continues at once."""
    number = _number(visit)
    view_run(visit, number)
    answer_run(
        visit,
        visit.role,
        number,
        visit.typed("answer", text("Answer")),
        visit.typed("reason", text("Reason")),
        expected_asked_us=visit.shown_moment("asked"),
    )
    return Redirect(visit.path + visit.trail, "flow-answered")


def retry(visit: Visit) -> Answer:
    """Let a quarantined run be tried again."""
    retry_run(visit, _number(visit))
    return Redirect(visit.path + visit.trail, "flow-retried")


def take_back(visit: Visit) -> Answer:
    """Take back an action of a run, as far as possible."""
    take_back_action(visit, visit.role, _action(visit), visit.typed("reason", text("Reason")))
    return Redirect(visit.path + visit.trail, "flow-taken-back")


def reviewed(visit: Visit) -> Answer:
    """Record that a review that a run requested is done."""
    finish_review(visit, _action(visit), visit.typed("reason", text("Reason")))
    return Redirect(visit.path + visit.trail, "flow-reviewed")


def _action(visit: Visit) -> int:
    """Return the number of the run's action that a form is about."""
    run = view_run(visit, _number(visit))
    number = row_number(visit.form.get("action", ""), text("action"))
    if number not in {each.number for each in run.taken}:
        raise NotFoundError(text("run f:{run} took no action {number}", run=run.number, number=number))
    return number


def _number(visit: Visit) -> int:
    return existing_number(visit.parts["run"].removeprefix("f:"), text("run"), MOST_DIGITS)
