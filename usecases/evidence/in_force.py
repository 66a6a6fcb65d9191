"""Evidence of what was in force in a quarter beside rulesets: lists, policies, settings, and who had which role."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from fivefold.store.accounts.lists import list_rows
from fivefold.store.accounts.tokens import members_of
from fivefold.store.decisions import policy_versions
from fivefold.store.ingest.entities import types_of_organisation
from fivefold.store.rulesets.rulesets import families_of
from fivefold.store.tables.accounts import Member
from fivefold.store.tables.entities import ListVersionRow, OrganisationSettings
from fivefold.store.tables.events import Policy
from fivefold.usecases.evidence.archive import ArchiveSection, File, json_file, optional_iso_text, text_file
from fivefold.usecases.evidence.purposes import policies_deciding
from fivefold.usecases.shared.inputs import Quarter


def in_force_part(session: Session, organisation_id: int, quarter: Quarter) -> ArchiveSection:
    """Collect lists and policies of a quarter as they were written, the settings and the roster."""
    stored = [row for row in list_rows(session, organisation_id) if row.created_us < quarter.until_us]
    lists = _in_force(stored, quarter)
    policies = [row for row in policy_versions(session, organisation_id) if row.written_us < quarter.until_us]
    decided = {row.id: times for row, *times in policies_deciding(session, organisation_id, quarter)}
    members = [row for row in members_of(session, organisation_id) if row.created_us < quarter.until_us]
    return ArchiveSection(
        [
            json_file("lists.json", [_list(row) for row in lists]),
            json_file("policies/versions.json", [_policy(row, decided.get(row.id)) for row in policies]),
            *(_document(row) for row in policies),
            json_file("settings.json", _settings(session, organisation_id)),
            json_file("roster.json", [_member(row) for row in members]),
        ],
        {"lists": len(lists), "policies": len(policies), "members": len(members)},
    )


def _in_force(rows: Sequence[ListVersionRow], quarter: Quarter) -> list[ListVersionRow]:
    """Keep the versions that were in force at some moment of the quarter.

    Of the stored versions that have begun the one that began last is in force, so one with an earlier date that is
    stored later ends nothing, and never is.
    """

    def from_us(row: ListVersionRow) -> int:
        return max(row.since_us, row.created_us)

    def until_us(row: ListVersionRow) -> int:
        later = [from_us(other) for other in rows if other.name == row.name and other.since_us > row.since_us]
        return min(later, default=quarter.until_us)

    return [row for row in rows if max(from_us(row), quarter.from_us) < min(until_us(row), quarter.until_us)]


def _list(row: ListVersionRow) -> dict[str, Any]:
    return {
        "list": row.name,
        "since": optional_iso_text(row.since_us),
        "stored": optional_iso_text(row.created_us),
        "title": row.title,
        "source": row.source,
        "purpose": row.purpose,
        "members": row.members,
    }


def _policy(row: Policy, decided: Sequence[int | None] | None) -> dict[str, Any]:
    return {
        "policy": row.name,
        "version": row.number,
        "content_hash": row.content_hash,
        "state_when_archived": row.state,
        "written_by": row.written_by,
        "written": optional_iso_text(row.written_us),
        "approved_by": row.approved_by,
        "approved": optional_iso_text(row.approved_us),
        "decided": None
        if decided is None
        else dict(zip(("from", "until"), map(optional_iso_text, decided), strict=True)),
        "document": _document(row).name,
    }


def _document(row: Policy) -> File:
    return text_file(f"policies/{row.id:06}.yaml", row.document)


def _settings(session: Session, organisation_id: int) -> dict[str, Any]:
    """Tell the settings as they are when the archive is made; the audit log has every change and its moment."""
    row = session.get(OrganisationSettings, organisation_id)
    types = {row.id: row for row in types_of_organisation(session, organisation_id)}
    values = {} if row is None else {column.name: getattr(row, column.name) for column in row.__table__.columns}
    values.pop("organisation_id", None)
    return {
        **values,
        "levels": values.get("levels", []),
        "rulesets": {
            row.name: {"entity_type": types[row.type_id].name, "position": row.position, "on": row.enabled}
            for row in families_of(session, organisation_id)
        },
        "locked_us": optional_iso_text(values.get("locked_us")),
        "entity_types": {
            each.name: {
                "fields": each.fields,
                "transaction_fields": each.transaction_fields,
                "case_fields": each.case_fields,
                "purposes": each.purposes or {},
            }
            for each in types.values()
        },
    }


def _member(row: Member) -> dict[str, Any]:
    """Name a member by number, as approvals and the audit log do."""
    return {
        "member": f"member:{row.id}",
        "roles_when_archived": row.roles,
        "since": optional_iso_text(row.created_us),
        "left": optional_iso_text(row.left_us),
    }
