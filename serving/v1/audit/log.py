"""The audit log."""

from typing import Any

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import Moment, ResponseModel
from fivefold.usecases.audit import pages as audit_pages


class Entry(ResponseModel):
    """Who did what, to which, when. Values before and after are not shown."""

    number: int
    at: Moment = Field(validation_alias="at_us")
    actor: str
    action: str
    subject_kind: str
    subject_id: str | None
    bulk_count: int | None
    details: dict[str, Any]
    hash: str


def list_entries(context: RequestContext, query: PageQuery) -> Page[Entry]:
    """List what was done, the newest first."""
    return audit_pages.list_entries(context, query.part).map(Entry.of)
