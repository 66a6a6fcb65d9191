"""`fivefold rules test`: examples and coverage."""

from pathlib import Path

from tests.cli.rules.test_assess import RULES
from tests.cli.running import run, succeed

EXAMPLES = """
examples:
  - {name: iran, given: {kind: person, country: IR}, expect: {level: high, floor_by: country}}
  - {name: cash, given: {kind: person, country: DE, transactions: [{amount: -200, time: 2024-06-30, operation: cash}]},
     as_of: 2024-07-01, expect: {level: medium, total: 20}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "rules.yaml"
    path.write_text(text)
    return path


def test_examples_that_come_out_pass(tmp_path: Path) -> None:
    out = succeed(tmp_path, "rules", "test", written(tmp_path, RULES + EXAMPLES))
    assert out.splitlines()[0] == "2 examples, 0 failed"


def test_an_example_that_comes_out_otherwise_is_shown_with_its_arithmetic(tmp_path: Path) -> None:
    done = run(tmp_path, "rules", "test", written(tmp_path, RULES + EXAMPLES.replace("total: 20", "total: 25")))
    assert done.code == 1
    assert "FAILED  cash" in done.out
    assert "Score 20: Cash 20; Medium" in done.out
    assert "total is 20, not 25" in done.out


def test_too_little_coverage_fails_and_names_what_is_not_reached(tmp_path: Path) -> None:
    done = run(tmp_path, "rules", "test", written(tmp_path, RULES + EXAMPLES.split("  - {name: cash", maxsplit=1)[0]))
    assert done.code == 1
    assert "not covered: rule cash, case 1" in done.out


def test_all_arithmetic_is_shown_when_asked(tmp_path: Path) -> None:
    out = succeed(tmp_path, "rules", "test", "session-verification", "--verbose")
    assert out.count("passed  ") == 14
