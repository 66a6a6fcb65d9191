"""What all tests share: how Hypothesis runs, and how wide the terminal is."""

import os

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from tests.pace import slowness

# A test that hangs must fail and say where it hung; on a slow machine, or one with much else to do, later.
os.environ.setdefault("PYTEST_TIMEOUT", str(round(300 * slowness())))

# No deadline: the first example of a test may load the compiled kernel, and coverage slows all of them.
_SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
# `make test` asks the same each time; `make soak` goes on looking.
settings.register_profile("steady", settings(max_examples=60, derandomize=True, print_blob=True, **_SHARED))
settings.register_profile("soak", settings(max_examples=1000, print_blob=True, **_SHARED))
settings.load_profile("soak" if os.environ.get("FIVEFOLD_SOAK") else "steady")

# Encrypts what tests store, in this process and in those that it starts; no key is made in a folder of its own.
os.environ["FIVEFOLD_WEBHOOK_KEYS"] = "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk="

# A worker process of xdist exports both; a console would keep that width, whatever a test asks for.
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)


_TOGETHER = ("tests/serving/test_process_", "tests/cli/", "tests/training/")
"""Files that share what takes long: running services; the commands' trained registry; a training that is run twice."""
_LONG = (
    *_TOGETHER,
    "tests/usecases/changes/test_two_people.py",
    "tests/usecases/test_platform_machine.py",
    "tests/features/catalogue/test_kernel.py",
    "tests/usecases/test_worker_killed.py",
)
"""What begins first, the longest first, so that at the end no process is alone with it."""


class _InRooms(LoadFileScheduling):
    """Gives one process all files whose tests share what takes long to make, rather than have each process make it."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((shared for shared in _TOGETHER if file.startswith(shared)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _InRooms | None:
    """Take the place of `--dist=loadfile`."""
    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # by the number of tests; but few may take long
    return _InRooms(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put first what takes long, in the processes of xdist."""
    if hasattr(config, "workerinput"):
        items.sort(
            key=lambda item: next((n for n, name in enumerate(_LONG) if item.nodeid.startswith(name)), len(_LONG))
        )
