"""Ends a worker with the process that started it, and the service with its demo, even if that process was killed.

BentoML's workers do not watch their parent, so a kill of the parent alone would leave them behind: they would hold the
port and go on answering, and the service that a supervisor starts again would find the port in use. A demo that is
killed would leave its service behind unnoticed.
"""

import os
import signal
from threading import Event, Thread

import structlog

CHECK_SECONDS = 1.0

log = structlog.get_logger("fivefold.service")


class ParentWatch:
    """Checks every second whether the parent still runs; if not, sends SIGTERM to this process.

    If the owner of the service is gone, sends SIGTERM to the parent, which ends all its workers.
    """

    def __init__(self, parent: int, owner: int = 0) -> None:
        """Set the process ids of the parent, 0 for the present one, and of the service's owner, 0 for none."""
        self._parent = parent or os.getppid()
        self._owner = owner
        self._stop = Event()

    def start(self) -> None:
        """Start to check, in a thread."""
        Thread(target=self._look, name="parent-watch", daemon=True).start()

    def stop(self) -> None:
        """Stop checking."""
        self._stop.set()

    def _look(self) -> None:
        while not self._stop.wait(CHECK_SECONDS):
            if os.getppid() != self._parent:
                log.error("the process that started this one is gone; this one ends too", parent=self._parent)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            if self._owner and not is_running(self._owner):
                log.error("the process that this service is for is gone; the service ends too", owner=self._owner)
                os.kill(self._parent, signal.SIGTERM)
                self._owner = 0


def is_running(process: int) -> bool:
    """Return whether a process with this id runs, perhaps under another account."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
