"""The console in this process, on a place that has one of everything."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.visitors import Visitor
from tests.serving.v1.furnishing import furnished_once
from tests.serving.v1.places import Place, copied


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Two organisations, the first with one of everything; only to be read and copied."""
    with furnished_once(tmp_path_factory.mktemp("furnished")) as place:
        yield place


@pytest.fixture
def place(furnished: Place, tmp_path: Path) -> Iterator[Place]:
    """The same, for this test alone."""
    with copied(furnished, tmp_path) as place:
        yield place


@pytest.fixture
def investigator(place: Place) -> Visitor:
    """An investigator of the bank, signed in."""
    return Visitor(place).sign_in("investigator")


@pytest.fixture
def publisher(place: Place) -> Visitor:
    """A publisher of the bank, signed in."""
    return Visitor(place).sign_in("publisher")


@pytest.fixture
def admin(place: Place) -> Visitor:
    """An administrator of the bank, signed in."""
    return Visitor(place).sign_in("admin")


@pytest.fixture
def author(place: Place) -> Visitor:
    """A publisher who writes; `place.tokens` has another one."""
    return Visitor(place).go("/console/sign-in").submit("/sign-in", token=place.join("writer", "publisher")[0])
