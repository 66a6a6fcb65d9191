"""Requests that are no HTTP, or of no known method, are answered with an array."""

import asyncio

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.protocol import refuse_in_arrays
from tests.serving.inprocess import exchange


@pytest.mark.parametrize("http", ["httptools", "h11"])
@pytest.mark.parametrize("line", [b"NOSUCH /v4/scoring HTTP/1.1", b"\x00\x01"])
def test_what_is_no_request_is_answered_with_an_array(line: bytes, http: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for protocol in (HttpToolsProtocol, H11Protocol):
        monkeypatch.setattr(protocol, "send_400_response", protocol.send_400_response)  # put back at the end
    refuse_in_arrays()

    async def ask() -> bytes:
        config = uvicorn.Config(exchange, http=http, port=0, log_config=None, lifespan="off")  # type: ignore[arg-type]  # never asked
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 (uvicorn tells it in no other way)
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(line + b"\r\nHost: here\r\n\r\n")
        answer = await reader.read()
        writer.close()
        server.should_exit = True
        await serving
        return answer

    if http == "h11" and line.startswith(b"NOSUCH"):
        return  # h11 takes any method; the routes answer 405
    head, _, body = asyncio.run(ask()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert body == b'[{"detail":"Bad Request"}]'
    for part in (b"content-type: application/json", b"x-request-id: ", b"x-model-version: none"):
        assert part in head.lower()
