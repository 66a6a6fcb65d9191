"""A cluster of two workers, one of which is killed in the middle, and a client of Spark Connect: bit for bit."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyspark
import pytest

from fivefold.domain.settings import read_settings
from fivefold.features.indicator_matrix import warm
from fivefold.features.reading.columns import ErrorCollector
from fivefold.features.reading.frames import table_from_rows
from fivefold.features.reading.sources import read_histories
from fivefold.training.data import TransactionSource
from fivefold.training.simulation.simulator import Simulation, simulate
from tests.features.oracle.equality import by_user
from tests.features.oracle.strategies import RATES, row
from tests.features.spark.work import LEARNING, learnt
from tests.pace import slowness

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(shutil.which("java") is None, reason="Spark takes Java, and there is none here"),
]
ROOT = Path(__file__).parents[3]
BIN = Path(pyspark.__file__).parent / "bin"
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


def answer_of(driver: subprocess.Popen[bytes], output: Path, log: Path) -> Any:
    """Wait for the end of a driver, and read what it found."""
    wait_for(lambda: driver.poll() is not None, log)
    assert driver.returncode == 0, log.read_text(errors="replace")[-5000:]
    return json.loads(output.read_text(encoding="utf-8"))


def found_in(output: Path, driver: subprocess.Popen[bytes], log: Path) -> dict[str, list[tuple[int, ...]]]:
    """Give the rows that a driver found."""
    found = answer_of(driver, output, log)
    return {user: [tuple(each) for each in rows] for user, rows in found.items()}


@pytest.fixture
def drive(start: Start, tmp_path: Path) -> Callable[[str], subprocess.Popen[bytes]]:
    """Start the driver of a job on rows of 200 customers, in no order."""
    warm()
    rows = [row(user_id=f"u{number % 200:03}", transaction_amount=number / 7) for number in range(1000)]
    pq.write_table(table_from_rows(rows, ErrorCollector()), tmp_path / "rows.parquet")
    (tmp_path / "shared").mkdir()
    places = [str(tmp_path / name) for name in ("rows.parquet", "shared", "found.json")]
    return lambda master: start(
        sys.executable, "-m", "tests.features.spark.work", "read", master, *places, log="driver.log"
    )


@dataclass(frozen=True)
class Cluster:
    """A master and two workers of one core each.

    Attributes:
        master: its URL.
        workers: the processes.
        folders: where each worker runs its parts of a job.
    """

    master: str
    workers: list[subprocess.Popen[bytes]]
    folders: list[Path]

    def lose_one(self, driver: subprocess.Popen[bytes]) -> None:
        """Kill a worker in the middle of a job, of which each worker has a part."""
        assert all(list(folder.glob("app-*/*")) for folder in self.folders), "both workers have a part of the job"
        kill(self.workers[0])
        assert driver.poll() is None, "the job was not over"


@pytest.fixture
def cluster(start: Start, tmp_path: Path) -> Cluster:
    """Start a standalone cluster on loopback."""
    spark_class = str(BIN / "spark-class")
    log = tmp_path / "master.log"
    start(
        spark_class, "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", "0",
        "--webui-port", "0", log="master.log",
    )  # fmt: skip
    wait_for(lambda: re.search(r"Starting Spark master at (\S+)", log.read_text()), log)
    master = re.search(r"Starting Spark master at (\S+)", log.read_text())[1]  # type: ignore[index]  # it was found
    folders = [tmp_path / f"work{number}" for number in range(2)]
    workers = [
        start(
            spark_class, "org.apache.spark.deploy.worker.Worker", master, "--host", "127.0.0.1", "--cores", "1",
            "--memory", "1g", "--webui-port", "0", "--work-dir", str(folder), log=f"{folder.name}.log",
        )
        for folder in folders
    ]  # fmt: skip
    wait_for(lambda: log.read_text().count("Registering worker") == 2, log)
    return Cluster(master, workers, folders)


def test_a_worker_that_dies_in_the_middle_costs_no_bit(
    cluster: Cluster, drive: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    driver, driver_log = drive(cluster.master), tmp_path / "driver.log"
    shared = tmp_path / "shared"
    wait_for(lambda: len(list(shared.glob("*.arrow"))) >= 3 or driver.poll() is not None, driver_log)
    cluster.lose_one(driver)
    found = found_in(tmp_path / "found.json", driver, driver_log)
    assert found == by_user(read_histories(tmp_path / "rows.parquet", RATES))
    assert "Lost executor" in driver_log.read_text(errors="replace")


def test_a_worker_that_dies_while_rows_are_computed_leaves_the_same_trees(
    start: Start, cluster: Cluster, tmp_path: Path
) -> None:
    table = pa.concat_tables(simulate(Simulation(customers=200, seed=3)))
    source, shared, output = (tmp_path / name for name in ("rows.parquet", "shared", "found.json"))
    pq.write_table(table.take(pa.array(np.random.default_rng(5).permutation(len(table)))), source)
    shared.mkdir()
    places = [str(path) for path in (source, shared, output)]
    work = "tests.features.spark.work"
    driver = start(sys.executable, "-m", work, "learn", cluster.master, *places, log="driver.log")
    log = tmp_path / "driver.log"
    # Each partition leaves its histories and the names of its customers; what is more is computed from them.
    wait_for(lambda: len(list(shared.glob("*.arrow"))) >= 2 * 8 + 3 or driver.poll() is not None, log)
    cluster.lose_one(driver)
    assert answer_of(driver, output, log) == learnt(TransactionSource(source, LEARNING.rate_table()))
    assert "Lost executor" in log.read_text(errors="replace")


def test_a_client_of_spark_connect_has_the_bits_of_one_process(
    start: Start, drive: Callable[[str], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    log = tmp_path / "server.log"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start(
        str(BIN / "spark-submit"), "--master", "local[2]", "--conf", "spark.connect.grpc.binding.address=127.0.0.1",
        "--conf", f"spark.connect.grpc.binding.port={port}", "--conf", "spark.ui.enabled=false",
        "--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal", log="server.log",
    )  # fmt: skip
    wait_for(lambda: "Spark Connect server started" in log.read_text(), log)
    driver = drive(f"sc://127.0.0.1:{port}")
    found = found_in(tmp_path / "found.json", driver, tmp_path / "driver.log")
    assert found == by_user(read_histories(tmp_path / "rows.parquet", RATES))
