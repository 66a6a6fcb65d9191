"""One proposed change: what it is, whom it reaches, how far its backtests are, and the second person's decision."""

from dataclasses import dataclass

from fivefold.console.queue.place import QueueBar, queue_bar
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit
from fivefold.domain.errors import NotFoundError
from fivefold.usecases.changes import proposals
from fivefold.usecases.changes.proposals import ProposalLine


@dataclass(frozen=True, kw_only=True)
class ProposalPage:
    """One proposal.

    Attributes:
        is_own: the person proposed it, so another one approves it.
        waits: a backtest of it is not done, so it cannot be approved yet.
        bar: the item of the queue that the person came for.
    """

    bar: QueueBar | None
    proposal: ProposalLine
    address: str
    is_own: bool
    waits: bool


def show_proposal(visit: Visit) -> Rendered:
    """Show a proposal to those who see its kind."""
    proposal = proposals.read_proposal(visit, _number(visit), visit.role)
    page = ProposalPage(
        bar=queue_bar(visit),
        proposal=proposal,
        address=visit.path,
        is_own=proposal.proposed_by == visit.actor.name,
        waits=any(each.state in {"queued", "running"} for each in proposal.backtests),
    )
    title = text("Change {number}", number=proposal.id)
    return Rendered(template="changes/proposal.html", title=title, page=page)


def _number(visit: Visit) -> int:
    written = visit.parts["proposal"]
    if not written.isascii() or not written.isdecimal() or not 0 < len(written) <= 9:
        raise NotFoundError(text("there is no proposal {number}", number=repr(written[:40])))
    return int(written)


def approve(visit: Visit) -> Answer:
    """Approve what another person proposed, which does it."""
    proposals.read_proposal(visit, _number(visit), visit.role)
    proposals.approve_proposal(visit, _number(visit), visit.typed("reason", text("Reason")), visit.role)
    return Redirect(visit.path + visit.trail, "proposal-approved")


def refuse(visit: Visit) -> Answer:
    """Refuse what another person proposed, or withdraw one's own."""
    proposals.read_proposal(visit, _number(visit), visit.role)
    proposals.refuse_proposal(visit, _number(visit), visit.typed("reason", text("Reason")), visit.role)
    return Redirect(visit.path + visit.trail, "proposal-refused")


def ask_for_backtests(visit: Visit) -> Answer:
    """Ask for the backtests anew, such as after what decides has changed."""
    proposals.request_proposal_backtests(visit, _number(visit))
    return Redirect(visit.path + visit.trail, "backtest-requested")
