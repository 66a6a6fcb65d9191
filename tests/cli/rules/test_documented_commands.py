"""The pages about rules: every command on them runs as it is written, on the sample that they begin with."""

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.running import run

DOCS = Path(__file__).parents[3] / "docs"
SURVIVORS = 1
"""The code with which `rules test --mutate` ends where a change is not noticed."""


def commands(page: str) -> list[list[str]]:
    """Give the commands of a page's indented lines from `fivefold sample` on, without the name of the program."""
    text = (DOCS / page).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [shlex.split(line) for line in re.findall(r"(?m)^    ((?:fivefold|cd) .*)$", text)]
    first = next(number for number, line in enumerate(lines) if line[:2] == ["fivefold", "sample"])
    assert first == 0, f"{page}: {lines[0]} stands before the portfolio is made up"
    return lines


@pytest.mark.full
@pytest.mark.parametrize("page", ["rules.md", "rules-governance.md"])
def test_every_command_runs_as_it_is_written(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = set()
    for program, *words in commands(page):
        if program == "cd":
            monkeypatch.chdir(words[0])
            continue
        asked.add(" ".join(words[:2]))
        result = run(tmp_path / "var", *words)
        expected = SURVIVORS if "--mutate" in words else 0
        assert result.code == expected, (words, result)
    assert len(asked) >= 3
