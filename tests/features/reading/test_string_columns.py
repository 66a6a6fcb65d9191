"""Texts as bytes: views of Arrow's columns and of scanned bodies say the same."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.features.reading.string_columns import Words, texts_of, words_of
from fivefold.features.schema import STATES
from tests.features.reading.test_fast_columns import texts

any_texts = st.lists(st.text(max_size=3) | st.none(), max_size=8)


@given(any_texts, st.integers(0, 3), st.sampled_from([pa.string(), pa.large_string()]))
def test_views_and_copies_give_the_texts_back(of: list[str | None], skipped: int, kind: pa.DataType) -> None:
    column = pa.array(of, kind)[skipped:]
    view = texts_of(column)
    assert texts(of).arrow().to_pylist() == of
    if view is not None:
        assert len(view) == len(column)
        assert view.arrow().to_pylist() == column.to_pylist()
        known = np.flatnonzero(view.begins >= 0)
        assert view.take(known).to_pylist() == [text for text in column.to_pylist() if text is not None]


@given(any_texts)
def test_numbers_are_those_of_a_dictionary(of: list[str | None]) -> None:
    numbered = texts(of).numbered()
    if not all(of):
        assert numbered is None
        return
    assert numbered is not None
    wanted = list(dict.fromkeys(of))
    assert ([wanted[number] for number in numbered[0]], [of[row] for row in numbered[1]]) == (of, wanted)


def test_many_texts_are_numbered_too() -> None:
    of: list[str | None] = [f"user_{number % 7_919}" for number in range(40_000)]
    numbered = texts(of).numbered()
    assert numbered is not None
    assert numbered[0].tolist() == [number % 7_919 for number in range(40_000)]


@pytest.mark.parametrize("column", [pa.nulls(2), pa.array([], pa.string()), pa.array(["a"]).dictionary_encode(), [1]])
def test_what_is_no_column_of_texts_has_no_view(column: object) -> None:
    assert texts_of(column) is None


def test_a_view_is_its_own() -> None:
    view = texts(["a"])
    assert texts_of(view) is view


def test_words_are_spelled_as_bytes() -> None:
    words = words_of(STATES)
    data, begins, ends, codes = words.table
    spelled = [bytes(data[begin:end]).decode() for begin, end in zip(begins, ends, strict=True)]
    assert dict(zip(spelled, codes.tolist(), strict=True)) == words == STATES
    assert words_of(words) is words
    assert isinstance(words, Words)
