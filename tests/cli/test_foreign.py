"""Packages of anybody's, with the names of fivefold's rooms, where a command is started or on Python's path."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FIVEFOLD = Path(sys.executable).with_name("fivefold")
ROOMS = ("charts", "cli", "console", "domain", "features", "models", "risk", "serving", "store", "training", "usecases")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Anybody's project."""
    for name in ROOMS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    return tmp_path


def run(arguments: list[str], cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONSAFEPATH"}}
    return subprocess.run(arguments, cwd=cwd, env=environment | more, capture_output=True, text=True, check=False)


def test_a_command_started_beside_them_is_ours(project: Path) -> None:
    done = run([str(FIVEFOLD), "indicators"], project)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.full
def test_a_command_with_them_first_on_the_path_is_ours(project: Path) -> None:
    done = run([str(FIVEFOLD), "indicators"], project.parent, PYTHONPATH=str(project))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("room", ROOMS)
def test_none_of_our_rooms_is_a_package_by_itself(room: str, tmp_path: Path) -> None:
    """The installation, this one too, adds no package but `fivefold` to those of its environment."""
    done = run([sys.executable, "-P", "-c", f"import importlib.util as u; print(u.find_spec({room!r}))"], tmp_path)
    assert done.stdout == "None\n", done.stdout + done.stderr
