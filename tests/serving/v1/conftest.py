"""A place with one of everything is made once; tests that change it take a copy."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.serving.v1.places import Place


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Place"]:
    """Two organisations, the first with one of everything; only to be read and copied."""
    from tests.serving.v1.furnishing import furnished_once
    from tests.serving.v1.places import entries

    with furnished_once(tmp_path_factory.mktemp("furnished")) as place:
        before = entries(place)
        yield place
        assert entries(place) == before, "a test changed what all share: it takes `place` instead"


@pytest.fixture
def place(furnished: "Place", tmp_path: Path) -> Iterator["Place"]:
    """The same, for this test alone."""
    from tests.serving.v1.places import copied

    with copied(furnished, tmp_path) as place:
        yield place


@pytest.fixture(scope="module")
def on_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Place"]:
    """The same on PostgreSQL, for the tests of one module."""
    from tests.serving.v1.furnishing import furnished_once

    with furnished_once(tmp_path_factory.mktemp("postgresql"), "postgresql") as place:
        yield place
