"""The port is closed until a worker listens, and from the moment at which the first process is asked to end."""

import os
import socket
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from circus.arbiter import Arbiter
from circus.exc import ConflictError
from circus.sockets import CircusSocket, CircusSockets
from structlog.testing import capture_logs

from fivefold.serving.port import open_only_while_answered


@pytest.fixture
def sockets() -> Iterator[CircusSockets]:
    """What the first process holds: one socket of any free port."""
    held = CircusSockets([CircusSocket("service", "127.0.0.1", 0)])
    yield held
    held.close_all()


def begin(monkeypatch: pytest.MonkeyPatch, sockets: CircusSockets, stop: Any = Arbiter.stop) -> None:
    """Begin as a first process whose own way to end is *stop*."""
    monkeypatch.setattr(Arbiter, "stop", stop)
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
