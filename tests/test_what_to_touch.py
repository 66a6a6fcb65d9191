"""docs/architecture.md says which files a usual change touches: these alone are changed in a copy, and it works."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "fivefold"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy the package, and nothing that was generated."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "fivefold", ignore=shutil.ignore_patterns("__pycache__", "var")))


def replace(file: Path, old: str, new: str) -> None:
    """Replace a line that is there once."""
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, file
    file.write_text(text.replace(old, new), encoding="utf-8")


def run(copy: Path, *arguments: str) -> str:
    """Run Python where the copy is the package."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy.parent,
        env=os.environ | {"PYTHONPATH": str(copy.parent), "FIVEFOLD_VAR": str(copy.parent / "var")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_indicator_is_a_function(copy: Path) -> None:
    with (copy / "features" / "indicators" / "recency.py").open("a", encoding="utf-8") as file:
        file.write(
            """

@indicator("row_count", label="Rows", unit="count", empty=0.0)
def row_count(time: Integers) -> float:
    \"""Rows of any kind and state.\"""
    return float(len(time))
"""
        )
    page = run(copy, "-m", "fivefold.cli.main", "indicators", "--markdown")
    assert "| `row_count` | Rows | count | 0 | Rows of any kind and state. |" in page


def test_a_command_is_a_function_and_a_line(copy: Path) -> None:
    (copy / "cli" / "value_model" / "greeting.py").write_text(
        """
from fivefold.cli.terminal import echo


def greet() -> None:
    \"""Greet.\"""
    echo("Good morning.")
""",
        encoding="utf-8",
    )
    line = '    "demo": ('
    replace(copy / "cli" / "lazy.py", line, f'    "greet": ("value_model.greeting.greet", "Greet."),\n{line}')
    assert "greet " in run(copy, "-m", "fivefold.cli.main", "--help")
    assert run(copy, "-m", "fivefold.cli.main", "greet") == "Good morning.\n"


@pytest.mark.full
def test_a_route_is_a_handler_and_a_line(copy: Path) -> None:
    with (copy / "serving" / "v1" / "routes" / "accounts.py").open("a", encoding="utf-8") as file:
        file.write(
            """

@dataclass(frozen=True)
class Greeting:
    \"""A greeting.\"""

    text: str


def greet(context: RequestContext) -> Greeting:
    \"""Greet the caller.\"""
    return Greeting(text=context.actor.name)
"""
        )
    line = '    Route("GET", "/v1/entities/{type}", '
    replace(
        copy / "serving" / "v1" / "permissions.py",
        line,
        f'    Route("GET", "/v1/greeting", READERS, accounts.greet),\n{line}',
    )
    described = run(
        copy,
        "-c",
        "from fivefold.serving.service import openapi_document\n"
        "import json\n"
        "print(json.dumps(json.loads(openapi_document().body)['paths']['/v1/greeting']['get']))",
    )
    assert '"summary": "Greet the caller' in described
    assert "401" in described
