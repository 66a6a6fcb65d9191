"""Many clients that each post one transaction at a time: calls a second, waits, and whose processor time it is.

    python -m benchmarks.platform.concurrent_posts
    python -m benchmarks.platform.concurrent_posts --against OTHER_CHECKOUT --clients 200 --calls 2000 --rounds 3

Every checkout has a `fivefold serve` of its own code and a database of its own in one PostgreSQL; a round loads each of
them in turn. A client whose call is refused because too many wait (429 or 503) waits as long as `Retry-After` says, a
half more or less, and sends it again: `refused` counts these answers, and a call waits since its first attempt.
All traffic stays on the loopback address.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import uniform
from secrets import token_hex
from statistics import median
from time import monotonic, perf_counter, process_time, sleep
from typing import Any

import psutil
from sqlalchemy import Engine, text

from benchmarks.platform import data
from fivefold.cli.demo.sample import any_port
from fivefold.store.accounts.plans import read_plans
from fivefold.store.sql.database import open_database, upgrade
from fivefold.usecases.accounts.tokens import create_token

HERE = Path(__file__).resolve().parents[2]
CUSTOMERS = 1_000
START_SECONDS = 400
MEASURES = ("calls_per_second", "p50_ms", "p99_ms", "refused", "service_ms", "database_ms", "clients_ms")


@dataclass(frozen=True)
class Service:
    """A service that is measured: its processes, port and token, and the postmaster of its database."""

    process: "subprocess.Popen[bytes]"
    port: int
    token: str
    database: psutil.Process


def main() -> None:
    """Measure, and print the medians."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--against", type=Path, nargs="*", default=[])
    arguments.add_argument("--clients", type=int, default=200)
    arguments.add_argument("--calls", type=int, default=2_000, help="of all clients in a round")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--workers", type=int, default=1, help="processes of each service")
    arguments.add_argument("--keys", action="store_true", help="each call has an Idempotency-Key")
    arguments.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.load:
        json.dump(asyncio.run(_load(**json.load(sys.stdin))), sys.stdout)
        return
    checkouts = [path.resolve() for path in options.against] + [HERE]
    with ExitStack() as stack:
        engine = stack.enter_context(data.postgresql())
        services = [stack.enter_context(_serving(engine, path, options.workers)) for path in checkouts]
        measured_rounds: list[list[dict[str, float]]] = [[] for _ in services]
        for round_ in range(options.rounds + 1):
            for number, service in enumerate(services):
                measured = _round(
                    service, options.clients, options.calls if round_ else options.clients, keys=options.keys
                )
                if round_:  # the first warms up
                    measured_rounds[number].append(measured)
                    print(checkouts[number].name, *(f"{measured[name]:.1f}" for name in MEASURES), file=sys.stderr)
    print(
        f"load {os.getloadavg()[0]:.1f}; medians of {options.rounds} rounds; milliseconds of processors are of a call"
    )
    print("| checkout | " + " | ".join(MEASURES) + " |\n|" + "---|" * (len(MEASURES) + 1))
    for path, rounds in zip(checkouts, measured_rounds, strict=True):
        print(
            f"| {path.name} | "
            + " | ".join(f"{median(each[name] for each in rounds):,.1f}" for name in MEASURES)
            + " |"
        )


