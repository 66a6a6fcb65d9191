"""A customer at low whose level two people have decided on."""

import pytest
from sqlalchemy import Engine

from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.changes.facts.fact_stories import RULES, decided, screen


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A customer at low; something decides, and screenings were clean."""
    bank = Bank(engine)
    version = bank.activate(banks.document(RULES, optional_tables=["cases"]))
    decided(bank, version)
    for name in "ab":
        bank.put(name)
        screen(bank, False, name=name)
    bank.settle()
    bank.wait(days=1)
    return bank
