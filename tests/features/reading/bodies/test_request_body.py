"""What a JSON body holds is counted before it is read; compared with what a reader of JSON finds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from fivefold.features.reading.request_body import DEEPEST, BodyShape, measure_body

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just('a,"{[\\'),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=5),
    max_leaves=30,
)


def counted(value: Any) -> BodyShape:
    """The same, of what was read."""

    def look(value: Any, row: int, depth: int) -> None:
        nonlocal values, widest, deepest
        if not isinstance(value, list | dict):
            return
        deepest = max(deepest, depth)
        values += len(value)
        for number, inner in enumerate(value.values() if isinstance(value, dict) else value):
            look(inner, number if depth == 1 else row, depth + 1)
        if isinstance(value, dict) and len(value) > widest[0]:
            widest = (len(value), row)

    values, widest, deepest = 0, (0, 0), 0
    look(value, 0, 1)
    return BodyShape(len(value) if isinstance(value, list | dict) else 0, values, *widest, deepest)


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_what_is_counted_is_what_is_there(value: Any, indent: int | None, plain: bool) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=plain).encode()
    found, expected = measure_body(body), counted(value)
    if isinstance(value, dict) and expected.widest == len(value):  # the outermost one has no row of its own
        assert (found.rows, found.values, found.widest, found.depth) == (
            expected.rows,
            expected.values,
            expected.widest,
            expected.depth,
        )
    else:
        assert found.widest == expected.widest
        assert (found.rows, found.values, found.depth) == (expected.rows, expected.values, expected.depth)


@pytest.mark.parametrize(
    ("body", "row"),
    [(b'[1, {"a":1,"b":2}]', 1), (b'[{"a":1},{"a":1},{"a":[{"b":1,"c":1}]}]', 2), (b'{"a":{"b":1}}', 0)],
)
def test_the_row_of_the_widest_object_is_named(body: bytes, row: int) -> None:
    assert measure_body(body).widest_row == row


@pytest.mark.parametrize("body", [b"", b" ", b"]", b'"', b'"\\', b"[", b"{,", b"nothing", b"\xff", b"[1]]]]"])
def test_what_is_no_json_is_counted_all_the_same(body: bytes) -> None:
    assert measure_body(body).values <= 2


def test_a_body_that_ends_too_early_is_counted_as_far_as_it_goes() -> None:
    assert measure_body(b'[{"a":1,"b":2},{"a":[1,2,3') == BodyShape(2, 8, 2, 0, 3)


def test_endless_nesting_ends_the_look() -> None:
    assert measure_body(b"[" * 100_000).depth == DEEPEST + 1
    with pytest.raises(ValueError, match="recursion"):
        from_json(b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1))
