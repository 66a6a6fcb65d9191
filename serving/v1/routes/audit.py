"""The audit log: all of it, or by actor, action, subject and time."""

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import MomentGiven, Text
from fivefold.store.audit.log import EntryFilters
from fivefold.usecases.audit import search
from fivefold.usecases.audit.search import EntryFound, EntryShown


def list_entries(context: RequestContext, query: PageQuery) -> Page[EntryShown]:
    """List what was done, the newest first."""
    return search.list_entries(context, query.part)


class PageOfEntries(PageQuery):
    """Which entries: from `since` until before `until`; without a filter all.

    `actor`: such as member:3, or the name of a member. `subject` is the number of what was touched, with its `kind`.
    """

    actor: Text | None = None
    action: Text | None = None
    kind: Text | None = None
    subject: Text | None = None
    since: MomentGiven | None = None
    until: MomentGiven | None = None


def search_entries(context: RequestContext, query: PageOfEntries) -> Page[EntryFound]:
    """List what was done, those of the latest moment first, with the names of members."""
    filters = EntryFilters(
        actor=query.actor,
        action=query.action,
        subject_kind=query.kind,
        subject_id=query.subject,
        since_us=query.since,
        until_us=query.until,
    )
    return search.search_entries(context, filters, query.part)
