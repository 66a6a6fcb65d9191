"""Structured logs: one JSON object a line, on stderr alone."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

PROGRAM = """
import structlog
from serving.logs import configure_logs

before = structlog.get_logger("before")
configure_logs()
log = structlog.get_logger("fivefold.test")
before.info("made before", number=1)
log.warning("champion refused", version=2, why="a line\\nbreak and a \\u00e9")
log.error("failed", request_id="0123456789abcdef", at="score:7 < answer:3", odd=object)
"""


def lines() -> tuple[str, list[dict[str, Any]]]:
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    return done.stdout, [json.loads(line) for line in done.stderr.splitlines()]


def test_every_event_is_one_line_of_json_on_stderr() -> None:
    out, found = lines()
    assert out == ""
    assert [(line["event"], line["level"]) for line in found] == [
        ("made before", "info"),
        ("champion refused", "warning"),
        ("failed", "error"),
    ]
    assert found[1]["why"] == "a line\nbreak and a é"
    assert (found[2]["request_id"], found[2]["at"]) == ("0123456789abcdef", "score:7 < answer:3")
    for line in found:
        moment = datetime.fromisoformat(line["timestamp"])
        assert moment.utcoffset() == timedelta(0)
