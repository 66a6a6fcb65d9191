"""Evidence of what was in force in a quarter beside rulesets: lists, rates, policies, settings, and roles of people."""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from io import StringIO
from typing import Any

from sqlalchemy.orm import Session

from fivefold.domain.rate_files import COLUMNS
from fivefold.store.accounts.lists import list_rows
from fivefold.store.accounts.tokens import members_of
from fivefold.store.decisions import policy_versions
from fivefold.store.evidence.archive import rate_tables_before, rates_of_table
from fivefold.store.ingest.entities import types_of_organisation
from fivefold.store.rulesets.rulesets import families_of
from fivefold.store.tables.accounts import Member
from fivefold.store.tables.entities import ListVersionRow, OrganisationSettings
from fivefold.store.tables.events import Policy
from fivefold.usecases.accounts.settings import settings_of
from fivefold.usecases.evidence.archive import ArchiveSection, File, json_file, optional_iso_text, text_file
from fivefold.usecases.evidence.purposes import policies_deciding
from fivefold.usecases.evidence.rulesets import InForce, in_force
from fivefold.usecases.shared.inputs import Quarter


def in_force_part(session: Session, organisation_id: int, quarter: Quarter) -> ArchiveSection:
    """Collect lists, own rates and policies of a quarter as they were written, the settings and the roster."""
    stored = [row for row in list_rows(session, organisation_id) if row.created_us < quarter.until_us]
    lists = _in_force(stored, quarter)
    policies = [row for row in policy_versions(session, organisation_id) if row.written_us < quarter.until_us]
    decided = {row.id: times for row, *times in policies_deciding(session, organisation_id, quarter)}
    members = [row for row in members_of(session, organisation_id) if row.created_us < quarter.until_us]
    rates = _rates(session, organisation_id, quarter)
    return ArchiveSection(
        [
            json_file("lists.json", [_list(row) for row in lists]),
            *rates.files,
            json_file("policies/versions.json", [_policy(row, decided.get(row.id)) for row in policies]),
            *(_document(row) for row in policies),
            json_file("settings.json", _settings(session, organisation_id)),
            json_file("roster.json", [_member(row) for row in members]),
        ],
        {"lists": len(lists), **rates.counts, "policies": len(policies), "members": len(members)},
    )


def _in_force(rows: Sequence[ListVersionRow], quarter: Quarter) -> list[ListVersionRow]:
    """Keep the versions that were in force at some moment of the quarter.

    Of the versions stored so far, the one with the latest beginning that has passed is in force. So one with an earlier
    date that is stored later ends nothing, and never is in force.
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


def _rates(session: Session, organisation_id: int, quarter: Quarter) -> ArchiveSection:
    """Collect the own tables of rates that were in force at some moment of a quarter, each as a file for `--rates`."""
    tables = {row.version_id: row for row in rate_tables_before(session, organisation_id, quarter.until_us)}
    forces = list(in_force(list(tables.values()), quarter, lambda _: organisation_id))
    files = [
        File(_rates_name(force), partial(_rates_written, session, organisation_id, force.version_id))
        for force in forces
    ]
    listed = [_rate_table(force, tables[force.version_id]) for force in forces]
    return ArchiveSection([json_file("rates/tables.json", listed), *files], {"rate_tables": len(listed)})


def _rates_name(force: InForce) -> str:
    return f"rates/{force.version_id:06}.csv"


def _rates_written(session: Session, organisation_id: int, number: int) -> Iterable[bytes]:
    written = StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(COLUMNS)
    lines.writerows(json.loads(rates_of_table(session, organisation_id, number)))
    yield written.getvalue().encode()


def _rate_table(force: InForce, row: Any) -> dict[str, Any]:
    return {
        "table": force.version_id,
        "base_currency": row.base_currency,
        "source": row.source,
        "from": optional_iso_text(force.from_us),
        "until": optional_iso_text(force.until_us),
        "rates": _rates_name(force),
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
    """Return the settings in force when the archive is made; the audit log has every change and its moment."""
    is_set = session.get(OrganisationSettings, organisation_id) is not None
    values = asdict(settings_of(session, organisation_id)) if is_set else {}
    types = {row.id: row for row in types_of_organisation(session, organisation_id)}
    return {
        **values,
        "levels": values.get("levels", ()),
        "rulesets": {
            row.name: {"entity_type": types[row.type_id].name, "position": row.position, "on": row.enabled}
            for row in families_of(session, organisation_id)
        },
        **{name: optional_iso_text(values.get(name)) for name in ("locked_us", "sole_operator_us")},
        "entity_types": {
            each.name: {
                "fields": each.fields,
                "transaction_fields": each.transaction_fields,
                "case_fields": each.case_fields,
                "purposes": each.purposes or {},
                "links": each.links or {},
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
