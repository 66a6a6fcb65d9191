"""`fivefold rules test`: examples and coverage."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tqdm import tqdm

from fivefold.cli import lint
from tests.cli.rules.test_assess import RULES
from tests.cli.running import refuse, run, succeed

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
    assert out.count("passed  ") == 18


def test_changes_that_no_example_notices_are_told_with_their_line_and_an_example(tmp_path: Path) -> None:
    path = written(tmp_path, RULES + EXAMPLES)
    done = run(tmp_path, "rules", "test", path, "--mutate")
    assert done.code == 1
    line = next(number for number, text in enumerate(path.read_text().splitlines(), 1) if "at_least" in text)
    assert f"{path}:{line}: rule cash, case 1, when: at_least 100.3 → above 100.3: no example notices" in done.out
    assert "country = IR, where the total is expected" in done.out


def test_enough_that_is_noticed_passes(tmp_path: Path) -> None:
    path = written(tmp_path, RULES + EXAMPLES)
    found = json.loads(succeed(tmp_path, "rules", "test", path, "--mutate", "--least", 10, "--format", "json"))
    assert found["kind"] == "mutations"
    assert found["counts"]["unnoticed"] + found["counts"]["noticed"] + found["counts"]["no effect"] == len(
        found["changes"]
    )
    assert found["noticed_percent"] < 100


def test_a_terminal_shows_how_many_changes_there_are_how_long_they_may_take_and_how_far_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lint, "tqdm", lambda **options: tqdm(**options | {"disable": False, "mininterval": 0}))
    path = written(tmp_path, RULES + EXAMPLES)
    done = run(tmp_path, "rules", "test", path, "--mutate", "--seconds", 200, "--format", "json")
    many = len(json.loads(done.out)["changes"])
    assert f"{many} changes by one step; none begins after 200 seconds" in done.err
    assert f" {many}/{many} " in done.err


def test_what_is_noticed_does_not_stand_in_for_what_is_not_covered(tmp_path: Path) -> None:
    path = written(tmp_path, RULES + EXAMPLES.split("  - {name: cash", maxsplit=1)[0])
    asked = ("rules", "test", path, "--mutate", "--least", 0)
    done = run(tmp_path, *asked)
    assert done.code == 1
    assert "not covered: rule cash, case 1" in done.out
    assert "changes by one step" in done.out
    assert done.out.splitlines()[-1] == "FAILED: the examples cover too little"
    done = run(tmp_path, *asked, "--format", "json")
    assert (done.code, json.loads(done.out)["not_covered"][0]) == (1, "rule cash, case 1")


def test_examples_that_fail_are_told_before_anything_is_changed(tmp_path: Path) -> None:
    path = written(tmp_path, RULES + EXAMPLES.replace("total: 20", "total: 25"))
    done = run(tmp_path, "rules", "test", path, "--mutate")
    assert done.code == 1
    assert "total is 20, not 25" in done.out
    assert "no example notices" not in done.out


def test_changes_are_no_test_cases(tmp_path: Path) -> None:
    refuse(tmp_path, "rules", "test", "session-verification", "--mutate", "--format", "junit")


@pytest.mark.parametrize("wrong", [False, True])
def test_build_servers_read_the_results(tmp_path: Path, wrong: bool) -> None:
    text = RULES + (EXAMPLES.replace("total: 20", "total: 25") if wrong else EXAMPLES)
    done = run(tmp_path, "rules", "test", written(tmp_path, text), "--format", "junit")
    suite = ET.fromstring(done.out)[0]
    assert (done.code, suite.get("tests"), suite.get("failures")) == ((1, "3", "1") if wrong else (0, "3", "0"))
    assert [case.get("name") for case in suite] == ["iran", "cash", "coverage"]
    failed = {case.get("name"): failure.get("message") for case in suite for failure in case}
    assert failed == ({"cash": "total is 20, not 25"} if wrong else {})


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [("applies_to:", "applies_to: [", "YAML: "), ("{field: country}", "{field: countri}", "perhaps country was meant")],
)
def test_programs_read_why_a_ruleset_cannot_be_used(tmp_path: Path, before: str, after: str, problem: str) -> None:
    assert before in RULES
    path = written(tmp_path, RULES.replace(before, after, 1) + EXAMPLES)
    done = run(tmp_path, "rules", "test", path, "--format", "junit")
    suite = ET.fromstring(done.out)[0]
    assert (done.code, suite.get("tests"), suite.get("failures"), suite.get("errors")) == (2, "1", "0", "1")
    (error,) = suite.findall("testcase[@name='ruleset']/error")
    assert problem in str(error.get("message"))
    assert problem in done.err
    done = run(tmp_path, "rules", "test", path, "--format", "json")
    content = json.loads(done.out)
    assert (done.code, content["passed"]) == (2, False)
    assert problem in f"{content['errors'][0]['where']}: {content['errors'][0]['problem']}"


def test_programs_read_which_file_is_not_there(tmp_path: Path) -> None:
    for arguments in (("nothere.yaml",), (written(tmp_path, RULES + EXAMPLES), "--lists", tmp_path / "nowhere")):
        done = run(tmp_path, "rules", "test", *arguments, "--format", "junit")
        assert (done.code, ET.fromstring(done.out)[0].get("errors")) == (2, "1")
        done = run(tmp_path, "rules", "test", *arguments, "--format", "json")
        assert (done.code, json.loads(done.out)["passed"]) == (2, False)
        assert json.loads(done.out)["errors"][0]["problem"] in done.err


def test_programs_read_the_results(tmp_path: Path) -> None:
    path = written(tmp_path, RULES + EXAMPLES)
    found = json.loads(succeed(tmp_path, "rules", "test", path, "--format", "json"))
    assert [example["passed"] for example in found["examples"]] == [True, True]
    assert (found["passed"], found["not_covered"]) == (True, [])


@pytest.mark.parametrize("option", ["--least", "--seconds"])
def test_what_is_about_changes_is_refused_without_them(tmp_path: Path, option: str) -> None:
    assert "--mutate" in refuse(tmp_path, "rules", "test", "session-verification", option, 50)
