"""The access log: one line a request, with the caller and the status, and nothing of the content.

Lines are buffered briefly and written by a thread of their own, because a terminal or a full pipe may be slow. Every
line has `request_id`, `method`, `route` (a pattern, never a path), `status`, `ms`; if known also the caller
(`organisation`, `actor`), why authentication failed (`sign_in`), the record (`record`, a digest), the version of the
model that was asked (`model_version`), and how the database failed (`cause`), which the answer leaves out.
"""

import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from hashlib import sha256
from time import time
from typing import Any, Final

from pydantic_core import to_json
from starlette.types import Scope

from fivefold.domain.errors import StoreError

WHO, SIGN_IN, RECORD, CAUSE = "fivefold.who", "fivefold.sign_in", "fivefold.record", "fivefold.cause"
MODEL_VERSION = "fivefold.model_version"
NO_TOKEN, BAD_TOKEN, NOT_ALLOWED = "no token", "not valid", "not for this role"
OTHER_SITE = "sent by another site"
FLUSH_SECONDS: Final = 0.2
MOST_LINES: Final = 100_000
"""Most buffered lines; more are counted and dropped, so that a stuck log takes no memory."""
DIGEST_CHARACTERS: Final = 16

_KNOWN: Final = (("record", RECORD), ("sign_in", SIGN_IN), ("model_version", MODEL_VERSION), ("cause", CAUSE))
"""Fields of a line, each with its key in the scope of a request, which has only those that are known."""

Line = tuple[float, Mapping[str, Any]]


def digest_of_record(type_name: str, external_id: str) -> str:
    """Return the digest that stands for an entity in the log: its identifier finds its lines, but is not shown there.

    >>> digest_of_record("customer", "customer-17")
    '2931124c67220cc9'
    """
    return sha256(f"{type_name}/{external_id}".encode("utf-8", "replace")).hexdigest()[:DIGEST_CHARACTERS]


def note_cause(scope: MutableMapping[str, Any], error: BaseException) -> None:
    """Keep the database's failure for the log line of a request: the answer need not say how the database fails."""
    if isinstance(error, StoreError):
        scope[CAUSE] = str(error)


def line_of(scope: Scope, route: str, request_id: str, status: int, seconds: float) -> dict[str, Any]:
    """Make the line of an answered request."""
    line: dict[str, Any] = {
        "event": "request",
        "level": "info" if status < 500 else "error",
        "request_id": request_id,
        "method": scope["method"],
        "route": route,
        "status": status,
        "ms": round(seconds * 1000, 3),
    }
    caller = scope.get(WHO)
    if caller is not None:
        line["organisation"], line["actor"] = caller
    for name, key in _KNOWN:
        if key in scope:
            line[name] = scope[key]
    if status in {401, 403} and (client := scope.get("client")):
        line["client"] = client[0]
    return line


class AccessLog:
    """Writes a line for each request; one in each process."""

    def __init__(self, write: Callable[[bytes], Any] | None = None) -> None:
        """Write to stderr, or by *write*."""
        self._write = write or _to_stderr
        self._lines: list[Line] = []
        self._dropped = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._flush_regularly, name="access-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write the buffered lines, then end."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()

    def add(self, line: Mapping[str, Any]) -> None:
        """Buffer a line."""
        with self._lock:
            if len(self._lines) < MOST_LINES:
                self._lines.append((time(), line))
            else:
                self._dropped += 1

    def flush(self) -> None:
        """Write the buffered lines."""
        with self._lock:
            lines, self._lines = self._lines, []
            dropped, self._dropped = self._dropped, 0
        if dropped:
            lines.append((time(), {"event": "requests not logged", "level": "warning", "count": dropped}))
        if lines:
            self._write(b"".join(to_json({**line, "timestamp": _moment(at)}) + b"\n" for at, line in lines))

    def _flush_regularly(self) -> None:
        while not self._ended.wait(FLUSH_SECONDS):
            try:
                self.flush()
            except (OSError, ValueError):  # stderr is closed: nothing can report that, and serving goes on
                continue


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _to_stderr(text: bytes) -> None:
    sys.stderr.write(text.decode())
    sys.stderr.flush()
