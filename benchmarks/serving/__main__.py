"""Serving in one run, as ratios: the service against a bare Starlette floor and `mlflow models serve`.

    python -m benchmarks.serving [--rounds 5] [--requests 2000] [--soak 100000] [--write docs/benchmarks-serving.md]

Needs a champion in FIVEFOLD_VAR (`make demo` makes one). All traffic stays on the loopback address.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import psutil

from benchmarks.serving.budget import AS_OF, AS_OF_US, ROWS, customer, stages
from fivefold.cli.demo.sample import any_port
from fivefold.cli.terminal import open_registry
from fivefold.domain.settings import read_settings
from fivefold.features.indicator_matrix import indicator_matrix
from fivefold.features.reading.sources import read_histories
from fivefold.models.explain import explain
from fivefold.store.accounts.plans import read_plans
from fivefold.store.sql.database import open_database, upgrade
from fivefold.usecases.accounts.tokens import create_token, revoke_token

Call = tuple[int, str, dict[str, str], bytes, int]
"""Port, path, headers, body and number of requests."""

START_SECONDS = 180
SOAK_PARTS = 5


@contextmanager
def running(command: list[str], port: int, ready: str) -> Iterator[int]:
    """Run a server for the time of the block; give its process id once *ready* answers."""
    # MLflow looks for its server's command on the path.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=environment
    )
    try:
        end = monotonic() + START_SECONDS
        while monotonic() < end:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{ready}", timeout=5).close()
                break
            except OSError as error:
                if getattr(error, "code", 0) in {404, 405}:
                    break
                sleep(0.5)
        else:
            raise RuntimeError(f"{command} was not ready")
        yield process.pid
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def post(port: int, path: str, headers: dict[str, str], body: bytes, requests: int) -> dict[str, float]:
    """Run the load generator in a process of its own."""
    request = {"port": port, "path": path, "headers": headers, "body": body.decode(), "requests": requests}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("load.py"))],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def rss_mb(process_id: int) -> float:
    """Resident memory of a process and its children, in megabytes."""
    whole = psutil.Process(process_id)
    return sum(each.memory_info().rss for each in [whole, *whole.children(recursive=True)]) / 1e6


def cpu_seconds(process_id: int) -> float:
    """Processor time that a process and its children have used, user and system."""
    whole = psutil.Process(process_id)
    return float(sum(sum(each.cpu_times()[:2]) for each in [whole, *whole.children(recursive=True)]))


def measured(process_id: int, call: Call) -> dict[str, float]:
    """Load a server, and add its processor time for a request."""
    before = cpu_seconds(process_id)
    figures = post(*call)
    return {**figures, "cpu_us": 1e6 * (cpu_seconds(process_id) - before) / call[4]}


def log_booster(folder: Path) -> tuple[str, bytes]:
    """Save the champion's booster in MLflow's own flavour; give its folder, and a body of ready-made features."""
    model = open_registry().load_champion()
    histories = read_histories(customer(ROWS), model.rates)
    matrix, _ = indicator_matrix(histories, AS_OF_US)
    target = folder / "booster"
    mlflow.lightgbm.save_model(model.booster, str(target), pip_requirements=["lightgbm"])
    frame = pd.DataFrame(matrix, columns=list(model.indicators)).fillna(0.0)  # JSON has no NaN
    return str(target), json.dumps(
        {"dataframe_split": json.loads(frame.to_json(orient="split", double_precision=15))}
    ).encode()


def explanation_ms() -> float:
    """Milliseconds that one customer's explanation takes in-process, median of 300."""
    model = open_registry().load_champion()
    matrix, _ = indicator_matrix(read_histories(customer(ROWS), model.rates), AS_OF_US)
    times = []
    for _ in range(300):
        begun = perf_counter()
        explain(model, matrix)
        times.append(1_000 * (perf_counter() - begun))
    return float(np.median(times))


