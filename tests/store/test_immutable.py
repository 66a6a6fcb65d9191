"""Committed rulesets and versions of lists are never changed, whoever asks the database for it."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from fivefold.usecases.shared.context import Context
from tests.usecases import banks
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import Bank


@pytest.mark.parametrize("statement", ["UPDATE ruleset_versions SET document = ''", "DELETE FROM ruleset_versions"])
def test_a_committed_version_is_neither_changed_nor_deleted(engine: Engine, statement: str) -> None:
    Bank(engine).activate(banks.document({"country": banks.COUNTRY}))
    with pytest.raises(DBAPIError, match="ruleset_versions is append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM ruleset_versions WHERE document <> ''")) == 1


@pytest.mark.parametrize("statement", ["UPDATE list_versions SET members = '[]'", "DELETE FROM list_versions"])
def test_a_version_of_a_list_is_neither_changed_nor_deleted(engine: Engine, statement: str) -> None:
    bank = Bank(engine)
    put_list_version(Context(engine, bank.actor).at(bank.now), "watched", 0, ("IR",), "Whom we watch", "our own")
    with pytest.raises(DBAPIError, match="list_versions is append-only"), engine.begin() as connection:
        connection.execute(text(statement))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM list_versions WHERE members <> '[]'")) == 1
