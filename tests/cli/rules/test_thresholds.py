"""`fivefold rules propose-thresholds`."""

import json
from pathlib import Path

import pytest

from fivefold.risk.language.reading import read_ruleset
from tests.cli.rules_files import AS_OF, made
from tests.cli.running import cells, refuse, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path)


def asked(folder: Path, *more: object) -> tuple[object, ...]:
    output = () if "--output" in more else ("--output", folder / "new.yaml")
    return (
        "rules",
        "propose-thresholds",
        folder / "now.yaml",
        "--data",
        folder / "people.parquet",
        *AS_OF,
        *output,
        *more,
    )


def test_few_people_are_refused_and_nothing_is_written(folder: Path) -> None:
    assert "480 entities were assessed in full; at least 500 are needed" in refuse(folder, *asked(folder))
    assert not (folder / "new.yaml").exists()


def test_a_draft_is_written_and_nothing_else_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fivefold.risk.governance.thresholds.propose.LEAST_ENTITIES", 100)
    before = (folder / "now.yaml").read_text()
    done = run(folder, *asked(folder, "--shares", "50,25,15,10", "--json", folder / "p.json"))
    assert done.code == 0, done
    assert (folder / "now.yaml").read_text() == before
    assert "nothing is in force" in done.out
    draft = read_ruleset((folder / "new.yaml").read_text())
    plain = json.loads((folder / "p.json").read_text())
    assert [str(cut) for cut in draft.score.points.thresholds] == [cut["proposed"] for cut in plain["cuts"]]  # type: ignore[union-attr]  # it scores points
    assert [row[3] for row in cells(done.out, "480 entities, as of 2024-07-01")] == [
        "50.0 %",
        "25.0 %",
        "15.0 %",
        "10.0 %",
    ]
    assert "warning: Shares say how the portfolio is spread" in done.err


def test_the_ruleset_itself_is_never_overwritten(folder: Path) -> None:
    assert "a draft is another file" in refuse(folder, *asked(folder, "--output", folder / "now.yaml"))


def test_shares_that_are_none_are_refused(folder: Path) -> None:
    assert "--shares is 'many'" in refuse(folder, *asked(folder, "--shares", "many"))
    assert "add up to 1" in refuse(folder, *asked(folder, "--shares", "50,25,15,11"))
