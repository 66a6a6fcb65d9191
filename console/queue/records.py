"""Requested and decided overrides and changes, by state, subject, actor and time."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.filters import Listing, entity_filter, listing_of, period
from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit
from fivefold.domain.paging import Page, Part
from fivefold.usecases.changes import search as changes
from fivefold.usecases.changes.search import ProposalFilters, ProposalFound, search_proposals
from fivefold.usecases.levels.overrides import waiting_beside
from fivefold.usecases.portfolio.lists_by_time import STATES, OverrideFilters, OverrideFound, search_overrides

OVERRIDES: Final = "/console/queue/overrides"
CHANGES: Final = "/console/queue/changes"
FILTERS: Final = ("state", "type", "external_id", "by", "since", "until")


@dataclass(frozen=True, kw_only=True)
class OverridesPage:
    """Overrides, the last requested first.

    Attributes:
        chosen: the filters as typed; the type is that of the identifier, and empty without one.
        types: of entities.
        waiting_beside: the numbers of those that wait together with another one of the same customer.
    """

    chosen: dict[str, str]
    states: tuple[str, ...]
    types: tuple[str, ...]
    listing: Listing[OverrideFound]
    waiting_beside: set[int]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class ChangesPage:
    """Proposed changes, the latest first; `chosen` and `types` as for overrides."""

    chosen: dict[str, str]
    states: tuple[str, ...]
    types: tuple[str, ...]
    listing: Listing[ProposalFound]
    next: str | None


def show_overrides(visit: Visit) -> Rendered:
    """List the overrides that match the filters."""
    chosen = visit.filters(FILTERS)
    types, entity = entity_filter(visit, chosen)

    def rows(part: Part) -> Page[OverrideFound]:
        since_us, until_us = period(chosen)
        filters = OverrideFilters(
            state=chosen["state"] or None,
            entity=entity,
            requested_by=chosen["by"] or None,
            since_us=since_us,
            until_us=until_us,
        )
        return search_overrides(visit, filters, part)

    listing = listing_of(rows, visit.part("overrides"))
    page = OverridesPage(
        chosen=chosen,
        states=STATES,
        types=types,
        listing=listing,
        waiting_beside=waiting_beside(visit, [each.id for each in listing.rows]),
        next=visit.next_of("overrides", listing.rows),
    )
    return Rendered(template="queue/overrides.html", title=text("Overrides"), page=page, status=listing.status)


def show_changes(visit: Visit) -> Rendered:
    """List the changes that the role may see and that match the filters."""
    chosen = visit.filters(FILTERS)
    types, entity = entity_filter(visit, chosen)

    def rows(part: Part) -> Page[ProposalFound]:
        since_us, until_us = period(chosen)
        filters = ProposalFilters(
            state=chosen["state"] or None,
            entity=entity,
            proposed_by=chosen["by"] or None,
            since_us=since_us,
            until_us=until_us,
        )
        return search_proposals(visit, filters, visit.role, part)

    listing = listing_of(rows, visit.part("changes"))
    page = ChangesPage(
        chosen=chosen,
        states=changes.STATES,
        types=types,
        listing=listing,
        next=visit.next_of("changes", listing.rows),
    )
    return Rendered(template="queue/changes.html", title=text("Changes"), page=page, status=listing.status)
