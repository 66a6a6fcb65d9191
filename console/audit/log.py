"""The audit log of the organisation: who did what, to what, and when."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.filters import Listing, listing_of, period
from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit
from fivefold.domain.paging import Page, Part
from fivefold.store.audit.log import EntryFilters
from fivefold.usecases.audit.search import EntryFound, entities_touched, search_entries

LOG: Final = "/console/operations/audit"
FILTERS: Final = ("actor", "action", "subject_kind", "subject_id", "since", "until")


@dataclass(frozen=True, kw_only=True)
class LogPage:
    """Entries, the latest first.

    Attributes:
        chosen: the filters as typed.
        entities: type and name of the entities in the entries, by number.
    """

    chosen: dict[str, str]
    listing: Listing[EntryFound]
    entities: dict[str, tuple[str, str]]
    next: str | None


def show_log(visit: Visit) -> Rendered:
    """List the entries that match the filters."""
    chosen = visit.filters(FILTERS)

    def rows(part: Part) -> Page[EntryFound]:
        since, until = period(chosen)
        filters = EntryFilters(
            actor=chosen["actor"] or None,
            action=chosen["action"] or None,
            subject_kind=chosen["subject_kind"] or None,
            subject_id=chosen["subject_id"] or None,
            since_us=since,
            until_us=until,
        )
        return search_entries(visit, filters, part)

    listing = listing_of(rows, visit.part("entries"))
    page = LogPage(
        chosen=chosen,
        listing=listing,
        entities=entities_touched(visit, listing.rows),
        next=visit.next_of("entries", listing.rows),
    )
    return Rendered(template="audit/log.html", title=text("Audit log"), page=page, status=listing.status)
