"""What a run keeps of an error names no value of a customer, whatever the database said."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.usecases.flows.runs import actions
from fivefold.usecases.flows.runs.reading import view_run
from tests.usecases.flows.flowing import LARGE, FlowBank

pytestmark = pytest.mark.postgresql
_REFUSED = text("INSERT INTO tags (organisation_id, entity_id, tag, from_us, set_by) VALUES (1, 1, :tag, NULL, 'x')")


def test_a_row_that_the_database_refuses_leaves_its_kind_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)

    def refused(session: Any, *_: Any) -> None:
        session.execute(_REFUSED, {"tag": "Ana Silva, 12 Main Street"})

    monkeypatch.setattr(actions, "set_tag_in", refused)
    assert bank.work() == 0
    run = bank.runs()[0]
    kind = "SQLITE_CONSTRAINT_NOTNULL" if engine.dialect.name == "sqlite" else "NotNullViolation"
    said = f"IntegrityError ({kind}) in usecases.flows.runs.actions._affect"
    assert (run.state, run.error) == ("queued", said)
    assert view_run(bank.context, run.id).error == said
