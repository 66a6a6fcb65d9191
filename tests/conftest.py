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


class _InRooms(LoadFileScheduling):
    """Gives one process all files whose tests share what takes long to make, rather than have each process make it."""

    _SHARED = ("tests/cli/", "tests/serving/test_process_", "tests/training/")
    """The trained registry of the commands; the running services; the training that is run twice."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((shared for shared in self._SHARED if file.startswith(shared)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _InRooms | None:
    """Take the place of `--dist=loadfile`."""
    return _InRooms(config, log) if config.getvalue("dist") == "loadfile" else None
