"""The results of a ruleset's examples for machines: plain data, and JUnit's XML, which build servers read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from fivefold.domain.errors import Finding
from fivefold.risk.governance.examples.run import ExampleResult, ExampleResults
from fivefold.risk.governance.mutation.run import Mutations
from fivefold.risk.language.ruleset import Ruleset


@dataclass(frozen=True)
class ExamplesReport:
    """The results of a ruleset's examples.

    Attributes:
        ruleset: the ruleset, with its examples.
        results: the results of the examples.
    """

    ruleset: Ruleset
    results: ExampleResults

    @property
    def failed(self) -> int:
        """The number of examples whose results differ from the expectation."""
        return sum(bool(result.differences) for result in self.results.results)

    @property
    def passed(self) -> bool:
        """Whether all examples give the expected results, and cover enough rules and cases."""
        return self.results.passed(self.ruleset)

    @property
    def coverage(self) -> dict[str, Any]:
        """The coverage of examples, as plain data."""
        return {
            "rules_percent": round(float(self.results.rule_share), 1),
            "cases_percent": round(float(self.results.case_share), 1),
            "not_covered": self.results.missing(),
        }

    def to_dict(self) -> dict[str, Any]:
        """Convert the report to plain data."""
        return {
            "ruleset": self.ruleset.name,
            "content_hash": self.ruleset.content_hash,
            "passed": self.passed,
            "examples": [
                {
                    "name": result.name,
                    "passed": not result.differences,
                    "differences": list(result.differences),
                    "line": result.explanation.line,
                }
                for result in self.results.results
            ],
            **self.coverage,
        }

    def junit(self) -> str:
        """Write the report as JUnit's XML: a test case for each example, and one for the coverage."""
        missed = _missed(self)
        root, suite = _suite(
            self.ruleset.name, tests=len(self.results.results) + 1, failures=self.failed + bool(missed)
        )
        for result in self.results.results:
            _example(suite, self.ruleset.name, result)
        coverage = ET.SubElement(suite, "testcase", {"classname": self.ruleset.name, "name": "coverage", "time": "0"})
        if missed:
            failure = ET.SubElement(coverage, "failure", {"message": _plain(missed), "type": "coverage"})
            failure.text = _plain("\n".join(f"not covered: {place}" for place in self.results.missing()))
        return _written(root)


@dataclass(frozen=True)
class MutationsReport:
    """The changes that examples notice or miss, and the examples' coverage.

    Attributes:
        tried: the changes.
        examples: the results before any change.
    """

    tried: Mutations
    examples: ExamplesReport

    def to_dict(self) -> dict[str, Any]:
        """Convert the report to plain data."""
        return {**self.tried.to_dict(), **self.examples.coverage}


@dataclass(frozen=True)
class UnusableRulesetReport:
    """The faults of a ruleset, for which its examples were not run.

    Attributes:
        source: the ruleset's file.
        findings: the faults.
    """

    source: str
    findings: Sequence[Finding]

    def to_dict(self) -> dict[str, Any]:
        """Convert the report to plain data."""
        words = ("where", "problem", "line", "column")
        errors = [{word: getattr(finding, word) for word in words} for finding in self.findings]
        return {"ruleset": self.source, "passed": False, "errors": errors}

    def junit(self) -> str:
        """Write the report as JUnit's XML: one test case with an error, which has a line for each finding."""
        root, suite = _suite(self.source, tests=1, errors=1)
        case = ET.SubElement(suite, "testcase", {"classname": _plain(self.source), "name": "ruleset", "time": "0"})
        lines = [_plain(str(finding)) for finding in self.findings]
        ET.SubElement(case, "error", {"message": "; ".join(lines), "type": "ruleset"}).text = "\n".join(lines)
        return _written(root)


def _suite(name: str, *, tests: int, failures: int = 0, errors: int = 0) -> tuple[ET.Element, ET.Element]:
    """Begin a document with one suite of tests; return both."""
    counts = {"tests": str(tests), "failures": str(failures), "errors": str(errors)}
    root = ET.Element("testsuites", counts)
    return root, ET.SubElement(root, "testsuite", {"name": _plain(name), **counts, "skipped": "0", "time": "0"})


def _written(root: ET.Element) -> str:
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _example(suite: ET.Element, ruleset: str, result: ExampleResult) -> None:
    named = {"classname": f"{ruleset}.examples", "name": _plain(result.name), "time": "0"}
    case = ET.SubElement(suite, "testcase", named)
    if result.differences:
        message = _plain("; ".join(result.differences))
        failure = ET.SubElement(case, "failure", {"message": message, "type": "difference"})
        failure.text = _plain("\n".join([*result.differences, result.explanation.line]))


def _missed(report: ExamplesReport) -> str:
    """Write which coverage is too low; empty if it is enough."""
    coverage, results = report.ruleset.coverage, report.results
    shares = (("rules", results.rule_share, coverage.rules), ("cases", results.case_share, coverage.cases))
    return "; ".join(f"{share:.1f} % of {what}, at least {least} %" for what, share, least in shares if share < least)


def _plain(text: str) -> str:
    """Remove the characters that XML 1.0 cannot contain."""
    return "".join(letter for letter in text if letter in "\t\n" or (letter >= " " and letter not in "\ufffe\uffff"))
