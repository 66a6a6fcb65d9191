"""The port is open only while a worker answers there.

BentoML's first process would open it long before its workers can answer, and hold it until the last of them has ended,
though it accepts nothing itself: who connects meanwhile waits, or is cut off. Who is refused asks elsewhere at once.
"""

from functools import wraps
from typing import Any

import structlog

log = structlog.get_logger("fivefold.service")


def open_only_while_answered() -> None:
    """Change how this process, the first one, treats its socket: its workers listen, and it lets go when it ends.

    A worker listens once it has started. The socket is bound at once, so that a port in use ends the start. A BentoML
    that starts its workers by another library treats its socket as before, and a log line says so.
    """
    try:
        from circus.arbiter import Arbiter  # noqa: PLC0415 (the workers need none of it)
        from circus.sockets import CircusSocket  # noqa: PLC0415 (as above)
    except ImportError as error:
        log.warning("the port is open while nobody answers there", why=str(error))
        return

    begin_to_stop = Arbiter.stop

    @wraps(begin_to_stop)
    def stop(arbiter: Any) -> Any:
        ending = begin_to_stop(arbiter)  # asks the workers to end; raises where it cannot just now, and is called again
        arbiter.sockets.close_all()
        return ending

    Arbiter.stop = stop
    CircusSocket.listen = _leave_to_workers


def _leave_to_workers(_socket: Any, _backlog: int = 0) -> None:
    """Do not listen."""
