"""Evidence of approvals: what one person asked for or wrote, and another one decided."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE
from fivefold.store.accounts.tokens import requests_of
from fivefold.store.decisions import PROPOSED, policy_versions
from fivefold.store.evidence.archive import (
    activations_before,
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
from fivefold.store.rulesets.proposals import APPROVED, REFUSED
from fivefold.store.tables.events import Policy
from fivefold.store.tables.flows import FlowVersion
from fivefold.store.tables.groups import GroupVersion
from fivefold.store.tables.rulesets import RulesetVersion
from fivefold.usecases.evidence.archive import optional_iso_text
from fivefold.usecases.monitoring.series import authors_judged_by
from fivefold.usecases.shared.actors import SYSTEM
from fivefold.usecases.shared.inputs import Quarter


@dataclass(frozen=True, order=True, kw_only=True)
class Approval:
    """Something that one asked for and another decided; in the order of time."""

    at_us: int
    what: str
    number: int
    asked_by: tuple[str, ...]
    by: str | None

    def as_dict(self) -> dict[str, Any]:
        """Give it as the archive has it."""
        return {
            "at": optional_iso_text(self.at_us),
            "what": self.what,
            "number": self.number,
            "asked_by": sorted(set(self.asked_by)),
            "by": self.by,
            "four_eyes": self.by not in self.asked_by,
        }


class _Of(NamedTuple):
    """What is looked for: all of an organisation, in a quarter at least."""

    session: Session
    organisation_id: int
    quarter: Quarter

    @property
    def period(self) -> tuple[Session, int, int, int]:
        return self.session, self.organisation_id, self.quarter.from_us, self.quarter.until_us


def approvals_of(session: Session, organisation_id: int, quarter: Quarter) -> list[dict[str, Any]]:
    """List what one asked for and another approved or refused in a quarter, in the order in which it was decided."""
    of = _Of(session, organisation_id, quarter)
    approvals = sorted(each for decided in APPROVALS.values() for each in decided(of))
    return [each.as_dict() for each in approvals if quarter.from_us <= each.at_us < quarter.until_us]


def _overrides(of: _Of) -> Iterator[Approval]:
    """Give the overrides that another person approved or refused; the program refuses those that nobody decided."""
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
    """Give the versions that another person than their writer approved or refused; to withdraw one is one's own."""
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
    """Give the activations that needed another person than the authors; a rollback and another order need none."""
    versions = {version.id: version for version, _ in versions_of_organisation(of.session, of.organisation_id)}
    for row in activations_before(of.session, of.organisation_id, of.quarter.until_us):
        if row.kind == "activation" and row.backtest_id is not None and row.version_id is not None:
            authors = _authors(versions[row.version_id])
            yield Approval(at_us=row.at_us, what="activation", number=row.id, asked_by=authors, by=row.actor)


def _activations_of_flows(of: _Of) -> Iterator[Approval]:
    """Give what let a version of a flow act: that needs another person than its authors, a rollback too."""
    versions = {version.id: version for version, _ in flow_versions(of.session, of.organisation_id)}
    for row in flow_activations_before(of.session, of.organisation_id, of.quarter.until_us):
        if row.kind in {"active", "rollback"} and row.version_id is not None:
            authors = _authors(versions[row.version_id])
            yield Approval(at_us=row.at_us, what=f"flow {row.kind}", number=row.id, asked_by=authors, by=row.actor)


def _tokens(of: _Of) -> Iterator[Approval]:
    """Give the requested tokens that another person gave or refused; to withdraw a request is one's own."""
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
    """Give the validations that were signed off, by another person than wrote the rulesets that they judge."""
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
"""The approvals of each kind of item that waits for another person than those who took part in it."""