@contextmanager
def _serving(server: Engine, checkout: Path, workers: int) -> Iterator[Service]:
    """Start the service of a checkout over a database of its own, with customers in it."""
    name = f"measured_{token_hex(4)}"
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        postmaster = psutil.Process(int(connection.scalar(text("SELECT pg_backend_pid()")))).parent()
    url = server.url.set(database=name).render_as_string(hide_password=False)
    engine = open_database(url)
    upgrade(engine)
    data.add_customers(engine, data.organise(engine), CUSTOMERS)
    _, token = create_token(engine, read_plans(None), plan="unlimited", role="app", organisation="measured")
    engine.dispose()
    port = any_port()
    with tempfile.TemporaryDirectory(prefix="fivefold-measured-") as folder:
        environment = os.environ | {
            "FIVEFOLD_DATABASE_URL": url, "FIVEFOLD_VAR": folder, "PYTHONPATH": str(checkout / "src"),
        }  # fmt: skip
        command = [sys.executable, "-m", "fivefold.cli.main", "serve", "--port", str(port), "--workers", str(workers)]
        process = subprocess.Popen(
            command, env=environment, cwd=checkout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _until_it_answers(port)
            yield Service(process, port, token, postmaster)
        finally:
            process.terminate()
            process.wait(60)


def _until_it_answers(port: int) -> None:
    until = monotonic() + START_SECONDS
    while monotonic() < until:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5).close()
        except OSError as error:
            if getattr(error, "code", None) is not None:
                return
            sleep(0.3)
        else:
            return
    raise RuntimeError("the service did not start")


def _round(service: Service, clients: int, calls: int, *, keys: bool) -> dict[str, float]:
    request = {"port": service.port, "token": service.token, "clients": clients, "calls": calls, "keys": keys}
    processes = {"service_ms": psutil.Process(service.process.pid), "database_ms": service.database}
    before = {name: _processor_seconds(process) for name, process in processes.items()}
    command = [sys.executable, "-m", "benchmarks.platform.concurrent_posts", "--load"]
    done = subprocess.run(command, input=json.dumps(request), stdout=subprocess.PIPE, text=True, check=True, cwd=HERE)
    figures: dict[str, float] = json.loads(done.stdout)
    for name, process in processes.items():
        figures[name] = (_processor_seconds(process) - before[name]) / calls * 1e3
    return figures


def _processor_seconds(process: psutil.Process) -> float:
    """Give the processor time of a process and its children: those of now, and those that ended."""
    return float(sum(sum(each.cpu_times()[:2]) for each in [process, *process.children(recursive=True)]))


async def _load(port: int, token: str, clients: int, calls: int, *, keys: bool) -> dict[str, float]:
    """Let each client post one transaction after the other."""
    times_ms: list[float] = []
    refused = 0
    mark = token_hex(6)

    async def client(number: int) -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for turn in range(calls // clients):
            request = _request(token, f"{mark}-{number}-{turn}", f"c{(number * 31 + turn) % CUSTOMERS}", keys=keys)
            begun = perf_counter()
            writer.write(request)
            status, again_seconds = await _answer(reader)
            while status in {429, 503}:
                refused += 1
                await asyncio.sleep(again_seconds * uniform(0.5, 1.5))
                writer.write(request)
                status, again_seconds = await _answer(reader)
            if status != 200:
                raise RuntimeError(f"answered with {status}")
            times_ms.append(1e3 * (perf_counter() - begun))
        writer.close()

    begun, busy = perf_counter(), process_time()
    await asyncio.gather(*(client(number) for number in range(clients)))
    seconds = perf_counter() - begun
    times_ms.sort()
    return {
        "calls_per_second": len(times_ms) / seconds,
        "p50_ms": times_ms[len(times_ms) // 2],
        "p99_ms": times_ms[int(len(times_ms) * 0.99)],
        "refused": refused,
        "clients_ms": 1e3 * (process_time() - busy) / len(times_ms),
    }


def _request(token: str, name: str, customer: str, *, keys: bool) -> bytes:
    row: dict[str, Any] = {
        "transaction_id": name,
        "user_id": customer,
        "transaction_amount": 12.5,
        "transaction_currency": "EUR",
        "transaction_date": "2026-11-20T10:00:00",
        "operation": "cash",
    }
    body = json.dumps([row]).encode()
    lines = ["POST /v1/transactions HTTP/1.1", "Host: 127.0.0.1", f"Token: {token}", "Content-Type: application/json"]
    lines += [f"Idempotency-Key: {name}"] if keys else []
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, int]:
    """Read an answer; give its status, and after how many seconds it may be asked again."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(b":") for line in lines)}
    await reader.readexactly(int(headers[b"content-length"]))
    return int(first.split()[1]), int(headers.get(b"retry-after", 0))


if __name__ == "__main__":
    main()
