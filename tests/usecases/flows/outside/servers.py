"""Servers on this machine that answer as sources and agents do, well or badly; and what they got."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any


@dataclass(frozen=True)
class Got:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Said:
    """An answer.

    Attributes:
        length: that it claims to have; its own where it is None.
        slow_seconds: before each byte of the body.
    """

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    slow_seconds: float = 0


@dataclass
class Server:
    """A server, and what it got."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    connections: int = 0


@contextmanager
def serving(answer: Callable[[Got], Said], tls: SSLContext | None = None) -> Iterator[Server]:
    """Start a server, and end it."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            server.connections += 1
            super().setup()

        def log_message(self, *_: Any) -> None:
            pass

        def _answered(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            got = Got(self.command, self.path, dict(self.headers.items()), body)
            server.got.append(got)
            said = answer(got)
            self.send_response(said.status)
            length = len(said.body) if said.length is None else said.length
            for name, value in {"Content-Length": str(length), **said.headers}.items():
                self.send_header(name, value)
            try:
                self.end_headers()
                if said.slow_seconds:
                    for byte in said.body:
                        self.wfile.write(bytes([byte]))
                        time.sleep(said.slow_seconds)
                else:
                    self.wfile.write(said.body)
            except OSError:  # who asked has gone
                pass
            self.close_connection = True

        do_GET = do_POST = _answered  # noqa: N815 (the names that the library calls)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        if tls is not None:
            listening.socket = tls.wrap_socket(listening.socket, server_side=True)
        server.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
