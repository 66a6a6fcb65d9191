"""Evidence of named groups: every version as it was written, by whom and why, when it was in force, and who moved."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.store.audit.log import entries_with_values
from fivefold.store.erasure.retention_runs import moves_removed_before
from fivefold.store.evidence.archive_flows import (
    entities_erased_since,
    group_moves_counted,
    group_sizes_in,
)
from fivefold.store.groups.groups import GroupVersionRow, versions_of
from fivefold.usecases.evidence.archive import ArchiveSection, json_file, optional_iso_text, text_file
from fivefold.usecases.shared.inputs import Quarter


@dataclass(frozen=True)
class SaidOfVersion:
    """An act on a version of a group, from the audit log."""

    action: str
    at_us: int
    actor: str
    reason: str | None
    was_active: bool


def groups_part(session: Session, organisation_id: int, quarter: Quarter) -> ArchiveSection:
    """Collect a quarter's versions, with the numbers of members that entered, that left, and that each day had."""
    rows = [row for row in versions_of(session, organisation_id) if row.version.written_us < quarter.until_us]
    entries_by_version = _entries_of_versions(session, organisation_id, rows)
    times = {row.version.id: (begins, ends) for row, begins, ends in groups_deciding(session, organisation_id, quarter)}
    versions = [_version(row, entries_by_version, times.get(row.version.id), quarter) for row in rows]
    of = (session, organisation_id, (quarter.from_us, quarter.until_us))
    return ArchiveSection(
        [
            json_file("groups/versions.json", versions),
            *(text_file(group_document(row), row.version.document) for row in rows),
            json_file("groups/moves.json", [dict(row) for row in group_moves_counted(*of)]),
            json_file("groups/sizes.json", [_size(row) for row in group_sizes_in(*of)]),
            json_file("groups/removed.json", _removed(session, organisation_id, quarter)),
        ],
        {"groups": len(rows)},
    )


def groups_deciding(
    session: Session, organisation_id: int, quarter: Quarter
) -> Iterator[tuple[GroupVersionRow, int, int | None]]:
    """Yield the versions that decided who is a member at some time of a quarter, and when, as for rulesets."""
    rows = [row for row in versions_of(session, organisation_id) if row.version.approved_us is not None]
    entries_by_version = _entries_of_versions(session, organisation_id, rows)
    for row in rows:
        begins = row.version.approved_us or 0
        same = [each.version for each in rows if each.group.id == row.group.id]
        approvals = [(each.approved_us or 0, each.number) for each in same]
        later = [at_us for at_us, number in approvals if (at_us, number) > (begins, row.version.number)]
        of_version = entries_by_version.get((row.group.name, row.version.number), ())
        retired = [each.at_us for each in of_version if each.action == "group.retired" and each.was_active]
        ends = min([*later, *retired], default=None)
        if begins < quarter.until_us and (ends is None or ends > quarter.from_us):
            yield row, begins, ends


def group_document(row: GroupVersionRow) -> str:
    """Return the name of the file of a version."""
    return f"groups/{row.version.id:06}.yaml"


def _entries_of_versions(
    session: Session, organisation_id: int, rows: Sequence[GroupVersionRow]
) -> dict[tuple[str, int], list[SaidOfVersion]]:
    """Read the acts on versions of the groups of *rows*, in the order of the log."""
    entries_by_version: dict[tuple[str, int], list[SaidOfVersion]] = {}
    ids, actions = {str(row.group.id) for row in rows}, ("group.proposed", "group.approved", "group.retired")
    for entry, after in entries_with_values(session, organisation_id, "group", ids, actions):
        about, values = json.loads(entry.details), json.loads(after or "{}")
        line = SaidOfVersion(entry.action, entry.at_us, entry.actor, values.get("reason"), about.get("was") == "active")
        entries_by_version.setdefault((about["group"], about["version"]), []).append(line)
    return entries_by_version


def _version(
    row: GroupVersionRow,
    entries_by_version: Mapping[tuple[str, int], Sequence[SaidOfVersion]],
    times: tuple[int, int | None] | None,
    quarter: Quarter,
) -> dict[str, Any]:
    version = row.version
    of_version = entries_by_version.get((row.group.name, version.number), ())
    return {
        "group": row.group.name,
        "purpose": row.group.purpose,
        "version": version.number,
        "content_hash": version.content_hash,
        "state_when_archived": version.state,
        "written_by": version.written_by,
        "written": optional_iso_text(version.written_us),
        "approved_by": version.approved_by,
        "approved": optional_iso_text(version.approved_us),
        "decided": None if times is None else dict(zip(("from", "until"), map(optional_iso_text, times), strict=True)),
        "said": [
            {"what": each.action, "by": each.actor, "at": optional_iso_text(each.at_us), "why": each.reason}
            for each in of_version
            if each.at_us < quarter.until_us
        ],
        "document": group_document(row),
    }


def _removed(session: Session, organisation_id: int, quarter: Quarter) -> dict[str, Any]:
    """Return the moment of the quarter before which the retention policy may have removed moves; None for none.

    And the number of entities that were erased since the quarter began, as their moves went with them.
    """
    before_us = moves_removed_before(session, organisation_id)
    is_within = before_us is not None and before_us > quarter.from_us
    return {
        "moves_removed_before": optional_iso_text(min(before_us or 0, quarter.until_us)) if is_within else None,
        "entities_erased": entities_erased_since(session, organisation_id, quarter.from_us),
    }


def _size(row: Mapping[str, Any]) -> dict[str, Any]:
    day = optional_iso_text(row["day"] * DAY_US) or ""
    return {"group": row["group"], "day": day[:10], "members": row["members"], "unknown": row["unknown"]}
