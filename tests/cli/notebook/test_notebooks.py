"""The tutorial notebooks run from their first cell to their last, and each shows what it says."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import LONGEST_SECONDS

NOTEBOOKS = Path(__file__).parents[3] / "docs" / "notebooks"
SHOW = """
def _show(value):
    if value is not None:
        html = getattr(value, "_repr_html_", None)
        print("shown:", html() if html is not None else repr(value))
"""


def script(notebook: Path) -> str:
    """Write the cells as a script, which shows the value of a cell's last line as a notebook does."""
    parts = [SHOW]
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            tree = ast.parse("".join(cell["source"]))
            last = tree.body[-1]
            if isinstance(last, ast.Expr):
                call = ast.Call(ast.Name("_show", ast.Load()), [last.value], [])
                tree.body[-1] = ast.fix_missing_locations(ast.copy_location(ast.Expr(call), last))
            parts.append(ast.unparse(tree))
    return "\n".join(parts)


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "shows"),
    [
        ("value", ("customers</td><td>400", "Version 1, ", "score 4.", "mean points", "calibration_error", "moved_by")),
        ("rules", ("300 assessed", "critical by fatf-retail, as of", "What the numbers do not say", "reasons")),
    ],
)
def test_a_notebook_runs_and_shows(fresh: Path, tmp_path: Path, name: str, shows: tuple[str, ...]) -> None:
    var = tmp_path / "var"
    var.mkdir()
    (var / "kernels").symlink_to((fresh / "kernels").resolve())
    (tmp_path / "cells.py").write_text(script(NOTEBOOKS / f"{name}.ipynb"), encoding="utf-8")
    environment = {**os.environ, "FIVEFOLD_VAR": str(var), "MPLBACKEND": "Agg"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    done = subprocess.run(
        [sys.executable, "cells.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for text in shows:
        assert text in done.stdout


def test_notebooks_are_committed_without_outputs() -> None:
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs"), notebook
            assert cell.get("execution_count") is None, notebook
