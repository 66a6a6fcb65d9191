"""`fivefold rules propose-points`."""

import json
from pathlib import Path

import polars as pl
import pytest

from fivefold.risk.language.reading import read_ruleset
from tests.cli.rules_files import AS_OF, made
from tests.cli.running import refuse, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path)


def asked(folder: Path, *more: object) -> tuple[object, ...]:
    files = ("--data", folder / "people.parquet", "--labels", folder / "labels.csv", "--output", folder / "new.yaml")
    return ("rules", "propose-points", folder / "now.yaml", *files, *AS_OF, "--resamples", "100", *more)


def test_a_file_that_is_there_is_refused_before_anything_is_computed(folder: Path) -> None:
    (folder / "new.yaml").write_text("written by hand")
    said = refuse(folder, "rules", "propose-points", "none.yaml", *asked(folder)[3:])
    assert "new.yaml already exists; --replace overwrites it" in said
    assert (folder / "new.yaml").read_text() == "written by hand"


def test_a_draft_is_written_with_its_verdict_and_nothing_else_changes(folder: Path) -> None:
    before = (folder / "now.yaml").read_text()
    done = run(folder, *asked(folder, "--json", folder / "p.json", "--html", folder / "p.html"))
    assert done.code == 0, done
    assert (folder / "now.yaml").read_text() == before
    assert done.out.rstrip().endswith("nothing is in force.")
    draft = (folder / "new.yaml").read_text()
    plain = json.loads((folder / "p.json").read_text())
    changed = read_ruleset(draft)
    assert plain["kind"] == "points proposal"
    assert ("RECOMMENDED for review" in draft) == plain["verdict"]["recommended"]
    for change in plain["changes"]:
        if isinstance(change["outcome"], int):
            assert str(changed.rule(change["rule"]).cases[change["outcome"] - 1].points) == change["after"]
    assert "# Ours; remarks must survive." in draft
    page = (folder / "p.html").read_text()
    assert "<svg" not in page
    captures = [f"{100 * each['capture']:+z.1f}" for each in plain["changes"] if each["capture"]]
    assert captures
    for capture in captures:  # a difference of two shares is no percentage, and no points of rules either
        assert f"{capture} percentage points</td>" in page


def test_a_label_that_cannot_be_read_leaves_its_customer_out(folder: Path) -> None:
    """A line with a field too many names its entity, whose outcome is unknown; the others count."""
    lines = (folder / "labels.csv").read_text().splitlines()
    lines[2] += ",more"
    (folder / "labels.csv").write_text("\n".join(lines))
    done = run(folder, *asked(folder))
    assert done.code == 0, done
    assert "Entities whose label cannot be read are left out: 1." in done.err


def test_a_missing_row_of_the_labels_means_not_confirmed_and_a_row_without_a_name_is_refused(folder: Path) -> None:
    labels = pl.read_csv(folder / "labels.csv")
    labels.filter(pl.col("confirmed")).write_csv(folder / "labels.csv")
    assert run(folder, *asked(folder)).code == 0
    labels.with_columns(entity_id=pl.when(pl.int_range(pl.len()) > 0).then("entity_id")).write_csv(
        folder / "labels.csv"
    )
    assert "1 row without entity_id" in refuse(folder, *asked(folder, "--replace"))


def test_one_class_only_is_refused_and_nothing_is_written(folder: Path) -> None:
    labels = pl.read_csv(folder / "labels.csv").with_columns(confirmed=pl.lit(False))
    labels.write_csv(folder / "labels.csv")
    message = refuse(folder, *asked(folder))
    assert "to learn from there are 0 confirmed customers and 233 others, to judge by 0 and 247" in message
    assert "40 confirmed and 40 others in all" in message
    assert not (folder / "new.yaml").exists()


def test_moments_out_of_order_are_refused(folder: Path) -> None:
    assert "--learn-as-of must be before --as-of" in refuse(folder, *asked(folder, "--learn-as-of", "2024-07-01"))
    assert "--until must be after --as-of" in refuse(folder, *asked(folder, "--until", "2024-07-01"))


def test_what_became_known_before_is_learnt_from_as_of_an_earlier_moment(folder: Path) -> None:
    labels = pl.read_csv(folder / "labels.csv")
    days = pl.when(pl.int_range(pl.len()) % 20 < 10).then(pl.lit("2024-06-10")).otherwise(pl.lit("2024-09-01"))
    labels.with_columns(at=days).write_csv(folder / "labels.csv")
    done = run(folder, *asked(folder, "--learn-as-of", "2024-06-01", "--json", folder / "p.json"))
    assert done.code == 0, done
    plain = json.loads((folder / "p.json").read_text())
    assert plain["learnt_as_of"] == "2024-06-01"
    assert plain["as_of"] == "2024-07-01"


def test_the_ruleset_itself_is_never_overwritten(folder: Path) -> None:
    assert "read as the argument RULESET; choose" in refuse(folder, *asked(folder, "--output", folder / "now.yaml"))
