"""Diagnostics of a ruleset or a policy, each with the path that leads to it, so that its line can be found."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from fivefold.domain.errors import Finding
from fivefold.risk.language.documents import Document, Path
from fivefold.risk.language.fields import Definition
from fivefold.risk.language.reading import where_of


class Severity(IntEnum):
    """How bad it is: FATAL makes a ruleset unusable, a WARNING is a doubt, a NOTE is what could not be decided."""

    FATAL = 0
    WARNING = 1
    NOTE = 2


@dataclass(frozen=True)
class Diagnostic:
    """One thing wrong, or doubtful.

    Attributes:
        path: leads to it, in the words of the file.
        problem: what is wrong, and what would be right.
        severity: how bad it is.
        check: which of lint's checks found it, as `risk.governance.lint.ruleset.CHECKS` has them; two diagnostics do
            not differ by it.
    """

    path: Path
    problem: str
    severity: Severity = Severity.FATAL
    check: str = field(default="names-and-types", compare=False)


def warning(path: Path, problem: str) -> Diagnostic:
    """Make a doubt."""
    return Diagnostic(path, problem, Severity.WARNING)


def findings(
    diagnostics: Iterable[Diagnostic], definition: Definition, document: Document | None = None
) -> list[Finding]:
    """Write diagnostics for people: with their lines, and in the order of the file, where there is a document."""
    return [finding for _, finding in checked_findings(diagnostics, definition, document)]


def checked_findings(
    diagnostics: Iterable[Diagnostic], definition: Definition, document: Document | None = None
) -> list[tuple[Diagnostic, Finding]]:
    """Give the same, each beside its diagnostic."""
    names, rows = definition.named_parts, []
    for fault in dict.fromkeys(diagnostics):
        line, column = (None, None) if document is None else document.position(fault.path)[1:]
        is_fatal = fault.severity is Severity.FATAL
        rows.append((fault, Finding(where_of(fault.path, names), fault.problem, line, is_fatal, column)))
    return sorted(rows, key=lambda row: row[1].line or 0)
