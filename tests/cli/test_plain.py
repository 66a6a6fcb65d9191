"""A terminal that does not know every sign is written to in plain text."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fivefold.cli.main import plain
from tests.cli.running import AS_OF, Home

FIVEFOLD = str(Path(sys.executable).with_name("fivefold"))


@pytest.mark.full
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_waterfall_on_a_terminal_without_its_signs(encoding: str, home: Home) -> None:
    environment = {**os.environ, "FIVEFOLD_VAR": str(home.var), "PYTHONIOENCODING": encoding, "COLUMNS": "100"}
    command = [FIVEFOLD, "explain", str(home.rows), "--user", "user_000002", "--as-of", AS_OF]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert text.startswith("Customer user_000002 as of ")
    assert "====" in text
    assert "?" not in text


def test_every_sign_that_a_picture_in_text_is_drawn_with_has_a_likeness() -> None:
    root = Path(__file__).parents[2] / "charts"
    signs = {sign for file in root.rglob("*.py") for sign in file.read_text(encoding="utf-8") if ord(sign) > 127}
    assert signs
    assert {sign for sign in signs if "?" in plain(sign)} == set()
