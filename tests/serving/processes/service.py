"""A running service: `fivefold serve` as a user starts it, on a real port, in a folder of its own."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Self

import httpx
import psutil
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from fivefold.domain.settings import read_settings
from fivefold.store.accounts.plans import read_plans
from fivefold.store.sql.database import open_database, upgrade
from fivefold.store.tables.accounts import Token, Usage
from fivefold.usecases.accounts.tokens import create_token
from tests.pace import slowness

ROOT = Path(__file__).parents[3]
START_SECONDS, STOP_SECONDS = 120 * slowness(), 30 * slowness()
SOON_SECONDS = 20 * slowness()
"""Time limit for what a worker does right after its answer."""

BREAKS, SLEEPS, DIES = "breaks", "sleeps", "dies"
"""How the identifier of a request's first user begins where a service with faults is to show one."""

PLANS = """
unlimited: {rows_per_request: 1000000, calls_per_month: 1000000000, users_per_month: 1000000000}
few_rows: {rows_per_request: 3, calls_per_month: 1000000, users_per_month: 1000000}
one_call: {rows_per_request: 3, calls_per_month: 1, users_per_month: 1000000}
hundred_calls: {rows_per_request: 100, calls_per_month: 100, users_per_month: 1000000}
hundred_users: {rows_per_request: 100, calls_per_month: 1000000, users_per_month: 100}
"""

_WITH_FAULTS = """
import os, sys
before = os.execv
ours, theirs = "tests.serving.processes.faults:Fivefold", "fivefold.serving.service:Fivefold"
os.execv = lambda path, words: before(path, [ours if word == theirs else word for word in words])
from fivefold.cli.main import main
sys.argv[0] = "fivefold"
main()
"""
"""`fivefold serve` with the tests' faults wrapped around the service."""

_PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Never used, for nothing is encrypted here; but httpx would load all certificates for each client."""


FOREIGN = ("domain", "features", "models", "serving")
"""Packages in the folder where a service is started, which are not fivefold's."""


