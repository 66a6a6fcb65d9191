"""Structured logs: one JSON object a line on stderr, without the content of requests."""

import logging
import sys
import traceback
from contextlib import suppress

import structlog


class _Lines(structlog.WriteLogger):
    """Writes lines. A line that cannot be written, as on a full disk, is lost: the error would end the thread."""

    def msg(self, message: str) -> None:
        """Write a line."""
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def configure_logs(lowest_level: int = logging.INFO) -> None:
    """Set up structlog for this process, without lines below *lowest_level*, a level of `logging`."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(lowest_level),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        # A line is one write: `print` would write the newline separately, and lines of two workers could mix.
        # The present stderr: a cached logger would go on writing to one that was closed or replaced.
        logger_factory=lambda *_: _Lines(sys.stderr),
    )


def place_of(error: BaseException) -> str:
    """Return where an error was raised, without any values."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-5:]))
