"""A bank whose predictions wait for the end of their horizon."""

import pytest
from sqlalchemy import Engine

from fivefold.usecases.monitoring.realised import judge
from tests.usecases.monitoring.realised.living import Living, Shelf, living


@pytest.fixture
def without_predictions(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Living:
    """No prediction was kept yet; the models are on a shelf."""
    shelf = Shelf()
    monkeypatch.setattr(judge, "_open", lambda *_: shelf)
    return living(engine, shelf)


@pytest.fixture
def bank(without_predictions: Living) -> Living:
    """Predictions were kept; the horizon is to come."""
    without_predictions.keep()
    return without_predictions
