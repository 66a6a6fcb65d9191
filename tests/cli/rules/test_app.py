"""`fivefold rules`: every command of a `cli/rules_*.py` is there."""

import re
from pathlib import Path

from fivefold.cli.rules.app import COMMANDS
from tests.cli.running import succeed


def test_help_lists_every_command(tmp_path: Path) -> None:
    listed = succeed(tmp_path, "rules", "--help").partition("Commands:")[2]
    commands = re.findall(r"^  ([a-z-]+)  ", listed, re.MULTILINE)
    modules = {module.__name__.removeprefix("fivefold.cli.rules_") for module in COMMANDS}
    assert {"lint", "schema"} <= set(commands)
    assert len(commands) >= len(modules)
