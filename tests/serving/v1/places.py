"""The platform's routes in this process: two organisations, somebody of every role in each, and a way to ask."""

import asyncio
import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from shutil import copyfile
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session
from starlette.types import ASGIApp

from fivefold.domain.clock import now_microseconds
from fivefold.domain.settings import Limits
from fivefold.serving.error_middleware import ErrorMiddleware
from fivefold.serving.v1.dispatch import Dispatcher
from fivefold.serving.v1.router import add_platform
from fivefold.serving.v4.app import build_app
from fivefold.store.accounts.plans import read_plans
from fivefold.store.tables.audit import AuditHead
from fivefold.usecases.accounts.organisations import add_member
from fivefold.usecases.accounts.tokens import create_token
from fivefold.usecases.changes.backtests import BACKTESTS
from fivefold.usecases.shared.actors import OF_MEMBERS, Actor, Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import run_next_job
from tests.pace import slowness
from tests.serving.inprocess import Holding, Watching, client
from tests.serving.v1.models.registries import registry
from tests.store import databases
from tests.store.filling import read_rows, write_rows
from tests.usecases import platforms

PLANS = read_plans(None)
OURS, THEIRS = "bank", "other"
LIMITS = Limits(body_bytes=50_000, rows=30, seconds=round(20 * slowness()))


@cache
def routes() -> tuple[FastAPI, Dispatcher]:
    """The routes, made once: that takes a second."""
    app, dispatcher = build_app(None), Dispatcher(None, LIMITS, lambda: None, PLANS, registry)  # type: ignore[arg-type]  # nobody scores here
    add_platform(app, dispatcher)
    return app, dispatcher


@dataclass
class Place:
    """A service of the platform's routes alone, on a database of its own.

    Attributes:
        organisations: their numbers, by name.
        tokens: by organisation and role; each person's belongs to a member of their own.
        members: the numbers of these, by organisation and role.
    """

    engine: Engine
    organisations: dict[str, int] = field(default_factory=dict)
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)
    members: dict[tuple[str, str], int] = field(default_factory=dict)
    watching: Watching = field(default_factory=lambda: Watching(Holding(None)))

    @property
    def edge(self) -> ASGIApp:
        """The routes, on this place's database: one place is asked at a time."""
        app, dispatcher = routes()
        dispatcher._engine = self.engine
        return ErrorMiddleware(app, self.watching, LIMITS.seconds)  # type: ignore[arg-type]  # stands in

    def actor(self, role: str, organisation: str = OURS) -> Actor:
        """Somebody as use cases know them."""
        return Actor(self.organisations[organisation], f"member:{self.members[organisation, role]}")

    def join(self, name: str, *roles: str, organisation: str = OURS) -> tuple[str, ...]:
        """Add one more person; give a token of theirs for each of their roles."""
        add_member(Context(self.engine, Actor(self.organisations[organisation], "cli:test")), name, roles)
        of = {"plan": "unlimited", "organisation": organisation, "member": name}
        return tuple(create_token(self.engine, PLANS, role=role, **of)[1] for role in roles)

    def run_backtests(self) -> None:
        """Run every backtest that waits, as a worker does."""
        while run_next_job(self.engine, BACKTESTS):
            pass

    def ask(
        self, method: str, path: str, body: Any = None, *, role: str = "", token: str = "", **more: Any
    ) -> httpx.Response:
        """Ask as whoever has a role in our organisation, or with a token, or with none."""
        sent = self.tokens[OURS, role] if role else token
        headers = {**({"token": sent} if sent else {}), **more.pop("headers", {})}
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()

        async def asked() -> httpx.Response:
            async with client(self.edge) as asking:
                return await asking.request(method, path, content=content, headers=headers, **more)

        return asyncio.run(asked())

    def good(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """Ask for what is answered well; give what was said."""
        answer = self.ask(method, path, body, **more)
        assert answer.status_code < 300, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None


def settle(engine: Engine) -> Place:
    """Make two organisations with levels, a type of customer, and somebody of every role."""
    place = Place(engine)
    for name in (OURS, THEIRS):
        # Now, so that no review of a quarter before is due, whatever the day of the test.
        place.organisations[name] = platforms.organisation(engine, name, created_us=now_microseconds())
    for name, role in sorted(product((OURS, THEIRS), Role), key=lambda who: who[1] is Role.COMMERCIAL):
        if role in OF_MEMBERS:
            place.tokens[name, role] = place.join(f"the {role}", role, organisation=name)[0]
            place.members[name, role] = len(place.members) + 1
        else:
            place.tokens[name, role] = create_token(engine, PLANS, plan="unlimited", organisation=name)[1]
    return place


@contextmanager
def settled(folder: Path, kind: str = "sqlite") -> Iterator[Place]:
    """Open a place on a new database."""
    with databases.opened(databases.new_url(kind, folder)) as engine:
        yield settle(engine)


def keep(place: Place, folder: Path) -> None:
    """Write down who is in a place, beside its database."""
    (folder / "who").write_bytes(pickle.dumps((place.organisations, place.tokens, place.members)))
    if place.engine.dialect.name == "postgresql":
        (folder / "rows").write_bytes(pickle.dumps(read_rows(place.engine)))


@contextmanager
def kept(made: Path, folder: Path) -> Iterator[Place]:
    """Open a copy, in *folder*, of a place that was kept in another."""
    rows, who = made / "rows", pickle.loads((made / "who").read_bytes())
    with databases.opened(databases.new_url("postgresql" if rows.exists() else "sqlite", folder)) as engine:
        if rows.exists():
            write_rows(engine, pickle.loads(rows.read_bytes()))
        else:
            (database,) = made.glob("*.db")
            copyfile(database, engine.url.database or "")
        yield Place(engine, *who)


def entries(place: Place) -> int:
    """How much was done, in all organisations."""
    with Session(place.engine) as session:
        return session.scalar(select(func.sum(AuditHead.number))) or 0


@contextmanager
def copied(place: Place, folder: Path) -> Iterator[Place]:
    """Open a copy of a place on SQLite, which a test may change."""
    assert place.engine.url.database
    place.engine.dispose()  # closes the last connection: everything is in the one file then
    file = folder / f"copy_{len(list(folder.iterdir()))}.db"
    copyfile(place.engine.url.database, file)
    with databases.opened(f"sqlite:///{file}") as engine:
        yield replace(place, engine=engine, watching=Watching(Holding(None)))
