"""The audit log."""

from typing import Any

from pydantic import Field

from serving.v1.route import Asked
from serving.v1.shapes import BigNumber, Given, Moment, Shown
from usecases.audit_pages import page_of_entries


class PageOfEntries(Given):
    """Which entries."""

    before: BigNumber | None = None
    limit: int = Field(default=100, ge=1, le=1000)


class Entry(Shown):
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


def list_entries(asked: Asked, query: PageOfEntries) -> list[Entry]:
    """List what was done, the newest first; `before` is the number from which the page goes back."""
    return [Entry.of(line) for line in page_of_entries(asked.engine, asked.actor, query.limit, query.before)]
