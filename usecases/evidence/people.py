"""Evidence of what people decided in a quarter: overrides, challenges, proposals, material changes, and approvals.

Reasons of overrides, and of proposals about one entity, speak of a person, and are left out, as are the words of
challenges and of their settlements; that there is one is a
condition of asking. So is what such a proposal would have changed: a tag, a screening, a case.

Everything is as it stood at the end of the quarter: what was decided, revoked, settled or signed off later is as it was
before that, so that an archive says the same whenever it is made.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from fivefold.store.evidence.archive import challenges_in, changes_in, overrides_in, proposals_in
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.store.tables.events import MaterialChange
from fivefold.store.tables.levels import OverrideRow
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import Proposal
from fivefold.usecases.changes.contents import OverrideRevoked
from fivefold.usecases.evidence.approvals import approvals_of
from fivefold.usecases.evidence.archive import ArchiveSection, json_file, optional_iso_text
from fivefold.usecases.shared.inputs import Quarter


def people_part(session: Session, organisation_id: int, quarter: Quarter, now_us: int) -> ArchiveSection:
    """Collect overrides, challenges, proposals, material changes and approvals.

    Whether a challenge was in time is judged by what was known at *now_us*, or at the end of the quarter once that is
    over: one that was settled later was open then.
    """
    settings = session.get(OrganisationSettings, organisation_id)
    levels = [] if settings is None else settings.levels
    time = quarter.from_us, quarter.until_us
    overrides = overrides_in(session, organisation_id, *time)
    proposals = proposals_in(session, organisation_id, *time)
    challenges = challenges_in(session, organisation_id, *time)
    changes = changes_in(session, organisation_id, *time)
    approvals = approvals_of(session, organisation_id, quarter)
    return ArchiveSection(
        [
            json_file("overrides.json", [_override(row, levels, quarter.until_us) for row in overrides]),
            json_file("challenges.json", [_challenge(row, quarter.until_us, now_us) for row in challenges]),
            json_file("proposals.json", [_proposal(row, quarter.until_us) for row in proposals]),
            json_file("material-changes.json", [_change(row, quarter.until_us) for row in changes]),
            json_file("approvals.json", approvals),
        ],
        {
            "overrides": len(overrides),
            "challenges": len(challenges),
            "proposals": len(proposals),
            "material_changes": len(changes),
            "approvals": len(approvals),
        },
    )


def _is_before(moment_us: int | None, until_us: int) -> bool:
    return moment_us is not None and moment_us < until_us


def _override(row: OverrideRow, levels: Sequence[str], until_us: int) -> dict[str, Any]:
    is_decided, is_revoked = _is_before(row.decided_us, until_us), _is_before(row.revoked_us, until_us)
    outcome = "refused" if row.state == "refused" else "approved"
    return {
        "override": row.id,
        "entity": row.entity_id,
        "level": levels[row.level - 1],
        "ends": optional_iso_text(row.until_us),
        "state": "revoked" if is_revoked else outcome if is_decided else "requested",
        "requested_by": row.requested_by,
        "requested": optional_iso_text(row.requested_us),
        "decided_by": row.decided_by if is_decided else None,
        "decided": optional_iso_text(row.decided_us if is_decided else None),
        "revoked_by": row.revoked_by if is_revoked else None,
        "revoked": optional_iso_text(row.revoked_us if is_revoked else None),
    }


def _challenge(row: Challenge, until_us: int, now_us: int) -> dict[str, Any]:
    is_settled = _is_before(row.settled_us, until_us)
    is_pending = not is_settled and min(until_us, now_us) <= row.due_us
    return {
        "challenge": row.id,
        "entity": row.entity_id,
        "assessment": f"{row.entity_id}.{row.number}",
        "record_sha256": row.record_sha256,
        "received": optional_iso_text(row.received_us),
        "opened": optional_iso_text(row.opened_us),
        "opened_by": row.opened_by,
        "due": optional_iso_text(row.due_us),
        "state": row.state if is_settled else "open",
        "settled": optional_iso_text(row.settled_us if is_settled else None),
        "settled_by": row.settled_by if is_settled else None,
        "in_time": None if is_pending else is_settled and _is_before(row.settled_us, row.due_us + 1),
        "new_assessment": f"{row.entity_id}.{row.settled_number}" if is_settled and row.settled_number else None,
        "override": row.override_id if is_settled else None,
    }


def _proposal(row: Proposal, until_us: int) -> dict[str, Any]:
    is_decided = _is_before(row.decided_us, until_us)
    fields: dict[str, Any] = {
        "proposal": row.id,
        "kind": row.kind,
        "state": row.state if is_decided else "proposed",
        "proposed_by": row.proposed_by,
        "proposed": optional_iso_text(row.proposed_us),
        "decided_by": row.decided_by if is_decided else None,
        "decided": optional_iso_text(row.decided_us if is_decided else None),
    }
    if row.entity_id is not None:
        ended = row.content if row.kind == OverrideRevoked.kind else {}
        return {**fields, "entity": row.entity_id, **ended}
    why = {"reason": row.reason, "decision_reason": row.decision_reason if is_decided else None}
    return {**fields, "subject": row.subject, "content": row.content, "reach": row.reach, **why}


def _change(row: MaterialChange, until_us: int) -> dict[str, Any]:
    is_signed = _is_before(row.signed_us, until_us)
    return {
        "material_change": row.id,
        "kind": row.kind,
        "description": row.description,
        "registered_by": row.registered_by,
        "registered": optional_iso_text(row.registered_us),
        "validation": row.validation_id if is_signed else None,
        "signed_by": row.signed_by if is_signed else None,
        "signed": optional_iso_text(row.signed_us if is_signed else None),
        "conclusion": row.conclusion if is_signed else None,
    }
