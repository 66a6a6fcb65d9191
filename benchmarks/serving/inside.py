"""Where a request's time goes, with HTTP: one connection to the real application in this process, step after step.

    python -m benchmarks.serving.inside

Every step ends where the next begins, so that the steps add up to the whole, from the first bytes that arrive to the
line of the log. Processor time of the event loop's thread, medians. Needs a champion in FIVEFOLD_VAR.
"""

import argparse
import http.client
import inspect
import json
import threading
from collections.abc import Callable
from functools import wraps
from itertools import pairwise
from time import sleep, thread_time
from typing import Any

import numpy as np
import uvicorn
from starlette.types import Receive, Scope, Send

from benchmarks.serving.budget import AS_OF, ROWS, customer
from fivefold.models.value_model import ValueModel
from fivefold.serving import authentication, error_middleware, service
from fivefold.serving.http_protocol import GuardedProtocol
from fivefold.serving.v4 import endpoint
from fivefold.serving.v4.app import ScoringFastPath
from fivefold.usecases.accounts.tokens import create_token, revoke_token

STEPS: dict[str, tuple[Any, str, bool]] = {
    "waiting for bytes": (GuardedProtocol, "data_received", True),
    "HTTP read, task of the request": (error_middleware.ErrorMiddleware, "__call__", True),
    "request id, headers, deadline": (endpoint.ScoringEndpoint, "answer", True),
    "token": (authentication.Authenticator, "authenticate", False),
    "body received": (endpoint, "read_body", False),
    "body into columns": (endpoint, "read_rows", False),
    "query": (endpoint, "read_query", False),
    "checks and layout": (endpoint, "check_rows", False),
    "allowance": (endpoint.ScoringEndpoint, "_require_allowance", False),
    "kernel": (ValueModel, "matrix", False),
    "prediction, score, segment": (ValueModel, "scores", False),
    "writing the answer": (endpoint, "_compute", False),
    "charge, committed": (endpoint.ScoringEndpoint, "_charge", False),
    "counts for drift": (endpoint.DriftCounter, "add", False),
    "response out": (service.ServiceMetrics, "count_response", True),
    "metrics": (service.ServiceMetrics, "count_response", False),
    "line of the log": (service.AccessLog, "add", False),
}
"""Which call ends each step: where it begins (true), or where it returns."""


def mark_calls(marks: list[tuple[str, float]]) -> None:
    """Let every call of `STEPS` note its moment in *marks*."""
    for name, (owner, function, begins) in STEPS.items():
        setattr(owner, function, _marking(getattr(owner, function), name, begins, marks))


def _marking(function: Callable[..., Any], name: str, begins: bool, marks: list[tuple[str, float]]) -> Any:
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def awaited(*arguments: Any, **options: Any) -> Any:
            if begins:
                marks.append((name, thread_time()))
            result = await function(*arguments, **options)
            if not begins:
                marks.append((name, thread_time()))
            return result

        return awaited

    @wraps(function)
    def called(*arguments: Any, **options: Any) -> Any:
        if begins:
            marks.append((name, thread_time()))
        result = function(*arguments, **options)
        if not begins:
            marks.append((name, thread_time()))
        return result

    return called


def steps(requests: int) -> dict[str, float]:
    """Post a customer again and again; give the median microseconds of every step."""
    marks: list[tuple[str, float]] = []
    mark_calls(marks)
    number, token = create_token(service.ENGINE, service.PLANS, plan="unlimited")
    service.QUOTA_CHARGER.start()
    service.CHAMPION_LOADER.start()
    service.ACCESS._write = lambda _: None  # noqa: SLF001 (a terminal does not belong to it)
    while service.CHAMPION_LOADER.current is None:
        sleep(0.1)
    front = ScoringFastPath(service.SCORING_ENDPOINT, service.APP)
    whole = error_middleware.ErrorMiddleware(front, service.SERVICE_METRICS, 30, service.ACCESS)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # uvicorn would try to call another one
        await whole(scope, receive, send)

    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=GuardedProtocol, loop="uvloop", lifespan="off", log_level="error")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        sleep(0.1)
    port = server.servers[0].sockets[0].getsockname()[1]
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = json.dumps(customer(ROWS)).encode()
    for _ in range(requests):
        connection.request("POST", f"/v4/scoring?as_of={AS_OF}", body, {"token": token})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
    sleep(0.1)  # the last line of the log
    times = _step_times(marks)[requests // 10 :]  # the first are not counted
    server.should_exit = True
    thread.join()
    service.QUOTA_CHARGER.stop()
    service.CHAMPION_LOADER.stop()
    revoke_token(service.ENGINE, number)
    return {name: float(np.median([durations[name] for durations in times])) for name in (*[*STEPS][1:], "in all")}


def _step_times(marks: list[tuple[str, float]]) -> list[dict[str, float]]:
    """Give the microseconds of each step of every request, whose bytes may arrive in parts."""
    order, every = [*STEPS], []
    moments: dict[str, float] = {}
    for name, moment in marks:
        moments.setdefault(name, moment)
        if name == order[-1]:
            durations = {step: 1e6 * (moments[step] - moments[before]) for before, step in pairwise(order)}
            every.append({**durations, "in all": 1e6 * (moment - moments[order[0]])})
            moments = {}
    return every


def main() -> None:
    """Time and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--requests", type=int, default=2_000)
    for name, time_us in steps(arguments.parse_args().requests).items():
        print(f"{name:34} {time_us:7.1f} us")


if __name__ == "__main__":
    main()
