"""A worker of the service ends with the process that started it, and the service with a demo; also where one is killed.

BentoML's workers ask their parent for nothing, so a kill that only it receives would leave them behind: they would hold
the port and go on answering, and the service that a supervisor starts again would find the port in use. A demo that is
killed leaves its service behind likewise, and nobody would know of it.
"""

import os
import signal
from threading import Event, Thread

import structlog

CHECK_SECONDS = 1.0

log = structlog.get_logger("fivefold.service")


class ParentWatch:
    """Looks every second whether the parent is still there; if not, asks this process to end as SIGTERM does.

    Where the owner of the service is gone, it asks the parent to end, which ends all its workers.
    """

    def __init__(self, parent: int, owner: int = 0) -> None:
        """Take the process numbers of the parent, 0 for the present one, and of the service's owner, 0 for none."""
        self._parent = parent or os.getppid()
        self._owner = owner
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
            if self._owner and not is_running(self._owner):
                log.error("the process that this service is for is gone; the service ends too", owner=self._owner)
                os.kill(self._parent, signal.SIGTERM)
                self._owner = 0


def is_running(process: int) -> bool:
    """Tell whether there is a process of a number, perhaps of another account."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
