"""A bank whose predictions wait for the end of their horizon."""

import pytest
from sqlalchemy import Engine

from fivefold.usecases.monitoring.realised import judge
from tests.usecases.monitoring.realised.living import Living, Shelf, living


@pytest.fixture
def bank(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Living:
    """Predictions were kept; the horizon is to come."""
    shelf = Shelf()
    monkeypatch.setattr(judge, "_open", lambda *_: shelf)
    made = living(engine, shelf)
    made.keep()
    return made
