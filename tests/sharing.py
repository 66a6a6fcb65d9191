"""What takes long to make is made once: by one process for all of them, or for all the tests of a folder."""

import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import pytest

FOLDER = "TESTS_MADE_ONCE"
"""The variable that names the folder of a run, as tests/conftest.py makes it; processes of xdist have it from there."""
_OPEN = pytest.StashKey[dict[str, Any]]()
Opened = TypeVar("Opened")


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """Give a folder that the first process to ask for it fills; to be read or copied, never to be changed.

    Paths in what is made hold: the folder stays where it was made, and ends with the run.
    """
    folder = Path(os.environ[FOLDER]) / name
    complete = folder.with_suffix(".complete")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of one who did not come to the end
            folder.mkdir()
            make(folder)
            complete.touch()
    return folder


def open_in_folder(
    request: pytest.FixtureRequest, name: str, opening: Callable[[], AbstractContextManager[Opened]]
) -> Opened:
    """Give what the first test of this folder that asks for it opens; it is closed before a test of another folder.

    A fixture of the whole session would close it at the very end: what waits for work meanwhile takes time as well.
    The fixture that calls this is of a module or of a test.
    """
    folder = next(node for node in request.node.iter_parents() if isinstance(node, pytest.Dir))
    held = folder.stash.setdefault(_OPEN, {})
    if name not in held:
        context = opening()
        held[name] = context.__enter__()

        def close() -> None:
            del held[name]
            context.__exit__(None, None, None)

        folder.addfinalizer(close)
    return held[name]  # type: ignore[no-any-return]  # of the name alone
