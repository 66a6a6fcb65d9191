"""Diagnostics of a ruleset, a policy or a flow, each with the path that leads to it, so that its line can be found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from fivefold.domain.errors import Finding
from fivefold.risk.language.documents import Document, Path
from fivefold.risk.language.fields import Definition
from fivefold.risk.language.reading import where_of

CHECKS = {
    "language": "The text cannot be read: a word, a form or a value that the language does not have.",
    "names-and-types": "Names, types, levels, cuts, weights and steps that do not fit, so that it cannot be run.",
    "purposes": "Data gathered against money laundering, read for commerce.",
    "lists": "A named list that is missing.",
    "reasons": "Missing reasons and examples, and parts without effect.",
    "doubts": "Screenings, likenesses, texts, gaps between cases, coverage and amounts that are hardly meant.",
    "relationships": "Statuses that may start, refuse or end a relationship, and that no person decides on.",
    "examples": "Examples that cannot be run as they are written.",
    "levels": "Tiers that overlap or leave gaps, and levels that nothing can reach.",
    "history": "Inputs for which an assessment on the platform reads every transaction of an entity.",
    "reach": "Cases, choices, ways, rows, steps and outcomes that no value can reach.",
    "times": "When the schedules of a flow come next; notes alone.",
    "failures": "Choices of a flow at which a run fails where the facts do not decide.",
}
"""What each check of lint covers in rulesets, policies and flows, by the check's name."""


class Severity(IntEnum):
    """The severity of a diagnostic: FATAL makes a document unusable, a WARNING is a doubt, a NOTE is neither.

    A note names what could not be decided, what is costly, or where a run of a flow fails.
    """

    FATAL = 0
    WARNING = 1
    NOTE = 2


@dataclass(frozen=True)
class Diagnostic:
    """One fault, doubt or note.

    Attributes:
        path: the path to its place, in the words of the file.
        problem: what is wrong, and what would be right.
        severity: how bad it is.
        check: which of lint's `CHECKS` found it; ignored when diagnostics are compared.
    """

    path: Path
    problem: str
    severity: Severity = Severity.FATAL
    check: str = field(default="names-and-types", compare=False)


def warning(path: Path, problem: str) -> Diagnostic:
    """Make a diagnostic of a doubt."""
    return Diagnostic(path, problem, Severity.WARNING)


def by_check(faults_by_check: Mapping[str, Iterable[Diagnostic]], *, notes: bool) -> list[Diagnostic]:
    """Join the diagnostics of the checks, each with the name of its check; without notes unless *notes*."""
    diagnostics = [replace(fault, check=check) for check, faults in faults_by_check.items() for fault in faults]
    return [fault for fault in diagnostics if notes or fault.severity is not Severity.NOTE]


def findings(
    diagnostics: Iterable[Diagnostic], definition: Definition, document: Document | None = None
) -> list[Finding]:
    """Convert diagnostics to findings, with lines and in the order of the file if there is a document."""
    return [finding for _, finding in checked_findings(diagnostics, definition, document)]


def checked_findings(
    diagnostics: Iterable[Diagnostic], definition: Definition, document: Document | None
) -> list[tuple[Diagnostic, Finding]]:
    """Return the findings as `findings` does, each beside its diagnostic."""
    names, rows = definition.named_parts, []
    for fault in dict.fromkeys(diagnostics):
        line, column = (None, None) if document is None else document.position(fault.path)[1:]
        is_fatal = fault.severity is Severity.FATAL
        rows.append((fault, Finding(where_of(fault.path, names), fault.problem, line, is_fatal, column)))
    return sorted(rows, key=lambda row: row[1].line or 0)
