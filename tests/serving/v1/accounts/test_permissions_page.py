"""The page about rights says what the code does."""

import sys
from pathlib import Path

import pytest

from fivefold.serving.v1 import permissions_page as document
from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.permissions_page import page_with, rights_markdown

PAGE = Path(__file__).parents[4] / "docs" / "security.md"


def test_the_page_has_the_table_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_with(rights_markdown(), page), (
        "run: .venv/bin/python -m fivefold.serving.v1.permissions_page docs/security.md"
    )
    assert page.count("| `") == len(ROUTES)


def test_the_command_brings_a_page_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{document.BEGIN}\nold\n{document.END}\nafter\n", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["document", str(page)])
    document.main()
    lines = page.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert lines[2:-2] == rights_markdown().splitlines()
