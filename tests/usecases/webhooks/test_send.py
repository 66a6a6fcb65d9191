"""One webhook over the wire: to the address that was checked, and to no other; arrived or why not, in time."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fivefold.store.webhooks.deliveries import LeasedDelivery
from fivefold.store.webhooks.outbox import NOBODY
from fivefold.usecases.shared.connections import open_transport
from fivefold.usecases.webhooks import send as webhook_sending
from fivefold.usecases.webhooks.send import Destination, LookUp, body_of, look_up, send
from fivefold.usecases.webhooks.signing import Secret, earlier_signature, webhook_signature
from tests.usecases.platforms import NOW
from tests.usecases.webhooks.certificates import certified
from tests.usecases.webhooks.receivers import Receiver, receiving

SECRETS = (Secret("new"), Secret("old", NOW))
AT_S = 1_795_000_000
PUBLIC = "93.184.215.14"
FAR_BELOW_FOR_EVER_SECONDS = 60
"""An address that may be connected to; tests see to it that nobody does."""
CLAIM = LeasedDelivery(
    endpoint_id=1,
    event_number=17,
    entity_id=5,
    attempts=0,
    lease="ours",
    lease_until_us=NOW,
    event_id="bank-5-2",
    kind="level.reached",
    at_us=1_795_000_000_123_456,
    body='{"level":3,"name":"très élevé"}',
    entity_type="customer",
    external_id="c1",
)


def sent(
    url: str, claim: LeasedDelivery = CLAIM, *, private_allowed: bool = True, found: LookUp | None = None
) -> str | None:
    destination = Destination(httpx.URL(url), private_allowed, SECRETS)

    async def go() -> str | None:
        async def lookup() -> LookUp:
            return found or await look_up(destination)

        async with open_transport() as transport:
            looking = asyncio.create_task(lookup())
            try:
                return await send(transport, destination, looking, claim, AT_S)
            finally:
                looking.cancel()

    return asyncio.run(go())


def test_a_webhook_says_what_happened_to_whom_and_is_signed_with_every_secret() -> None:
    with receiving() as receiver:
        assert sent(receiver.url) is None
    (got,) = receiver.got
    assert got.path == "/hooks?to=us"
    assert got.told == {
        "event_id": "bank-5-2",
        "sequence": 17,
        "kind": "level.reached",
        "at": "2026-11-18T11:06:40.123456Z",
        "entity": {"type": "customer", "id": "c1"},
        "data": {"level": 3, "name": "très élevé"},
        "erased": False,
    }
    assert got.headers == {
        "Host": f"127.0.0.1:{receiver.port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(got.body)),
        "User-Agent": "fivefold",
        "webhook-id": "bank-5-2",
        "webhook-timestamp": str(AT_S),
        "webhook-signature": webhook_signature(SECRETS, "bank-5-2", AT_S, got.body),
        "Fivefold-Event-Id": "bank-5-2",
        "Fivefold-Sequence": "17",
        "Fivefold-Timestamp": str(AT_S),
        "Fivefold-Signature": earlier_signature(SECRETS, AT_S, got.body),
    }
    assert got.headers["Fivefold-Signature"].count("v1=") == 2
    assert got.headers["webhook-signature"].count("v1,") == 2


def test_of_what_was_erased_it_is_told_that_it_happened_and_not_to_whom() -> None:
    erased = LeasedDelivery(**{**vars(CLAIM), "body": None, "external_id": None})
    told = json.loads(body_of(erased))
    assert (told["entity"], told["data"], told["erased"]) == ({"type": "customer", "id": None}, None, True)
    assert (told["event_id"], told["sequence"], told["kind"]) == ("bank-5-2", 17, "level.reached")


def test_what_is_about_no_entity_names_none() -> None:
    about_none = replace(CLAIM, entity_id=NOBODY, entity_type=None, external_id=None, kind="value_model.due")
    told = json.loads(body_of(about_none))
    assert (told["entity"], told["kind"], told["erased"]) == (None, "value_model.due", False)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_answer_of_success_is_one(status: int) -> None:
    with receiving(lambda _: status) as receiver:
        assert sent(receiver.url) is None


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
def test_any_other_answer_is_a_failure(status: int) -> None:
    with receiving(lambda _: status) as receiver:
        assert sent(receiver.url) == f"answered {status}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with receiving() as other, receiving(lambda _: status) as receiver:
        receiver.headers["Location"] = other.url
        assert sent(receiver.url) == f"answered {status}; redirects are not followed"
        assert other.got == []


def test_a_private_address_is_not_connected_to() -> None:
    with receiving() as receiver:
        error = sent(receiver.url, private_allowed=False)
        assert receiver.connections == 0
    assert error == "127.0.0.1 has the address 127.0.0.1, which is loopback; it must be a public one"


def test_a_name_that_turns_to_a_private_address_after_it_was_checked_is_of_no_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name is looked up once; the connection is to the address of that answer."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        if host != "hooks.example":
            return real(host, port, *arguments, **named)
        asked.append(host)
        return real("127.0.0.1" if len(asked) > 1 else PUBLIC, port, *arguments, **named)

    connected: list[Any] = []

    async def connect(_: Any, __: Any, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", connect)
    with receiving() as receiver:
        error = sent(f"http://hooks.example:{receiver.port}/", private_allowed=False)
        assert (error or "").startswith("ConnectError: ")
        assert receiver.connections == 0
    assert asked == ["hooks.example"]
    assert connected == [(PUBLIC, receiver.port)]


def test_the_name_is_what_the_receiver_is_asked_for_whatever_the_address() -> None:
    with receiving() as receiver:
        assert sent(f"http://hooks.example:{receiver.port}/", found=LookUp(("127.0.0.1",))) is None
    assert receiver.got[0].headers["Host"] == f"hooks.example:{receiver.port}"


def test_a_host_without_an_answer_at_its_first_address_is_tried_at_the_next() -> None:
    with receiving() as receiver:
        found = LookUp(("127.0.0.2", "::1", "127.0.0.1"))
        assert sent(f"http://hooks.example:{receiver.port}/", found=found) is None
    assert len(receiver.got) == 1


def test_nobody_there_is_a_failure_that_is_told() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert (sent(f"http://127.0.0.1:{bound.getsockname()[1]}/") or "").startswith("ConnectError: ")


def test_a_host_that_is_not_known_is_a_failure_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert sent("http://hooks.example/") == ("hooks.example cannot be looked up: [Errno -2] Name or service not known")


def test_what_cannot_be_written_is_told_and_stops_nothing() -> None:
    with receiving() as receiver:
        assert (sent(receiver.url, LeasedDelivery(**{**vars(CLAIM), "body": "{"})) or "").startswith(
            "JSONDecodeError: "
        )
        assert receiver.got == []


@contextmanager
def dripping(first: bytes, drop: bytes) -> Iterator[int]:
    """A server that answers a little, and then a little more for ever: each piece well within any pause allowed."""
    stop = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(first)
            while not stop.wait(0.02):
                try:
                    connection.sendall(drop)
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["silent", "headers", "body"],
)
def test_an_answer_that_does_not_end_in_time_is_a_failure(
    first: bytes, drop: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sending, "LIMIT_SECONDS", 0.4)
    with dripping(first, drop) as port:
        began = time.monotonic()
        assert sent(f"http://127.0.0.1:{port}/") == "no whole answer within 0.4 s"
        assert time.monotonic() - began < FAR_BELOW_FOR_EVER_SECONDS


def test_an_answer_without_end_is_read_so_far_and_no_farther() -> None:
    long = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + long, long) as port:
        assert sent(f"http://127.0.0.1:{port}/") is None


def test_connections_are_used_again_and_cookies_are_not_kept() -> None:
    async def twice(receiver: Receiver) -> None:
        destination = Destination(httpx.URL(receiver.url), True, SECRETS)
        async with open_transport() as transport:
            looking = asyncio.create_task(look_up(destination))
            for _ in range(2):
                assert await send(transport, destination, looking, CLAIM, AT_S) is None

    with receiving() as receiver:
        receiver.headers["Set-Cookie"] = "who=us"
        asyncio.run(twice(receiver))
        assert receiver.connections == 1
    assert all("Cookie" not in got.headers for got in receiver.got)


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy, receiving() as receiver:
        for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert sent(receiver.url) is None
        assert (len(proxy.got), len(receiver.got)) == (0, 1)


@pytest.mark.parametrize(
    ("name", "common", "trusted"),
    [("hooks.example", "tests", True), ("other.example", "tests", False), ("", "hooks.example", False)],
)
def test_the_receiver_must_prove_the_name_of_the_url(
    name: str, common: str, trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with certified(name, tmp_path, monkeypatch, common=common) as context, receiving(tls=context) as receiver:
        error = sent(f"https://hooks.example:{receiver.port}/", found=LookUp(("127.0.0.1",)))
        assert len(receiver.got) == trusted
    assert (error is None) is trusted
    if not trusted:
        assert "certificate" in (error or "")
