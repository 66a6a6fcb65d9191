"""Columns of JSON: the text that is stored, to the byte, and what is read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.store.sql.json_text import JSONText, stored_report
from fivefold.store.tables.accounts import Member
from fivefold.store.tables.events import ValidationRun
from tests.store.stored import type_of

EXACT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
    max_leaves=20,
)


def stored(session: Session, column: str) -> Any:
    return session.execute(text(f"SELECT {column}")).scalar_one()


def test_each_column_keeps_its_spelling(engine: Engine) -> None:
    with Session(engine) as session:
        kind = type_of(session)
        kind.fields = {"b": ("é", 1), "a": None}
        of = kind.organisation_id
        session.add(Member(organisation_id=of, name="a", roles=["admin", "é"], created_us=1))
        report = {"b": [0.5], "a": "é"}
        session.add(ValidationRun(organisation_id=of, trigger="", from_us=0, until_us=1, made_us=1, report=report))
        session.flush()
        assert stored(session, "fields FROM entity_types") == '{"a":null,"b":["é",1]}'
        assert stored(session, "roles FROM members") == '["admin", "\\u00e9"]'
        assert stored(session, "report FROM validations") == '{"a": "é", "b": [0.5]}'
        session.refresh(kind)
        assert list(kind.fields.items()) == [("a", None), ("b", ["é", 1])]


def test_the_same_content_is_not_written_again(engine: Engine) -> None:
    with Session(engine) as session:
        kind = type_of(session)
        session.execute(text("""UPDATE entity_types SET fields = '{ "income" : "number" }'"""))
        session.refresh(kind)
        kind.fields = {"income": "number"}
        session.flush()
        assert stored(session, "fields FROM entity_types") == '{ "income" : "number" }'


def test_what_has_no_exact_form_is_refused(engine: Engine) -> None:
    with Session(engine) as session:
        type_of(session).fields = {"share": 0.5}
        with pytest.raises(StatementError, match="canonical JSON has only text"):
            session.flush()


@given(EXACT)
def test_every_value_comes_back(value: Any) -> None:
    for write in (canonical_json, json.dumps, stored_report):
        column: Any = JSONText(write)
        written = column.process_bind_param(value, None)
        assert written == (None if value is None else write(value))
        assert column.process_result_value(written, None) == value
