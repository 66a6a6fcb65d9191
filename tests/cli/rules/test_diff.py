"""`fivefold rules diff`."""

import json
from pathlib import Path

import pytest

from tests.cli.rules_files import made
from tests.cli.running import refuse, succeed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path)


def test_what_differs_is_said_line_by_line(folder: Path) -> None:
    told = succeed(folder, "rules", "diff", folder / "now.yaml", folder / "draft.yaml")
    assert told == "score, points, thresholds: 20, 40, 60 → 25, 50, 60\n"


def test_the_same_content_says_so(folder: Path) -> None:
    (folder / "same.yaml").write_text((folder / "now.yaml").read_text() + "# no difference\n")
    told = succeed(folder, "rules", "diff", folder / "now.yaml", folder / "same.yaml")
    assert told.startswith("The same content: ")


def test_it_is_json_where_that_is_wanted(folder: Path) -> None:
    told = succeed(folder, "rules", "diff", folder / "now.yaml", "fatf-retail", "--json", folder / "d.json")
    plain = json.loads((folder / "d.json").read_text(encoding="utf-8"))
    assert len(told.splitlines()) == len(plain["changes"]) + 1
    assert (plain["kind"], plain["same"], plain["after"]) == ("diff", False, "fatf-retail")
    assert len(plain["changes"]) > 10


def test_what_is_no_ruleset_is_refused(folder: Path) -> None:
    assert "neither a file nor a bundled ruleset" in refuse(folder, "rules", "diff", folder / "now.yaml", "nothing")
