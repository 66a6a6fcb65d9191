"""`fivefold rules table`."""

from pathlib import Path

import pytest
from openpyxl import load_workbook

from fivefold.risk.language.reading import read_ruleset
from tests.cli.running import refuse, run, succeed
from tests.risk.governance.tables.foreign.test_dmn import model
from tests.risk.governance.tables.test_round_trip import SMALL


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "now.yaml").write_text(SMALL, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_a_rule_goes_out_as_a_table_and_comes_back_as_it_was(folder: Path, ending: str) -> None:
    table, draft = folder / f"t.{ending}", folder / "draft.yaml"
    assert (
        run(folder, "rules", "table", "export", "now.yaml", "first", "--to", table).out
        == f"3 cases of first in {table}\n"
    )
    done = run(folder, "rules", "table", "import", "now.yaml", "first", table, "--output", draft)
    assert done.code == 0, done
    assert "same content hash" in done.out
    assert read_ruleset(draft.read_text()).content_hash == read_ruleset(SMALL).content_hash


def test_a_changed_table_becomes_a_draft_and_its_changes_are_printed(folder: Path) -> None:
    run(folder, "rules", "table", "export", "now.yaml", "first", "-o", "t.xlsx")
    workbook = load_workbook(folder / "t.xlsx")
    workbook["cases"]["C3"] = 9
    workbook.save(folder / "t.xlsx")
    done = run(folder, "rules", "table", "import", "now.yaml", "first", "t.xlsx", "-o", "draft.yaml")
    assert "rule first, case 2, points: 2 → 9" in done.out
    draft = (folder / "draft.yaml").read_text()
    assert draft.startswith("# A DRAFT with cases from a decision table.")
    assert "# of the first" in draft
    assert (folder / "now.yaml").read_text() == SMALL


def test_nothing_is_written_over_and_a_wrong_table_leaves_no_draft(folder: Path) -> None:
    export = ("rules", "table", "export", "now.yaml", "first", "--to")
    run(folder, *export, "t.csv")
    table = ("rules", "table", "import", "now.yaml", "first", "t.csv", "--output")
    assert "--output is now.yaml" in refuse(folder, *table, "now.yaml")
    assert "--output is t.csv" in refuse(folder, *table, "t.csv")
    assert "t.ods" in refuse(folder, *export, "t.ods")
    (folder / "t.csv").write_text((folder / "t.csv").read_text(encoding="utf-8-sig").replace("1,a,1", '1,a,"1,5"'))
    assert "cell C2 (points)" in refuse(folder, *table, "draft.yaml")
    assert not (folder / "draft.yaml").exists()


def test_a_file_that_is_there_is_written_over_with_replace_alone(folder: Path) -> None:
    run(folder, "rules", "table", "export", "now.yaml", "first", "--to", "t.csv")
    draft, table = folder / "draft.yaml", ("rules", "table", "import", "now.yaml", "first", "t.csv", "-o", "draft.yaml")
    draft.write_text("written by hand")
    assert "draft.yaml already exists; --replace overwrites it" in refuse(folder, *table)
    assert draft.read_text() == "written by hand"
    succeed(folder, *table, "--replace")
    assert "ruleset: " in draft.read_text()
    succeed(folder, *table)  # nothing is lost by the same text


def test_a_table_of_another_system_is_read_by_its_ending_with_its_columns_named(folder: Path) -> None:
    (folder / "t.dmn").write_bytes(model(("> 3", "5"), inputs=("turnover",), outputs=("risk",)))
    table = ("rules", "table", "import", "now.yaml", "first", "t.dmn", "--output", "draft.yaml")
    assert "--map 'turnover=FIELD'" in refuse(folder, *table)
    assert "--map is 'turnover'" in refuse(folder, *table, "--map", "turnover")
    done = run(folder, *table, "--map", "turnover=amount", "--map", "risk=points", "--table", "risk")
    assert done.code == 0, done
    assert "warning: A missing value:" in done.err
    assert "{when: {field: amount, above: 3}, points: 5, title: Why}" in (folder / "draft.yaml").read_text()
    labelled = (folder / "t.dmn").read_bytes().replace(b"<input>", b'<input label="Turnover of the month">')
    (folder / "t.dmn").write_bytes(labelled)
    by_label = ("--map", "Turnover of the month=amount", "--map", "risk=points")
    said = (folder / "draft.yaml").read_text()
    assert run(folder, *table, *by_label).code == 0
    assert (folder / "draft.yaml").read_text() == said
    assert "says twice what turnover is" in refuse(folder, *table, *by_label, "--map", "turnover=other")
    export = ("rules", "table", "export", "now.yaml", "first", "--to")
    assert "not as JDM" in refuse(folder, *export, "t.json")


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_a_table_that_is_worked_on_is_written_over_with_replace_alone(folder: Path, ending: str) -> None:
    table = folder / f"t.{ending}"
    export = ("rules", "table", "export", "now.yaml", "first", "--to", table)
    succeed(folder, *export)
    if ending == "csv":  # a workbook says when it was written
        succeed(folder, *export)
    table.write_bytes(b"worked on")
    assert f"{table} already exists; --replace overwrites it" in refuse(folder, *export)
    assert table.read_bytes() == b"worked on"
    succeed(folder, *export, "--replace")
    assert table.read_bytes() != b"worked on"
