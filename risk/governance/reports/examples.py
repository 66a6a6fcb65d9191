"""What a ruleset's examples came to, for machines: plain data, and JUnit's XML, which build servers read."""

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from fivefold.risk.governance.examples.run import ExampleResult, ExampleResults
from fivefold.risk.language.ruleset import Ruleset


@dataclass(frozen=True)
class ExamplesReport:
    """The results of a ruleset's examples.

    Attributes:
        ruleset: with its examples.
        results: of them.
    """

    ruleset: Ruleset
    results: ExampleResults

    @property
    def failed(self) -> int:
        """How many examples come out otherwise than expected."""
        return sum(bool(result.differences) for result in self.results.results)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {
            "ruleset": self.ruleset.name,
            "content_hash": self.ruleset.content_hash,
            "passed": self.results.passed(self.ruleset),
            "examples": [
                {
                    "name": result.name,
                    "passed": not result.differences,
                    "differences": list(result.differences),
                    "line": result.explanation.line,
                }
                for result in self.results.results
            ],
            "rules_percent": round(float(self.results.rule_share), 1),
            "cases_percent": round(float(self.results.case_share), 1),
            "not_covered": self.results.missing(),
        }

    def junit(self) -> str:
        """Write it as JUnit's XML: a test case for each example, and one for the coverage."""
        missed = _missed(self)
        count, failures = len(self.results.results) + 1, self.failed + bool(missed)
        counts = {"tests": str(count), "failures": str(failures), "errors": "0"}
        root = ET.Element("testsuites", counts)
        suite = ET.SubElement(root, "testsuite", {"name": self.ruleset.name, **counts, "skipped": "0", "time": "0"})
        for result in self.results.results:
            _example(suite, self.ruleset.name, result)
        coverage = ET.SubElement(suite, "testcase", {"classname": self.ruleset.name, "name": "coverage", "time": "0"})
        if missed:
            failure = ET.SubElement(coverage, "failure", {"message": _plain(missed), "type": "coverage"})
            failure.text = _plain("\n".join(f"not covered: {place}" for place in self.results.missing()))
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
    """Say which coverage is too little; empty where it is enough."""
    coverage, results = report.ruleset.coverage, report.results
    shares = (("rules", results.rule_share, coverage.rules), ("cases", results.case_share, coverage.cases))
    return "; ".join(f"{share:.1f} % of {what}, at least {least} %" for what, share, least in shares if share < least)


def _plain(text: str) -> str:
    """Leave out the characters that XML 1.0 cannot hold."""
    return "".join(letter for letter in text if letter in "\t\n" or (letter >= " " and letter not in "\ufffe\uffff"))
