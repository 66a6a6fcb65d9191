"""Policies: their versions, a version's text with its doubts and what it changes, and a new one until it decides."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.flows.graph import FlowPicture, picture_of_policy
from fivefold.console.rulesets.text import (
    LineChange,
    TextLine,
    line_changes,
    numbered_lines,
    refused_shortly,
    typed_document,
)
from fivefold.console.texts import text
from fivefold.console.visit import (
    Answer,
    Redirect,
    Rendered,
    Visit,
    address,
    existing_number,
    plain_lines,
    whole_number,
)
from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError, NotFoundError
from fivefold.domain.paging import Page, Part
from fivefold.store.decisions.decisions import ACTIVE
from fivefold.usecases.changes import asks
from fivefold.usecases.decisions.policies import (
    PolicyLine,
    PolicyView,
    approve_policy,
    check_policy,
    name_of_policy,
    policies_of,
    propose_policy,
    refuse_policy,
    show_policy,
)

POLICIES: Final = "/console/policies"
NEWEST: Final = Part(50)
"""Versions among which those are that a text is compared with."""


@dataclass(frozen=True, kw_only=True)
class PoliciesPage:
    """The versions of policies, by name, the newest first; `policy` is the one that they are of, empty for all."""

    policy: str
    versions: Page[PolicyLine]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class PolicyPage:
    """One version of a policy.

    Attributes:
        picture: the flow of one step that it is.
        lines: its text, with what is doubtful at each line.
        against: the number of the version that it is compared with; None where there is no other.
        others: numbers that it can be compared with: the one that decides, and the one before.
        changes: the lines that differ from that one.
        is_own: the person wrote it, so another one approves it.
    """

    policy: PolicyView
    address: str
    picture: FlowPicture | None
    lines: tuple[TextLine, ...]
    against: int | None
    others: tuple[int, ...]
    changes: tuple[LineChange, ...]
    is_own: bool


@dataclass(frozen=True, kw_only=True)
class PolicyEditorPage:
    """The text of a version that is written.

    Attributes:
        policy: its name; None for a new one.
        newest_number: the number of the newest version when it was begun; 0 for none.
        findings: what is wrong and doubtful; None before a check.
        lines: the text with what was found in each line.
        compared_with: the version that it is compared with: the active one, or the newest; None where there is none.
        changes: the lines that differ from that one.
        newer: a version that another person proposed since then; None where nobody did.
    """

    policy: str | None
    address: str
    document: str
    newest_number: int
    findings: tuple[Finding, ...] | None
    lines: tuple[TextLine, ...]
    compared_with: int | None
    changes: tuple[LineChange, ...]
    newer: PolicyLine | None

    @property
    def faults(self) -> int:
        """How much makes it impossible to propose it."""
        return sum(finding.fatal for finding in self.findings or ())


def show_policies(visit: Visit) -> Rendered:
    """List the versions of all policies, or of one."""
    policy = visit.query.get("policy", "")
    versions = policies_of(visit, policy or None, visit.part("policies"))
    page = PoliciesPage(policy=policy, versions=versions, next=visit.next_of("policies", versions))
    return Rendered(template="decisions/policies.html", title=text("Policies"), page=page)


def show_version(visit: Visit) -> Rendered:
    """Show a version beside the one that decides, or beside the one before where it decides itself."""
    name, number = _version(visit)
    policy = show_policy(visit, name, number)
    active = _active(policies_of(visit, name, NEWEST))
    others = tuple(dict.fromkeys(each for each in (active, number - 1) if each and each != number))
    against = visit.query.get("against", "")
    chosen = existing_number(against, text("version")) if against else next(iter(others), None)
    page = PolicyPage(
        policy=policy,
        address=address("policies", name, "versions", str(number)),
        picture=picture_of_policy(policy.document),
        lines=numbered_lines(policy.document, policy.doubts),
        against=chosen,
        others=others,
        changes=() if chosen is None else line_changes(show_policy(visit, name, chosen).document, policy.document),
        is_own=policy.written_by == visit.actor.name,
    )
    title = text("{policy} version {number}", policy=name, number=number)
    return Rendered(template="decisions/policy.html", title=title, page=page)


def _version(visit: Visit) -> tuple[str, int]:
    return visit.parts["policy"], existing_number(visit.parts["number"], text("version"))


def _active(versions: Page[PolicyLine]) -> int | None:
    return next((line.number for line in versions if line.state == ACTIVE), None)


def show_editor(visit: Visit) -> Rendered:
    """Show the text that decides, or the newest; what was typed is kept, and checked."""
    name = visit.parts.get("policy")
    versions = Page[PolicyLine]() if name is None else policies_of(visit, name, NEWEST)
    if name is not None and not versions:
        raise NotFoundError(text("there is no policy {policy}", policy=repr(name)))
    newest = versions[0] if versions else None
    newest_number = (
        whole_number(visit.form["seen"], text("Version")) if "seen" in visit.form else newest.number if newest else 0
    )
    compared = None if name is None or newest is None else show_policy(visit, name, _active(versions) or newest.number)
    typed = "document" in visit.form
    began = "" if compared is None else compared.document
    document = plain_lines(visit.form["document"]) if typed else began
    findings = _findings(visit, document) if typed and document.strip() else None
    page = PolicyEditorPage(
        policy=name,
        address=visit.path,
        document=document,
        newest_number=newest_number,
        findings=findings,
        lines=() if findings is None else numbered_lines(document, findings),
        compared_with=None if compared is None else compared.number,
        changes=() if findings is None or compared is None else line_changes(compared.document, document),
        newer=newest if newest is not None and newest.number > newest_number else None,
    )
    title = text("New policy") if name is None else text("New version of {policy}", policy=name)
    return Rendered(template="decisions/policy_editor.html", title=title, page=page)


def _findings(visit: Visit, document: str) -> tuple[Finding, ...]:
    try:
        findings = check_policy(visit, document)
    except InvalidRulesetError as wrong:
        findings = tuple(wrong.findings)
    except NotFoundError as missing:
        findings = (Finding("entity_type", str(missing)),)
    return tuple(sorted(findings, key=lambda finding: (finding.line or 0, finding.column or 0)))


def check(visit: Visit) -> Answer:
    """Look through what was typed; nothing is stored."""
    typed_document(visit)
    return show_editor(visit)


def propose(visit: Visit) -> Answer:
    """Propose what was typed as the next version; another person approves it."""
    document, name = typed_document(visit), visit.parts.get("policy")
    if name is not None and not policies_of(visit, name, Part(1)):
        raise NotFoundError(text("there is no policy {policy}", policy=repr(name)))
    newest_number = visit.number("over" if "over" in visit.form else "seen", text("Version"))
    try:
        _refuse_other_name(document, name)
        reason = visit.typed("reason", text("Reason"))
        doubts = visit.form.get("accept_warnings", "").strip()
        line = propose_policy(visit, document, reason, doubts, expected_number=newest_number)
    except InvalidRulesetError as wrong:
        raise refused_shortly(wrong, text("say why it is proposed with them")) from wrong
    except NotFoundError as missing:  # its type of entity; the page shows the text again
        raise ConfigError(str(missing)) from missing
    return Redirect(address("policies", line.name, "versions", str(line.number)), "policy-proposed")


def _refuse_other_name(document: str, name: str | None) -> None:
    written = name_of_policy(document)
    if name is not None and written != name:
        raise ConfigError(
            text("the text is of the policy {written}; here it must be {name}", written=written, name=name)
        )


def approve(visit: Visit) -> Answer:
    """Let a version decide that another person wrote, once what it changes was looked at."""
    name, number = _version(visit)
    show_policy(visit, name, number)
    reason = visit.typed("reason", text("Reason"))
    if "confirmed" not in visit.form:
        raise ConfigError(text("confirm that you looked at what changes"))
    approve_policy(visit, name, number, reason)
    return Redirect(visit.path, "policy-approved")


def retire(visit: Visit) -> Answer:
    """Refuse or withdraw a version that waits, or propose that one decides no more."""
    name, number = _version(visit)
    state, reason = show_policy(visit, name, number).state, visit.typed("reason", text("Reason"))
    if state != ACTIVE:
        refuse_policy(visit, name, number, reason)
        return Redirect(visit.path, "policy-refused")
    outcome = asks.retire_policy(visit, name, number, reason)
    if outcome.proposal is None:
        return Redirect(visit.path, "policy-retired")
    return Redirect(address("proposals", str(outcome.proposal.id)), "retirement-proposed")
