"""Reports for machines: plain JSON, and lint's findings as SARIF 2.1.0, which code hosts and editors read.

SARIF: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fivefold.domain.errors import Finding
from fivefold.risk.compiler.diagnostics import CHECKS, Diagnostic, Severity

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

SEVERITIES = {Severity.FATAL: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
"""The severity of a finding in SARIF's words; a note is not a doubt."""


@dataclass(frozen=True)
class LintReport:
    """The findings in some rulesets, policies or flows.

    Attributes:
        findings: the findings of each file, by its given name, each beside its diagnostic.
    """

    findings: Mapping[str, Sequence[tuple[Diagnostic, Finding]]]

    @property
    def errors(self) -> int:
        """The number of findings that make a document unusable."""
        return self._count(Severity.FATAL)

    @property
    def notes(self) -> int:
        """The number of findings that are notes."""
        return self._count(Severity.NOTE)

    @property
    def doubts(self) -> int:
        """The number of findings that are warnings, without notes."""
        return self._count(Severity.WARNING)

    def _count(self, severity: Severity) -> int:
        return sum(fault.severity is severity for entries in self.findings.values() for fault, _ in entries)

    def to_dict(self) -> dict[str, Any]:
        """Convert the report to plain data: the findings of each file, and their counts."""
        return {
            "errors": self.errors,
            "warnings": self.doubts,
            "files": [
                {
                    "file": file,
                    "findings": [
                        {
                            "check": fault.check,
                            "severity": SEVERITIES[fault.severity],
                            "where": finding.where,
                            "problem": finding.problem,
                            "line": finding.line,
                            "column": finding.column,
                        }
                        for fault, finding in entries
                    ],
                }
                for file, entries in self.findings.items()
            ],
        }

    def sarif(self, release: str, address: Callable[[str], str]) -> str:
        """Write the report as SARIF 2.1.0, with what GitHub also requires: a line everywhere, and words for each check.

        Args:
            release: the version of this program.
            address: returns the URI of a file, relative to the repository if it is inside.
        """
        ids = list(CHECKS)
        driver = {
            "name": "fivefold",
            "version": release,
            "rules": [
                {"id": name, **{word: {"text": words} for word in ("shortDescription", "fullDescription", "help")}}
                for name, words in CHECKS.items()
            ],
        }
        results = [_result(address(file), *each, ids) for file, entries in self.findings.items() for each in entries]
        run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
        log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
        return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _result(uri: str, fault: Diagnostic, finding: Finding, ids: Sequence[str]) -> dict[str, Any]:
    column = {} if finding.column is None or finding.line is None else {"startColumn": finding.column}
    region = {"startLine": finding.line or 1, **column}  # code hosts show nothing without a line
    place = {"artifactLocation": {"uri": uri}, "region": region}
    return {
        "ruleId": fault.check,
        "ruleIndex": ids.index(fault.check),
        "level": SEVERITIES[fault.severity],
        "message": {"text": f"{finding.where}: {finding.problem}"},
        "locations": [{"physicalLocation": place, "logicalLocations": [{"fullyQualifiedName": finding.where}]}],
    }


FORM = 1
"""The version of the JSON's form; it changes with forms that earlier readers cannot read."""


class Reportable(Protocol):
    """A result that converts itself into plain data: a backtest, a validation or a proposal."""

    def to_dict(self) -> dict[str, Any]:
        """Convert the result to plain data."""
        ...


def report_json(kind: str, result: Reportable) -> str:
    """Write a result as JSON, with its kind and the version of its form."""
    content = {"kind": kind, "form": FORM, **result.to_dict()}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
