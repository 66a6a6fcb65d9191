"""What cannot be read as HTTP at all is answered by the server itself, before any application: as an array too."""

import secrets
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.answers import ARRAY, refused


def refuse_in_arrays() -> None:
    """Make uvicorn's own 400, for an unknown method or a broken request line, an array in this process."""
    protocols: tuple[Any, ...] = (HttpToolsProtocol, H11Protocol)
    for protocol in protocols:
        protocol.send_400_response = _send_400  # it offers no other way


def _send_400(protocol: Any, _: str) -> None:
    answer = refused(400)
    headers = [pair for pair in answer.raw_headers if pair[0] != ARRAY.encode()]
    headers += [
        (b"x-request-id", secrets.token_hex(8).encode()),
        (b"x-model-version", b"none"),
        (b"connection", b"close"),
    ]
    lines = [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in headers), b"", bytes(answer.body)]
    protocol.transport.write(b"\r\n".join(lines))
    protocol.transport.close()
