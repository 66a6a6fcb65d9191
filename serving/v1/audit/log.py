"""The audit log."""

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.usecases.audit import pages as audit_pages
from fivefold.usecases.audit.pages import EntryShown


def list_entries(context: RequestContext, query: PageQuery) -> Page[EntryShown]:
    """List what was done, the newest first."""
    return audit_pages.list_entries(context, query.part)
