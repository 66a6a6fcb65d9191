"""Room for the files of metrics: a full disk takes the sharing away, and never the process."""

import errno
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from fivefold.console.table import VIEWS
from fivefold.serving.metrics.shared_files import FILE_BYTES, FOLDER, reserve_files
from fivefold.serving.v1.permissions import ROUTES

COUNTING = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from fivefold.serving.metrics import NOT_SHARED
from fivefold.serving.metrics.service import FIXED_PATHS, ROUTE, ServiceMetrics
from tests.serving.inprocess import Holding

class Drift:
    drift = ()

metrics = ServiceMetrics(Holding(None), Drift())
for path in (*FIXED_PATHS, *sys.argv[2:]):
    for status in (200, 201, 204, 303, 400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 429, 499, 500, 503, 504):
        metrics.count_response({ROUTE: path}, status, 0.002)
print(NOT_SHARED)
print(metrics.page().decode().count("fivefold_requests_total{"))
"""


def counting(folder: Path, most_bytes: int) -> list[str]:
    """Count answers of every route in a process whose files may not be larger; give what it says."""
    paths = sorted({route.path for route in ROUTES} | {view.path for view in VIEWS})
    done = subprocess.run(
        [sys.executable, "-c", COUNTING, str(most_bytes), *paths],
        env={**os.environ, FOLDER: str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_no_file_grows_where_every_route_has_every_status(tmp_path: Path) -> None:
    not_shared, series = counting(tmp_path, resource.RLIM_INFINITY)
    assert not_shared == ""
    assert int(series) > 5_000
    found = {path.name.rpartition("_")[0]: path for path in tmp_path.iterdir()}
    assert {name: path.stat().st_size for name, path in found.items()} == FILE_BYTES
    for path in found.values():
        assert path.stat().st_blocks * 512 >= path.stat().st_size, "a page that is not there ends the process"
        (used,) = struct.unpack("i", path.read_bytes()[:4])
        assert used < 0.75 * path.stat().st_size


def test_a_process_without_room_for_its_files_counts_for_itself(tmp_path: Path) -> None:
    not_shared, series = counting(tmp_path, 2**20)
    assert "counter_" in not_shared
    assert "File too large" in not_shared
    assert int(series) > 5_000
    assert not list(tmp_path.iterdir()), "half a file is none"


def test_the_folder_stays_where_there_is_room_and_nothing_is_written_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {FOLDER: str(tmp_path)}
    assert reserve_files(environment) == ""
    assert environment == {FOLDER: str(tmp_path)}
    assert reserve_files({}) == ""

    def full(path: Path, _: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert reserve_files(environment).endswith(f"counter_{os.getpid()}.db: No space left on device")
    assert environment == {}
