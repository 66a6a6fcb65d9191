"""How versions of groups and of policies came to decide no more, as the audit log says."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

from fivefold.store.audit.log import entries_with_values


@dataclass(frozen=True, kw_only=True)
class VersionEnd:
    """How a version came to decide no more, or was refused.

    Attributes:
        actor: who retired it, refused it, or approved the version in its place.
        reason: what they said; None where the log has it no more.
        was_active: it decided until then.
        replaced_by: the number of the version in its place; None where it was retired or refused.
    """

    at_us: int
    actor: str
    reason: str | None
    was_active: bool
    replaced_by: int | None


def ends_of_versions(
    session: Session, organisation_id: int, kind: Literal["group", "policy"], subject_ids: Collection[int]
) -> Mapping[int, VersionEnd]:
    """Find how the versions of one group or policy ended, by their numbers; *subject_ids* as the log has them."""
    ends = {}
    actions = (f"{kind}.retired", f"{kind}.approved")
    for entry, after in entries_with_values(session, organisation_id, kind, map(str, subject_ids), actions):
        about = json.loads(entry.details)
        is_approval = entry.action == f"{kind}.approved"
        ended = about.get("replaced") if is_approval else about["version"]
        if ended is not None:
            ends[ended] = VersionEnd(
                at_us=entry.at_us,
                actor=entry.actor,
                reason=json.loads(after or "{}").get("reason"),
                was_active=is_approval or about.get("was") == "active",
                replaced_by=about["version"] if is_approval else None,
            )
    return ends
