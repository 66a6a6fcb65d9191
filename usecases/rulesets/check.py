"""Checks of a ruleset's text before it is saved: its faults, its changes, and the changes its examples notice."""

from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

from sqlalchemy.orm import Session

from fivefold.domain.errors import Finding, InvalidRulesetError, NotFoundError
from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.compiler.purposes import Reading, readings
from fivefold.risk.governance.diff import diff
from fivefold.risk.governance.differences import DocumentChange, DocumentDifference
from fivefold.risk.governance.lint.ruleset import lint_text, purpose_sources
from fivefold.risk.governance.mutation.run import Mutations, mutate
from fivefold.risk.language.documents import Document
from fivefold.risk.language.purposes import Purpose
from fivefold.store.ingest.entities import type_named
from fivefold.store.rulesets.rulesets import draft_of, family_named, family_or_none, newest_version
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.usecases.rulesets.drafts import name_and_type_of
from fivefold.usecases.rulesets.review import (
    ExampleLine,
    context_of,
    context_of_type,
    organisation_findings,
    other_type_findings,
    read_matching_ruleset,
    review,
    type_findings,
)
from fivefold.usecases.shared.context import Context


class CheckedText:
    """The findings in a text: those that prevent a commit, and those that need a reason."""

    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that prevent a commit."""
        return tuple(finding for finding in self.findings if finding.fatal)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that can be committed with a reason."""
        return tuple(finding for finding in self.findings if not finding.fatal)


@dataclass(frozen=True, kw_only=True)
class TextCheck(CheckedText):
    """What is to be known of a text that is not saved; nothing of it is stored.

    Attributes:
        family: the ruleset that it names; None where it names none.
        content_hash: None where it cannot be read.
        findings: what is wrong and what is doubtful, those without a line first, then in the order of the text.
        purpose: what the ruleset is for; None where it cannot be read.
        readings: what its rules read, by which path, and what that was gathered for, in the order of the text.
        examples: in the order of the text; they are run only where nothing is wrong.
        rules_percent: rules that some example reaches, with one decimal, as text.
        cases_percent: the same of cases.
        not_reached: cases that no example reaches.
        compared_with: the version that it is compared with: the active one, or the newest; None where there is none.
        changes: from that version to the text, in words; empty where it has the same content, or cannot be read.
    """

    family: str | None
    content_hash: str | None
    findings: tuple[Finding, ...]
    purpose: Purpose | None = None
    readings: tuple[Reading, ...] = ()
    examples: tuple[ExampleLine, ...] = ()
    rules_percent: str = "0.0"
    cases_percent: str = "0.0"
    not_reached: tuple[str, ...] = ()
    compared_with: int | None = None
    changes: tuple[DocumentChange, ...] = ()


def check_text(context: Context, document: str) -> TextCheck:
    """Check a text as a commit would, and compare it with the version that decides; nothing is stored."""
    now = context.now()
    try:
        name, type_name = name_and_type_of(document)
    except InvalidRulesetError as wrong:
        more = lint_text(document)[1]  # finds the same faults, and the rest
        return TextCheck(family=None, content_hash=None, findings=_in_order(more or wrong.findings))
    if unknown := type_findings(context, type_name):
        return TextCheck(family=name, content_hash=None, findings=tuple(unknown))
    with context.reading() as session:
        kind = type_named(session, context.organisation_id, type_name)
        around, family = context_of_type(session, kind), family_or_none(session, context.organisation_id, name)
        present = None if family is None else _present(session, family)
        findings = []
        if family is not None:
            findings = other_type_findings(session, family.type_id, f"the ruleset {name}", type_name)
    looked, ruleset = review(document, name, 0, around, now)
    changes: tuple[DocumentChange, ...] = ()
    if present is not None and ruleset is not None:
        changes = diff(analyse_canonical(present.canonical).ruleset, ruleset).changes
    return TextCheck(
        family=name,
        content_hash=looked.content_hash,
        findings=_in_order(_with_lines(document, [*findings, *looked.errors, *looked.warnings])),
        purpose=None if ruleset is None else ruleset.purpose,
        readings=() if ruleset is None else tuple(readings(ruleset, purpose_sources(around.lists, around.declared))),
        examples=looked.examples,
        rules_percent=looked.rules_percent,
        cases_percent=looked.cases_percent,
        not_reached=looked.not_reached,
        compared_with=None if present is None else present.number,
        changes=changes,
    )


def _in_order(findings: tuple[Finding, ...] | list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: (finding.line or 0, finding.column or 0)))


def _with_lines(document: str, findings: list[Finding]) -> list[Finding]:
    """Add lines to findings of running the text, or of comparing it with the organisation."""
    if all(finding.line is not None for finding in findings):
        return findings
    try:
        read = Document(document)
    except InvalidRulesetError:
        return findings
    examples = read.data.get("examples") if isinstance(read.data, dict) else None
    names = [item.get("name") if isinstance(item, dict) else None for item in examples or ()]
    return [finding if finding.line is not None else _with_line(read, names, finding) for finding in findings]


def _with_line(read: Document, examples: list[str | None], finding: Finding) -> Finding:
    name = finding.where.removeprefix("example ")
    is_example = name != finding.where and name in examples
    path, line, column = read.position(
        ("examples", examples.index(name)) if is_example else tuple(finding.where.split(", "))
    )
    return replace(finding, line=line, column=column) if path else finding


def _present(session: Session, family: Family) -> RulesetVersion | None:
    """Find the version that a text is compared with: the one that decides, or else the one committed last."""
    if family.active_version_id is not None:
        return session.get_one(RulesetVersion, family.active_version_id)
    return newest_version(session, family.id)


def compare_draft(context: Context, family: str) -> DocumentDifference:
    """Return what changed from the version that decides, or from the newest if none does, to the draft.

    Raises:
        NotFoundError: there is no such family, no draft of it, or nothing to compare it with.
        InvalidRulesetError: the draft cannot be run, or does not fit the organisation.
    """
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        document, around = draft_of(session, family_row).document, context_of(session, family_row)
        version = _present(session, family_row)
        if version is None:
            raise NotFoundError(f"{family} has no version yet, so there is nothing to compare its draft with")
        canonical = version.canonical
    return diff(analyse_canonical(canonical).ruleset, read_matching_ruleset(document, around))


MOST_SECONDS: Final = 20.0
"""No further change is tried after this time: a person waits for the page."""


def try_changes(context: Context, document: str, most_seconds: float = MOST_SECONDS) -> Mutations:
    """Change a text by one step at a time, and return which changes no example notices.

    The result names the changes that were not tried within *most_seconds*.

    Raises:
        InvalidRulesetError: the text has faults, does not fit the organisation, has no examples, or one of them fails.
    """
    now, end = context.now(), monotonic() + most_seconds
    _, type_name = name_and_type_of(document)
    if unknown := type_findings(context, type_name):
        raise InvalidRulesetError(unknown)
    with context.reading() as session:
        around = context_of_type(session, type_named(session, context.organisation_id, type_name))
    analysed, findings = lint_text(document, around.lists)
    wrong = [finding for finding in findings if finding.fatal]
    if analysed is None or wrong:
        raise InvalidRulesetError(wrong)
    misfits = organisation_findings(analysed.ruleset, around)
    if misfits:
        raise InvalidRulesetError(misfits)
    return mutate(analysed, around.lists, now, Document(document), is_over=lambda: monotonic() > end)
