"""`fivefold rules backtest`, `validate` and proposals with several rulesets side by side; files of one run."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.cli.rules_files import AS_OF, made
from tests.cli.running import cells, refuse, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """People and their ruleset, a draft of it, and a ruleset for companies with a draft: every company is high."""
    made(tmp_path)
    text = (tmp_path / "now.yaml").read_text().replace("ruleset: retail", "ruleset: companies")
    companies = text.replace("equals: person", "equals: company")
    (tmp_path / "companies.yaml").write_text(companies)
    (tmp_path / "companies-draft.yaml").write_text(companies.replace("points: -5", "points: 45"))
    return tmp_path


def backtested(folder: Path, *more: object) -> dict[str, Any]:
    files = ("--data", folder / "people.parquet", *AS_OF, "--json", folder / "b.json")
    done = run(folder, "rules", "backtest", *more, *files, columns=250)
    assert done.code == 0, done
    plain: dict[str, Any] = json.loads((folder / "b.json").read_text())
    return plain | {"out": done.out, "err": done.err}


def validated(folder: Path, *more: object, resamples: int = 100) -> dict[str, Any]:
    files = ("--data", folder / "people.parquet", "--labels", folder / "labels.csv", "--json", folder / "v.json")
    done = run(folder, "rules", "validate", *more, *files, *AS_OF, "--resamples", resamples, columns=250)
    assert done.code == 0, done
    plain: dict[str, Any] = json.loads((folder / "v.json").read_text())
    return plain | {"out": done.out, "err": done.err}


def moves(cell_list: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    return {(cell["before"], cell["after"]): cell["entities"] for cell in cell_list}


def test_a_draft_moves_those_of_its_own_family_alone(folder: Path) -> None:
    now, draft, beside = folder / "now.yaml", folder / "draft.yaml", ("--then", folder / "companies.yaml")
    both = backtested(folder, now, draft, *beside, "--entered", "2024-06-20", "--html", folder / "b.html")
    alone = backtested(folder, now, draft, "--entered", "2024-06-20")
    assert moves(both["deciders"]) == {("retail", "retail"): 540, ("companies", "companies"): 60}
    for which in ("alone", "later"):
        people = moves(alone[which])
        assert people.pop(("(not applicable)", "(not applicable)")) == 60
        people["low", "low"] += 60
        assert moves(both[which]) == people
    assert [family["entities"] for family in both["draft"]] == [540, 60]
    rows = {row[0]: row[1:] for row in cells(both["out"], "Who would be where")}
    assert rows["medium"] == ["60 (10.0 %)", "60 (10.0 %)", "60 (10.0 %)"]
    assert [mover["reasons"] for mover in both["movers"]] == [mover["reasons"] for mover in alone["movers"]]
    assert "What every rule and case of companies comes to" in (folder / "b.html").read_text()


def test_a_draft_of_a_later_family_stands_where_its_ruleset_stood(folder: Path) -> None:
    rulesets = (folder / "companies.yaml", folder / "companies-draft.yaml", "--first", folder / "now.yaml")
    found = backtested(folder, *rulesets)
    assert [family["family"] for family in found["draft"]] == ["retail", "companies"]
    assert moves(found["alone"])["low", "high"] == 60
    assert found["later"] is None
    assert {mover["decided_after"] for mover in found["movers"]} == {"companies"}
    assert found["movers"][0]["reasons"] == ["income: \N{MINUS SIGN}5 → +45"]


def test_a_new_family_takes_over_those_on_whom_nothing_decided(folder: Path) -> None:
    found = backtested(folder, folder / "companies.yaml", "--first", folder / "now.yaml")
    assert moves(found["deciders"]) == {("retail", "retail"): 540, ("(no ruleset)", "companies"): 60}
    assert moves(found["alone"])["(no ruleset)", "low"] == 60


def test_whose_family_is_unknown_stays_with_the_ruleset_that_decided(folder: Path) -> None:
    now, companies = folder / "now.yaml", folder / "companies.yaml"
    people = folder / "people.parquet"
    levels = ("--then", companies, *AS_OF, "-o", folder / "levels.csv")
    assert run(folder, "rules", "assess", now, people, *levels).code == 1  # some cannot be read
    kind = pl.when(pl.col("kind") != "company").then("kind")
    pl.read_parquet(people).with_columns(kind.alias("kind")).write_parquet(people)
    held = backtested(folder, now, folder / "draft.yaml", "--then", companies, "--previous", folder / "levels.csv")
    assert moves(held["deciders"])["companies", "companies"] == 60
    assert held["present_side"]["failed"] == 120, "60 incomes that cannot be read, and 60 of unknown kind"
    unheld = backtested(folder, now, folder / "draft.yaml", "--then", companies)
    assert ("companies", "companies") not in moves(unheld["deciders"])


def test_a_draft_that_decides_on_nobody_is_said_to(folder: Path) -> None:
    nobody = folder / "nobody.yaml"
    nobody.write_text((folder / "now.yaml").read_text().replace("ruleset: retail", "ruleset: nobody"))
    found = backtested(folder, nobody, "--first", folder / "now.yaml")
    assert found["draft"][1]["entities"] == 0
    assert "The draft decides on none of these entities" in found["err"]


def test_each_family_is_validated_on_its_own_and_all_by_level(folder: Path) -> None:
    now, companies = folder / "now.yaml", folder / "companies-draft.yaml"
    both = validated(folder, now, "--then", companies, "--against", folder / "draft.yaml", "--reference", "2024-04-01")
    alone = validated(folder, now)
    people = both["families"][0]["validation"]
    assert people["ranking"] == alone["ranking"]
    assert people["lifts"] == alone["lifts"]
    assert people["population"]["strangers"] == [], "those confirmed of another family are no strangers"
    assert [family["entities"] for family in both["families"]] == [540, 60]
    assert (both["judged"], both["confirmed"], both["undecided"]) == (600, 120, 0)
    assert {row["level"]: row["entities"] for row in both["levels"]}["high"] == 180
    assert both["level_ranking"]["gini"]["estimate"] < alone["level_ranking"]["gini"]["estimate"]
    assert both["other"]["paired"]["difference"]["estimate"] > 0
    assert people["stability"]
    rows = {row[0]: row[1:] for row in cells(both["out"], "How well each ruleset ranks")}
    assert rows["everybody"][:2] == ["600", "120"]
    assert rows["companies"][2] == "not measured", "no company is confirmed"


def test_who_is_confirmed_and_has_no_ruleset_is_named(folder: Path) -> None:
    labels = pl.read_csv(folder / "labels.csv")
    companies = pl.read_parquet(folder / "people.parquet").filter(pl.col("kind") == "company")["entity_id"]
    hit = pl.col("confirmed") | pl.col("entity_id").is_in(companies.implode())
    labels.with_columns(confirmed=hit).write_csv(folder / "labels.csv")
    (folder / "again.yaml").write_text((folder / "now.yaml").read_text().replace("ruleset: retail", "ruleset: again"))
    found = validated(folder, folder / "now.yaml", "--then", folder / "again.yaml")
    assert found["families"][1] == {
        "family": "again", "entities": 0, "validation": None, "unjudged": "it decides on nobody",
    }  # fmt: skip
    assert (found["undecided"], found["undecided_confirmed"], found["confirmed"]) == (60, 60, 120)
    assert "60 confirmed entities to whom no ruleset applies count nowhere" in found["err"]


@pytest.mark.parametrize(("command", "files"), [("backtest", ("now.yaml", "draft.yaml")), ("validate", ("now.yaml",))])
def test_rulesets_of_one_name_cannot_stand_side_by_side(folder: Path, command: str, files: tuple[str, ...]) -> None:
    more = ("--labels", folder / "labels.csv") if command == "validate" else ()
    asked = ("rules", command, *(folder / name for name in files), "--data", folder / "people.parquet", *more, *AS_OF)
    assert "two of the rulesets have the name retail" in refuse(folder, *asked, "--then", folder / "now.yaml")
    other = (folder / "companies.yaml").read_text().replace("critical]", "severe]").replace("floor: high", "floor: low")
    (folder / "other.yaml").write_text(other)
    assert "must have the same" in refuse(folder, *asked, "--then", folder / "other.yaml")


PERSON = "applies_to: {field: kind, equals: person}"
WATCHED = "applies_to: {all: [{field: kind, equals: person}, {field: country, equals: ZA}]}"
LEFT_OUT = "180 entities on whom other rulesets decide are left out: watched 120, companies 60."


@pytest.fixture
def watched(folder: Path) -> Path:
    """A ruleset that decides on the people of one country, who are 120; `rest.parquet` has the people of the others."""
    text = (folder / "now.yaml").read_text().replace("ruleset: retail", "ruleset: watched")
    (folder / "watched.yaml").write_text(text.replace(PERSON, WATCHED))
    people = pl.read_parquet(folder / "people.parquet")
    others = pl.col("country").ne_missing("ZA") & (pl.col("kind") == "person")
    people.filter(others).write_parquet(folder / "rest.parquet")
    return folder


def proposed(folder: Path, command: str, data: str, *more: object) -> dict[str, Any]:
    labels = () if command == "propose-thresholds" else ("--labels", folder / "labels.csv")
    files = ("--data", folder / data, *labels, "--output", folder / "new.yaml", "--json", folder / "p.json")
    options = (*AS_OF, "--resamples", "100", "--replace", *more)
    done = run(folder, "rules", command, folder / "now.yaml", *files, *options)
    assert done.code == 0, done
    plain: dict[str, Any] = json.loads((folder / "p.json").read_text())
    return plain | {"err": done.err, "out": done.out, "draft": (folder / "new.yaml").read_text()}


@pytest.mark.parametrize(
    ("command", "figures"),
    [
        ("propose-thresholds", ("entities", "levels", "cuts", "moved", "moves")),
        ("propose-points", ("learnt_from", "learnt_confirmed", "changes", "cuts", "verdict")),
    ],
)
def test_a_proposal_is_made_from_those_on_whom_the_ruleset_decides(
    watched: Path, monkeypatch: pytest.MonkeyPatch, command: str, figures: tuple[str, ...]
) -> None:
    monkeypatch.setattr("fivefold.risk.governance.thresholds.propose.LEAST_ENTITIES", 100)
    beside = ("--first", watched / "watched.yaml", "--then", watched / "companies.yaml")
    both = proposed(watched, command, "people.parquet", *beside)
    alone = proposed(watched, command, "rest.parquet")
    everyone = proposed(watched, command, "people.parquet")
    assert [both[name] for name in figures] == [alone[name] for name in figures]
    assert [both[name] for name in figures] != [everyone[name] for name in figures]
    assert LEFT_OUT in both["cautions"]
    assert LEFT_OUT in " ".join(f"{both['err']} {both['out']}".split())
    assert not [each for each in everyone["cautions"] if "left out:" in each]


def test_those_to_whom_no_ruleset_applies_are_named_and_one_that_decides_on_nobody_is_refused(
    watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fivefold.risk.governance.thresholds.propose.LEAST_ENTITIES", 100)
    found = proposed(watched, "propose-thresholds", "people.parquet", "--first", watched / "watched.yaml")
    assert "120 entities on whom other rulesets decide are left out: watched 120." in found["cautions"]
    assert "60 entities to whom no ruleset applies are left out." in found["cautions"]
    again = (watched / "now.yaml").read_text().replace("ruleset: retail", "ruleset: before")
    (watched / "before.yaml").write_text(again)
    (watched / "new.yaml").unlink()
    files = ("--data", watched / "people.parquet", "--output", watched / "new.yaml", *AS_OF)
    asked = ("rules", "propose-thresholds", watched / "now.yaml", *files)
    assert "retail decides on nobody beside the other rulesets" in refuse(
        watched, *asked, "--first", watched / "before.yaml"
    )
    assert "two of the rulesets have the name retail" in refuse(watched, *asked, "--then", watched / "now.yaml")
    assert not (watched / "new.yaml").exists()


@pytest.mark.parametrize(
    "fails",
    [
        "usecases.portfolio_files.assess.AssessedFamilies.breakdown_lines",
        "usecases.portfolio_files.assess.AssessedFamilies.failures",
        "cli.value_model.output.write_whole",
    ],
)
def test_a_file_that_cannot_be_written_leaves_the_others_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def run_out(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    made(tmp_path)
    files = [tmp_path / name for name in ("levels.csv", "why.jsonl", "failed.csv")]
    for file in files:
        file.write_text("of the run before")
    options = ("--output", files[0], "--breakdowns", files[1], "--failures", files[2])
    command = ("rules", "assess", tmp_path / "now.yaml", tmp_path / "people.parquet", *AS_OF, *options)
    with monkeypatch.context() as patch:
        patch.setattr(f"fivefold.{fails}", run_out)
        assert "No space left on device" in refuse(tmp_path, *command)
    assert [file.read_text() for file in files] == ["of the run before"] * 3
    assert run(tmp_path, *command).code == 1  # some have an attribute that cannot be read
    assert "of the run before" not in [file.read_text() for file in files]
