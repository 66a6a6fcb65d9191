"""Every test of the store runs on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.store import databases


@pytest.fixture(params=databases.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(kind: str, tmp_path: Path) -> Iterator[Engine]:
    """A database with all tables and no rows."""
    with databases.opened(databases.new_url(kind, tmp_path)) as opened:
        yield opened


@pytest.fixture
def blank(kind: str, tmp_path: Path) -> Iterator[Engine]:
    """A database with nothing in it."""
    with databases.opened(databases.new_url(kind, tmp_path, migrated=False)) as opened:
        yield opened
