"""A database out of reach is one error for every use case that reads: StoreError, without the driver's words."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import StoreError
from fivefold.store.sql.database import open_database
from fivefold.usecases.accounts.entity_types import list_types
from fivefold.usecases.accounts.lists import list_lists
from fivefold.usecases.accounts.organisations import list_members
from fivefold.usecases.accounts.settings import read_settings
from fivefold.usecases.levels.overrides import cap_of, overrides_of
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context


@pytest.fixture
def unreachable() -> Iterator[Engine]:
    engine = open_database("postgresql://nobody:secret@127.0.0.1:1/none")
    yield engine
    engine.dispose()


@pytest.mark.parametrize("read", [list_types, list_lists, list_members, read_settings, cap_of, overrides_of])
def test_a_read_without_its_database_is_a_store_error(read: Callable[[Context], object], unreachable: Engine) -> None:
    with pytest.raises(StoreError, match="the database cannot be reached") as error:
        read(Context(unreachable, Actor(1, "ada")))
    assert "secret" not in str(error.value)
