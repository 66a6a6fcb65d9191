"""Arrays as text: PostgreSQL reads back what was written, whatever the texts hold."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Engine, Text, select

from store.arrays import array_named, literal_of
from tests.store import databases

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))) | st.sampled_from(
    ["", "NULL", "null", "{}", ",", '"', "\\", " a ", "\n"]
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with databases.opened(databases.new_url("postgresql", tmp_path_factory.mktemp("arrays"))) as engine:
        yield engine


@given(st.lists(TEXTS), st.lists(st.integers(-(2**63), 2**63 - 1) | st.none()))
def test_what_is_written_is_what_is_read(server: Engine, texts: list[str], numbers: list[int | None]) -> None:
    asked = select(array_named("texts", Text), array_named("numbers", BigInteger))
    with server.connect() as connection:
        found = connection.execute(asked, {"texts": texts, "numbers": numbers}).one()
    assert tuple(found) == (texts, numbers)


def test_a_nul_is_no_end_of_a_text() -> None:
    with pytest.raises(ValueError, match="NUL"):
        literal_of(["a", "b\0c"])
