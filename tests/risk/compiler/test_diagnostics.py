"""Faults, written for people."""

from fivefold.risk.compiler.diagnostics import Diagnostic, Severity, findings
from fivefold.risk.language.documents import Document
from tests.risk.compiler.rulesets_made import made


def test_faults_are_written_in_the_order_of_the_file() -> None:
    document = Document("ruleset: made\nlevels: [a]\nrules:\n  - id: one\n    title: T\n")
    faults = [Diagnostic(("rules", 0, "title"), "is odd", Severity.WARNING), Diagnostic(("levels", 0), "is wrong")]
    found = findings([*faults, faults[0]], made(), document)
    assert [str(finding) for finding in found] == ["line 2: level 1: is wrong", "line 5: rule one, title: is odd"]
    assert [finding.fatal for finding in found] == [True, False]
    assert [str(finding) for finding in findings(faults, made())] == ["rule one, title: is odd", "level 1: is wrong"]
