"""Health and metrics of a worker over HTTP, on this machine alone unless another address is named."""

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import Engine
from structlog import get_logger

from fivefold.domain.errors import ConfigError, FivefoldError
from fivefold.serving.logs import place_of
from fivefold.store.sql.database import SchemaWatch, open_again, require_writable
from fivefold.usecases.levels.worker import BatchResult
from fivefold.usecases.levels.worker_loop import LoopHealth

HOST: Final = "127.0.0.1"
SILENT_SECONDS: Final = 600.0
"""A worker hangs if no task has ended a round for this time: a batch takes seconds."""
_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ANSWER_SECONDS: Final = 3.0
"""Longest wait of readiness for one answer of PostgreSQL: a probe that gives up first cannot show why."""
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


class WorkerPages:
    """Counts the work of a worker, and serves its pages.

    Attributes:
        health: the state of its tasks.
        model: the version of its value model; None if it has none.
    """

    def __init__(self, engine: Engine, health: LoopHealth) -> None:
        """Register the metrics in a registry of their own."""
        self._engine, self.health = open_again(engine, ANSWER_SECONDS), health
        self._schema = SchemaWatch(self._engine)
        self._schema.look()
        self._engine.dispose()
        self.model: int | None = None
        self._registry = CollectorRegistry()
        self._batches = Counter("fivefold_worker_batches_total", "Batches", registry=self._registry)
        self._entities = Counter(
            "fivefold_worker_entities_total", "Entities by outcome", ["outcome"], registry=self._registry
        )
        self._seconds = Histogram(
            "fivefold_worker_batch_seconds", "Time of a batch", buckets=_SECONDS, registry=self._registry
        )
        self._removed = Counter(
            "fivefold_worker_removed_rows_total", "Rows that retention removed", ["kind"], registry=self._registry
        )
        self._failing = Gauge(
            "fivefold_worker_duty_failing", "1 where a duty failed last", ["duty"], registry=self._registry
        )
        self._version = Gauge(
            "fivefold_worker_model_version", "Version of the value model, 0 for none", registry=self._registry
        )

    def count_batch(self, done: BatchResult, seconds: float) -> None:
        """Count a batch."""
        self._batches.inc()
        self._seconds.observe(seconds)
        for outcome, count in (("assessed", done.assessed), ("failed", done.failed)):
            self._entities.labels(outcome=outcome).inc(count)

    def count_removed(self, kind: str, rows: int) -> None:
        """Count rows of a kind that the retention policy removed."""
        self._removed.labels(kind=kind).inc(rows)

    def page(self, path: str) -> tuple[int, str, bytes]:
        """Return status, content type and content of a page."""
        if path == "/metrics":
            for duty, error in self.health.errors().items():
                self._failing.labels(duty=duty).set(int(error is not None))
            self._version.set(self.model or 0)
            return 200, TEXT, generate_latest(self._registry)
        if path in {"/livez", "/readyz"}:
            problems = self._hanging() if path == "/livez" else self._not_ready()
            body = {"detail": _sentence(problems), "parts": problems}
            return 503 if problems else 200, "application/json", json.dumps(body).encode()
        return 404, "application/json", b'{"detail": "Not Found"}'

    def _hanging(self) -> dict[str, str]:
        seconds = self.health.silent_seconds()
        if seconds < SILENT_SECONDS:
            return {}
        return {"duties": f"no duty came to an end for {seconds:.0f} s"}

    def _not_ready(self) -> dict[str, str]:
        problems = {duty: _reason(error) for duty, error in self.health.errors().items() if error is not None}
        try:
            self._schema.require_usable()
            require_writable(self._engine)  # it compares the clocks too
        except FivefoldError as error:
            reason = _reason(str(error))
            return {"database": reason, **{duty: cause for duty, cause in problems.items() if cause != reason}}
        finally:
            self._engine.dispose()  # the next probe connects anew, as it would wait for a silent connection
        return problems


def _reason(cause: str) -> str:
    """Cut off the driver's words, which name the host, and the path of SQLite's file."""
    return cause.partition(":")[0]


def _sentence(problems: dict[str, str]) -> str:
    """Write each cause once, after the parts that it stops."""
    stopped: dict[str, list[str]] = {}
    for part, cause in problems.items():
        stopped.setdefault(cause, []).append(part)
    return "; ".join(f"{', '.join(parts)}: {cause}" for cause, parts in stopped.items()) or "ok"


@contextmanager
def serving(pages: WorkerPages, port: int | None, host: str = HOST) -> Iterator[int | None]:
    """Serve the pages at an address during the block; the port 0 takes any free one, None serves nothing.

    Yields the port. ConfigError if the address cannot be used.
    """
    if port is None:
        yield None
        return
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        server_class = type("Server", (_Server,), {"address_family": family})
        server: _Server = server_class(address[:2], _handler(pages))
    except socket.gaierror as error:
        raise ConfigError(
            f"--health-host is {host!r}, which does not name an address of this machine: {error.strerror}"
        ) from None
    except OSError as error:
        where = f"--health-port {port} of {host}"
        raise ConfigError(f"{where} cannot be used: {error.strerror}; give another one") from None
    thread = Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Log a failure as one line of JSON; nothing if the caller has gone, as a probe that gives up does."""
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError):
            log = get_logger("fivefold.worker")
            log.error("page of health failed", error=type(error).__name__, at=place_of(error))


def _handler(pages: WorkerPages) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds, of a silent connection

        def do_GET(self) -> None:
            status, kind, content = pages.page(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Log nothing: probes come every few seconds."""

    return Handler
