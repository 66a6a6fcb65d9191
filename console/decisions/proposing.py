"""Texts that one person proposes and another approves (policies and groups): their editor, and what changes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fivefold.console.rulesets.text import (
    LineChange,
    TextLine,
    line_changes,
    numbered_lines,
    refused_shortly,
    typed_document,
)
from fivefold.console.texts import text
from fivefold.console.visit import Visit, whole_number, without_nul
from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError, NotFoundError
from fivefold.domain.paging import Page, Part
from fivefold.usecases.decisions.policies import PolicyLine, PolicyView
from fivefold.usecases.groups.versions import GroupLine, GroupView

Line = PolicyLine | GroupLine
NEWEST: Final = Part(1)
"""The newest version alone."""


@dataclass(frozen=True, kw_only=True)
class TextKind:
    """The use cases that read and propose texts of one kind.

    Attributes:
        active: returns the number of the version that decides; None if none does.
    """

    versions: Callable[[Visit, str, Part], Page[Any]]
    active: Callable[[Visit, str], int | None]
    show: Callable[[Visit, str, int], PolicyView | GroupView]
    check: Callable[[Visit, str], tuple[Finding, ...]]
    name_of: Callable[[str], str]
    propose: Callable[..., Line]


@dataclass(frozen=True, kw_only=True)
class BesideVersion:
    """A version beside another one.

    Attributes:
        active: the number of the version that decides; None if none does.
        is_overtaken: the deciding version is newer, so this one cannot be approved.
        against: the number of the version to compare with; None if there is no other.
        others: versions to compare with: the one that decides, the one before, and the one in the address.
        changes: the lines that differ from that one.
    """

    active: int | None
    is_overtaken: bool
    against: int | None
    others: tuple[int, ...]
    changes: tuple[LineChange, ...]


@dataclass(frozen=True, kw_only=True)
class TextEditorPage:
    """The text of a version in the editor.

    Attributes:
        address: of the editor.
        name: the text's name when the editor was opened; empty for a new one.
        began_with: the number of the version that it starts from; None for an empty text.
        newest_number: the newest version of that name when the editor was opened; 0 for none.
        findings: faults and doubts; None before a check.
        lines: the text with the findings of each line.
        compared_with: the active version, or else the newest one; None for a first version.
        changes: the lines that differ from that one.
        newer: a version that another person has proposed since then; None if there is none.
    """

    address: str
    name: str
    document: str
    began_with: int | None
    newest_number: int
    findings: tuple[Finding, ...] | None
    lines: tuple[TextLine, ...]
    compared_with: int | None
    changes: tuple[LineChange, ...]
    newer: Line | None

    @property
    def faults(self) -> int:
        """The number of findings that make it impossible to propose the text."""
        return sum(finding.fatal for finding in self.findings or ())


def comparison(visit: Visit, kind: TextKind, shown: PolicyView | GroupView) -> BesideVersion:
    """Compare a version with the one that decides, or with the one before if it decides itself."""
    active = kind.active(visit, shown.name)
    against, others = visit.versions_beside(shown.number, active)
    return BesideVersion(
        active=active,
        is_overtaken=active is not None and active > shown.number,
        against=against,
        others=others,
        changes=() if against is None else line_changes(kind.show(visit, shown.name, against).document, shown.document),
    )


def editor_page(visit: Visit, kind: TextKind, name: str, number: int | None = None) -> TextEditorPage:
    """Show the text of a version, by default of the one that decides or else the newest.

    Typed text stays and is checked. *name* is empty for a new text.
    """
    name = visit.form.get("of", name)
    typed = "document" in visit.form
    document = without_nul(visit.form.get("document", ""))
    written = _written_name(kind, document, name) if typed else name
    versions: Page[Line] = kind.versions(visit, written, NEWEST) if written else Page()
    newest = versions[0] if versions else None
    compared = None
    if newest is not None:
        compared = kind.show(visit, written, kind.active(visit, written) or newest.number)
    began = compared if number is None else kind.show(visit, name, number)
    if not typed and began is not None:
        document, number = began.document, began.number
    findings = _findings(visit, kind, document) if typed and document.strip() else None
    number_seen = _newest_shown(visit) if typed else (newest.number if newest else 0)
    return TextEditorPage(
        address=visit.path,
        name=name,
        document=document,
        began_with=number,
        newest_number=number_seen,
        findings=findings,
        lines=() if findings is None else numbered_lines(document, findings),
        compared_with=None if compared is None else compared.number,
        changes=() if findings is None or compared is None else line_changes(compared.document, document),
        newer=newest if newest is not None and newest.number > (number_seen if written == name else 0) else None,
    )


def _newest_shown(visit: Visit) -> int:
    return whole_number(visit.form.get("seen", "0"), text("Version"))


def _written_name(kind: TextKind, document: str, otherwise: str) -> str:
    try:
        return kind.name_of(document)
    except InvalidRulesetError:
        return otherwise


def _findings(visit: Visit, kind: TextKind, document: str) -> tuple[Finding, ...]:
    try:
        findings = kind.check(visit, document)
    except InvalidRulesetError as wrong:
        findings = tuple(wrong.findings)
    except NotFoundError as missing:
        findings = (Finding("entity_type", str(missing)),)
    return tuple(sorted(findings, key=lambda finding: (finding.line or 0, finding.column or 0)))


def propose_typed(visit: Visit, kind: TextKind, name: str = "") -> Line:
    """Propose the typed text as the next version of *name*, or of its own name; another person has to approve it.

    ConflictError if there is a newer version than when the editor was opened, unless the person has read it.
    """
    document = typed_document(visit)
    try:
        written = kind.name_of(document)
        if name and written != name:
            raise ConfigError(
                text("the text has the name {written}; here it must be {name}", written=written, name=name)
            )
        if "over" in visit.form:
            newest_number = visit.number("over", text("Version"))
        else:
            newest_number = visit.number("seen", text("Version")) if written == visit.form.get("of", name) else 0
        reason = visit.typed("reason", text("Reason"))
        doubts = visit.form.get("accept_warnings", "").strip()
        return kind.propose(visit, document, reason, doubts, expected_newest=newest_number)
    except InvalidRulesetError as wrong:
        raise refused_shortly(wrong, text("say why you propose it with them")) from wrong
    except NotFoundError as missing:  # its type of entity; the page shows the text again
        raise ConfigError(str(missing)) from missing
