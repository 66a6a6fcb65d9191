"""What is kept of an error: its kind, and our own words; nothing that a database or a library says of a row."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DataError, IntegrityError

from fivefold.domain.clock import from_microseconds
from fivefold.domain.errors import ConflictError, InvalidDataError, Problem
from fivefold.store.sql.database import writing
from fivefold.store.sql.reasons import failure_text

pytestmark = pytest.mark.postgresql


def test_what_the_program_says_is_kept_and_short() -> None:
    assert failure_text(ConflictError("there is a run already")) == "ConflictError: there is a run already"
    assert len(failure_text(ConflictError("x" * 5_000))) == 1_000


def test_of_rows_that_cannot_be_taken_the_fields_alone_are_kept() -> None:
    problems = [Problem(row, name, "is 'Ana Silva'", "a number") for row, name in enumerate(("balance", "amount"))]
    assert failure_text(InvalidDataError(problems)) == "InvalidDataError: 2 in amount, balance"
    many = [Problem(0, f"field_{number}", "is 'Ana Silva'", "a number") for number in range(9)]
    assert failure_text(InvalidDataError(many)).endswith("field_3, field_4 and others")


def test_of_any_other_error_the_kind_and_the_place_are_kept() -> None:
    assert failure_text(KeyError("Ana Silva")) == "KeyError"
    with pytest.raises(OverflowError) as raised:
        from_microseconds(10**30)
    assert failure_text(raised.value) == "OverflowError in domain.clock.from_microseconds"


def test_a_database_that_refuses_a_row_tells_nobody_what_stood_in_it(engine: Engine) -> None:
    row = text("INSERT INTO organisations (id, name, created_us) VALUES (:id, :name, NULL)")
    with pytest.raises(IntegrityError) as raised, writing(engine) as session:
        session.execute(row, {"id": 901, "name": "Ana Silva"})
    said = failure_text(raised.value)
    assert said.startswith("IntegrityError (")
    assert "Ana" not in said
    if engine.dialect.name == "sqlite":
        assert "SQLITE_CONSTRAINT_NOTNULL" in said
        assert "Ana" not in str(raised.value), "no error shows what was sent"
    else:
        assert "(NotNullViolation)" in said
        assert "Ana" in str(raised.value), "what PostgreSQL itself says names the row"


def test_a_value_that_a_database_cannot_take_is_not_named(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite takes any value")
    with pytest.raises(DataError) as raised, writing(engine) as session:
        session.execute(text("SELECT CAST(CAST(:value AS text) AS integer)"), {"value": "Ana Silva"})
    assert "Ana" in str(raised.value)
    assert failure_text(raised.value).startswith("DataError (InvalidTextRepresentation)")
    assert "Ana" not in failure_text(raised.value)
