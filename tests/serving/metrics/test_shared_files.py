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
from fivefold.domain.settings import Settings
from fivefold.serving.metrics.shared_files import FILE_BYTES, FOLDER, begin_service, folder_of_service, reserve_files
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
        env={**os.environ, FOLDER: str(folder / "of BentoML"), "FIVEFOLD_VAR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def files_of(var: Path) -> list[Path]:
    return list(folder_of_service(Settings(var=var).metrics_files, os.getpid()).iterdir())


def test_a_service_that_starts_leaves_the_files_of_one_that_runs_and_removes_those_of_one_that_ended(
    tmp_path: Path,
) -> None:
    begin = f"from fivefold.serving.metrics.shared_files import *; print(begin_service(Path({str(tmp_path)!r}), 1))"
    ended = subprocess.run([sys.executable, "-c", begin], capture_output=True, text=True, check=True)
    assert ended.stdout == "\n"
    (folder_of_service(tmp_path, 1) / "counter_11.db").touch()
    assert begin_service(tmp_path, 2) == ""
    assert not folder_of_service(tmp_path, 1).exists()
    counted = folder_of_service(tmp_path, 2) / "counter_21.db"
    counted.touch()
    assert begin_service(tmp_path, 3) == ""
    assert counted.exists(), "the first service goes on counting into it"
    assert folder_of_service(tmp_path, 3).exists()


def test_a_folder_that_cannot_be_begun_is_named(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    assert begin_service(tmp_path / "a file", 1).startswith(f"{tmp_path / 'a file'}: ")


def test_the_files_are_not_in_the_folder_that_bentoml_removes_as_any_service_starts(tmp_path: Path) -> None:
    settings = Settings(var=tmp_path)
    assert not settings.metrics_files.is_relative_to(settings.bentoml_home)


def test_no_file_grows_where_every_route_has_every_status(tmp_path: Path) -> None:
    not_shared, series = counting(tmp_path, resource.RLIM_INFINITY)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics"], "the folder of BentoML may be another one's too"
    assert not_shared == ""
    assert int(series) > 5_000
    found = {path.name.rpartition("_")[0]: path for path in files_of(tmp_path)}
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
    assert not files_of(tmp_path), "half a file is none"


def test_the_folder_stays_where_there_is_room_and_nothing_is_written_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {FOLDER: "/of/BentoML"}
    assert reserve_files(environment, tmp_path / "ours") == ""
    assert environment == {FOLDER: str(tmp_path / "ours")}
    assert reserve_files({}, tmp_path / "nobody's") == ""
    assert not (tmp_path / "nobody's").exists()

    def full(path: Path, _: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert reserve_files(environment, tmp_path / "ours").endswith(f"counter_{os.getpid()}.db: No space left on device")
    assert environment == {}
