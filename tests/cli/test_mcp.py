"""`fivefold mcp` looks for a newer value model as long as it answers."""

from threading import Event

import pytest
from polars.exceptions import PanicException
from structlog.testing import capture_logs

from fivefold.cli import mcp


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
