"""Structured logs: one JSON object a line, on stderr alone."""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
import structlog

from fivefold.serving.logs import configure_logs
from fivefold.usecases.levels.worker_loop import PeriodicTask, run_forever


@pytest.fixture(autouse=True)
def keep_structlog() -> Iterator[None]:
    """Set structlog back as it was."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_every_event_is_one_line_of_json_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_logger("before")
    configure_logs()
    log = structlog.get_logger("fivefold.test")
    before.info("made before", number=1)
    log.warning("champion refused", version=2, why="a line\nbreak and a é")
    log.error("failed", request_id="0123456789abcdef", at="score:7 < answer:3", odd=object)
    said = capsys.readouterr()
    assert said.out == ""
    found = [json.loads(line) for line in said.err.splitlines()]
    assert [(line["event"], line["level"]) for line in found] == [
        ("made before", "info"),
        ("champion refused", "warning"),
        ("failed", "error"),
    ]
    assert found[1]["why"] == "a line\nbreak and a é"
    assert (found[2]["request_id"], found[2]["at"]) == ("0123456789abcdef", "score:7 < answer:3")
    assert all(datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0) for line in found)


def test_a_worker_goes_on_where_the_disk_of_its_log_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread ended by the line that was to say what had failed, and the process stayed without it."""
    stop, rounds = Event(), list[int]()

    def fail_twice() -> bool:
        rounds.append(1)
        if len(rounds) > 2:
            stop.set()
            return False
        raise OSError(28, "No space left on device")

    configure_logs()
    full = Path("/dev/full").open("w", buffering=1, encoding="utf-8")  # noqa: SIM115 (to close it fails)
    monkeypatch.setattr(sys, "stderr", full)
    run_forever([PeriodicTask("levels", fail_twice, 0.001)], stop)
    monkeypatch.undo()
    with suppress(OSError):
        full.close()
    assert len(rounds) == 3
