"""`bentoml build` makes a Bento of the service, without Docker, from what is under version control."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.serving.process_service import ROOT

ROOMS = ("charts", "cli", "domain", "features", "models", "serving", "store", "training", "usecases")
NO_CODE = (".git", ".venv", "var", "node_modules")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a fresh clone holds, and of changes that are not committed yet."""
    folder = tmp_path_factory.mktemp("build") / "checkout"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def run(checkout: Path, *words: str) -> str:
    """Run BentoML where neither Docker nor a folder of somebody's is to be found."""
    home = checkout.parent / "home"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("BENTOML_", "FIVEFOLD_"))},
        "BENTOML_HOME": str(home),
        "FIVEFOLD_VAR": str(checkout.parent / "var"),
        "BENTOML_DO_NOT_TRACK": "True",
        "PATH": str(checkout.parent / "nothing"),
        "PYTHONPATH": str(checkout),
    }
    command = [sys.executable, "-m", "bentoml", *words]
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(checkout: Path) -> Path:
    run(checkout, "build", "--output", "tag")
    (bento,) = json.loads(run(checkout, "list", "--output", "json"))
    name, _, version = bento["tag"].partition(":")
    return checkout.parent / "home" / "bentos" / name / version


def test_the_bento_is_of_the_service(built: Path) -> None:
    told = yaml.safe_load((built / "bento.yaml").read_text(encoding="utf-8"))
    assert told["name"] == "fivefold"
    assert told["service"] == "serving.service:Fivefold"
    assert [service["name"] for service in told["services"]] == ["fivefold"]


def test_the_bento_holds_all_code_and_nothing_that_was_generated(built: Path) -> None:
    sources = built / "src"
    for room in ROOMS:
        expected = {path.relative_to(ROOT) for path in (ROOT / room).rglob("*.py")}
        assert expected <= {path.relative_to(sources) for path in sources.rglob("*.py")}, room
    assert (sources / "store" / "plans.yaml").is_file()
    names = {part for path in sources.rglob("*") for part in path.relative_to(sources).parts}
    assert not names & {"__pycache__", *NO_CODE}
    assert not [path for path in sources.rglob("*") if path.suffix in {".db", ".parquet", ".log"}]


def test_the_bento_names_what_it_needs(built: Path) -> None:
    python = "\n".join(path.read_text(encoding="utf-8") for path in (built / "env" / "python").rglob("*.txt"))
    for package in ("lightgbm", "fastapi", "sqlalchemy", "numba"):
        assert package in python.lower()


def test_the_image_has_the_library_that_lightgbm_needs(built: Path) -> None:
    told = yaml.safe_load((built / "bento.yaml").read_text(encoding="utf-8"))
    assert any("apt-get install" in command and "libgomp1" in command for command in told["image"]["commands"])