def run(rounds: int, requests: int, soak: int) -> dict[str, Any]:
    """Start the three servers, load them in turns, then soak ours."""
    engine = open_database(read_settings().database)
    upgrade(engine)
    number, token = create_token(engine, read_plans(None), plan="unlimited", label="benchmark", expires_days=1)
    ports = [any_port() for _ in range(3)]
    body = json.dumps(customer(ROWS)).encode()
    path = f"/v4/scoring?as_of={AS_OF}"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        booster, features = log_booster(Path(folder))
        here = str(Path(__file__).parent)
        floor = [sys.executable, "-m", "uvicorn", "floor:app", "--app-dir", here, "--port", str(ports[0])]
        floor_id = stack.enter_context(
            running([*floor, "--no-access-log", "--loop", "uvloop", "--http", "httptools"], ports[0], "/")
        )
        ours = [sys.executable, "-m", "fivefold.cli.main", "serve", "--port", str(ports[1])]
        process_id = stack.enter_context(running(ours, ports[1], "/readyz"))
        peer = ["mlflow", "models", "serve", "-m", booster, "--env-manager", "local", "-p", str(ports[2]), "-w", "1"]
        command = [sys.executable, "-m", *peer]
        peer_id = stack.enter_context(running(command, ports[2], "/ping"))
        processes = {"floor": floor_id, "fivefold": process_id, "mlflow models serve": peer_id}
        calls: dict[str, Call] = {
            "floor": (ports[0], path, {}, body, requests),
            "fivefold": (ports[1], path, {"token": token}, body, requests),
            "mlflow models serve": (ports[2], "/invocations", {}, features, max(80, requests // 4)),
        }
        figures: dict[str, list[dict[str, float]]] = {name: [] for name in calls}
        for call in calls.values():
            post(*call[:4], max(80, call[4] // 4))  # warm
        loads = [os.getloadavg()[0]]
        for _ in range(rounds):
            for name, call in calls.items():
                figures[name].append(measured(processes[name], call))
                print(name, figures[name][-1], flush=True)
        loads.append(os.getloadavg()[0])
        explained = post(ports[1], f"{path}&explain=true", {"token": token}, body, max(80, requests // 5))
        portfolio = post(ports[1], path, {"token": token}, json.dumps(customer(10_000, users=250)).encode(), 16)
        memory = [rss_mb(process_id)]
        for _ in range(SOAK_PARTS if soak else 0):
            post(ports[1], path, {"token": token}, body, soak // SOAK_PARTS)
            memory.append(rss_mb(process_id))
            print("memory", memory, flush=True)
    revoke_token(engine, number)
    medians = {name: {key: median(one[key] for one in many) for key in many[0]} for name, many in figures.items()}
    return {
        "medians": medians,
        "explained": explained,
        "explanation_ms": explanation_ms(),
        "portfolio": portfolio,
        "memory_mb": memory,
        "ratios": [
            one["per_second"] / other["per_second"]
            for one, other in zip(figures["fivefold"], figures["floor"], strict=True)
        ],
        "load_average": loads,
        "stages": stages(),
        "soak": soak,
        "rounds": rounds,
        "requests": requests,
    }


def page(results: dict[str, Any]) -> str:
    """Write the result as the page in docs/."""
    medians = results["medians"]
    floor, ours, peer = (medians[name] for name in ("floor", "fivefold", "mlflow models serve"))
    rows = [
        f"| {name} | {one['per_second'] / floor['per_second']:.2f} | {one['p50_ms']:.1f} | {one['p99_ms']:.1f} "
        f"| {one['cpu_us']:.0f} | {one['load_us']:.0f} |"
        for name, one in medians.items()
    ]
    budget = [f"| {name} | {time_us:.0f} |" for name, time_us in results["stages"].items()]
    memory = " → ".join(f"{mb:.0f}" for mb in results["memory_mb"])
    command = f"--rounds {results['rounds']} --requests {results['requests']} --soak {results['soak']}"
    spread = ", ".join(f"{ratio:.2f}" for ratio in results["ratios"])
    loads = " before and ".join(f"{load:.1f}" for load in results["load_average"])
    return f"""\
# Benchmark: serving

Made {datetime.now(UTC):%Y-%m-%d} by `python -m benchmarks.serving {command} --write docs/benchmarks-serving.md` on 2
cores shared with others' work and with the load generator (load average {loads} after the rounds; the benchmark alone
makes about 2): trust the ratios, not the milliseconds.

One customer with 100 rows, 8 connections, one worker each, in turns; medians. Ours includes authentication, quota (a
committed database update), validation, indicators and score. The floor only parses the same JSON. MLflow serves the
same trees on ready-made features, without any of that.

| | requests a second, floor = 1 | p50 ms | p99 ms | server's CPU, µs a request | generator's CPU |
|---|---|---|---|---|---|
{chr(10).join(rows)}

- Against the floor: {ours["per_second"] / floor["per_second"]:.2f} (aim at least 0.5); by round {spread},
  whose median is {median(results["ratios"]):.2f}. By processor time alone: {floor["cpu_us"] / ours["cpu_us"]:.2f}.
- Against `mlflow models serve`: {ours["per_second"] / peer["per_second"]:.1f} (aim at least 5); by processor
  time alone: {peer["cpu_us"] / ours["cpu_us"]:.1f}.
- p99 over p50: {ours["p99_ms"] / ours["p50_ms"]:.1f} (aim under 5).
- An explanation takes {results["explanation_ms"]:.2f} ms a customer in-process (aim at most 2); explained requests
  reach {results["explained"]["per_second"] / ours["per_second"]:.2f} of the throughput.
- A portfolio of 10,000 rows and 250 users: p50 {results["portfolio"]["p50_ms"]:.0f} ms, 8 at once.
- Memory over {results["soak"]:,} requests, in {SOAK_PARTS} parts: {memory} MB, parent and worker together.

## Where the time goes

Steps of one such request alone and warm, `python -m benchmarks.serving.budget`, in the same run. In a worker each takes
up to twice as long, because the others drive it out of the processor's caches; the rest of a request is HTTP.

| step | µs |
|---|---|
{chr(10).join(budget)}
"""


def main() -> None:
    """Run, print, and write the page where asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2_000)
    parser.add_argument("--soak", type=int, default=100_000)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    text = page(run(options.rounds, options.requests, options.soak))
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
