"""`fivefold rules propose-thresholds`."""

import json
import re
from pathlib import Path

import polars as pl
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


def test_a_file_that_is_there_is_written_over_with_replace_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fivefold.risk.governance.thresholds.propose.LEAST_ENTITIES", 100)
    (folder / "new.yaml").write_text("written by hand")
    words = asked(folder, "--resamples", "100")
    said = refuse(folder, *words)
    assert "new.yaml already exists; --replace overwrites it, also when a run is repeated" in said
    assert (folder / "new.yaml").read_text() == "written by hand"
    assert run(folder, *words, "--replace").code == 0
    assert "thresholds: " in (folder / "new.yaml").read_text()


def test_the_ruleset_itself_is_never_overwritten(folder: Path) -> None:
    assert "read as the argument RULESET; choose" in refuse(folder, *asked(folder, "--output", folder / "now.yaml"))


def test_an_earlier_draft_is_never_overwritten(folder: Path) -> None:
    earlier = folder / "earlier.yaml"
    earlier.write_text((folder / "now.yaml").read_text())
    words = asked(folder, "--earlier", earlier, "--output", earlier)
    assert "read as --earlier; choose" in refuse(folder, *words)


def test_shares_that_are_none_are_refused(folder: Path) -> None:
    assert "--shares is 'many'" in refuse(folder, *asked(folder, "--shares", "many"))
    assert "add up to 1" in refuse(folder, *asked(folder, "--shares", "50,25,15,11"))


def test_who_moves_is_a_file_and_labels_show_what_the_draft_does_to_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fivefold.risk.governance.thresholds.propose.LEAST_ENTITIES", 100)
    labels = ("--labels", folder / "labels.csv", "--until", "2024-12-31", "--resamples", "100")
    files = ("--moves", folder / "moves.csv", "--json", folder / "p.json")
    done = run(folder, *asked(folder, "--shares", "50,25,15,10", *labels, *files))
    assert done.code == 0, done
    plain = json.loads((folder / "p.json").read_text())
    moves = pl.read_csv(folder / "moves.csv")
    assert moves.columns == ["entity_id", "present", "proposed"]
    assert len(moves) == plain["moved"] == sum(move["entities"] for move in plain["moves"])
    assert plain["capture"]["proposed"]["captured"]["estimate"] >= plain["capture"]["present"]["captured"]["estimate"]
    confirmed = plain["capture"]["confirmed"]
    assert f"{confirmed} confirmed later, in high and critical" in done.out


def test_an_identifier_is_no_formula_for_a_spreadsheet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fivefold.risk.governance.thresholds.propose.LEAST_ENTITIES", 100)
    people = pl.read_parquet(folder / "people.parquet")
    people.with_columns(entity_id="=1+" + pl.col("entity_id")).write_parquet(folder / "people.parquet")
    moves = folder / "moves.csv"
    done = run(folder, *asked(folder, "--shares", "25,25,25,25", "--resamples", "100", "--moves", moves))
    assert done.code == 0, done
    identifiers = pl.read_csv(moves)["entity_id"]
    assert len(identifiers) > 0
    assert identifiers.str.starts_with("'=1+").all()


def test_thresholds_stay_while_the_shares_are_near_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fivefold.risk.governance.thresholds.propose.LEAST_ENTITIES", 100)
    far = run(folder, *asked(folder, "--resamples", "100", "--within", "1"))
    assert (far.code, (folder / "new.yaml").exists()) == (0, True)
    (folder / "new.yaml").unlink()
    near = run(folder, *asked(folder, "--resamples", "100", "--within", "90"))
    assert near.code == 0
    bound = "No level's share is more than 90 % of the portfolio away from its target"
    assert f"{bound}: the thresholds stay, and no draft is written" in near.out
    assert not (folder / "new.yaml").exists()
    (folder / "new.yaml").write_text("written by hand")
    assert run(folder, *asked(folder, "--resamples", "100", "--within", "90")).code == 0
    assert (folder / "new.yaml").read_text() == "written by hand"
    assert "--replace overwrites it" in refuse(folder, *asked(folder, "--resamples", "100", "--within", "1"))
    assert "Who would move" in far.out
    assert "Who would move" not in near.out, "nobody does, as the thresholds stay"


def test_a_horizon_without_labels_is_refused(folder: Path) -> None:
    assert "give --labels too" in refuse(folder, *asked(folder, "--until", "2024-12-31"))


def test_earlier_drafts_count_as_much_as_this_portfolio(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fivefold.risk.governance.thresholds.propose.LEAST_ENTITIES", 100)
    shares = ("--shares", "50,25,15,10")
    assert run(folder, *asked(folder, *shares, "--output", folder / "first.yaml")).code == 0
    alone = [cut["proposed"] for cut in proposal(folder, *shares)]
    same = proposal(folder, *shares, "--earlier", folder / "first.yaml")
    assert [(cut["proposed"], cut["alone"]) for cut in same] == [(value, value) for value in alone]
    far = folder / "far.yaml"
    far.write_text(re.sub(r"thresholds: \[.*?\]", "thresholds: [1, 2, 3]", (folder / "now.yaml").read_text()))
    mixed = proposal(folder, *shares, "--earlier", far)
    assert [cut["alone"] for cut in mixed] == alone
    assert [cut["proposed"] for cut in mixed] != alone
    assert "by this portfolio alone" in (folder / "new.yaml").read_text()
    (folder / "new.yaml").rename(folder / "mean.yaml")
    both = proposal(folder, *shares, "--earlier", folder / "mean.yaml", "--earlier", far)
    assert [cut["proposed"] for cut in both] == [
        cut["proposed"] for cut in proposal(folder, *shares, "--earlier", folder / "first.yaml", "--earlier", far)
    ], "a mean counts as its own portfolio alone, so no quarter counts twice"
    again = folder / "sub" / ".." / "far.yaml"
    (folder / "sub").mkdir()
    assert "counts once" in refuse(folder, *asked(folder, "--replace", "--earlier", far, "--earlier", again))
    other = folder / "other.yaml"
    other.write_text((folder / "now.yaml").read_text().replace("ruleset: ", "ruleset: not-", 1))
    assert "other.yaml is of the ruleset not-" in refuse(folder, *asked(folder, "--replace", "--earlier", other))


def proposal(folder: Path, *more: object) -> list[dict[str, str]]:
    done = run(folder, *asked(folder, *more, "--replace", "--json", folder / "p.json"))
    assert done.code == 0, done
    cuts: list[dict[str, str]] = json.loads((folder / "p.json").read_text())["cuts"]
    return cuts
