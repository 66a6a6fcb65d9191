"""`fivefold rules`: its commands and options; `lint`, `diff` and `schema`, as a person at the terminal meets them."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from fivefold import cli
from fivefold.cli.rules.app import RULES
from fivefold.cli.rules.options import PartOptions, ValueOptions, portfolio_files
from fivefold.domain.clock import parse_moment
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.schema import schema_json
from fivefold.usecases.portfolio_files.portfolio import read_portfolio
from tests.cli.rules_files import made
from tests.cli.running import AS_OF, Home, refuse, run, succeed
from tests.risk.governance.linted import changed, clean
from tests.risk.governance.making import TEXT

LIST = "{list: grey, title: Grey, source: us, versions: [{since: 2024-01-01, members: [IR, KP, XA]}]}"


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "grey.yaml").write_text(LIST)
    return folder


def written(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_what_ships_is_found_clean(tmp_path: Path) -> None:
    names = ("fatf-retail", "eu-bank-weighted", "session-verification")
    assert succeed(tmp_path, "rules", "lint", *names) == "3 files: no errors or warnings\n"


def test_errors_are_told_with_file_and_line_and_end_with_1(tmp_path: Path, lists: Path) -> None:
    text = changed("clean-points", "{at_least: 10000}, points: 10", "{at_least: 60000}, points: 10")
    path = written(tmp_path, text.replace("points: 25, floor: medium", "points: 25, floor: mid"))
    done = run(tmp_path, "rules", "lint", path, "--lists", lists)
    assert (done.code, done.err) == (1, "")
    warning, error, summary = done.out.splitlines()
    assert warning == f"{path}:40: warning: rule cash, case 2: is never reached: case 1 holds whenever it does"
    assert error.startswith(f"{path}:49: error: rule structuring, case 2, floor: there is no level mid; there are low,")
    assert summary == "1 file: 1 error, 1 warning"


def test_warnings_alone_end_well(tmp_path: Path, lists: Path) -> None:
    path = written(tmp_path, changed("clean-points", "rationale: Our appetite statement.\n", ""))
    out = succeed(tmp_path, "rules", "lint", path, "--lists", lists)
    assert out.splitlines() == [
        f"{path}:1: warning: ruleset: has no written rationale",
        "1 file: 0 errors, 1 warning",
    ]


def test_what_could_not_be_decided_is_told_when_asked(tmp_path: Path, lists: Path) -> None:
    text = changed("clean-weighted", "- {use: retail}", "- {when: {field: kind, equals: person}, use: retail}")
    path = written(tmp_path, text)
    assert "no errors or warnings" in succeed(tmp_path, "rules", "lint", path, "--lists", lists)
    assert "fails, visibly" in succeed(tmp_path, "rules", "lint", path, "--lists", lists, "--all")


def test_what_cannot_be_read_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "ruleset: a\nruleset: b\n")
    done = run(tmp_path, "rules", "lint", path)
    assert (done.code, done.out.splitlines()[0]) == (1, f"{path}:2: error: YAML: ruleset appears twice")


def test_a_list_that_is_missing_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path, clean("clean-points"))
    done = run(tmp_path, "rules", "lint", path)
    assert done.code == 1
    assert f"{path}:28: error: rule residence, case 1, when, in_list: names the list grey, which is missing" in done.out


def test_what_is_no_file_is_an_error_beside_those_of_other_files(tmp_path: Path) -> None:
    path, missing = written(tmp_path, "ruleset: a\nruleset: b\n"), tmp_path / "nothing.yaml"
    done = run(tmp_path, "rules", "lint", missing, path)
    assert done.code == 1
    assert f"{missing}: error: the file: {missing} is neither a file nor a bundled ruleset" in done.out
    assert f"{path}:2: error: YAML: ruleset appears twice" in done.out
    code, log = sarif(tmp_path, missing, path)
    uris = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in log["runs"][0]["results"]]
    assert (code, uris) == (1, [missing.as_uri(), path.as_uri()])
    for word in ("flow", "group"):
        done = run(tmp_path, f"{word}s", "lint", missing, path)
        assert (done.code, done.out.splitlines()[-1]) == (1, f"2 {word}s: 2 errors, 0 warnings")


def test_lists_that_cannot_be_read_are_refused(tmp_path: Path, lists: Path) -> None:
    assert "must be a folder" in refuse(tmp_path, "rules", "lint", "fatf-retail", "--lists", lists / "grey.yaml")
    (lists / "bad.yaml").write_text("list: bad")
    assert "bad.yaml" in refuse(tmp_path, "rules", "lint", "fatf-retail", "--lists", lists)


def test_a_policy_is_looked_at_as_one(tmp_path: Path, lists: Path) -> None:
    rule = "{id: r, title: R, rationale: So., when: {level: in_force, equals: hihg}, action: hold}"
    whole = f"""policy: cash
