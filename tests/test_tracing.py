"""Coverage is measured with some of the examples of a property, and is measured again once the property ends."""

import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tracing import some_examples_traced, untraced

traced = list[bool]()


@settings(max_examples=12, database=None)
@given(st.integers())
def looked_at(_: int) -> None:
    traced.append(sys.gettrace() is not None)


def nothing(*_: Any) -> None:
    """Trace no frame."""


@pytest.mark.parametrize("trace", [nothing, None])
def test_the_first_examples_of_a_property_are_traced_and_then_every_third(trace: Any) -> None:
    before = sys.gettrace()
    traced.clear()
    sys.settrace(trace)
    try:
        with some_examples_traced(looked_at):
            looked_at()
        looked_at()
        with untraced():
            assert sys.gettrace() is None
        assert sys.gettrace() is trace
    finally:
        sys.settrace(before)
    wanted = [*[True] * 6, False, False, True, False, False, True, *[True] * 12]
    assert traced == (wanted if trace else [False] * 24)
