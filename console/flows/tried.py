"""A customer run through the draft or a version of a flow, with the way lit up; nothing acts, and nothing is stored."""

from dataclasses import dataclass, replace

from fivefold.console.flows.graph import FlowPicture, picture_of
from fivefold.console.texts import text
from fivefold.console.visit import Visit, existing_number
from fivefold.domain.errors import ConflictError, InvalidRulesetError, NotFoundError
from fivefold.flows.language import Flow, read_flow
from fivefold.usecases.flows.read import FlowLine, read_flow_draft, read_flow_version
from fivefold.usecases.flows.replays.one import FlowTried, try_flow_draft, try_flow_version

DRAFT = "draft"


@dataclass(frozen=True, kw_only=True)
class TriedFlow:
    """What was typed, and where the customer would come to.

    Attributes:
        through: `draft`, or the number of a version.
        problem: why nobody was run through it; empty where one was.
        picture: the flow with the way lit up; None where nobody was run through it.
        titles: of its steps, by id.
    """

    through: str
    customer: str
    transaction: str
    problem: str = ""
    outcome: FlowTried | None = None
    picture: FlowPicture | None = None
    titles: dict[str, str] | None = None


def tried_flow(visit: Visit, flow: FlowLine) -> TriedFlow:
    """Run the customer of the address through what it names; nobody where it names none."""
    through = visit.query.get("through", "").strip()
    typed = {name: visit.query.get(name, "").strip() for name in ("customer", "transaction")}
    chosen = through or (DRAFT if flow.draft_revision is not None else str(flow.active or flow.newest or ""))
    tried = TriedFlow(through=chosen, customer=typed["customer"], transaction=typed["transaction"])
    if not tried.customer or not chosen:
        return tried
    try:
        read, outcome = _run(visit, flow.name, chosen, typed)
    except InvalidRulesetError:
        return replace(tried, problem=text("The draft has faults, so nobody runs through it."))
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
