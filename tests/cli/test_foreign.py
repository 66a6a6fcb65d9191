"""Folders of the same names as fivefold's packages, where a command is started or on Python's path."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fivefold.cli import PACKAGES

FIVEFOLD = Path(sys.executable).with_name("fivefold")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Anybody's project."""
    for name in (*PACKAGES, "cli"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    return tmp_path


def run(arguments: list[str], cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONSAFEPATH"}}
    return subprocess.run(arguments, cwd=cwd, env=environment | more, capture_output=True, text=True, check=False)


def test_a_command_started_beside_them_is_ours(project: Path) -> None:
    done = run([str(FIVEFOLD), "--help"], project)
    assert (done.returncode, done.stderr) == (0, "")


def test_one_that_comes_first_on_the_path_is_named_in_one_line(project: Path) -> None:
    for name in ("cli", "domain", "charts"):
        (project / name).rename(project / f"my_{name}")
    done = run([str(FIVEFOLD), "--help"], project.parent, PYTHONPATH=str(project))
    assert done.returncode == 1
    where = project / "features"
    assert done.stderr == (
        f"fivefold: {where} has the name of fivefold's own 'features' and comes before it on Python's path; "
        "take its folder off PYTHONPATH, or rename it\n"
    )
