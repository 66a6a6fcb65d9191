"""The pages about rules: every command on them runs as it is written, on the sample that they begin with."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import run
from tests.flows.foreign.graphs import INPUT, OUTPUT, graph, table
from tests.pace import slowness

DOCS = Path(__file__).parents[3] / "docs"
STEP = re.compile(
    r"(?ms)^    (?P<command>(?:fivefold|cd) .*?)$"
    r"|^```(?:yaml\n#|xml\n<!--) (?P<file>[\w.]+)(?P<end>, at its end)?(?: -->)?\n(?P<text>.*?)^```$"
    r"|^```sh\n(?P<shell>.*?)^```$"
)
"""A command, a file that the page has written or continued, or lines for a shell."""
SHELL = ("bash", "curl", "jq")
"""What those lines take, besides `fivefold`."""


def steps(page: str) -> list[re.Match[str]]:
    """Give the commands and the files of a page, in its order; the first makes up the sample."""
    found = list(STEP.finditer((DOCS / page).read_text(encoding="utf-8").replace("\\\n", " ")))
    assert found[0]["command"].startswith("fivefold sample "), page
    return found


def in_shell(lines: str, var: Path) -> tuple[int, str]:
    """Run lines on a port that is free, and end what they left running; give the exit code and what they printed."""
    absent = [name for name in SHELL if shutil.which(name) is None]
    if absent:
        pytest.skip(f"there is no {', '.join(absent)} here")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    lines = lines.replace("fivefold serve", f"fivefold serve --port {port}").replace(":3000", f":{port}")
    settings = {"FIVEFOLD_VAR": str(var), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    script = f"set -eo pipefail\ntrap 'kill $(jobs -p); wait' EXIT\n{lines}"
    done = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=600 * slowness(),
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


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
        ("rules-testing.md", [0, 0, 0, 1]),
        ("rules-what-if.md", [0, 0]),
        ("rules-peers.md", [0, 0, 0, 0]),
        ("decision-tables.md", [0, 0, 0, 0, 0, 0, 0]),
        ("rules-links.md", [0, 0, 0, 0]),
        ("rules-governance.md", [0] * 10),
        ("ruleset-walkthrough.md", [0, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0]),
    ],
)
def test_every_command_runs_as_it_is_written(
    page: str, codes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = []
    for step in steps(page):
        program, *words = shlex.split(step["command"] or "write")
        if step["file"]:
            with Path(step["file"]).open("a" if step["end"] else "w", encoding="utf-8") as file:
                file.write(step["text"])
        elif step["shell"]:
            ended.append((["shell"], *in_shell(step["shell"], tmp_path / "var")))
        elif program == "cd":
            monkeypatch.chdir(words[0])
            Path("mine.yaml").touch()
            Path("daily.json").write_text(json.dumps(LIMITS), encoding="utf-8")
        else:
            done = run(tmp_path / "var", *words)
            ended.append((words, done.code, done))
    assert [code for _, code, _ in ended] == codes, ended
    if "shell" in ended[-1][0]:
        in_force(str(ended[-1][2]))


def in_force(said: str) -> None:
    """Check what the walk-through promises of its end: two people, and a level by the version that they activated."""
    assert "another person activates" in said
    assert re.search(r'"medium": [1-9][0-9]*', said), "Eve sees who would have which level"
    assert "\ntrue\n" in said, "version 1 is active"
    assert "1,000 assessed (1,000 with a level), 0 failed" in said
    assert "user_000061: medium" in said
    assert "by mine version 1" in said
