"""Commands whose parts are small, and that can be ended in the middle: `python -m tests.cli.small_parts END PARTS …`.

END is the signal that the process sends itself once so many parts are finished, or `full`: from then on the system
writes no file any more, as where the disk is full.
"""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fivefold.cli.main import main
from fivefold.domain.parts import Parts
from fivefold.features.reading import sort_file, sources
from fivefold.training import continuation
from fivefold.training.simulation import simulator
from tests.cli.running import Done, finish

FULL = "full"
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def small_parts() -> Iterator[pytest.MonkeyPatch]:
    """Let a file of a few thousand rows have many parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulator, "CHUNK_ROWS", 800)  # 20 customers
        patch.setattr(sort_file, "ROWS_A_PART", 700)
        patch.setattr(sort_file, "ROWS_A_BUCKET", 900)
        patch.setattr(sources, "ROWS_A_BATCH", 600)
        patch.setattr(sources, "PARQUET_ROWS_SORTED", -1)
        patch.setattr(continuation, "ROWS_A_PART", 2_000)
        yield patch


def ended(end: str, finished: int, var: Path, *arguments: object) -> Done:
    """Run a command with small parts in a process of its own, which ends once so many parts are finished."""
    command = [sys.executable, "-m", __name__, end, str(finished), *map(str, arguments)]
    environment = {**os.environ, "FIVEFOLD_VAR": str(var), "COLUMNS": "100"}
    pipe = subprocess.PIPE
    return finish(subprocess.Popen(command, env=environment, cwd=ROOT, stdout=pipe, stderr=pipe, text=True))


def _end_after(end: str, finished: int, patch: pytest.MonkeyPatch) -> None:
    finish = Parts._finish

    def counted(parts: Parts, name: str) -> None:
        finish(parts, name)
        if parts.count >= finished:  # threads may finish two at once
            if end == FULL:
                sys.dont_write_bytecode = True  # Python takes the part that it could write of a module for the whole
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            else:
                os.kill(os.getpid(), signal.Signals[end])

    patch.setattr(Parts, "_finish", counted)


if __name__ == "__main__":
    with small_parts() as small:
        _end_after(sys.argv[1], int(sys.argv[2]), small)
        sys.argv[:] = ["fivefold", *sys.argv[3:]]
        main()
