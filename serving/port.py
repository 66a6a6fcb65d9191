"""The port is closed until the first worker can answer there, and from the moment at which the service is to end.

BentoML's first process would open it long before its workers can answer, and hold it until the last of them has ended,
though it accepts nothing itself: who connects meanwhile waits, or is cut off. Who is refused asks elsewhere at once.
In between it stays open: where every worker was killed, who connects waits for the next one.

A socket that does not listen yet keeps no other program from the port. So a worker may find that another one listens
there by now, and then the whole service ends.
"""

import os
import signal
from functools import wraps
from typing import Any, Final

import structlog
from uvicorn import Server

PORT_IS_LOST: Final = signal.SIGUSR1
"""What a worker sends to the first process where it cannot listen."""

log = structlog.get_logger("fivefold.service")


def open_only_while_answered() -> None:
    """Change how this process, the first one, treats its socket: its workers listen, and it lets go when it ends.

    A worker listens once it has started. The socket is bound at once, so that a port where another program listens
    ends the start. After `PORT_IS_LOST` it ends with exit code 1. A BentoML that starts its workers by another library
    treats its socket as before, and a log line says so.
    """
    try:
        from circus.arbiter import Arbiter  # noqa: PLC0415 (the workers need none of it)
        from circus.sockets import CircusSocket  # noqa: PLC0415 (as above)
    except ImportError as error:
        log.warning("the port is open while nobody answers there", why=str(error))
        return

    signals: list[int] = []
    run, begin_to_stop = Arbiter.start, Arbiter.stop

    @wraps(run)
    def start(arbiter: Any, callback: Any = None) -> Any:
        outcome = run(arbiter, callback)  # returns once the service has ended
        if signals:
            raise SystemExit(1)
        return outcome

    @wraps(begin_to_stop)
    def stop(arbiter: Any) -> Any:
        ending = begin_to_stop(arbiter)  # asks the workers to end; raises where it cannot just now, and is called again
        arbiter.sockets.close_all()
        return ending

    def end(number: int, _frame: Any) -> None:
        signals.append(number)
        os.kill(os.getpid(), signal.SIGTERM)

    Arbiter.start, Arbiter.stop = start, stop
    CircusSocket.listen = _leave_to_workers
    signal.signal(PORT_IS_LOST, end)


def _leave_to_workers(_socket: Any, _backlog: int = 0) -> None:
    """Do not listen."""


def end_service_unless_listening(parent: int) -> None:
    """Change how uvicorn starts in this process, a worker: where it cannot listen, it says why, and the service ends.

    The loop of uvloop says nothing then, and the worker would answer nobody. *parent* is the first process.
    """
    begin = Server.startup

    @wraps(begin)
    async def startup(server: Any, sockets: Any = None) -> None:
        begin_application = server.lifespan.startup

        async def begin_and_listen() -> None:
            await begin_application()
            if not server.lifespan.should_exit:
                for each in sockets or ():
                    each.listen(server.config.backlog)

        server.lifespan.startup = begin_and_listen
        try:
            await begin(server, sockets)
        except OSError as error:
            log.error(  # noqa: TRY400 (the traceback says nothing more)
                "the service cannot listen, and ends: probably another program took the port while this one started;"
                " choose another one with --port",
                address=[each.getsockname() for each in sockets or ()],
                why=error.strerror,
            )
            os.kill(parent, PORT_IS_LOST)
            server.servers = []
            server.started = server.should_exit = True  # it ends as after SIGTERM

    Server.startup = startup  # type: ignore[assignment, method-assign]  # our types are wider
