"""The pages about rules: every command on them runs as it is written, on the sample that they begin with."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.running import run
from tests.flows.foreign.graphs import INPUT, OUTPUT, graph, table

DOCS = Path(__file__).parents[3] / "docs"
STEP = re.compile(
    r"(?ms)^    (?P<command>(?:fivefold|cd) .*?)$"
    r"|^```(?:yaml\n#|xml\n<!--) (?P<file>[\w.]+)(?P<end>, at its end)?(?: -->)?\n(?P<text>.*?)^```$"
)
"""A command, or a file that the page has written or continued."""


def steps(page: str) -> list[re.Match[str]]:
    """Give the commands and the files of a page, in its order; the first makes up the sample."""
    found = list(STEP.finditer((DOCS / page).read_text(encoding="utf-8").replace("\\\n", " ")))
    assert found[0]["command"].startswith("fivefold sample "), page
    return found


ROWS = [({"customer.age": "< 18"}, {"daily": "100"}), ({"country": "'NO'"}, {"daily": "500"}), ({}, {"daily": "50"})]
LIMITS = graph(
    [INPUT, table("limits", ["customer.age", "country"], ["daily"], ROWS), OUTPUT],
    [("in", "limits"), ("limits", "out")],
)
"""A graph of JDM, as the page on decision tables takes one."""


@pytest.mark.full
@pytest.mark.parametrize(
    ("page", "codes"),
    [
        ("rules.md", [0, 0, 0, 0, 1]),
        ("rules-peers.md", [0, 0, 0, 0]),
        ("decision-tables.md", [0, 0, 0, 0, 0, 0, 0]),
        ("rules-governance.md", [0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("ruleset-walkthrough.md", [0, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0]),
    ],
)
def test_every_command_runs_as_it_is_written(
    page: str, codes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = []
    for step in steps(page):
        program, *words = shlex.split(step["command"] or "write")
        if program == "write":
            with Path(step["file"]).open("a" if step["end"] else "w", encoding="utf-8") as file:
                file.write(step["text"])
        elif program == "cd":
            monkeypatch.chdir(words[0])
            Path("mine.yaml").touch()
            Path("daily.json").write_text(json.dumps(LIMITS), encoding="utf-8")
        else:
            done = run(tmp_path / "var", *words)
            ended.append((words, done.code, done))
    assert [code for _, code, _ in ended] == codes, ended
