"""Processor time of a request to /v1, in process without HTTP: this checkout against others, interleaved.

    python -m benchmarks.serving.v1
    python -m benchmarks.serving.v1 --against OTHER_CHECKOUT --rounds 15

Each checkout answers in a process of its own, with its own code and the same interpreter. A round is one batch of the
same requests in each. `held` is how long a body of 2,000 entities keeps the event loop from everything else, at most.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

HERE = Path(__file__).resolve().parents[2]
REQUESTS, ROWS = 50, 2_000
MEASURES = {"GET /v1/settings": "µs", "POST one entity": "µs", "POST 2,000 entities": "ms", "held": "ms"}


def answer() -> None:
    """Answer batches of requests, one for each line of input; write what each took as JSON."""
    from fivefold.domain.settings import Limits  # noqa: PLC0415 (of the checkout that is measured)
    from fivefold.serving.v1.dispatch import Dispatcher  # noqa: PLC0415 (as above)
    from fivefold.serving.v1.router import add_platform  # noqa: PLC0415 (as above)
    from fivefold.serving.v4.app import build_app  # noqa: PLC0415 (as above)
    from fivefold.store.accounts.plans import read_plans  # noqa: PLC0415 (as above)
    from fivefold.store.sql.database import open_database, upgrade  # noqa: PLC0415 (as above)
    from fivefold.usecases.accounts import entity_types, organisations, settings, tokens  # noqa: PLC0415 (as above)
    from fivefold.usecases.shared.context import Context  # noqa: PLC0415 (as above)

    with tempfile.TemporaryDirectory() as folder:
        engine, plans = open_database(f"sqlite:///{folder}/v1.db"), read_plans(None)
        upgrade(engine)
        actor = Context(engine, organisations.actor_in_new(engine, "bank", "cli:benchmark"))
        settings.choose_levels(actor, ["low", "medium", "high"])
        entity_types.define_type(actor, "customer", {"age": "number"})
        organisations.add_member(actor, "ann", ["admin"])
        _, secret = tokens.create_token(
            engine, plans, plan="unlimited", role="admin", organisation="bank", member="ann"
        )
        app: Any = build_app(None)  # type: ignore[arg-type]  # nothing is scored
        add_platform(app, Dispatcher(engine, Limits(), lambda: None))
        asyncio.run(_batches(app, secret))
        engine.dispose()


async def _batches(app: Any, secret: str) -> None:
    one = [{"external_id": "c0", "attributes": {"age": 30}}]
    many = [{"external_id": f"c{number}", "attributes": {"age": number}} for number in range(ROWS)]
    for _ in sys.stdin:
        began = process_time()
        for _ in range(REQUESTS):
            await _ask(app, secret, "GET", "/v1/settings")
        read = process_time()
        for _ in range(REQUESTS):
            await _ask(app, secret, "POST", "/v1/entities/customer", one)
        written = process_time()
        ticks = asyncio.create_task(_longest_gap())
        await asyncio.sleep(0)
        await _ask(app, secret, "POST", "/v1/entities/customer", many)
        ended = process_time()
        ticks.cancel()
        gap = await ticks
        figures = (
            (read - began) / REQUESTS * 1e6,
            (written - read) / REQUESTS * 1e6,
            (ended - written) * 1e3,
            gap * 1e3,
        )
        print(json.dumps(dict(zip(MEASURES, figures, strict=True))), flush=True)


async def _longest_gap() -> float:
    longest, before = 0.0, perf_counter()
    try:
        while True:
            await asyncio.sleep(0.001)
            now = perf_counter()
            longest, before = max(longest, now - before), now
    except asyncio.CancelledError:
        return max(longest, perf_counter() - before)


async def _ask(app: Any, secret: str, method: str, path: str, body: Any = None) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    headers = [(b"token", secret.encode()), (b"content-type", b"application/json")]
    scope = {"type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": path}
    scope |= {"raw_path": path.encode(), "query_string": b"", "headers": headers}
    scope |= {"server": ("here", 80), "client": ("here", 1)}
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, send)
    assert messages[0]["status"] < 300, messages


def compare(checkouts: list[Path], rounds: int) -> None:
    """Measure checkouts in turn, and print the medians."""
    processes = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__)), "--answer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(checkout / "src")},
        )
        for checkout in checkouts
    ]
    values: dict[tuple[int, str], list[float]] = defaultdict(list)
    for round_ in range(rounds + 1):
        for number, process in enumerate(processes):
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            for name, value in json.loads(process.stdout.readline()).items():
                if round_:  # the first batch warms up
                    values[number, name].append(value)
    for process in processes:
        process.communicate()
    for name, unit in MEASURES.items():
        medians = [median(values[number, name]) for number in range(len(checkouts))]
        print(f"{name}: " + ", ".join(f"{value:,.1f} {unit}" for value in medians))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--answer", action="store_true")
    parser.add_argument("--against", type=Path, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    if options.answer:
        answer()
    else:
        compare([HERE, *options.against], options.rounds)
