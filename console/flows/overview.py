"""All flows, and one flow: its graph, a try on a customer, its versions, what acts, its shadow, and roll-back."""

from dataclasses import dataclass, replace
from typing import Final

from fivefold.console.flows.graph import FlowPicture, picture_of, picture_of_text
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address, existing_number
from fivefold.domain.errors import ConflictError, InvalidRulesetError, NotFoundError
from fivefold.domain.paging import Page, Part
from fivefold.flows.language import Flow, read_flow
from fivefold.usecases.flows.activate import (
    FlowActivationLine,
    end_flow_shadow,
    latest_flow_beginnings,
    list_flow_activations,
    roll_back_flow,
    switch_flow_off,
)
from fivefold.usecases.flows.read import (
    FlowLine,
    FlowVersionLine,
    list_flow_versions,
    list_flows,
    read_flow_draft,
    read_flow_line,
    read_flow_version,
)
from fivefold.usecases.flows.replays.one import FlowTried, try_flow_draft, try_flow_version
from fivefold.usecases.shared.inputs import FEW_DIGITS, digits

DRAFT = "draft"


@dataclass(frozen=True, kw_only=True)
class TriedFlow:
    """The typed customer, and where its run would stop.

    Attributes:
        through: `draft`, or the number of a version.
        problem: why the try was not possible; empty if it was.
        picture: the flow with the highlighted way; None without a try.
        titles: the titles of its steps, by id.
    """

    through: str
    customer: str
    transaction: str
    problem: str = ""
    outcome: FlowTried | None = None
    picture: FlowPicture | None = None
    titles: dict[str, str] | None = None


def tried_flow(visit: Visit, flow: FlowLine) -> TriedFlow:
    """Run the customer of the address through its draft or version; no run if it names no customer."""
    through = visit.query.get("through", "").strip()
    typed = {name: visit.query.get(name, "").strip() for name in ("customer", "transaction")}
    chosen = through or (DRAFT if flow.draft_revision is not None else str(flow.active or flow.newest or ""))
    tried = TriedFlow(through=chosen, customer=typed["customer"], transaction=typed["transaction"])
    if not tried.customer or not chosen:
        return tried
    try:
        read, outcome = _run(visit, flow.name, chosen, typed)
    except InvalidRulesetError:
        return replace(tried, problem=text("The draft has faults, so it cannot be tried."))
    except (ConflictError, NotFoundError) as error:
        return replace(tried, problem=f"{error}.")
    titles = {step.id: step.title for step in read.steps}
    return replace(tried, outcome=outcome, picture=picture_of(read, outcome.why["steps"]), titles=titles)


def _run(visit: Visit, name: str, through: str, typed: dict[str, str]) -> tuple[Flow, FlowTried]:
    of = (typed["customer"], typed["transaction"] or None)
    if through == DRAFT:
        return read_flow(read_flow_draft(visit, name).document), try_flow_draft(visit, name, *of)
    number = existing_number(through, text("version"))
    return read_flow(read_flow_version(visit, name, number).document), try_flow_version(visit, name, number, *of)


FLOWS: Final = "/console/flows"
ROWS: Final = 20
"""The rows of versions, and of changes of what acts, on a page."""
EARLIER: Final = 100
"""The most versions to which the page can roll back; the command can roll back to any."""


@dataclass(frozen=True, kw_only=True)
class FlowsPage:
    """The flows, by name; `next` is the address of the next page."""

    flows: Page[FlowLine]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class FlowPage:
    """One flow.

    Attributes:
        drawn: the number of the version whose graph is shown; None if it is the draft's graph.
        picture: None if there is neither a version nor a draft that can be read.
        earlier: the versions that acted before and do not act now, each with its last activation.
        tried: where the run of a customer would stop, if one was typed.
        choices: numbers of the versions that can be tried: those on this page, and the chosen one.
    """

    flow: FlowLine
    address: str
    drawn: int | None
    picture: FlowPicture | None
    versions: Page[FlowVersionLine]
    next: str | None
    activations: Page[FlowActivationLine]
    next_activations: str | None
    earlier: tuple[tuple[FlowVersionLine, FlowActivationLine], ...]
    tried: TriedFlow
    choices: tuple[int, ...]


def show_flows(visit: Visit) -> Rendered:
    """List the flows, with the version that acts and the one that runs as a shadow."""
    flows = list_flows(visit, part=visit.part("flows"))
    page = FlowsPage(flows=flows, next=visit.next_of("flows", flows))
    return Rendered(template="flows/flows.html", title=text("Flows"), page=page)


def show_flow(visit: Visit) -> Rendered:
    """Show one flow: the graph of the version that acts, or of the newest version or the draft; versions, changes."""
    name = visit.parts["flow"]
    flow = read_flow_line(visit, name)
    versions = list_flow_versions(visit, name, visit.part("versions", ROWS))
    drawn = flow.active or flow.newest
    document = read_flow_version(visit, name, drawn).document if drawn else read_flow_draft(visit, name).document
    activations = list_flow_activations(visit, name, visit.part("activations", ROWS, beside=True))
    acted = list_flow_versions(visit, name, Part(EARLIER), acted=True)
    began = latest_flow_beginnings(visit, name, [each.number for each in acted])
    tried = tried_flow(visit, flow)
    page = FlowPage(
        flow=flow,
        address=address("flows", name),
        drawn=drawn,
        picture=picture_of_text(document),
        versions=versions,
        next=visit.next_of("versions", versions),
        activations=activations,
        next_activations=visit.next_of("activations", activations, beside=True),
        earlier=tuple((each, began[each.number]) for each in acted if not each.active),
        tried=tried,
        choices=_choices(flow, versions, tried.through),
    )
    return Rendered(template="flows/flow.html", title=name, page=page)


def _choices(flow: FlowLine, versions: Page[FlowVersionLine], through: str) -> tuple[int, ...]:
    """List the numbers, the newest first; the chosen one may be on another page."""
    chosen = digits(through, FEW_DIGITS)
    numbers = {each.number for each in versions}
    if chosen and chosen <= (flow.newest or 0):
        numbers.add(chosen)
    return tuple(sorted(numbers, reverse=True))


def roll_back(visit: Visit) -> Answer:
    """Let a version that acted before act again; a person who did not write it has to do this."""
    version = existing_number(visit.typed("version", text("Version")), text("version"))
    reason = visit.typed("reason", text("Reason"))
    expected = (visit.shown_number("active"), visit.shown_hash(version))
    roll_back_flow(visit, _flow_name(visit), version, reason, *expected)
    return Redirect(visit.path, "flow-rolled-back")


def switch_off(visit: Visit) -> Answer:
    """Switch the flow off, so that no version acts; one publisher is enough."""
    reason = visit.typed("reason", text("Reason"))
    switch_flow_off(visit, _flow_name(visit), reason, visit.shown_number("active"))
    return Redirect(visit.path, "flow-off")


def end_shadow(visit: Visit) -> Answer:
    """End the shadow."""
    reason = visit.typed("reason", text("Reason"))
    end_flow_shadow(visit, _flow_name(visit), reason, visit.shown_number("shadow"))
    return Redirect(visit.path, "flow-shadow-ended")


def _flow_name(visit: Visit) -> str:
    """Return the name of the page's flow; NotFoundError if it does not exist, before any typed value is read."""
    return read_flow_line(visit, visit.parts["flow"]).name
