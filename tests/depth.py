"""How much of everything the tests try: quickly, all of it, or examples without end."""

import os
from collections.abc import Sequence
from typing import TypeVar

from hypothesis import HealthCheck

Case = TypeVar("Case")

_ASKED = os.environ.get("FIVEFOLD_TESTS", "quick")
DEPTH = "quick" if _ASKED == "short" else _ASKED
"""quick: what CI runs. full: everything on both databases and more examples. soak: examples without end."""
SHORT = _ASKED == "short"
"""`make test`: quick, without the tests in `tests/long_tests.txt`."""
SHARED_FIXTURES = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
"""The health checks that a property suppresses whose examples share the fixtures of one test.

What a property suppresses takes the place of what the profile does, so `too_slow` is here as well: no property fails
because the machine is slow.
"""


def examples(full: int) -> int:
    """Give how many examples a property with a number of its own tries: that number at full depth.

    At quick depth it is a tenth, five at least; in `make soak` ten times as many.
    """
    if DEPTH == "soak":
        return 10 * full
    return min(full, max(5, full // 10)) if DEPTH == "quick" else full


def some(cases: Sequence[Case], step: int) -> list[Case]:
    """Give all cases at full depth; at quick depth the first one, and of those after it each that is *step* further."""
    return list(cases[::step] if DEPTH == "quick" else cases)