@dataclass
class Service:
    """One service: its folder, its database, its processes and what they write.

    Attributes:
        workers: processes that answer.
        database_url: empty for SQLite in *var*.
        environment: settings of this service.
        faults: whether the tests' faults are built in.
        version: of the model that serves, for tests that share the service.
        stand: folder that it is started from; nothing is to be left there.
    """

    var: Path
    workers: int = 2
    database_url: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    faults: bool = False
    version: int = 0

    def __post_init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.plans_file = self.var / "plans.yaml"
        self.plans_file.write_text(PLANS, encoding="utf-8")
        self.settings = read_settings({"FIVEFOLD_VAR": str(self.var), "FIVEFOLD_DATABASE_URL": self.database_url})
        self.engine: Engine = open_database(self.settings.database)
        self.logs = [self.var / "stdout.log", self.var / "stderr.log"]
        self.stand = self.var.parent / "stand"
        for name in FOREIGN:  # a project of anybody's, with names like ours
            (self.stand / name).mkdir(parents=True)
            (self.stand / name / "__init__.py").write_text("raise RuntimeError('not of fivefold')")
        self._seen: dict[int, psutil.Process] = {}

    def __enter__(self) -> Self:
        upgrade(self.engine)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.process.poll() is None:
                self.stop()
        finally:
            self._end_what_is_left()
            self.engine.dispose()

    def start(self) -> None:
        """Start it, and wait until all workers live; it need not be ready."""
        foreign = ("FIVEFOLD_", "BENTOML_", "PROMETHEUS_", "MLFLOW_TRACKING")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        environment |= {"FIVEFOLD_VAR": str(self.var), "FIVEFOLD_PLANS_FILE": str(self.plans_file), **self.environment}
        if self.database_url:
            environment["FIVEFOLD_DATABASE_URL"] = self.database_url
        fivefold = [str(Path(sys.executable).parent / "fivefold")]
        if self.faults:
            fivefold = [sys.executable, "-P", "-c", _WITH_FAULTS]
            environment["PYTHONPATH"] = str(ROOT)  # tests are not installed
        out, error = (log.open("ab") for log in self.logs)
        with out, error:
            self.process = subprocess.Popen(
                [*fivefold, "serve", "--port", str(self.port), "--workers", str(self.workers)],
                env=environment,
                cwd=self.stand,  # a user may stand anywhere
                stdout=out,
                stderr=error,
                start_new_session=True,
            )
        self.wait_for(lambda: self._alive() and len(self.worker_pids()) == self.workers, START_SECONDS)

    def _alive(self) -> bool:
        assert self.process.poll() is None, self.said()
        try:
            return self.get("/livez").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, as a user or a supervisor would; give the exit code."""
        self.worker_pids()
        self.process.send_signal(how)
        return self.process.wait(STOP_SECONDS)

    def worker_pids(self) -> list[int]:
        """List the processes that answer."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self._seen |= {child.pid: child for child in children}
        return sorted(child.pid for child in children if _is_worker(child))

    def left_over(self) -> list[int]:
        """List the processes of this service that outlived it, as far as `worker_pids` saw them."""
        return [pid for pid, process in self._seen.items() if process.is_running() and process.status() != "zombie"]

    def _end_what_is_left(self) -> None:
        for pid in self.left_over():
            self._seen[pid].kill()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)

    def said(self) -> str:
        """Read everything that its processes wrote."""
        return "".join(log.read_text(encoding="utf-8", errors="replace") for log in self.logs)

    def events(self) -> list[dict[str, Any]]:
        """Read its structured log, but for the lines of requests."""
        return [line for line in self._lines() if line["event"] != "request"]

    def requests(self) -> list[dict[str, Any]]:
        """Read the lines of requests."""
        return [line for line in self._lines() if line["event"] == "request"]

    def _lines(self) -> list[dict[str, Any]]:
        lines = self.logs[1].read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def wait_for(self, true: Callable[[], bool], seconds: float) -> float:
        """Wait until something is true; give how long it took."""
        begun = monotonic()
        while not true():
            assert monotonic() - begun < seconds, f"not within {seconds} seconds; the service said:\n{self.said()}"
            sleep(0.1)
        return monotonic() - begun

    def get(self, path: str, **more: Any) -> httpx.Response:
        """GET on a connection of its own, so that any worker may answer."""
        return httpx.get(self.url + path, timeout=30, trust_env=False, verify=_PLAIN, **more)

    def ready(self) -> bool:
        """Tell whether a worker, by chance, is ready."""
        return self.get("/readyz").status_code == 200

    def workers_with(self, version: int) -> int:
        """Tell how many times a worker said that it serves a version."""
        return sum(event["event"] == "model serves" and event["version"] == version for event in self.events())

    def wait_until_ready(self, version: int) -> float:
        """Wait until every worker serves a version."""
        self.version = version
        return self.wait_for(lambda: self.workers_with(version) >= self.workers and self.ready(), START_SECONDS)

    def client(self, token: str | None = None) -> httpx.Client:
        """Open a client that keeps its connections."""
        headers = {} if token is None else {"token": token}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False, verify=_PLAIN)

    def post(self, rows: Any, token: str | None, query: str = "?as_of=2024-07-01", **more: Any) -> httpx.Response:
        """Post rows, or a body, on a connection of its own."""
        body = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
        headers = {} if token is None else {"token": token}
        with self.client() as client:
            return client.post(f"/v4/scoring{query}", content=body, headers=headers, **more)

    def token(self, plan: str = "unlimited", **more: Any) -> str:
        """Make a token, as `fivefold tokens create` does."""
        return create_token(self.engine, read_plans(self.plans_file), plan=plan, **more)[1]

    def usage(self) -> tuple[int, int]:
        """Sum up the calls and users of all tokens."""
        with Session(self.engine) as session:
            calls, users = session.execute(select(func.sum(Usage.calls), func.sum(Usage.users))).one()
        return int(calls or 0), int(users or 0)

    def usage_of(self, token: str) -> tuple[int, int]:
        """Tell the calls and users of one token."""
        from fivefold.usecases.accounts.credentials import hash_of

        with Session(self.engine) as session:
            of_token = select(func.sum(Usage.calls), func.sum(Usage.users)).join(Token, Token.id == Usage.token_id)
            calls, users = session.execute(of_token.where(Token.sha256 == hash_of(token))).one()
        return int(calls or 0), int(users or 0)

    def metrics(self) -> dict[str, float]:
        """Read /metrics: value by series."""
        lines = [line for line in self.get("/metrics").text.splitlines() if line and not line.startswith("#")]
        return {series: float(value) for series, value in (line.rsplit(" ", 1) for line in lines)}

    def answered_by_worker(self) -> dict[int, float]:
        """Tell how many requests each process has answered in its life, from the files behind /metrics."""
        from prometheus_client.mmap_dict import MmapedDict

        return {
            int(file.stem.removeprefix("counter_")): sum(
                value
                for key, value, *_ in MmapedDict.read_all_values_from_file(str(file))
                if "fivefold_requests_total" in key
            )
            for file in (self.var / "metrics").glob("*/counter_*.db")
        }


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any(re.search(r"_bentoml_impl\.worker", word) for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False


def sample_rows(user_id: str = "user_123") -> list[dict[str, Any]]:
    """Give the README's two transactions."""
    shared = {
        "user_id": user_id,
        "transaction_currency": "USD",
        "user_created": "2024-01-01T12:00:00",
        "user_category": "WEB",
    }
    return [
        {
            **shared,
            "transaction_state": "SUCCEEDED",
            "user_balance": 1000.0,
            "transaction_amount": 50.0,
            "transaction_date": "2024-06-30T12:00:00",
        },
        {
            **shared,
            "transaction_state": "COMPLETED",
            "user_balance": 900.0,
            "transaction_amount": -100.0,
            "transaction_date": "2024-06-30T12:30:00",
        },
    ]


def together(callers: int, call: Callable[[httpx.Client], Any], service: Service) -> list[Any]:
    """Let callers, each with a connection of its own, begin at the same moment; give what each one returned."""
    begin = threading.Barrier(callers)

    def one(_: int) -> Any:
        with service.client() as client:
            client.get("/livez")
            begin.wait(60)
            return call(client)

    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(one, range(callers)))


def answer_of(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer from a raw connection: status, headers, body; (0, {}, b"") where it ended before."""
    file = connection.makefile("rb")
    status = file.readline()
    if not status:
        return 0, {}, b""
    headers = {}
    while line := file.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return int(status.split()[1]), headers, file.read(int(headers.get("content-length", 0)))


def head_of(token: str, size: int, query: str = "?as_of=2024-07-01", more: str = "") -> bytes:
    """Write the head of a request by hand."""
    return (
        f"POST /v4/scoring{query} HTTP/1.1\r\nHost: localhost\r\ntoken: {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {size}\r\n{more}\r\n"
    ).encode()
