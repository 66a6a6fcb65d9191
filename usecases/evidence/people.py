"""Evidence of what people decided in a quarter: overrides, challenges, proposals, material changes, and approvals.

Reasons of overrides, and of proposals about one entity, speak of a person, and are left out, as are the words of
challenges and of their settlements; that a reason exists is a condition of the request. What such a proposal would have
changed is left out too: a tag, a screening, a case.

Everything is as at the end of the quarter, before later decisions, revocations, settlements and sign-offs, so that an
archive has the same content whenever it is made.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE
from fivefold.store.accounts.tokens import requests_of
from fivefold.store.changes.proposals import APPROVED, REFUSED
from fivefold.store.decisions import policy_versions
from fivefold.store.evidence.archive import (
    activations_before,
    challenges_in,
    changes_in,
    entries_about_versions,
    overrides_in,
    proposals_in,
    validations_signed_in,
    versions_of_organisation,
)
from fivefold.store.evidence.archive_flows import flow_activations_before, flow_versions
from fivefold.store.groups.groups import versions_of
from fivefold.store.queue.sources import Kind
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.store.tables.events import MaterialChange, Policy
from fivefold.store.tables.flows import FlowVersion
from fivefold.store.tables.groups import GroupVersion
from fivefold.store.tables.levels import OverrideRow
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import Proposal, RulesetVersion
from fivefold.store.tables.versions import PROPOSED
from fivefold.usecases.changes.contents import OverrideRevoked
from fivefold.usecases.evidence.archive import ArchiveSection, json_file, optional_iso_text
from fivefold.usecases.monitoring.series import authors_judged_by
from fivefold.usecases.shared.actors import SYSTEM
from fivefold.usecases.shared.inputs import Quarter


def people_part(session: Session, organisation_id: int, quarter: Quarter, now_us: int) -> ArchiveSection:
    """Collect overrides, challenges, proposals, material changes and approvals.

    Whether a challenge was in time is judged as of *now_us*, or of the end of the quarter once that is over: one that
    was settled later was open then.
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


