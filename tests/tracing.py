"""What coverage looks at: to trace every example of a property takes longer than to try them all."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import count
from typing import Any

FIRST_EXAMPLES = 6
STEP = 3
"""Of a property, the first examples are traced, which are the smallest, and then every third."""


@contextmanager
def untraced() -> Iterator[None]:
    """Trace nothing in this thread, and go on afterwards."""
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(trace)


@contextmanager
def some_examples_traced(test: Any) -> Iterator[None]:
    """Trace some of the examples of a property; a test without examples is traced as a whole.

    Hypothesis calls `inner_test` for each example, and takes what a plugin puts in its place. It draws the same
    examples, as these follow from the text of the test that is wrapped. Nothing changes where nothing is traced.
    """
    trace, given = sys.gettrace(), getattr(test, "hypothesis", None)
    if trace is None or given is None:
        yield
        return
    one_example, numbers = given.inner_test, count(1)

    @wraps(one_example)
    def counted(*arguments: Any, **named: Any) -> Any:
        number = next(numbers)
        sys.settrace(trace if number <= FIRST_EXAMPLES or number % STEP == 0 else None)
        return one_example(*arguments, **named)

    given.inner_test = counted
    try:
        yield
    finally:
        given.inner_test = one_example
        sys.settrace(trace)
