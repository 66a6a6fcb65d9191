"""`fivefold rules`: every command of a module in `cli/rules` is there."""

import ast
import re
from pathlib import Path

from fivefold import cli
from fivefold.cli.rules.app import COMMANDS, TABLE_COMMANDS
from tests.cli.running import succeed


def test_help_lists_every_command(tmp_path: Path) -> None:
    listed = succeed(tmp_path, "rules", "--help").partition("Commands:")[2]
    commands = re.findall(r"^  ([a-z-]+)  ", listed, re.MULTILINE)
    folder = Path(cli.rules.__file__).parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")]
    functions = {
        function.name
        for tree in trees
        if (ast.get_docstring(tree) or "").startswith("`fivefold rules ")
        for function in tree.body
        if isinstance(function, ast.FunctionDef) and not function.name.startswith("_")
    }
    assert functions == {command.__name__ for command in [*COMMANDS.values(), *TABLE_COMMANDS.values()]}
    assert commands == [*COMMANDS, "table"]
    assert {"lint", "schema"} <= set(commands)
