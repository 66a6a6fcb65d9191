"""Arrays as text: PostgreSQL reads back what was written, whatever the texts hold."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Double, Engine, Text, literal, select
from sqlalchemy.orm import Session

from fivefold.store.sql.arrays import among, array_parameter, array_text
from tests.store import databases

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))) | st.sampled_from(
    ["", "NULL", "null", "{}", ",", '"', "\\", " a ", "\n"]
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with databases.opened(databases.new_url("postgresql", tmp_path_factory.mktemp("arrays"))) as engine:
        yield engine


@given(
    st.lists(TEXTS) | st.lists(TEXTS | st.none()),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.none()),
    st.lists(st.floats(allow_nan=False) | st.integers(-(2**53), 2**53) | st.none()),
)
def test_what_is_written_is_what_is_read(
    server: Engine, texts: list[str | None], numbers: list[int | None], measures: list[float | None]
) -> None:
    parameters = (array_parameter("texts", Text), array_parameter("numbers", BigInteger))
    asked = select(*parameters, array_parameter("measures", Double))
    with server.connect() as connection:
        read = connection.execute(asked, {"texts": texts, "numbers": numbers, "measures": measures}).one()
    assert tuple(read) == (texts, numbers, measures)


def test_a_nul_is_no_end_of_a_text() -> None:
    with pytest.raises(ValueError, match="NUL"):
        array_text(["a", "b\0c"])


@pytest.mark.parametrize("values", [[], [1, 3], ["1", 'a"\\'], list(range(70_000))])
def test_values_are_found_among_any_number_of_them(engine: Engine, values: Any) -> None:
    kind = Text() if values and isinstance(values[0], str) else BigInteger()
    absent = "no" if isinstance(kind, Text) else -1
    with Session(engine) as session:
        for value in (*values[:3], absent):
            found = session.scalar(select(among(session, literal(value, kind), values)))
            assert bool(found) == (value in values)
