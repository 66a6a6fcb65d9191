"""The audit log as people of an organisation page through it, without the values before and after."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fivefold.domain.paging import Page, Part
from fivefold.store.audit.log import latest_entries
from fivefold.store.tables.audit import AuditEntry
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context


@schema("Entry")
@dataclass(frozen=True, kw_only=True)
class EntryShown:
    """Who did what, to which, when. Values before and after are not shown.

    Attributes:
        subject_id: internal number of what was touched; None for many, of which `bulk_count` says how many.
        hash: of the entry, which holds that of the one before.
    """

    number: int
    at_us: Annotated[Moment, shown_as("at")]
    actor: str
    action: str
    subject_kind: str
    subject_id: str | None
    bulk_count: int | None
    details: Mapping[str, Any]
    hash: str


def list_entries(context: Context, part: Part) -> Page[EntryShown]:
    """List entries, the newest first."""
    with context.reading() as session:
        return latest_entries(session, context.organisation_id, part).map(_entry_line)


def _entry_line(entry: AuditEntry) -> EntryShown:
    return EntryShown(
        number=entry.number,
        at_us=entry.at_us,
        actor=entry.actor,
        action=entry.action,
        subject_kind=entry.subject_kind,
        subject_id=entry.subject_id,
        bulk_count=entry.bulk_count,
        details=json.loads(entry.details),
        hash=entry.hash,
    )
