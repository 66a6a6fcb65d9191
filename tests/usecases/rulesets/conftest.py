"""A person of an organisation with a list, for tests of drafts and backtests."""

import pytest
from sqlalchemy import Engine

from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases.at_once import put_list_version
from tests.usecases.governed import NOW, founded


@pytest.fixture
@filled_once
def ana(engine: Engine) -> Actor:
    actor = founded(engine)[0]
    put_list_version(Context(engine, actor).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    return actor
