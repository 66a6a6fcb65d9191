"""What is no request, too large a head, or says nothing is answered with an array, and takes nobody's place."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import process_time

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs
from uvicorn import config as uvicorn_config

from fivefold.serving import http_protocol as protocol
from fivefold.serving.http_protocol import HEAD_BYTES, SPARE_FILES, GuardedProtocol, guard
from fivefold.serving.responses import json_response
from tests.pace import slowness, until_in_loop

LARGE_BYTES = 8_000_000
LONGEST_SECONDS = 20 * slowness()
GOOD = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


@pytest.fixture(autouse=True)
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(uvicorn_config.HTTP_PROTOCOLS, "auto", uvicorn_config.HTTP_PROTOCOLS["auto"])  # type: ignore[misc]  # put back at the end
    monkeypatch.setattr(GuardedProtocol, "most_connections", 1000)
    monkeypatch.setattr(GuardedProtocol, "waiting", {})
    monkeypatch.setattr(GuardedProtocol, "unread", {})
    guard(1000, lambda: 10_000)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body, then answer with what came."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    more = {"more": "x" * LARGE_BYTES} if scope["path"] == "/large" else {}
    if scope["path"] == "/names":
        more = {"names": " ".join(name.decode() for name, _ in scope["headers"])}
    await json_response({"path": scope["path"], "size": size, **more})(scope, receive, send)


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    config = uvicorn.Config(application, port=0, log_config=None, lifespan="off", timeout_keep_alive=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (uvicorn tells it in no other way)
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def ended(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def said(port: int, *parts: bytes) -> bytes:
    """Send parts; give all that is answered until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
    answer = b""
    try:
        while part := await asyncio.wait_for(reader.read(65_536), LONGEST_SECONDS):
            answer += part
    except ConnectionError:
        pass
    finally:
        await ended(writer)
    return answer


async def read_for(reader: asyncio.StreamReader, seconds: float) -> bytes | None:
    """Read what comes within so long; None for nothing, and no bytes where the connection has ended."""
    try:
        return await asyncio.wait_for(reader.read(65_536), seconds)
    except TimeoutError:
        return None
    except ConnectionError:
        return b""


def ask(*parts: bytes) -> bytes:
    async def run() -> bytes:
        async with served() as port:
            return await said(port, *parts)

    return asyncio.run(run())


def assert_refused(answer: bytes, status: bytes, detail: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert json.loads(body) == [{"detail": detail}]
    for part in (b"content-type: application/json", b"x-request-id: ", b"x-model-version: none", b"connection: close"):
        assert part in head.lower()


@pytest.mark.parametrize("line", [b"NOSUCH /v4/scoring HTTP/1.1", b"\x00\x01"])
def test_what_is_no_request_is_answered_with_an_array(line: bytes) -> None:
    assert_refused(ask(line + b"\r\nHost: here\r\n\r\n"), b"400 Bad Request", "Bad Request")


@pytest.mark.parametrize("hosts", [b"", b"Host: a\r\nHost: b\r\n"])
def test_a_request_names_one_host(hosts: bytes) -> None:
    assert_refused(
        ask(b"GET / HTTP/1.1\r\n" + hosts + b"\r\n"), b"400 Bad Request", "the request must have one Host header"
    )
    assert ask(b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_requests_are_answered_one_after_the_other() -> None:
    chunked = b"POST /two HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    closing = b"GET /three HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    answer = ask(GOOD + chunked, closing)
    assert [part in answer for part in (b'"/"', b'{"path":"/two","size":3}', b'"/three"')] == [True] * 3


def test_uvicorn_has_no_log_of_requests_beside_ours(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "uvicorn.access")
    assert ask(b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert [record for record in caplog.records if record.name == "uvicorn.access"] == []


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * (HEAD_BYTES + 1) + b"\r\n\r\n",
        b"GET /" + b"a" * (HEAD_BYTES + 1) + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(10_000)) + b"\r\n",
    ],
    ids=["value", "address", "longest address", "many"],
)
def test_a_head_is_not_larger_than_its_limit(head: bytes) -> None:
    assert_refused(ask(head), b"431 Request Header", "Request Header Fields Too Large")


def test_a_head_without_an_end_is_refused_at_its_limit() -> None:
    """Sixty megabytes took eleven seconds, in which nobody was answered."""
    begun = process_time()
    answer = ask(b"GET / HTTP/1.1\r\nX: ", *[b"a" * 60_000] * 200)
    assert process_time() - begun < 3
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")


def test_the_end_of_a_body_in_parts_has_a_limit_too() -> None:
    begin = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: "
    assert b"200 OK" not in ask(begin, *[b"a" * 60_000] * 20)


def test_what_stands_behind_a_body_is_not_a_header_of_its_request() -> None:
    """It comes when the token was looked up already, and a proxy that sets headers has not seen it."""
    head = b"POST /names HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = ask(
        head + b"1\r\nx\r\n0\r\nToken: another\r\nIdempotency-Key: k\r\n\r\n" + GOOD.replace(b" /", b" /names", 1)
    )
    assert b'"size":1,"names":"host transfer-encoding"}' in answer
    assert b'"size":0,"names":"host"}' in answer


