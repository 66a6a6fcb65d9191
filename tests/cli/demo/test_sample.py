"""The sample request of the demo: it can be pasted, and a service is started for it and stopped."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fivefold.cli.demo import levels as demo_levels
from fivefold.cli.demo import sample
from fivefold.domain.errors import FivefoldError
from tests.cli.running import run, succeed


def test_the_call_can_be_pasted() -> None:
    words = shlex.split(sample.curl(3456, "secret"))
    assert words[:3] == ["curl", "-sS", "http://127.0.0.1:3456/v4/scoring?as_of=2024-07-01"]
    assert words[words.index("-H") + 1] == "token: secret"
    assert json.loads(words[words.index("-d") + 1]) == sample.ROWS


def test_a_free_port_is_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert not sample.is_free(taken.getsockname()[1])
    assert sample.is_free(sample.any_port())


FAKE = """
import http.server, json, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({})
    def do_POST(self):
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = {"rows": len(rows), "path": self.path, "contributions": [1, 2, 3, 4, 5]}
        self.answer([told] if self.headers["token"] else [])
    def answer(self, content):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started: a service that answers anything, instead of the real one."""
    processes: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        assert command[:-1] == [sys.executable, "-P", "-m", "fivefold.cli.main", "serve", "--port"]
        assert options["env"]["FIVEFOLD_OWNER_PROCESS"] == str(os.getpid()), "it ends with a demo that is killed"
        processes.append(popen([sys.executable, "-c", FAKE, command[-1]], **options))
        return processes[-1]

    monkeypatch.setattr(sample.subprocess, "Popen", start)
    return processes


@pytest.fixture
def demo_var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path))
    (tmp_path / "demo").mkdir()
    return tmp_path


def test_the_service_answers_once_and_is_stopped(
    demo_var: Path, started: list[subprocess.Popen[bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    sample.serve_once(sample.any_port())
    out = capsys.readouterr().out
    assert out.startswith("Starting the service ...\nPOST /v4/scoring?as_of=2024-07-01&explain=true answered:\n[")
    (answer,) = json.loads(out.partition("answered:\n")[2])
    assert answer["rows"] == 2
    assert answer["path"] == "/v4/scoring?as_of=2024-07-01&explain=true"
    assert answer["contributions"] == [1, 2, 3, "... 2 more"]
    assert [process.poll() is not None for process in started] == [True]
    assert (demo_var / "demo" / "service.log").exists()


def test_a_service_that_does_not_come_up_says_where_it_told_why(
    demo_var: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "START_SECONDS", 0)
    monkeypatch.setattr(sample, "AS_LONG_AS_BEFORE", 0.0)
    said = rf"the service runs, but was not ready on port \d+ after 0 s: .*output is in {demo_var}/demo/service.log"
    with pytest.raises(FivefoldError, match=said):
        sample.serve_once(sample.any_port())
    assert [process.poll() is not None for process in started] == [True]


def test_a_service_whose_port_another_process_took_says_so(
    demo_var: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(sample.urllib.request, "urlopen", unanswered)
        said = rf"ended with code 1 .*another process has port {port}: .*service.log"
        with pytest.raises(FivefoldError, match=said), sample.running(port):
            pass


def unanswered(*_: object, **__: object) -> None:
    raise TimeoutError


def test_another_service_on_the_port_is_not_taken_for_its_own(
    demo_var: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has other tokens, and so refuses ours."""
    refusing = FAKE.replace("self.send_response(200)", "self.send_response(401 if self.command == 'POST' else 200)")
    monkeypatch.setattr(sys.modules[__name__], "FAKE", refusing)
    port = sample.any_port()
    with pytest.raises(FivefoldError, match=f"another service answers on port {port}.* with --port"):
        sample.serve_once(port)
    assert [process.poll() is not None for process in started] == [True]


def test_a_port_that_is_in_use_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(tmp_path, "demo", "--serve", "--port", port)
    assert done.code != 0
    assert f"port {port} of 127.0.0.1 is in use; choose another one with --port" in done.err
    assert not (tmp_path / "demo").exists()


def test_where_the_port_is_in_use_the_demo_says_at_its_start_which_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped() -> Path:
        raise FivefoldError("nothing more is needed")

    monkeypatch.setattr("fivefold.cli.value_model.train.simulated_file", stopped)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run(tmp_path, "demo", "--port", taken.getsockname()[1])
    assert "The port is in use, so the demo's service will use " in done.out
    assert "nothing more is needed" in done.err


def test_the_service_is_left_running_with_a_call_to_paste(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, arguments: asked.append(arguments))
    (registry / "demo").mkdir()
    (registry / "demo" / "transactions.parquet").touch()
    monkeypatch.setattr(demo_levels, "console_tokens", lambda: {"ida": "i-token", "ann": "a-token"})
    out = succeed(registry, "demo", "--serve", "--port", 3456)
    assert asked == [[sys.executable, "-P", "-m", "fivefold.cli.main", "serve", "--port", "3456"]]
    assert out.startswith("When it is ready, in another terminal:\n\ncurl -sS 'http://127.0.0.1:3456/v4/scoring")
    assert out.endswith("\nStop it with Ctrl-C.\n")
    assert "the token of\n  ida, investigator:  i-token\n  ann, approver:  a-token\n" in out
    assert "champion" not in out


ENDED = """
import sys
from fivefold.cli.demo import levels as demo_levels
from fivefold.cli.demo import sample
popen = sample.subprocess.Popen
sample.subprocess.Popen = lambda command, **options: popen(
    [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"], **options
)
with sample.running(int(sys.argv[1])):
    pass
"""


def test_the_service_ends_with_a_demo_that_is_asked_to_end(demo_var: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ENDED, str(sample.any_port())])
    log, text = demo_var / "demo" / "service.log", ""
    while not text.endswith("\n"):
        assert process.poll() is None
        text = log.read_text() if log.exists() else ""
    process.terminate()
    assert process.wait(30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(text), 0)
