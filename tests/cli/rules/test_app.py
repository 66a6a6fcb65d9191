"""`fivefold rules`: every module of `cli/rules` that adds commands is there."""

import re
from pathlib import Path

from fivefold import cli
from fivefold.cli.rules.app import COMMANDS
from tests.cli.running import succeed


def test_help_lists_every_command(tmp_path: Path) -> None:
    listed = succeed(tmp_path, "rules", "--help").partition("Commands:")[2]
    commands = re.findall(r"^  ([a-z-]+)  ", listed, re.MULTILINE)
    folder = Path(cli.rules.__file__).parent
    modules = {path.stem for path in folder.glob("*.py") if "def add_to(" in path.read_text()} - {"app"}
    assert modules == {module.__name__.rpartition(".")[2] for module in COMMANDS}
    assert {"lint", "schema"} <= set(commands)
    assert len(commands) >= len(modules)
