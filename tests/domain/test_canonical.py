"""Canonical JSON: the same values are the same bytes, other values are others, and what is not exact is refused."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.canonical import canonical_json

plain = st.none() | st.booleans() | st.integers() | st.text()
values = st.recursive(plain, lambda below: st.lists(below) | st.dictionaries(st.text(), below), max_leaves=20)


def shuffled(value: Any, order: Any) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(below, order) for below in value] if isinstance(value, list) else value


def written(value: Any) -> str:
    """The same, written out by hand: slow and obvious."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{written(key)}:{written(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(map(escaped, value)) + '"'
    return (
        {None: "null", True: "true", False: "false"}[value]
        if value is None or value is True or value is False
        else str(value)
    )


def escaped(character: str) -> str:
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return short.get(character) or (f"\\u{ord(character):04x}" if character < " " else character)


@given(values, st.randoms())
def test_the_form_is_as_described_whatever_the_order_of_keys(value: Any, order: Any) -> None:
    assert canonical_json(shuffled(value, order)) == written(value)
    assert json.loads(canonical_json(value)) == value


@pytest.mark.parametrize("value", [0.5, 1.0, float("nan"), Decimal(1), b"x", {1}, datetime(2026, 11, 20, tzinfo=UTC)])
def test_what_is_not_exact_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(TypeError, match=r"the value\.a\[1\]\.b is .*canonical JSON has only text, whole numbers"):
        canonical_json({"a": [1, {"b": value}]})
    with pytest.raises(TypeError, match="the value is "):
        canonical_json(value)


@pytest.mark.parametrize("key", [1, None, True, 0.5])
def test_keys_are_text(key: Any) -> None:
    with pytest.raises(TypeError, match=r"the value\[0\] has the key .*; keys of canonical JSON must be text"):
        canonical_json([{key: 1}])
