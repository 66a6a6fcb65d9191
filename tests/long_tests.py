"""The tests that take longest: CI runs them, `make test` does not.

They are more than two thirds of the time and a fifth of the functions. The list is made anew from a report of all
tests, with how long each took by itself:

    make test COVERAGE=1 PYTEST_ADDOPTS="-o junit_duration_report=call --junitxml=report.xml"
    .venv/bin/python -m tests.long_tests report.xml 0.4
"""

import re
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

LIST = Path(__file__).with_suffix(".txt")
ALWAYS = re.compile(
    "tests/(browser/|features/|test_|serving/v4/|serving/test_process_|training/test_on_engine"
    "|usecases/test_platform_machine|usecases/flows/live/test_flow_machine)"
)
"""What `make test` runs however long it takes: the indicators, the service's own process, pages, Spark, and the
machines that try stories."""


def long_tests() -> frozenset[str]:
    """Read the list: a file and a function, with all of its cases."""
    return frozenset(LIST.read_text().split())


def without_cases(nodeid: str) -> str:
    """Name a test without the case that it is run for.

    >>> without_cases("tests/test_docs.py::test_links[a::b]")
    'tests/test_docs.py::test_links'
    """
    return nodeid.partition("[")[0]


def longest(report: Path, seconds: float) -> list[str]:
    """List the functions of a report whose cases took so many seconds together, but for what always runs."""
    took: Counter[str] = Counter()
    for case in ET.parse(report).iter("testcase"):
        module, _, group = re.sub(r"\.(?=Test[A-Z])", "::", str(case.get("classname"))).partition("::")
        place = "::".join([f"{module.replace('.', '/')}.py", *filter(None, [group]), str(case.get("name"))])
        took[without_cases(place)] += float(case.get("time") or 0)
    functions = (name for name, sum_seconds in took.items() if sum_seconds >= seconds and name.startswith("tests/"))
    return sorted(name for name in functions if not ALWAYS.match(name))


if __name__ == "__main__":
    LIST.write_text("".join(f"{name}\n" for name in longest(Path(sys.argv[1]), float(sys.argv[2]))))
