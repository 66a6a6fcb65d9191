"""`fivefold rules backtest`."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.cli.rules_files import AS_OF, made
from tests.cli.running import cells, refuse, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path)


def asked(folder: Path, *more: object) -> tuple[object, ...]:
    return (
        "rules",
        "backtest",
        folder / "now.yaml",
        folder / "draft.yaml",
        "--data",
        folder / "people.parquet",
        *AS_OF,
        *more,
    )


def test_both_are_shown_and_kept_as_evidence(folder: Path) -> None:
    done = run(
        folder,
        *asked(folder, "--entered", "2024-06-20", "--html", folder / "b.html", "--json", folder / "b.json"),
        columns=200,
    )
    assert done.code == 0, done
    assert done.err == ""
    rows = {row[0]: row[1:] for row in cells(done.out, "Who would be where")}
    assert rows["low"][:2] == ["240 (40.0 %)", "300 (50.0 %)"]
    assert "Not assessed in full, draft" in done.out
    plain = json.loads((folder / "b.json").read_text())
    assert (plain["kind"], plain["drawn"], plain["draft"]["withheld"]) == ("backtest", 600, 120)
    assert (folder / "b.html").read_text().count("<svg") == 3


def test_nothing_that_is_read_is_written_and_nothing_twice(folder: Path) -> None:
    (folder / "lists").mkdir()
    (folder / "lists" / "own.yaml").write_text("list")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for option, path, words in (
        ("--json", "draft.yaml", "read as the argument [A] B"),
        ("--html", "people.parquet", "read as --data"),
        ("--json", "lists/own.yaml", "read as --lists"),
        ("--json", "x.html", "--html and --json are both"),
        ("--json", "none/x.json", "there is no folder"),
        ("--json", "lists", "it is a folder"),
    ):
        other = ("--html", folder / "x.html") if path == "x.html" else ()
        assert words in refuse(folder, *asked(folder, option, folder / path, *other, "--lists", folder / "lists"))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("option", "path", "words"),
    [
        ("--json", "lists/new.json", "a file of {0}/lists, which is read as --lists"),
        ("--json", "lists/deeper/new.json", None),
        ("--html", "lists/new.html", None),
        ("--json", "tx/new.json", "a file of {0}/tx, which is read as --transactions"),
        ("--json", "tx/deeper/new.json", "a file of {0}/tx, which is read as --transactions"),
        ("--html", "tx/new.html", None),
    ],
)
def test_a_new_file_goes_into_no_folder_of_which_it_would_be_read(
    folder: Path, option: str, path: str, words: str | None
) -> None:
    (folder / "lists" / "deeper").mkdir(parents=True)
    (folder / "tx" / "deeper").mkdir(parents=True)
    read = ("--lists", folder / "lists", "--transactions", folder / "tx")
    said = refuse(folder, *asked(folder, option, folder / path, *read))
    assert ("lists has no list" if words is None else words.format(folder)) in said


def test_a_sample_is_seeded(folder: Path) -> None:
    first, same, other = (run(folder, *asked(folder, "--sample", 50, "--seed", seed)).out for seed in (1, 1, 2))
    assert first == same
    assert first != other
    assert "50 of 600 (8.3 %), drawn with seed 1" in first


def test_a_draft_may_stand_alone_or_against_standing_levels(folder: Path) -> None:
    levels = pl.DataFrame({"entity_id": ["e0000"], "rules_level": ["critical"], "entered": ["2024-06-30"]})
    levels.write_csv(folder / "levels.csv")
    alone = ("rules", "backtest", folder / "draft.yaml", "--data", folder / "people.parquet", *AS_OF)
    assert "warning: No ruleset in force was given" in run(folder, *alone).err
    stood = run(folder, *alone, "--previous", folder / "levels.csv")
    assert "Standing levels: the levels that were given" in stood.out
    assert "(no level before)" in stood.out


def test_what_does_not_fit_together_is_refused(folder: Path) -> None:
    both = asked(folder, "--entered", "2024-06-20", "--previous", folder / "levels.csv")
    assert "give one of them" in refuse(folder, *both)
    three = ("rules", "backtest", *["fatf-retail"] * 3, "--data", folder / "people.parquet")
    assert "3 rulesets were given" in refuse(folder, *three)
    assert "--entered is 'soon'" in refuse(folder, *asked(folder, "--entered", "soon"))


def test_since_when_levels_stand_is_nothing_without_levels_and_never_later_than_as_of(folder: Path) -> None:
    alone = ("rules", "backtest", folder / "draft.yaml", "--data", folder / "people.parquet", *AS_OF)
    assert "--entered says since when the levels of the ruleset in force stand" in refuse(
        folder, *alone, "--entered", "2024-06-20"
    )
    assert "--entered must not be after --as-of" in refuse(folder, *asked(folder, "--entered", "2024-07-02"))
