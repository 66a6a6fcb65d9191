"""What was asked for and decided: overrides and changes, by state, subject, actor and time."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit, period
from fivefold.domain.paging import Page
from fivefold.usecases.changes import search as changes
from fivefold.usecases.changes.search import ProposalFilters, ProposalFound, search_proposals
from fivefold.usecases.levels.overrides import waiting_beside
from fivefold.usecases.portfolio.lists_by_time import STATES, OverrideFilters, OverrideFound, search_overrides

OVERRIDES: Final = "/console/queue/overrides"
CHANGES: Final = "/console/queue/changes"
FILTERS: Final = ("state", "type", "external_id", "by", "since", "until")


@dataclass(frozen=True, kw_only=True)
class OverridesPage:
    """Overrides, those asked for last first; `chosen` are the filters as they were typed.

    `waiting_beside`: the numbers of those that wait beside another one of the same customer.
    """

    chosen: dict[str, str]
    states: tuple[str, ...]
    overrides: Page[OverrideFound]
    waiting_beside: set[int]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class ChangesPage:
    """Changes that were proposed, the latest first; `chosen` are the filters as they were typed."""

    chosen: dict[str, str]
    states: tuple[str, ...]
    proposals: Page[ProposalFound]
    next: str | None


def show_overrides(visit: Visit) -> Rendered:
    """List overrides, as far as the filters ask for them."""
    chosen, entity, since_us, until_us = _chosen(visit)
    filters = OverrideFilters(
        state=chosen["state"] or None,
        entity=entity,
        requested_by=chosen["by"] or None,
        since_us=since_us,
        until_us=until_us,
    )
    matches = search_overrides(visit, filters, visit.part("overrides"))
    page = OverridesPage(
        chosen=chosen,
        states=STATES,
        overrides=matches,
        waiting_beside=waiting_beside(visit, [each.id for each in matches]),
        next=visit.next_of("overrides", matches),
    )
    return Rendered(template="queue/overrides.html", title=text("Overrides"), page=page)


def show_changes(visit: Visit) -> Rendered:
    """List the changes that the role may see, as far as the filters ask for them."""
    chosen, entity, since_us, until_us = _chosen(visit)
    filters = ProposalFilters(
        state=chosen["state"] or None,
        entity=entity,
        proposed_by=chosen["by"] or None,
        since_us=since_us,
        until_us=until_us,
    )
    proposals = search_proposals(visit, filters, visit.role, visit.part("changes"))
    page = ChangesPage(
        chosen=chosen, states=changes.STATES, proposals=proposals, next=visit.next_of("changes", proposals)
    )
    return Rendered(template="queue/changes.html", title=text("Changes"), page=page)


def _chosen(visit: Visit) -> tuple[dict[str, str], tuple[str, str] | None, int | None, int | None]:
    """Read the filters of the address: as typed, the entity, and from when until when."""
    chosen = visit.filters(FILTERS)
    entity = (chosen["type"] or "customer", chosen["external_id"]) if chosen["external_id"] else None
    return chosen, entity, *period(chosen)
