"""Policies: their versions, a version's text with its doubts and changes, and the way of a new one until it decides."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.decisions.proposing import BesideVersion, TextKind, comparison, editor_page, propose_typed
from fivefold.console.flows.graph import FlowPicture, picture_of_policy
from fivefold.console.queue.place import QueueBar, queue_bar
from fivefold.console.rulesets.text import TextLine, numbered_lines, typed_document
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address
from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Page, Part
from fivefold.store.tables.versions import ACTIVE
from fivefold.usecases.audit.search import VersionEnd
from fivefold.usecases.changes import asks
from fivefold.usecases.decisions import policies
from fivefold.usecases.decisions.policies import PolicyLine, PolicyView, approve_policy, refuse_policy, show_policy

POLICIES: Final = "/console/policies"
POLICY: Final = TextKind(
    versions=policies.policies_of,
    active=policies.active_number,
    show=show_policy,
    check=policies.check_policy,
    name_of=policies.name_of_policy,
    propose=policies.propose_policy,
)


@dataclass(frozen=True, kw_only=True)
class PoliciesPage:
    """The versions of policies, by name, the newest first; `policy`: their policy, empty for all policies."""

    policy: str
    versions: Page[PolicyLine]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class PolicyPage:
    """One version of a policy.

    Attributes:
        picture: the policy as a flow of one step.
        lines: its text, with the doubts at each line.
        compared: with another version.
        bar: the item of the queue that the person came for.
        is_own: the person wrote it, so they can withdraw it, not refuse it.
        ended: who retired or refused it; None if no person did.
    """

    policy: PolicyView
    address: str
    picture: FlowPicture | None
    lines: tuple[TextLine, ...]
    compared: BesideVersion
    bar: QueueBar | None
    is_own: bool
    ended: VersionEnd | None


def show_policies(visit: Visit) -> Rendered:
    """List the versions of all policies, or of one."""
    policy = visit.query.get("policy", "")
    versions = policies.policies_of(visit, policy or None, visit.part("policies"))
    page = PoliciesPage(policy=policy, versions=versions, next=visit.next_of("policies", versions))
    return Rendered(template="decisions/policies.html", title=text("Policies"), page=page)


def show_version(visit: Visit) -> Rendered:
    """Show a version beside the one that decides, or beside the one before if it decides itself."""
    name, number = visit.version_of("policy")
    policy = show_policy(visit, name, number)
    page = PolicyPage(
        policy=policy,
        address=address("policies", name, "versions", str(number)),
        picture=picture_of_policy(policy.document),
        lines=numbered_lines(policy.document, policy.doubts),
        compared=comparison(visit, POLICY, policy),
        bar=queue_bar(visit),
        is_own=policy.written_by == visit.actor.name,
        ended=policies.how_versions_ended(visit, name).get(number),
    )
    title = text("{policy} version {number}", policy=name, number=number)
    return Rendered(template="decisions/policy.html", title=title, page=page)


def show_editor(visit: Visit) -> Rendered:
    """Show the text that decides, or the newest; typed text stays and is checked."""
    name = _existing(visit)
    title = text("New version of {policy}", policy=name) if name else text("New policy")
    return Rendered(template="decisions/policy_editor.html", title=title, page=editor_page(visit, POLICY, name))


def _existing(visit: Visit) -> str:
    """Return the policy in the address, empty for a new one; NotFoundError if it has no version."""
    name = visit.parts.get("policy", "")
    if name and not policies.policies_of(visit, name, Part(1)):
        raise NotFoundError(text("there is no policy {policy}", policy=repr(name)))
    return name


def check(visit: Visit) -> Answer:
    """Check the typed text; nothing is stored."""
    typed_document(visit)
    return show_editor(visit)


def propose(visit: Visit) -> Answer:
    """Propose the typed text as the next version; another person has to approve it."""
    line = propose_typed(visit, POLICY, _existing(visit))
    return Redirect(address("policies", line.name, "versions", str(line.number)), "policy-proposed")


def approve(visit: Visit) -> Answer:
    """Let a version decide that another person wrote, after a look at what it changes."""
    name, number = visit.version_of("policy")
    show_policy(visit, name, number)
    reason = visit.confirmed_reason(text("confirm that you have checked what changes"))
    approve_policy(visit, name, number, reason, visit.shown_number("active"), visit.shown_hash())
    return Redirect(visit.path + visit.trail, "policy-approved")


def retire(visit: Visit) -> Answer:
    """Refuse or withdraw a waiting version, or propose to retire the one that decides."""
    name, number = visit.version_of("policy")
    reason = visit.typed("reason", text("Reason"))
    policy = policies.policy_as_seen(visit, name, number, visit.shown_state(), visit.shown_hash())
    if policy.state != ACTIVE:
        refuse_policy(visit, name, number, reason)
        return Redirect(visit.path + visit.trail, "policy-refused")
    outcome = asks.retire_policy(visit, name, number, reason)
    if outcome.proposal is None:
        return Redirect(visit.path, "policy-retired")
    return Redirect(address("proposals", str(outcome.proposal.id)), "retirement-proposed")
