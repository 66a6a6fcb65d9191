"""A bank that takes files in parts of ten rows."""

import pytest
from sqlalchemy import Engine

from fivefold.usecases.ingest import files as importing
from tests.usecases.banks import Bank


@pytest.fixture
def bank(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.setattr(importing, "ROWS", {"entities": 10, "transactions": 10})
    return Bank(engine)
