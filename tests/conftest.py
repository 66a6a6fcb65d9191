"""What all tests share: how Hypothesis runs, and how wide the terminal is."""

import atexit
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from functools import cache, lru_cache

import currency_converter
import pytest
import structlog
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from fivefold.risk.language import documents
from tests.depth import DEPTH, SHORT
from tests.long_tests import long_tests, without_cases
from tests.pace import slowness
from tests.sharing import FOLDER
from tests.tracing import some_examples_traced, untraced

# A test that hangs must fail and say where it hung; on a slow machine, or one with much else to do, later. A test of
# `make soak` tries a hundred times as many examples as a quick one.
os.environ.setdefault("PYTEST_TIMEOUT", str(round((7200 if DEPTH == "soak" else 300) * slowness())))

# To look through all that is imported again and again, for what could be freed, took a third of the collection.
gc.disable()

# No deadline: the first example of a test may load the compiled kernel, and coverage slows all of them.
_SHARED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("quick", settings(max_examples=12, derandomize=True, **_SHARED))
settings.register_profile("full", settings(max_examples=60, derandomize=True, **_SHARED))
settings.register_profile("soak", settings(max_examples=1000, **_SHARED))
settings.load_profile(DEPTH)

# Java compiles quickly and no more: to optimise what Spark runs took half of the processor time of its tests.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1")

# What is made once for all processes; it is removed by the process that the others were started by, which ends last.
if FOLDER not in os.environ:
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="fivefold-tests-")
    atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)

# Encrypts what tests store, in this process and in those that it starts; no key is made in a folder of its own.
os.environ["FIVEFOLD_WEBHOOK_KEYS"] = "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk="

# To unpack the European Central Bank's rates takes longer than most tests: once in a process is enough.
currency_converter.CurrencyConverter = cache(currency_converter.CurrencyConverter)  # type: ignore[assignment, misc]  # a function in its place

# To read YAML took a fifth of the time of the tests of rulesets, and most of the texts were read before.
documents.compose = lru_cache(500)(documents.compose)  # type: ignore[assignment]  # a function in its place

# A worker process of xdist exports both; a console would keep that width, whatever a test asks for.
for _name in ("COLUMNS", "LINES"):
    os.environ.pop(_name, None)


_TOGETHER = ("tests/serving/processes/", "tests/cli/", "tests/training/", "tests/browser/")
"""Files that share what takes long: a running service; the commands' trained registry; a training that is run twice;
a browser."""
_LONG = (
    *_TOGETHER,
    "tests/usecases/changes/test_two_people.py",
    "tests/usecases/test_platform_machine.py",
    "tests/usecases/levels/test_bounded_reads.py",
    "tests/usecases/levels/groups/test_groups.py",
    "tests/features/catalogue/test_kernel.py",
    "tests/usecases/levels/worker/test_killed.py",
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


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Log as at the start: a command or a service that an earlier test ran in this process set logs up for itself."""
    structlog.reset_defaults()


def pytest_collection_finish() -> None:
    """Look from now on for what tests leave, and no more at what was imported and collected for them."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """End PostgreSQL while pytest waits: xdist kills a process ten seconds after its end, but not its server."""
    if databases := sys.modules.get("tests.store.databases"):
        databases.end_postgresql()


_ONE_DATABASE_ENOUGH = ("tests/usecases/", "tests/serving/")
"""Where the same steps on PostgreSQL prove little that SQLite does not, unless a test is marked `postgresql`."""


def _is_twin(item: pytest.Item) -> bool:
    """Tell whether a test takes the steps on PostgreSQL that its twin takes on SQLite."""
    parameters = getattr(item, "callspec", None)
    return (
        item.nodeid.startswith(_ONE_DATABASE_ENOUGH)
        and parameters is not None
        and "postgresql" in parameters.params.values()
        and not _is_of_one_database(item)
    )


def _is_of_one_database(item: pytest.Item) -> bool:
    """Tell whether a test names its one database, so that it has no twin: `parametrize("kind", ["postgresql"])`."""
    return any(mark.args == ("kind", ["postgresql"]) for mark in item.iter_markers("parametrize"))


def runs_at_full_depth_alone(item: pytest.Item) -> bool:
    """Tell whether a test is left out at quick depth."""
    if item.get_closest_marker("full") is not None:
        return True
    return _is_twin(item) and item.get_closest_marker("postgresql") is None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool | None, bool | None]:
    """Measure coverage with some of the examples of a property, and not with the twins: each takes twice as long."""
    with untraced() if _is_twin(item) else some_examples_traced(getattr(item, "obj", None)):
        return (yield)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what runs at full depth, or in CI, alone; put first what takes long, in the processes of xdist."""
    if DEPTH == "quick":
        long = long_tests() if SHORT else frozenset()
        left_out, chosen = [], []
        for item in items:
            is_out = runs_at_full_depth_alone(item) or without_cases(item.nodeid) in long
            (left_out if is_out else chosen).append(item)
        items[:] = chosen
        config.hook.pytest_deselected(items=left_out)
    if hasattr(config, "workerinput"):
        items.sort(
            key=lambda item: next((n for n, name in enumerate(_LONG) if item.nodeid.startswith(name)), len(_LONG))
        )
