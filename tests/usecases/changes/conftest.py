"""Three people, of whom two decided on what puts six customers at levels."""

import pytest
from sqlalchemy import Engine

from fivefold.usecases.changes.asks import put_list_version
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.store.filling import filled_once
from tests.usecases.changes.two_people_stories import LENIENT, People, decide, levels, work
from tests.usecases.governed import NOW, SECOND, document, founded


@pytest.fixture
@filled_once
def three(engine: Engine) -> People:
    """Six customers at levels 1, 2 and 3, by the strict ruleset; the lenient one stands behind it."""
    three = founded(engine)
    put_list_version(Context(engine, three[0]).at(NOW), "watched", 0, ["IR"], "Watched", "our own")
    rows = [EntityRow(f"c{one}", {"country": ("NO", "IR", "KP")[one % 3], "income": 5.0}) for one in range(6)]
    put_entities(Context(engine, three[0]).at(NOW), "customer", rows)
    for text, name in ((document(), "retail"), (LENIENT, "lenient")):
        decide(engine, three, text, name)
    work(engine, NOW + SECOND)
    assert levels(engine) == [1, 2, 3, 1, 2, 3]
    return three