rationale: Because.
entity_type: customer
levels: [low, medium, high]
actions: [allow, hold, stop]
wins: first
rules: [{rule}]
otherwise: allow
"""
    path = written(tmp_path, whole)
    done = run(tmp_path, "rules", "lint", path, "--lists", lists)
    assert (done.code, done.out.splitlines()[-1]) == (1, "1 file: 1 error, 1 warning")
    assert "perhaps high was meant" in done.out
    path = written(tmp_path, whole.replace("hihg", "high"))
    assert "stop is never given" in succeed(tmp_path, "rules", "lint", path, "--lists", lists)
    path = written(tmp_path, whole.replace("hihg", "high").replace(", stop", ""))
    assert succeed(tmp_path, "rules", "lint", path, "--lists", lists) == "1 file: no errors or warnings\n"


DOUBTFUL = ("{at_least: 10000}, points: 10", "{at_least: 60000}, points: 10")


def test_a_doubt_ends_with_1_where_that_is_asked_for(tmp_path: Path, lists: Path) -> None:
    path = written(tmp_path, changed("clean-points", *DOUBTFUL))
    assert run(tmp_path, "rules", "lint", path, "--lists", lists).code == 0
    assert run(tmp_path, "rules", "lint", path, "--lists", lists, "--strict").code == 1
    assert run(tmp_path, "rules", "lint", "eu-bank-weighted", "--strict", "--all").code == 0  # a note is no doubt


def test_programs_read_what_was_found(tmp_path: Path, lists: Path) -> None:
    path = written(tmp_path, changed("clean-points", *DOUBTFUL))
    found = json.loads(succeed(tmp_path, "rules", "lint", path, "--lists", lists, "--format", "json"))
    assert (found["kind"], found["errors"], found["warnings"]) == ("lint", 0, 1)
    (finding,) = found["files"][0]["findings"]
    assert (finding["check"], finding["severity"], finding["line"]) == ("reach", "warning", 40)


def sarif(tmp_path: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    done = run(tmp_path, "rules", "lint", *arguments, "--format", "sarif")
    return done.code, json.loads(done.out)


def test_code_hosts_read_what_was_found(tmp_path: Path, lists: Path) -> None:
    wrong = written(tmp_path, changed("clean-points", *DOUBTFUL).replace("floor: medium", "floor: mid"), "a b.yaml")
    code, log = sarif(tmp_path, wrong, "eu-bank-weighted", "--all", "--lists", lists)
    (found,) = log["runs"]
    rules = [rule["id"] for rule in found["tool"]["driver"]["rules"]]
    assert (code, log["version"]) == (1, "2.1.0")
    assert {result["level"] for result in found["results"]} == {"error", "warning", "note"}
    for result in found["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        (place,) = result["locations"]
        assert place["physicalLocation"]["region"]["startLine"] > 0
    for rule in found["tool"]["driver"]["rules"]:
        assert all(rule[words]["text"] for words in ("shortDescription", "fullDescription", "help"))
    assert address_of(found["results"][0]) == wrong.as_uri()


def address_of(result: dict[str, Any]) -> str:
    return str(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])


def test_a_file_below_the_present_folder_is_named_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = tmp_path / "a b"
    below.mkdir()
    wrong = written(below, "- a")
    monkeypatch.chdir(below)
    for named in (wrong, "mine.yaml", "../a b/mine.yaml"):
        _, log = sarif(tmp_path / "var", named)
        assert address_of(log["runs"][0]["results"][0]) == "mine.yaml"
    monkeypatch.chdir(tmp_path)
    _, log = sarif(tmp_path / "var", wrong)
    assert address_of(log["runs"][0]["results"][0]) == "a%20b/mine.yaml"


@pytest.mark.parametrize("format_", ["text", "json", "sarif"])
def test_what_is_no_text_is_found_beside_the_others(tmp_path: Path, format_: str) -> None:
    latin, wide = tmp_path / "latin.yaml", tmp_path / "wide.yaml"
    latin.write_bytes("ruleset: a\n# für\n".encode("latin-1"))
    wide.write_bytes("ruleset: a\n".encode("utf-16"))
    done = run(tmp_path, "rules", "lint", latin, wide, written(tmp_path, "rulset: a\n"), "--format", format_)
    assert (done.code, done.err) == (1, "")
    assert all(words in done.out for words in ("not text in UTF-8", "UTF-16", "perhaps ruleset was meant"))
    if format_ == "text":
        assert done.out.startswith(f"{latin}:2: error: ")


def test_a_text_that_is_no_ruleset_is_found_by_code_hosts_too(tmp_path: Path) -> None:
    code, log = sarif(tmp_path, written(tmp_path, "ruleset: [\n"))
    (result,) = log["runs"][0]["results"]
    assert (code, result["ruleId"], result["level"]) == (1, "language", "error")
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == 1


def test_the_schema_is_printed(tmp_path: Path) -> None:
    assert succeed(tmp_path, "rules", "schema") == schema_json()
    assert succeed(tmp_path, "rules", "schema", "--policy") == schema_json(Policy)


@pytest.fixture
def drafts(tmp_path: Path) -> Path:
    return made(tmp_path)


def test_what_differs_is_said_line_by_line(drafts: Path) -> None:
    told = succeed(drafts, "rules", "diff", drafts / "now.yaml", drafts / "draft.yaml")
    assert told == "score, points, thresholds: 20, 40, 60 → 25, 50, 60\n"


def test_the_same_content_says_so(drafts: Path) -> None:
    (drafts / "same.yaml").write_text((drafts / "now.yaml").read_text() + "# no difference\n")
    told = succeed(drafts, "rules", "diff", drafts / "now.yaml", drafts / "same.yaml")
    assert told.startswith("The same content: ")


def test_it_is_json_where_that_is_wanted(drafts: Path) -> None:
    told = succeed(drafts, "rules", "diff", drafts / "now.yaml", "fatf-retail", "--json", drafts / "d.json")
    plain = json.loads((drafts / "d.json").read_text(encoding="utf-8"))
    assert len(told.splitlines()) == len(plain["changes"]) + 1
    assert (plain["kind"], plain["same"], plain["after"]) == ("diff", False, "fatf-retail")
    assert len(plain["changes"]) > 10


def test_what_is_no_ruleset_is_refused(drafts: Path) -> None:
    assert "neither a file nor a bundled ruleset" in refuse(drafts, "rules", "diff", drafts / "now.yaml", "nothing")


def test_help_lists_every_command(tmp_path: Path) -> None:
    listed = succeed(tmp_path, "rules", "--help").partition("Commands:")[2]
    commands = re.findall(r"^  ([a-z-]+)  ", listed, re.MULTILINE)
    folder = Path(cli.rules.__file__).parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")]
    functions = {
        function.name
        for tree in trees
        if (ast.get_docstring(tree) or "").startswith("`fivefold rules ")
        for function in tree.body
        if isinstance(function, ast.FunctionDef) and not function.name.startswith("_")
    }
    groups = [RULES, *(each.typer_instance for each in RULES.registered_groups)]
    assert functions == {each.callback.__name__ for group in groups for each in group.registered_commands}
    assert commands == [*(each.name for each in RULES.registered_commands), "table"]
    assert {"lint", "schema"} <= set(commands)


def test_a_portfolio_has_what_any_of_its_rulesets_reads(home: Home, tmp_path: Path) -> None:
    people, value = tmp_path / "people.csv", ValueOptions()
    people.write_text("entity_id,kind,country,income\nuser_000001,person,XC,5\n")
    with_indicator = TEXT.replace("input: {field: income}", "input: {indicator: account_age_days}")
    own, reads = analyse_text(TEXT), analyse_text(with_indicator)
    for rulesets in ([own, reads], [reads, own]):
        files = portfolio_files(people, PartOptions(transactions=home.rows), value)
        portfolio = read_portfolio(files, rulesets, parse_moment(AS_OF))
        assert portfolio.indicators is not None
        assert portfolio.values is None
    alone = portfolio_files(people, PartOptions(), value)
    assert read_portfolio(alone, [own], parse_moment(AS_OF)).indicators is None
