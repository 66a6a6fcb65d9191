"""A bank whose customers contest their levels."""

import pytest
from sqlalchemy import Engine

from fivefold.usecases.ingest.facts import add_screening
from tests.store.audits import bind_unnamed
from tests.store.filling import filled_once
from tests.usecases.banks import Bank
from tests.usecases.recourse.contested import written


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A customer at medium by their income, assessed once; and another one."""
    made = written(engine)
    for name in "ab":
        made.put(name, income=1234.5, country="NO")
        add_screening(made.context, "customer", name, "sanctions", has_match=False, at_us=made.now)
    made.settle()
    bind_unnamed(engine)
    made.wait(days=1)
    return made
