"""Evidence of what people decided in a quarter: overrides, challenges, proposals, material changes, and approvals.

Reasons of overrides, and of proposals about one entity, speak of a person, and are left out, as are the words of
challenges and of their settlements; that there is one is a
condition of asking. So is what such a proposal would have changed: a tag, a screening, a case.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from fivefold.store.evidence.archive import (
    activations_before,
    challenges_in,
    changes_in,
    overrides_in,
    policies_approved_in,
    proposals_in,
    versions_of_organisation,
)
from fivefold.store.evidence.archive_flows import flow_activations_before, flow_versions
from fivefold.store.groups.groups import approved_in as groups_approved_in
from fivefold.store.rulesets.proposals import APPROVED, REFUSED
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.store.tables.events import MaterialChange
from fivefold.store.tables.levels import OverrideRow
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import Proposal
from fivefold.usecases.changes.contents import OverrideRevoked
from fivefold.usecases.evidence.archive import ArchiveSection, json_file, optional_iso_text
from fivefold.usecases.shared.inputs import Quarter


def people_part(session: Session, organisation_id: int, quarter: Quarter) -> ArchiveSection:
    """Collect overrides, challenges, proposals, material changes and approvals."""
    settings = session.get(OrganisationSettings, organisation_id)
    levels = [] if settings is None else settings.levels
    time = quarter.from_us, quarter.until_us
    overrides = overrides_in(session, organisation_id, *time)
    proposals = proposals_in(session, organisation_id, *time)
    challenges = challenges_in(session, organisation_id, *time)
    changes = changes_in(session, organisation_id, *time)
    approvals = _approvals(session, organisation_id, quarter)
    return ArchiveSection(
        [
            json_file("overrides.json", [_override(row, levels) for row in overrides]),
            json_file("challenges.json", [_challenge(row, quarter.until_us) for row in challenges]),
            json_file("proposals.json", [_proposal(row) for row in proposals]),
            json_file("material-changes.json", [_change(row) for row in changes]),
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


def _override(row: OverrideRow, levels: Sequence[str]) -> dict[str, Any]:
    return {
        "override": row.id,
        "entity": row.entity_id,
        "level": levels[row.level - 1],
        "ends": optional_iso_text(row.until_us),
        "state": row.state,
        "requested_by": row.requested_by,
        "requested": optional_iso_text(row.requested_us),
        "decided_by": row.decided_by,
        "decided": optional_iso_text(row.decided_us),
        "revoked_by": row.revoked_by,
        "revoked": optional_iso_text(row.revoked_us),
    }


def _challenge(row: Challenge, until_us: int) -> dict[str, Any]:
    return {
        "challenge": row.id,
        "entity": row.entity_id,
        "assessment": f"{row.entity_id}.{row.number}",
        "record_sha256": row.record_sha256,
        "received": optional_iso_text(row.received_us),
        "opened": optional_iso_text(row.opened_us),
        "opened_by": row.opened_by,
        "due": optional_iso_text(row.due_us),
        "state": row.state,
        "settled": optional_iso_text(row.settled_us),
        "settled_by": row.settled_by,
        "in_time": (until_us if row.settled_us is None else row.settled_us) <= row.due_us,
        "new_assessment": None if row.settled_number is None else f"{row.entity_id}.{row.settled_number}",
        "override": row.override_id,
    }


def _proposal(row: Proposal) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "proposal": row.id,
        "kind": row.kind,
        "state": row.state,
        "proposed_by": row.proposed_by,
        "proposed": optional_iso_text(row.proposed_us),
        "decided_by": row.decided_by,
        "decided": optional_iso_text(row.decided_us),
    }
    if row.entity_id is not None:
        ended = row.content if row.kind == OverrideRevoked.kind else {}
        return {**fields, "entity": row.entity_id, **ended}
    why = {"reason": row.reason, "decision_reason": row.decision_reason}
    return {**fields, "subject": row.subject, "content": row.content, "reach": row.reach, **why}


def _change(row: MaterialChange) -> dict[str, Any]:
    return {
        "material_change": row.id,
        "kind": row.kind,
        "description": row.description,
        "registered_by": row.registered_by,
        "registered": optional_iso_text(row.registered_us),
        "validation": row.validation_id,
        "signed_by": row.signed_by,
        "signed": optional_iso_text(row.signed_us),
        "conclusion": row.conclusion,
    }


@dataclass(frozen=True, order=True, kw_only=True)
class _Approval:
    """Something that one asked for and another decided; in the order of time."""

    at_us: int
    what: str
    number: int
    asked_by: tuple[str, ...]
    by: str | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "at": optional_iso_text(self.at_us),
            "what": self.what,
            "number": self.number,
            "asked_by": sorted(set(self.asked_by)),
            "by": self.by,
            "four_eyes": self.by not in self.asked_by,
        }


def _approvals(session: Session, organisation_id: int, quarter: Quarter) -> list[dict[str, Any]]:
    """List what one asked for and another approved, in the order in which it was approved."""
    time = quarter.from_us, quarter.until_us
    approvals = [
        *_activations(session, organisation_id, quarter.until_us),
        *_activations_of_flows(session, organisation_id, quarter.until_us),
        *(
            _Approval(
                at_us=row.decided_us,
                what=_decision(row),
                number=row.id,
                asked_by=(row.requested_by,),
                by=row.decided_by,
            )
            for row in overrides_in(session, organisation_id, *time)
            if row.decided_us is not None
        ),
        *(
            _Approval(
                at_us=row.decided_us,
                what=_decision_on(row),
                number=row.id,
                asked_by=(row.proposed_by,),
                by=row.decided_by,
            )
            for row in proposals_in(session, organisation_id, *time)
            if row.decided_us is not None and row.state in {APPROVED, REFUSED}
        ),
        *(
            _Approval(
                at_us=row.signed_us,
                what="material change",
                number=row.id,
                asked_by=(row.registered_by,),
                by=row.signed_by,
            )
            for row in changes_in(session, organisation_id, *time)
            if row.signed_us is not None
        ),
        *(
            _Approval(
                at_us=row.approved_us, what="policy", number=row.id, asked_by=(row.written_by,), by=row.approved_by
            )
            for row in policies_approved_in(session, organisation_id, *time)
            if row.approved_us is not None
        ),
        *(
            _Approval(
                at_us=row.approved_us, what="group", number=row.id, asked_by=(row.written_by,), by=row.approved_by
            )
            for row in groups_approved_in(session, organisation_id, *time)
            if row.approved_us is not None
        ),
    ]
    return [each.as_dict() for each in sorted(approvals) if quarter.from_us <= each.at_us < quarter.until_us]


def _decision(row: OverrideRow) -> str:
    return "override refused" if row.state == "refused" else "override"


def _decision_on(row: Proposal) -> str:
    return "proposal refused" if row.state == REFUSED else "proposal"


def _activations(session: Session, organisation_id: int, until_us: int) -> Iterator[_Approval]:
    """Give the activations that needed another person than the authors; a rollback and another order need none."""
    versions = {version.id: version for version, _ in versions_of_organisation(session, organisation_id)}
    for row in activations_before(session, organisation_id, until_us):
        if row.kind == "activation" and row.backtest_id is not None and row.version_id is not None:
            version = versions[row.version_id]
            authors = (*version.editors, version.committed_by)
            yield _Approval(at_us=row.at_us, what="activation", number=row.id, asked_by=authors, by=row.actor)


def _activations_of_flows(session: Session, organisation_id: int, until_us: int) -> Iterator[_Approval]:
    """Give what let a version of a flow act: that needs another person than its authors, a rollback too."""
    versions = {version.id: version for version, _ in flow_versions(session, organisation_id)}
    for row in flow_activations_before(session, organisation_id, until_us):
        if row.kind in {"active", "rollback"} and row.version_id is not None:
            version = versions[row.version_id]
            authors = (*version.editors, version.committed_by)
            yield _Approval(at_us=row.at_us, what=f"flow {row.kind}", number=row.id, asked_by=authors, by=row.actor)
