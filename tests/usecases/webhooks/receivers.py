"""Receivers of webhooks: real HTTP servers on this machine that keep what they got, and events to be told of."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import loads
from ssl import SSLContext
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.webhooks.outbox import EventKind, NewEvent, add_events
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks.endpoints import EndpointMade, add_endpoint
from tests.usecases import platforms
from tests.usecases.platforms import NOW

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
MACHINE = "cli:ana"
"""Somebody at the machine: private addresses may be allowed."""


@dataclass(frozen=True)
class Got:
    """A request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return loads(self.body)


Answer = Callable[[Got], int]
"""What a receiver does with a request: the status that it answers."""


def well(_: Got) -> int:
    """Take everything."""
    return 200


@dataclass
class Receiver:
    """A server, and what it got, in the order in which requests ended."""

    port: int = 0
    answer: Answer = well
    got: list[Got] = field(default_factory=list)
    ended: list[tuple[Got, int]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks?to=us"

    def events(self, status: int | None = None) -> list[str]:
        return [got.told["event_id"] for got, answered in self.ended if status in {None, answered}]


@contextmanager
def receiving(answer: Answer = well, tls: SSLContext | None = None) -> Iterator[Receiver]:
    """Start a receiver, and end it."""
    receiver = Receiver(answer=answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            receiver.connections += 1
            super().setup()

        def do_POST(self) -> None:
            got = Got(self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"])))
            receiver.got.append(got)
            status = receiver.answer(got)
            receiver.ended.append((got, status))
            self.send_response(status)
            for name, value in {"Content-Length": "0", **receiver.headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's own name)
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # as servers have it; with the library's 5 it would refuse some that come together

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        receiver.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


def organisation(engine: Engine, name: str = "bank", customers: int = 3) -> int:
    """Make an organisation whose customers are c1, c2 and so on."""
    made = platforms.organisation(engine, name)
    with Session(engine) as session, session.begin():
        customer = session.query(EntityType).filter_by(organisation_id=made).one()
        for number in range(1, customers + 1):
            session.add(Entity(organisation_id=made, type_id=customer.id, external_id=f"c{number}", created_us=NOW))
    return made


def entities(engine: Engine, organisation_id: int) -> dict[str, int]:
    """Give the numbers of an organisation's customers."""
    with Session(engine) as session:
        found = session.query(Entity).filter_by(organisation_id=organisation_id)
        return {entity.external_id: entity.id for entity in found}


def tell(engine: Engine, organisation_id: int, events: Iterable[str], kind: EventKind = "level.reached") -> None:
    """Put events into the outbox, in one transaction: `c1-a` is one of the customer c1."""
    numbers = entities(engine, organisation_id)
    rows = [
        NewEvent(event, kind, numbers[event.partition("-")[0]], NOW, '{"level":2,"name":"medium"}') for event in events
    ]
    with Session(engine) as session, session.begin():
        add_events(session, organisation_id, rows)


def endpoint(engine: Engine, organisation_id: int, url: str, kinds: Iterable[str] = ()) -> EndpointMade:
    """Add an endpoint on this machine."""
    actor = Actor(organisation_id, MACHINE)
    return add_endpoint(Context(engine, actor).at(NOW), url, kinds=list(kinds), private_allowed=True)
