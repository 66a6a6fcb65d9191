"""Structured logs: one JSON object a line on stderr, without the content of requests."""

import logging
import sys
import traceback
from contextlib import suppress

import structlog


class _Lines(structlog.WriteLogger):
    """Writes lines. One that cannot be written, as on a full disk, is lost: a thread that logs an error would end."""

    def msg(self, message: str) -> None:
        """Write a line."""
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def configure_logs(lowest_level: int = logging.INFO) -> None:
    """Set structlog up for this process; lines below *lowest_level*, a level of `logging`, are left out."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(lowest_level),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        # A line is one write: printing would write its end apart, and lines of two workers could run together.
        # stderr of the moment: a cached logger would go on writing to one that was closed or replaced.
        logger_factory=lambda *_: _Lines(sys.stderr),
    )


def place_of(error: BaseException) -> str:
    """Name the place of an error without any value."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-5:]))
