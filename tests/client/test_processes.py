"""What several processes make of one client: connections of their own, and errors that come back to who asked."""

import json
import os
import pickle
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from fivefold.client import ClientError
from tests.client.fake_service import TAKEN, Reply, Service, answer, client, put, refused


class Port(BaseHTTPRequestHandler):
    """Answers with the port that it was asked from, which is the connection's."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(TAKEN | {"new": self.client_address[1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


FORKED = """
import os, sys
from fivefold.client import Client

client = Client(sys.argv[1], "token")
ask = lambda: client.entities.put("customer", "c1", {"country": "NO"}).new
before = ask()
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, str(ask()).encode())
    os._exit(0)
os.wait()
print(before, ask(), os.read(reading, 10).decode())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_that_was_forked_has_connections_of_its_own() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Port) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        command = [sys.executable, "-c", FORKED, f"http://127.0.0.1:{server.server_port}"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        server.shutdown()
    before, after, forked = ran.stdout.split()
    assert before == after != forked


@pytest.mark.parametrize(
    "reply",
    [
        answer(422, [{"detail": "wrong", "row": 0, "field": "transaction_amount"}]),
        refused(429, Retry_After="999999"),
        refused(504),
        httpx.ReadTimeout("late"),
        answer(200, "no object"),
    ],
)
def test_an_error_goes_from_a_pool_of_processes_to_who_asked(reply: Reply) -> None:
    with pytest.raises(ClientError) as error:
        put(client(Service(reply), attempts=1))
    copy = pickle.loads(pickle.dumps(error.value))
    assert (type(copy), str(copy), vars(copy)) == (type(error.value), str(error.value), vars(error.value))