def test_a_body_may_be_as_large_as_it_likes() -> None:
    size = 3_000_000
    head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
    assert b'"size":3000000' in ask(head, b"x" * size)


@pytest.mark.parametrize("begun", [b"", b"GET / HT"])
def test_a_connection_that_says_nothing_more_is_closed(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    answer = ask(begun)
    assert answer.endswith(b'[{"detail":"Request Timeout"}]')


def test_a_second_request_that_is_only_begun_is_closed_too() -> None:
    assert ask(GOOD + b"GET").count(b"HTTP/1.1 ") == 1


def test_a_slow_head_in_time_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", LONGEST_SECONDS)

    async def run() -> bytes:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for byte in GOOD:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.005)
            answer = await reader.read(1000)
            await ended(writer)
            return answer

    assert asyncio.run(run()).startswith(b"HTTP/1.1 200 ")


def test_connections_that_say_nothing_make_room_for_those_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven hundred of them once kept everybody else out."""
    monkeypatch.setattr(GuardedProtocol, "most_connections", 20)

    async def run() -> list[bytes]:
        async with served() as port:
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
            answers = [await said(port, GOOD.replace(b"Host", b"Connection: close\r\nHost")) for _ in range(5)]
            assert len(GuardedProtocol.waiting) <= 20
            for _, writer in silent:
                await ended(writer)
            return answers

    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in asyncio.run(run()))


def test_where_all_connections_are_at_work_a_new_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GuardedProtocol, "most_connections", 2)
    begun = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n"
    asked, real = list[str](), application

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await real(scope, receive, send)

    monkeypatch.setattr(__name__ + ".application", noted)

    async def run() -> bytes:
        async with served() as port:
            working = []
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(begun)
                working.append((reader, writer))
            await until_in_loop(lambda: len(asked) == 2)
            error_response = await said(port)
            for reader, writer in working:
                writer.write(b"ab")
                assert (await reader.read(1000)).startswith(b"HTTP/1.1 200 ")
                await ended(writer)
            return error_response

    answer = asyncio.run(run())
    assert_refused(answer, b"503 ", "Service Unavailable")
    assert b"retry-after: 2" in answer


LARGE = b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n" * 3
"""Three requests at once, of whose answers the first is more than any buffer takes."""


async def unread(port: int, count: int) -> list[asyncio.StreamWriter]:
    """Open connections that ask and read nothing, and wait until the server has noticed."""
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(LARGE)
        writers.append(writer)
    await until_in_loop(lambda: len(GuardedProtocol.unread) == count)
    return writers


def test_callers_that_do_not_take_their_answers_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand of them, without a token, kept everybody else out for as long as they liked."""
    monkeypatch.setattr(GuardedProtocol, "most_connections", 4)

    async def run() -> bytes:
        async with served() as port:
            writers = await unread(port, 4)
            answer = await said(port, GOOD.replace(b"Host", b"Connection: close\r\nHost"))
            for writer in writers:
                writer.transport.abort()
            return answer

    assert asyncio.run(run()).startswith(b"HTTP/1.1 200 ")


def test_an_answer_that_is_not_taken_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "FLUSH_SECONDS", 0.5)
    paused, pause = list[GuardedProtocol](), GuardedProtocol.pause_writing

    def noted(connection: GuardedProtocol) -> None:
        pause(connection)
        paused.append(connection)

    monkeypatch.setattr(GuardedProtocol, "pause_writing", noted)

    async def run() -> None:
        async with served() as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            writer.write(LARGE)
            await until_in_loop(lambda: bool(paused) and not GuardedProtocol.unread)
            (connection,) = paused
            assert connection.transport.is_closing()
            writer.transport.abort()

    asyncio.run(run())


def test_answers_that_are_taken_slowly_come_whole() -> None:
    async def run() -> int:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            writer.write(b"GET /large HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            size = 0
            while part := await reader.read(65_536):
                size += len(part)
                await asyncio.sleep(0.001)
            assert not GuardedProtocol.unread
            await ended(writer)
            return size

    assert asyncio.run(run()) > LARGE_BYTES


def test_a_slow_body_that_is_not_read_does_not_keep_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a good token a caller is answered before its body; it may not go on sending for ever."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(__name__ + ".application", json_response({"detail": "no"}))

    async def run() -> tuple[bytes, int]:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
            answer, size = b"", 0
            while (part := await read_for(reader, 0.05)) != b"" and size < 1000:
                answer += part or b""
                writer.write(b"x")
                size += 1
            await ended(writer)
            return answer, size

    answer, size = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert size < 60, "of which each waits a twentieth of a second, as long as the connection is open"


def test_websockets_are_not_spoken() -> None:
    upgrade = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n"
    answer = ask(upgrade + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
    assert b"101" not in answer.partition(b"\r\n")[0]


def test_a_uvicorn_without_the_table_serves_by_its_own_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(uvicorn_config, "HTTP_PROTOCOLS")
    with capture_logs() as lines:
        assert guard(1000, lambda: 10_000) == 1000
    assert [line["event"] for line in lines] == ["connections and heads are not bounded"]


def test_there_are_no_more_connections_than_files() -> None:
    assert guard(1000, lambda: 500) == 500 - SPARE_FILES
    assert guard(100, lambda: 500) == 100
    assert guard(10, lambda: 100) == 1
    assert guard(50) == 50
