"""The service's routes in this process: everything but BentoML, workers and a port."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
from fastapi import FastAPI
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fivefold.domain.settings import Limits, Settings
from fivefold.serving.access_log import line_of
from fivefold.serving.authentication import Authenticator
from fivefold.serving.champion.drift_counter import DriftCounter
from fivefold.serving.champion.loader import ServedModel
from fivefold.serving.error_middleware import ErrorMiddleware
from fivefold.serving.metrics.service import ROUTE
from fivefold.serving.quota import QuotaCharger
from fivefold.serving.v4.app import ScoringFastPath, build_app
from fivefold.serving.v4.endpoint import ScoringEndpoint
from fivefold.store.accounts.plans import Plan
from fivefold.store.tables.accounts import Usage
from fivefold.usecases.accounts.tokens import create_token
from tests.models.making import value_model
from tests.store import databases

Result = TypeVar("Result")

AS_OF = "2024-06-30"
SCORING, INDICATORS = "/v4/scoring", "/v4/indicators"
MANY = 10**9
PLANS = {
    "unlimited": Plan(rows_per_request=MANY, calls_per_month=MANY, users_per_month=MANY),
    "three_rows": Plan(rows_per_request=3, calls_per_month=MANY, users_per_month=MANY),
    "two_calls": Plan(rows_per_request=MANY, calls_per_month=2, users_per_month=MANY),
    "five_users": Plan(rows_per_request=MANY, calls_per_month=MANY, users_per_month=5),
    "used_up": Plan(rows_per_request=3, calls_per_month=1, users_per_month=MANY),
}
GONE = "gone"
"""A plan that tokens have, and the operator took out of the file."""
LIMITS = Limits(body_bytes=20_000, rows=40, users=20, seconds=10)


@dataclass
class Holding:
    """Stands in for the champion loader: the model that a test puts there."""

    current: ServedModel | None
    refused: str = ""


@dataclass
class Watching:
    """Stands in for the metrics: keeps what was answered, why the database was of no use, and why nobody signed in.

    Attributes:
        causes: as the line of each request in the access log names them.
        sign_ins: as that line has them.
    """

    loader: Holding
    seen: list[tuple[str, int]] = field(default_factory=list)
    routes: list[str | None] = field(default_factory=list)
    causes: list[str | None] = field(default_factory=list)
    sign_ins: list[str | None] = field(default_factory=list)

    def model_version(self) -> int | str:
        return self.loader.current.version if self.loader.current else "none"

    def count_response(self, scope: Scope, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.seen.append((scope["path"], status))
        self.routes.append(scope.get(ROUTE))
        line = line_of(scope, "", "", status, seconds)
        self.causes.append(line.get("cause"))
        self.sign_ins.append(line.get("sign_in"))


@dataclass
class Place:
    """A service in this process, with a database of its own.

    Attributes:
        in_front: the main route is answered in front of FastAPI, as it is in a worker.
    """

    engine: Engine
    loader: Holding
    endpoint: ScoringEndpoint
    app: FastAPI
    watching: Watching
    in_front: bool = True

    @property
    def edge(self) -> ErrorMiddleware:
        app = ScoringFastPath(self.endpoint, self.app) if self.in_front else self.app
        return ErrorMiddleware(app, self.watching, self.endpoint.settings.limits.seconds)  # type: ignore[arg-type]  # stands in

    def token(self, plan: str = "unlimited", **more: Any) -> str:
        return create_token(self.engine, {**PLANS, GONE: PLANS["unlimited"]}, plan=plan, **more)[1]

    def usage(self) -> tuple[int, int]:
        """The calls and users of all tokens."""
        with Session(self.engine) as session:
            found = session.execute(select(func.sum(Usage.calls), func.sum(Usage.users))).one()
            return int(found[0] or 0), int(found[1] or 0)

    def post(
        self, rows: Any, token: str | None, headers: Mapping[str, str] | None = None, **query: str
    ) -> httpx.Response:
        """Post rows, or a body, as of the tests' date unless the query says otherwise."""
        body = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
        sent = {**({} if token is None else {"token": token}), **(headers or {})}
        asked = {name: value for name, value in {"as_of": AS_OF, **query}.items() if value != "now"}
        return self.ask("POST", SCORING, content=body, headers=sent, params=asked)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self.asked(method, path, **more))

    async def asked(self, method: str, path: str, **more: Any) -> httpx.Response:
        async with client(self.edge) as asking:
            return await asking.request(method, path, **more)


def client(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")


@contextmanager
def started(folder: Path, limits: Limits = LIMITS, kind: str = "sqlite") -> Iterator[Place]:
    """Start a service whose model is that of the tests, version 7."""
    with databases.opened(databases.new_url(kind, folder)) as engine:
        loader, charger = Holding(ServedModel(value_model(), 7, "value")), QuotaCharger(engine)
        settings = replace(Settings(var=folder), limits=limits)
        endpoint = ScoringEndpoint(
            settings=settings,
            plans=PLANS,
            loader=loader,
            authenticator=Authenticator(engine),
            charger=charger,
            counter=DriftCounter(engine),
        )  # type: ignore[arg-type]  # stands in
        charger.start()
        yield Place(engine, loader, endpoint, build_app(endpoint), Watching(loader))
        charger.stop()


def rows_of(*users: str, **changes: Any) -> list[dict[str, Any]]:
    """A row for each of *users*, all of them valid."""
    plain = {
        "transaction_state": "SUCCEEDED",
        "transaction_currency": "EUR",
        "user_balance": 120.5,
        "transaction_amount": 20.5,
        "user_created": "2023-01-15",
        "user_category": "WEB",
        "transaction_date": "2024-06-01T12:00:00",
    }
    return [{"user_id": user, **plain, **changes} for user in users]


def now_text() -> str:
    return datetime.now(UTC).isoformat()


async def exchange(app: ASGIApp, path: str = "/", method: str = "GET", **more: Any) -> list[Message]:
    """Ask an application as a server would, and keep every message that it sends."""
    sent: list[Message] = []

    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:  # as a server does: it has no more to say while the caller stays
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", **more}
    await app(scope, receive, send)
    return sent


def run(what: Callable[[], Awaitable[Result]]) -> Result:
    """Run a coroutine function to its end, in an event loop of its own."""

    async def all_of_it() -> Result:
        return await what()

    return asyncio.run(all_of_it())


Application = Callable[[Scope, Receive, Send], Awaitable[None]]
