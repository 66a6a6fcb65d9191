"""`fivefold mcp` looks for a newer value model as long as it answers, and ends at once when it is asked to."""

import signal
from pathlib import Path
from threading import Event

import pytest
from polars.exceptions import PanicException
from structlog.testing import capture_logs

from fivefold.cli import mcp
from tests.cli.running import run, start


@pytest.mark.parametrize("error", [OSError("a secret"), PanicException("a secret")])
def test_it_looks_again_after_an_error(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    monkeypatch.setattr(mcp, "LOOK_SECONDS", 0)
    looked, ended, looks = Event(), Event(), list[int]()

    def load() -> None:
        looks.append(1)
        if len(looks) == 2:
            ended.set()
            return
        raise error

    with capture_logs() as logs:
        mcp._keep_loading(load, looked, ended)
    assert (len(looks), looked.is_set()) == (2, True)
    assert [(line["event"], line["error"]) for line in logs] == [("value model not loaded", type(error).__name__)]


def test_ctrl_c_ends_it_although_its_input_goes_on(tmp_path: Path) -> None:
    token = run(tmp_path, "tokens", "create").out.rstrip()
    command = start(tmp_path, "mcp", f"--token={token}")
    try:
        assert command.stdin is not None
        assert command.stdout is not None
        command.stdin.write('{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        command.stdin.flush()
        assert '"id":1' in command.stdout.readline()
        command.send_signal(signal.SIGINT)
        assert command.wait(30) == -signal.SIGINT
    finally:
        command.kill()
        command.communicate()