@dataclass(frozen=True, order=True, kw_only=True)
class Approval:
    """Something that one person requested and another decided; ordered by time."""

    at_us: int
    what: str
    number: int
    asked_by: tuple[str, ...]
    by: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as the archive has it."""
        return {
            "at": optional_iso_text(self.at_us),
            "what": self.what,
            "number": self.number,
            "asked_by": sorted(set(self.asked_by)),
            "by": self.by,
            "four_eyes": self.by not in self.asked_by,
        }


class _Of(NamedTuple):
    """The scope of a search: an organisation, in a quarter at least."""

    session: Session
    organisation_id: int
    quarter: Quarter

    @property
    def period(self) -> tuple[Session, int, int, int]:
        return self.session, self.organisation_id, self.quarter.from_us, self.quarter.until_us


def approvals_of(session: Session, organisation_id: int, quarter: Quarter) -> list[dict[str, Any]]:
    """List what one person requested and another approved or refused in a quarter, in the order of decisions."""
    of = _Of(session, organisation_id, quarter)
    approvals = sorted(each for decided in APPROVALS.values() for each in decided(of))
    return [each.as_dict() for each in approvals if quarter.from_us <= each.at_us < quarter.until_us]


def _overrides(of: _Of) -> Iterator[Approval]:
    """Yield the overrides that another person approved or refused; those left undecided were refused by the program."""
    for row in overrides_in(*of.period):
        if row.decided_us is not None and row.decided_by != SYSTEM:
            yield Approval(
                at_us=row.decided_us,
                what="override refused" if row.state == "refused" else "override",
                number=row.id,
                asked_by=(row.requested_by,),
                by=row.decided_by,
            )


def _proposals(of: _Of) -> Iterator[Approval]:
    for row in proposals_in(*of.period):
        if row.decided_us is not None and row.state in {APPROVED, REFUSED}:
            yield Approval(
                at_us=row.decided_us,
                what="proposal refused" if row.state == REFUSED else "proposal",
                number=row.id,
                asked_by=(row.proposed_by,),
                by=row.decided_by,
            )


def _policies(of: _Of) -> Iterator[Approval]:
    rows = {(row.name, row.number): row for row in policy_versions(of.session, of.organisation_id)}
    return _written(of, "policy", rows)


def _groups(of: _Of) -> Iterator[Approval]:
    rows = {(row.group.name, row.version.number): row.version for row in versions_of(of.session, of.organisation_id)}
    return _written(of, "group", rows)


def _written(
    of: _Of, word: str, versions: Mapping[tuple[str, int], Policy] | Mapping[tuple[str, int], GroupVersion]
) -> Iterator[Approval]:
    """Yield versions that a person other than the writer approved or refused; withdrawing is up to the writer."""
    for version in versions.values():
        if version.approved_us is not None:
            yield Approval(
                at_us=version.approved_us,
                what=word,
                number=version.id,
                asked_by=(version.written_by,),
                by=version.approved_by,
            )
    for at_us, actor, details in entries_about_versions(of.session, of.organisation_id, f"{word}.retired"):
        version = versions[details[word], details["version"]]
        asked_by = (version.written_by,)
        if details.get("was") == PROPOSED and actor not in asked_by:
            yield Approval(at_us=at_us, what=f"{word} refused", number=version.id, asked_by=asked_by, by=actor)


def _authors(version: RulesetVersion | FlowVersion) -> tuple[str, ...]:
    return (*version.editors, version.committed_by)


def _activations(of: _Of) -> Iterator[Approval]:
    """Yield the activations that needed a person other than the authors; rollbacks and reorderings need none."""
    versions = {version.id: version for version, _ in versions_of_organisation(of.session, of.organisation_id)}
    for row in activations_before(of.session, of.organisation_id, of.quarter.until_us):
        if row.kind == "activation" and row.backtest_id is not None and row.version_id is not None:
            authors = _authors(versions[row.version_id])
            yield Approval(at_us=row.at_us, what="activation", number=row.id, asked_by=authors, by=row.actor)


def _activations_of_flows(of: _Of) -> Iterator[Approval]:
    """Yield what made a version of a flow act: that needs a person other than its authors, a rollback too."""
    versions = {version.id: version for version, _ in flow_versions(of.session, of.organisation_id)}
    for row in flow_activations_before(of.session, of.organisation_id, of.quarter.until_us):
        if row.kind in {"active", "rollback"} and row.version_id is not None:
            authors = _authors(versions[row.version_id])
            yield Approval(at_us=row.at_us, what=f"flow {row.kind}", number=row.id, asked_by=authors, by=row.actor)


def _tokens(of: _Of) -> Iterator[Approval]:
    """Yield the requested tokens that another person made or refused; withdrawing is up to the requester."""
    for row, _ in requests_of(of.session, of.organisation_id, None, WHOLE):
        if row.decided_us is not None and (row.token_id is not None or row.decided_by != row.asked_by):
            yield Approval(
                at_us=row.decided_us,
                what="token refused" if row.token_id is None else "token",
                number=row.id,
                asked_by=(row.asked_by,),
                by=row.decided_by,
            )


def _validations(of: _Of) -> Iterator[Approval]:
    """Yield the validations that a person other than the authors of their rulesets signed off."""
    for run in validations_signed_in(*of.period):
        authors = tuple(authors_judged_by(of.session, run))
        yield Approval(at_us=run.signed_us or 0, what="validation", number=run.id, asked_by=authors, by=run.signed_by)


def _material_changes(of: _Of) -> Iterator[Approval]:
    for row in changes_in(*of.period):
        if row.signed_us is not None:
            asked_by = (row.registered_by,)
            yield Approval(
                at_us=row.signed_us, what="material change", number=row.id, asked_by=asked_by, by=row.signed_by
            )


APPROVALS: Final[Mapping[Kind, Callable[[_Of], Iterable[Approval]]]] = {
    Kind.OVERRIDE: _overrides,
    Kind.CHANGE: _proposals,
    Kind.POLICY: _policies,
    Kind.GROUP: _groups,
    Kind.RULESET: _activations,
    Kind.FLOW: _activations_of_flows,
    Kind.TOKEN: _tokens,
    Kind.VALIDATION: _validations,
    Kind.MATERIAL: _material_changes,
}
"""The approvals of each kind of item that needs a person who took no part in it."""
