"""`make` sets the environment up where the checkout stands: half made, moved, or under a home that is read alone."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/sh
case "$*" in
"-m venv"*)
    for folder; do :; done
    rm -rf "$folder"; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python"
    echo "command = $0 -m venv $PWD/$folder" > "$folder/pyvenv.cfg";;
"-m pip --version") ;;
"-m pip"*) printf '#!/bin/sh\\necho "uv cache: ${UV_NO_CACHE:-kept}"' > .venv/bin/uv; chmod +x .venv/bin/uv;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a folder with the Makefile, and beside it a Python that only makes the files of an environment."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("pyproject.toml", "constraints.txt", "hatch_build.py"):
        (folder / name).touch()
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return folder


def set_up(folder: Path, home: str = "") -> str:
    """Give what `make` says; AssertionError where it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "XDG_", "MAKE"))}
    ended = subprocess.run(
        ["make", ".venv/.ready", f"PYTHON={folder.parent / 'python'}"],
        cwd=folder,
        env=environment | {"HOME": home or str(folder.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_an_environment_that_was_left_half_made_is_made_anew(checkout: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho No module named pip >&2; exit 1\n")
    python.chmod(0o755)
    assert "uv cache: kept" in set_up(checkout)
    assert "up to date" in set_up(checkout)


def test_a_checkout_that_was_moved_or_copied_does_not_run_the_code_where_it_was(checkout: Path) -> None:
    set_up(checkout)
    there = checkout.with_name("elsewhere")
    shutil.copytree(checkout, there)
    assert "uv cache" in set_up(there)
    assert str(there) in (there / ".venv" / "pyvenv.cfg").read_text()
    assert "up to date" in set_up(checkout)


def test_an_environment_that_is_named_by_its_whole_path_stays_as_it_is(checkout: Path) -> None:
    """Such as that of the checkout whose tests build the Bento of a copy."""
    checkout = checkout.rename(checkout.with_name("checkout"))
    set_up(checkout)
    there = checkout.with_name("elsewhere")
    there.mkdir()
    shutil.copy(checkout / "Makefile", there)
    arguments = [f"VENV={checkout / '.venv'}", "READY=", "--dry-run", "clean"]
    subprocess.run(["make", *arguments], cwd=there, capture_output=True, check=True)
    assert (checkout / ".venv" / "bin" / "python").exists()


def test_uv_goes_without_a_cache_where_the_home_cannot_be_written(checkout: Path) -> None:
    assert "uv cache: 1" in set_up(checkout, "/proc/nobody")
