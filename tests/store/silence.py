"""A way to PostgreSQL that goes silent: what is sent is taken, and nothing comes back; new connections work."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import make_url


@dataclass
class Way:
    """A proxy on the loopback address.

    Attributes:
        url: of the database by this way.
    """

    url: str = ""
    silent: set[int] = field(default_factory=set)
    open: list[int] = field(default_factory=list)
    hangs: bool = False

    def go_silent(self) -> None:
        """Bring nothing back any more on the connections that there are."""
        self.silent |= set(self.open)

    def hang(self) -> None:
        """Bring nothing back any more, on new connections either."""
        self.hangs = True


@contextmanager
def way_to(url: str) -> Iterator[Way]:
    """Open a way to a database that is reached by a socket in a folder, or by an address."""
    parsed = make_url(url)
    folder = parsed.query.get("host")
    target = (
        str(Path(str(folder)) / f".s.PGSQL.{parsed.query.get('port', parsed.port or 5432)}")
        if folder
        else (parsed.host, parsed.port or 5432)
    )
    listening = socket.create_server(("127.0.0.1", 0))
    query = {name: value for name, value in parsed.query.items() if name not in {"host", "port"}}
    through = parsed.set(host="127.0.0.1", port=listening.getsockname()[1], query=query)
    way = Way(through.render_as_string(hide_password=False))
    sockets: list[socket.socket] = [listening]

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listening.accept()
                far = socket.socket(socket.AF_UNIX if folder else socket.AF_INET)
                far.connect(target)
                sockets.extend([near, far])
                number = len(sockets)
                way.open.append(number)
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=(source, sink, way, number), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield way
    finally:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _pass_on(source: socket.socket, sink: socket.socket, way: Way, number: int) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            if not way.hangs and number not in way.silent:
                sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
