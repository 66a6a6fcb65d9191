"""Committed rulesets are never changed, whoever asks the database for it."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from tests.usecases import banks
from tests.usecases.banks import Bank


@pytest.mark.parametrize("statement", ["UPDATE ruleset_versions SET document = ''", "DELETE FROM ruleset_versions"])
def test_a_committed_version_is_neither_changed_nor_deleted(engine: Engine, statement: str) -> None:
    Bank(engine).activate(banks.document({"country": banks.COUNTRY}))
    with pytest.raises(DBAPIError, match="ruleset_versions is append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM ruleset_versions WHERE document <> ''")) == 1
