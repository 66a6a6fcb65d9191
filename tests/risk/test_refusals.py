"""Messages of errors stand beside the tests that expect them, and nothing else does."""

from pathlib import Path

from tests.golden import ARROW
from tests.risk.conftest import REFUSALS


def test_every_message_is_of_a_test_that_is_there() -> None:
    tests = {line.partition(ARROW)[0].partition("[")[0] for line in REFUSALS.read_text(encoding="utf-8").splitlines()}
    for test in tests:
        path, _, name = test.partition("::")
        assert f"def {name}(" in (Path(__file__).parent / path).read_text(encoding="utf-8"), test
