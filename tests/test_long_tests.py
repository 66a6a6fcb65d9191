"""The list of what `make test` leaves to CI is of tests that there are, and of none that always run."""

from pathlib import Path

from tests.long_tests import ALWAYS, long_tests, longest

REPORT = """<testsuites><testsuite name="pytest">
<testcase classname="tests.usecases.test_a" name="test_one[a.b]" time="1.0"/>
<testcase classname="tests.usecases.test_a" name="test_one[c]" time="1.0"/>
<testcase classname="tests.usecases.test_a" name="test_two" time="1.9"/>
<testcase classname="tests.usecases.test_c.TestClocks" name="test_four[b]" time="2.5"/>
<testcase classname="tests.browser.test_b" name="test_three" time="9.0"/>
</testsuite></testsuites>"""


def test_each_is_there() -> None:
    for name in long_tests():
        file, *_, function = name.split("::")
        assert f"def {function}(" in Path(file).read_text(), f"{name} is gone; take it out of tests/long_tests.txt"


def test_none_is_of_what_always_runs() -> None:
    assert [name for name in long_tests() if ALWAYS.match(name)] == []


def test_a_function_is_as_long_as_its_cases_together(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    assert longest(report, 2.0) == [
        "tests/usecases/test_a.py::test_one",
        "tests/usecases/test_c.py::TestClocks::test_four",
    ]
