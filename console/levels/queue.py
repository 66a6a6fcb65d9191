"""The queue: what waits for a person."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit
from fivefold.domain.clock import DAY_US
from fivefold.domain.paging import Page, Part
from fivefold.usecases.changes.proposals import ProposalLine, list_proposals
from fivefold.usecases.levels.overrides import OverrideLine, requested_overrides
from fivefold.usecases.levels.read import list_failed
from fivefold.usecases.portfolio.transitions import LevelReached, TransitionFilters, list_transitions

RISES: Final = "GET /v1/transitions"
PROPOSALS: Final = "GET /v1/proposals"
FAILURES: Final = "GET /v1/failures"
OVERRIDES: Final = "GET /v1/overrides"


@dataclass(frozen=True, kw_only=True)
class QueuePage:
    """What waits; None where the role does not see it.

    Attributes:
        rises: customers whose level rose lately.
        overrides: those requested.
        proposals: changes that another person has to approve.
        failures: customers that could not be assessed: type, identifier and why.
    """

    rises: Page[LevelReached]
    overrides: Page[OverrideLine] | None
    proposals: Page[ProposalLine] | None
    failures: Page[tuple[str, str, str]] | None


def show_queue(visit: Visit) -> Rendered:
    """Show what waits: rises of the last week, and what another person has to decide or to mend."""
    most = Part(50)
    lately = TransitionFilters(directions=("rise",), since_us=visit.now() - 7 * DAY_US)
    page = QueuePage(
        rises=list_transitions(visit, lately, most),
        overrides=requested_overrides(visit, most) if visit.may(OVERRIDES) else None,
        proposals=list_proposals(visit, "proposed", visit.role, most) if visit.may(PROPOSALS) else None,
        failures=list_failed(visit, most) if visit.may(FAILURES) else None,
    )
    return Rendered(template="levels/queue.html", title=text("Queue"), page=page)
