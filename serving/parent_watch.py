"""A worker of the service ends with the process that started it, also where that one was killed.

BentoML's workers ask their parent for nothing, so a kill that only it receives would leave them behind: they would hold
the port and go on answering, and the service that a supervisor starts again would find the port in use.
"""

import os
import signal
from threading import Event, Thread

import structlog

CHECK_SECONDS = 1.0

log = structlog.get_logger("fivefold.service")


class ParentWatch:
    """Looks every second whether the parent is still there; if not, asks this process to end as SIGTERM does."""

    def __init__(self, parent: int) -> None:
        """Take the process number of the parent; 0 for the present one."""
        self._parent = parent or os.getppid()
        self._stop = Event()

    def start(self) -> None:
        """Begin to look."""
        Thread(target=self._look, name="parent-watch", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def _look(self) -> None:
        while not self._stop.wait(CHECK_SECONDS):
            if os.getppid() != self._parent:
                log.error("the process that started this one is gone; this one ends too", parent=self._parent)
                os.kill(os.getpid(), signal.SIGTERM)
                return
