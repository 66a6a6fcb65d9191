"""What tests of every kind of place begin with."""

from pathlib import Path

import pytest

from fivefold.features.histories import Histories
from tests.features.reading.places.lakes import WHOLE, one_file


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


@pytest.fixture
def expected(tmp_path: Path) -> Histories:
    return one_file(WHOLE, tmp_path)
