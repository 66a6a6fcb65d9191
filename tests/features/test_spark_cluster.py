"""A cluster of two workers, one of which is killed in the middle: the rest does its part again, bit for bit."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fivefold.domain.settings import read_settings
from fivefold.features.indicator_matrix import warm
from fivefold.features.reading.columns import ErrorCollector
from fivefold.features.reading.sources import read_histories
from fivefold.features.reading.tables import table_from_rows
from tests.features.equality import by_user
from tests.features.strategies import RATES, row
from tests.pace import slowness

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark takes Java, and there is none here"),
]
ROOT = Path(__file__).parents[2]
SECONDS = 120 * slowness()
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start programs on loopback, each with its children in a group of its own, and end them all."""
    started: list[subprocess.Popen[bytes]] = []
    environment = os.environ | {
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "FIVEFOLD_VAR": str(read_settings().var),
    }

    def start_one(*command: str, log: str) -> subprocess.Popen[bytes]:
        with (tmp_path / log).open("wb") as output:
            process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, start_new_session=True, cwd=tmp_path
            )
        started.append(process)
        return process

    yield start_one
    for process in started:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and its children, as a machine that loses its power does."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


def wait_for(found: Callable[[], object], log: Path) -> None:
    until = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < until, log.read_text(errors="replace")[-5000:]
        time.sleep(0.2)


def test_a_worker_that_dies_in_the_middle_costs_no_bit(start: Start, tmp_path: Path) -> None:
    warm()
    import pyspark

    spark_class = str(Path(pyspark.__file__).parent / "bin" / "spark-class")
    log = tmp_path / "master.log"
    start(
        spark_class, "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", "0",
        "--webui-port", "0", log="master.log",
    )  # fmt: skip
    wait_for(lambda: re.search(r"Starting Spark master at (\S+)", log.read_text()), log)
    master = re.search(r"Starting Spark master at (\S+)", log.read_text())[1]  # type: ignore[index]  # it was found
    workers = [
        start(
            spark_class, "org.apache.spark.deploy.worker.Worker", master, "--host", "127.0.0.1", "--cores", "1",
            "--memory", "1g", "--webui-port", "0", "--work-dir", str(tmp_path / f"work{number}"),
            log=f"worker{number}.log",
        )
        for number in range(2)
    ]  # fmt: skip
    wait_for(lambda: log.read_text().count("Registering worker") == 2, log)
    rows = [row(user_id=f"u{number // 5:03}", transaction_amount=number / 7) for number in range(1000)]
    source, shared, output = tmp_path / "rows.parquet", tmp_path / "shared", tmp_path / "found.json"
    pq.write_table(table_from_rows(rows, ErrorCollector()), source)
    shared.mkdir()
    driver = start(
        sys.executable, "-m", "tests.features.spark_work", master, str(source), str(shared), str(output),
        log="driver.log",
    )  # fmt: skip
    done = shared.glob
    wait_for(lambda: len(list(done("*.arrow"))) >= 3 or driver.poll() is not None, tmp_path / "driver.log")
    both = [list((tmp_path / f"work{number}").glob("app-*/*")) for number in range(2)]
    assert all(both), "both workers have a part of the job"
    kill(workers[0])
    assert driver.poll() is None, "the job was not over"
    wait_for(lambda: driver.poll() is not None, tmp_path / "driver.log")
    assert driver.returncode == 0, (tmp_path / "driver.log").read_text(errors="replace")[-5000:]
    found = {user: [tuple(each) for each in each_row] for user, each_row in json.loads(output.read_text()).items()}
    assert found == by_user(read_histories(source, RATES))
    assert pa.array(list(found)).unique().to_pylist() == list(found)
    assert "Lost executor" in (tmp_path / "driver.log").read_text(errors="replace")
