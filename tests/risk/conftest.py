"""What tests of the risk engine share: an expected error, whose message stands in a golden file."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

import pytest
from pydantic import ValidationError

from tests.golden import ARROW, FOLDER

Refusal: TypeAlias = Callable[[type[Exception]], AbstractContextManager[None]]
REFUSALS = FOLDER / "refusals.txt"
"""The name of a test, and the message of the error that it expects; a test that expects several has a line for each."""


def message_of(error: BaseException) -> str:
    """Write an error on one line, without what a release of pydantic adds to it."""
    if isinstance(error, ValidationError):
        return " | ".join(each["msg"] for each in error.errors())
    return " | ".join(line.strip() for line in str(error).splitlines())


def _lines() -> list[str]:
    return REFUSALS.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def refusal(request: pytest.FixtureRequest) -> Iterator[Refusal]:
    """Expect errors of a type, and at the end of the test compare their messages with those of the golden file.

    With FIVEFOLD_GOLDEN=write in the environment the test's lines are written anew, by one process (`-n0`).
    """
    start = f"{request.node.nodeid.removeprefix('tests/risk/')}{ARROW}"
    messages: list[str] = []

    @contextmanager
    def expected(error: type[Exception]) -> Iterator[None]:
        with pytest.raises(error) as raised:  # the message is compared below
            yield
        messages.append(f"{start}{message_of(raised.value)}")

    yield expected
    if os.environ.get("FIVEFOLD_GOLDEN") == "write":
        others = [line for line in _lines() if not line.startswith(start)]
        # Sorted by test alone, so that the messages of one stay in their order.
        lines = sorted([*others, *messages], key=lambda line: line.partition(ARROW)[0])
        REFUSALS.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert messages == [line for line in _lines() if line.startswith(start)]
