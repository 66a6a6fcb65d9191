"""The port is closed until a worker listens, and from the moment at which the first process is asked to end."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from circus.arbiter import Arbiter
from circus.exc import ConflictError
from circus.sockets import CircusSocket, CircusSockets
from structlog.testing import capture_logs

from fivefold.serving.port import PORT_IS_LOST, end_service_unless_listening, open_only_while_answered
from fivefold.store.sql.database import upgrade
from tests.serving.process_service import START_SECONDS, Service


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    held = signal.getsignal(PORT_IS_LOST)
    yield
    signal.signal(PORT_IS_LOST, held)


@pytest.fixture
def sockets() -> Iterator[CircusSockets]:
    """What the first process holds: one socket of any free port."""
    held = CircusSockets([CircusSocket("service", "127.0.0.1", 0)])
    yield held
    held.close_all()


def begin(monkeypatch: pytest.MonkeyPatch, sockets: CircusSockets, stop: Any = Arbiter.stop) -> None:
    """Begin as a first process whose own way to end is *stop*."""
    monkeypatch.setattr(Arbiter, "stop", stop)
    monkeypatch.setattr(Arbiter, "start", Arbiter.start)
    monkeypatch.setattr(CircusSocket, "listen", socket.socket.listen)
    open_only_while_answered()
    sockets.bind_and_listen_all()


def test_nobody_can_connect_before_a_worker_listens(monkeypatch: pytest.MonkeyPatch, sockets: CircusSockets) -> None:
    begin(monkeypatch, sockets)
    address = sockets["service"].getsockname()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=30)
    with socket.socket(fileno=os.dup(sockets["service"].fileno())) as of_worker:
        of_worker.listen()
        socket.create_connection(address, timeout=30).close()


def test_the_first_process_lets_go_of_the_port_once_its_workers_are_asked_to_end(
    monkeypatch: pytest.MonkeyPatch, sockets: CircusSockets
) -> None:
    def asks_workers(arbiter: Any) -> str:
        assert arbiter.sockets["service"].fileno() >= 0
        return "ending"

    begin(monkeypatch, sockets, asks_workers)
    assert Arbiter.stop(SimpleNamespace(sockets=sockets)) == "ending"
    assert sockets["service"].fileno() < 0


def test_where_it_cannot_end_just_now_it_keeps_the_port_for_its_workers(
    monkeypatch: pytest.MonkeyPatch, sockets: CircusSockets
) -> None:
    def looks_after_workers(_: Any) -> str:
        raise ConflictError

    begin(monkeypatch, sockets, looks_after_workers)
    with pytest.raises(ConflictError):
        Arbiter.stop(SimpleNamespace(sockets=sockets))
    assert sockets["service"].fileno() >= 0


def test_a_bentoml_without_that_library_serves_all_the_same_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "circus.arbiter", None)
    with capture_logs() as lines:
        open_only_while_answered()
    assert [line["event"] for line in lines] == ["the port is open while nobody answers there"]


def other_program(port: int) -> socket.socket:
    """Bind the port as another program that does not listen yet, which keeps nobody from it."""
    other = socket.socket()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    other.bind(("127.0.0.1", port))
    return other


def test_a_worker_that_cannot_listen_says_why_and_tells_the_first_process(
    monkeypatch: pytest.MonkeyPatch, sockets: CircusSockets
) -> None:
    told: list[int] = []
    begin(monkeypatch, sockets)
    signal.signal(PORT_IS_LOST, lambda number, _: told.append(number))
    monkeypatch.setattr(uvicorn.Server, "startup", uvicorn.Server.startup)
    end_service_unless_listening(os.getpid())
    held = socket.socket(fileno=os.dup(sockets["service"].fileno()))  # as a worker has it
    port = held.getsockname()[1]
    with other_program(port) as other, capture_logs() as lines:
        other.listen()
        uvicorn.Server(uvicorn.Config(lambda: None, lifespan="off", log_config=None)).run(sockets=[held])
    assert told == [PORT_IS_LOST]
    (line,) = lines
    assert line["event"].startswith("the service cannot listen, and ends: ")
    assert (line["address"], line["why"]) == ([("127.0.0.1", port)], "Address already in use")


@pytest.mark.full
def test_a_service_whose_port_another_one_takes_while_it_starts_ends_and_says_why(tmp_path: Path) -> None:
    var = tmp_path / "var"
    var.mkdir()
    service = Service(var)
    upgrade(service.engine)
    with other_program(service.port) as other:
        service.launch()
        service.wait_for(lambda: bool(service.worker_pids()), START_SECONDS)
        other.listen()  # the first process has bound the port by now, and no worker listens yet
        assert service.process.wait(START_SECONDS) == 1
    assert "the service cannot listen, and ends" in service.said()
    assert service.left_over() == []
    service.engine.dispose()
