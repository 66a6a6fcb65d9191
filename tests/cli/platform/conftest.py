"""A platform that is set up once; each test that begins with it gets a copy."""

import shutil
from pathlib import Path

import pytest

from tests.cli.running import succeed


@pytest.fixture(scope="session")
def set_up_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A platform with the shipped ruleset's levels, fields and lists; only to be copied."""
    made = tmp_path_factory.mktemp("platform") / "var"
    succeed(made, "import", "setup", "fatf-retail")
    return made


@pytest.fixture
def set_up(set_up_once: Path, tmp_path: Path) -> Path:
    """A copy, which a test may change."""
    return Path(shutil.copytree(set_up_once, tmp_path / "var"))
