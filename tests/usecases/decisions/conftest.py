"""The desk at which decisions are asked for, made once for this folder."""

import pytest
from sqlalchemy import Engine

from tests.store.filling import filled_once
from tests.usecases.decisions.deciding import Desk, opened


@pytest.fixture
@filled_once
def desk(engine: Engine) -> Desk:
    return opened(engine)
