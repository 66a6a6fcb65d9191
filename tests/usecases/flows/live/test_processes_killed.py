"""A posted transaction changes level and segment, flows run once, and a receiver verifies each webhook, whoever dies.

The worker is `fivefold worker` in a process of its own, with a value model of a real registry; it asks a source over
HTTPS and tells a receiver over HTTP, both on this machine. It is killed at points all along the way, and PostgreSQL is
stopped as by a power cut. What was done afterwards is what is done where nobody dies.
"""

import json
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import structlog
from sqlalchemy import Engine, text

from fivefold.domain.clock import DAY_US, from_microseconds, now_microseconds
from fivefold.domain.settings import read_settings
from fivefold.models.registry import CHAMPION
from fivefold.store.sql.database import upgrade
from fivefold.usecases.flows.runs.actions import event_name
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.flows.runs.reading import entity_actions
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks.endpoints import add_endpoint
from tests.depth import DEPTH
from tests.mlflow_address import kept_address
from tests.models import making
from tests.store import databases
from tests.store.audits import bind_unnamed, findings_of
from tests.usecases import banks
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.flows.live.processes import Asked, Point, Seen, Waits, Worker, nursing
from tests.usecases.flows.outside.servers import Got, Said
from tests.usecases.flows.outside.servers import serving as answering
from tests.usecases.levels.worker.test_killed import Server, serving
from tests.usecases.webhooks import receivers
from tests.usecases.webhooks.certificates import certified
from tests.usecases.webhooks.test_endpoints import snippet_of_the_page

pytestmark = pytest.mark.full

log = structlog.get_logger()

MODEL = "fivefold-value"
WHOLE = {"user_balance": 50_000.0, "user_created": "2025-01-01", "user_category": "WEB"}
CUSTOMERS_OF_A_ROUND = 2
ROUND_SECONDS = 120

RISEN = """
flow: risen
title: A level that rose
entity_type: customer
levels: [low, medium, high]
triggers: [{on: level, direction: up, to: [high]}]
actions:
  - {id: escalated, title: Escalate, status: escalated}
  - {id: mark, title: Mark, tag: risen, lasts: 30 days}
  - {id: open, title: Open a case, case: The level rose.}
  - {id: tell, title: Tell, webhook: level-rose}
  - {id: bound, title: Bound what goes out, limit: daily, amount: 100, between: [0, 500]}
  - {id: look, title: Look at it, review: 2 days}
steps:
  - id: register
    title: What the register says
    data: {source: register, send: {segment: {value: segment}}, gives: {state: {one_of: [live, gone]}}}
    on_unknown: looked
  - id: which
    title: Which
    route:
      - {when: {all: [{step: register, output: state, equals: live}, {value: segment, equals: top}]}, to: acted}
    otherwise: looked
  - {id: acted, title: Acted, end: [escalated, mark, open, tell, bound]}
  - {id: looked, title: Looked at, end: [look]}
on_failure: [look]
"""
MOVED = """
flow: moved
title: A segment that is another one
entity_type: customer
levels: [low, medium, high]
triggers: [{on: segment, to: [top]}]
actions: [{id: review, title: Review, review: 30 days}]
steps: [{id: reviewed, title: Reviewed, end: [review]}]
on_failure: [review]
"""
FOLLOWS = """
flow: follows
title: What follows the tag of another flow
entity_type: customer
levels: [low, medium, high]
triggers: [{on: tag, tag: risen}]
actions: [{id: flagged, title: Flag, status: flagged}]
steps: [{id: flag, title: Flagged, end: [flagged]}]
on_failure: [flagged]
"""
DONE_OF_EACH = {
    "risen": ("bound", "escalated", "mark", "open", "tell"),
    "moved": ("review",),
    "follows": ("flagged",),
}
"""What is done to each customer, by flow."""

POSTGRESQL = "PostgreSQL"

UNDONE = "flow_runs WHERE ended_us IS NULL"
COMMITTED = (
    Seen(f"{UNDONE} AND inputs IS NULL"),
    Seen(f"{UNDONE} AND stopped_at = 'register'"),
    Seen(f"flow_steps JOIN flow_runs ON id = run_id WHERE {UNDONE.partition('WHERE ')[2]}"),
    Seen("deliveries WHERE state = 'waiting'"),
)


@dataclass(frozen=True)
class Scale:
    """How often whom something happens to, and for how long at most."""

    kills: int
    stops: int


STEADY, SOAK = Scale(8, 2), Scale(1_000, 20)


class LiveBank(FlowBank):
    """A bank whose clock is the machine's, as the workers' is."""

    @property
    def now(self) -> int:  # type: ignore[override]  # it stands still there
        return now_microseconds()

    @now.setter
    def now(self, _: int) -> None:
        """Stay with the machine's clock."""


@dataclass
class Told:
    """What the receiver got: each was verified as docs/webhooks.md says."""

    secret: str = ""
    read: Callable[..., Any] = field(default_factory=lambda: snippet_of_the_page()["read_webhook"])
    refused: int = 0
    bodies: dict[str, set[bytes]] = field(default_factory=dict)
    first: list[tuple[str, int]] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)
    asked: Asked = field(default_factory=Asked)

    def answer(self, got: receivers.Got) -> int:
        """Verify a request, note it, and answer; where that was chosen, somebody is struck before the answer."""
        if len(got.body) < int(got.headers["Content-Length"]):  # who sent it was killed meanwhile
            return 400
        body = self.read(self.secret, got.headers, got.body)
        if body is None:
            self.refused += 1
            return 401
        name = got.headers["webhook-id"]
        assert body["event_id"] == name
        if name not in self.bodies:
            self.first.append((body["entity"]["id"], body["sequence"]))
        self.bodies.setdefault(name, set()).add(got.body)
        self.times[name] += 1
        self.asked.come()
        return 200


@dataclass
class Story:
    """Everything that takes part."""

    bank: LiveBank
    worker: Worker
    told: Told
    source: Asked
    server: Server | None
    chance: random.Random
    struck: Counter[str] = field(default_factory=Counter)
    customers: list[str] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return self.bank.engine

    def points(self) -> list[tuple[str, Point]]:
        """List the points of a story in the order in which it comes to them."""
        waits = (lambda *tables: [(table, Waits(table)) for table in tables]) if self.server else (lambda *_: [])
        seen = [(f"seen {number}", each) for number, each in enumerate(COMMITTED)]
        return [
            *waits("due_marks", "assessments", "value_scores", "transitions", "outbox"),
            *seen[:1],
            *waits("flow_runs"),
            *seen[1:2],
            ("asked", self.source),
            *waits("flow_steps"),
            *seen[2:3],
            *waits("flow_actions", "tags", "records", "audit_entries", "deliveries"),
            *seen[3:],
            ("told", self.told.asked),
        ]

    def stop(self) -> None:
        """Stop PostgreSQL as a power cut does; the worker goes on, and finds no database."""
        assert self.server is not None
        self.server.stop_hard(self.chance.choice([signal.SIGQUIT, signal.SIGKILL]))

    def strike(self, name: str, point: Point, *, stops: bool) -> bool:
        """Kill, or stop, where the story comes to a point; False where all was done before it came there."""
        if not point(self.engine, self.stop if stops else self.worker.kill, self.is_done):
            return False
        self.struck[POSTGRESQL if stops else name] += 1
        if stops:
            assert self.server is not None
            self.engine.dispose()
            self.server.start()
            self.engine.dispose()
            self.worker.keep()
        else:
            self.worker.start()
        with self.engine.begin() as connection:
            for table in ("due_marks", "flow_runs", "deliveries"):
                connection.execute(text(f"UPDATE {table} SET lease_until_us = 0 WHERE lease IS NOT NULL"))
        return True

    def round(self, kills: int, *, stops: bool) -> None:
        """Post a transaction of each of some customers, kill on the way to what follows, and wait for all of it."""
        of = [f"c{len(self.customers) + number}" for number in range(CUSTOMERS_OF_A_ROUND)]
        self.customers += of
        self.prepare(of)
        points = self.points()
        chosen = sorted(self.chance.sample(range(len(points)), kills))
        for name in of:
            self.pay(name, 5_000)
        for turn, place in enumerate(chosen):
            if not self.strike(*points[place], stops=stops and turn == 0):
                break
        until = monotonic() + ROUND_SECONDS
        while not self.is_done():
            assert monotonic() < until, f"not done in time:\n{self.left()}\n{self.worker.said()[-3000:]}"
            self.worker.keep()
            sleep(0.05)

    def prepare(self, names: list[str]) -> None:
        """Let customers be of low risk and no more than medium value, before the worker is asked about them."""
        for name in names:
            self.bank.put(name)
            day = from_microseconds(self.bank.now - 30 * DAY_US).replace(tzinfo=None).isoformat()
            self.pay(name, 10, transaction_date=day, user_balance=500.0)
        until = monotonic() + ROUND_SECONDS
        while not all(self.is_low(name) for name in names):
            assert monotonic() < until, self.worker.said()[-3000:]
            sleep(0.02)

    def is_low(self, name: str) -> bool:
        query = text(
            "SELECT 1 FROM standings JOIN entities ON id = entity_id"
            " WHERE external_id = :name AND segment = 'medium' AND level = 1"
        )
        with self.engine.connect() as connection:
            return connection.execute(query, {"name": name}).first() is not None

    def pay(self, name: str, amount: float, **changed: Any) -> None:
        given = {**WHOLE, "transaction_amount": amount, "transaction_id": f"{name}-{amount}", **changed}
        self.bank.pay(0, name, **given)

    def is_done(self) -> bool:
        """Tell whether everything has been carried out, and everything that was to be told has arrived."""
        counts = self.left()
        return counts == {"runs": 3 * len(self.customers), "undone": 0, "untold": 0}

    def left(self) -> dict[str, int]:
        return {
            "runs": self.bank.count("flow_runs"),
            "undone": self.bank.count(UNDONE),
            "untold": self.bank.count("outbox") - self.bank.count("deliveries WHERE state = 'delivered'"),
        }


def expect_once(story: Story) -> None:
    """Everything was done once to everybody, reported once under one name, and verified by who was told."""
    bank, told = story.bank, story.told
    whose = {bank.id_of(name): name for name in story.customers}
    with story.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT a.entity_id, f.name, a.action, a.cause FROM flow_actions a JOIN flows f ON f.id = a.flow_id"
                " ORDER BY a.action"
            )
        ).all()
        events = connection.execute(text("SELECT id, event_id, kind FROM outbox ORDER BY id")).all()
        moves = connection.execute(text("SELECT entity_id, from_level, to_level FROM transitions ORDER BY 1, number"))
        values = connection.execute(text("SELECT entity_id, segment FROM value_scores ORDER BY 1, as_of_us"))
        assert [tuple(row) for row in moves] == [step for each in whose for step in ((each, None, 1), (each, 1, 3))]
        assert [tuple(row) for row in values] == [step for each in whose for step in ((each, "medium"), (each, "top"))]
    done: dict[int, dict[str, list[str]]] = {each: {} for each in whose}
    for entity, flow, action, _ in rows:
        done[entity].setdefault(flow, []).append(action)
    expected = {flow: list(actions) for flow, actions in DONE_OF_EACH.items()}
    assert all(each == expected for each in done.values()), done
    assert len({(entity, flow, cause) for entity, flow, _, cause in rows}) == 3 * len(whose)
    assert {(run.state, run.acting, run.error) for run in bank.runs()} == {("ended", True, None)}
    assert bank.count("flow_steps") == bank.count("records") == len(whose)
    assert bank.count("tags WHERE tag = 'risen'") == len(whose)
    for name in whose.values():
        standing = entity_actions(bank.context, "customer", name)
        assert (standing.status, [each.amount_minor for each in standing.limits]) == ("escalated", [10_000])
    acted = sorted(event.event_id for event in events if event.kind == "flow.acted")
    assert acted == sorted(event_name(each.id, each.at_us) for each in bank.actions())
    expect_told(told, events)
    for run in bank.runs():
        assert replay_record(bank.context, f"f:{run.id}").same, run.id
    bind_unnamed(story.engine)
    assert findings_of(story.engine) == []


def expect_told(told: Told, events: list[Any]) -> None:
    """Every event arrived; one that came again was the same to the byte; for each customer in order."""
    assert told.refused == 0
    assert sorted(told.bodies) == sorted(event.event_id for event in events)
    assert {len(bodies) for bodies in told.bodies.values()} == {1}
    for name in {name for name, _ in told.first}:
        sequences = [sequence for whose, sequence in told.first if whose == name]
        assert sequences == sorted(sequences)


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a registry that has a champion, and with compiled indicators."""
    folder = tmp_path_factory.mktemp("registry")
    with kept_address():
        registry = making.new_registry(folder / "var", MODEL)
        making.add_version(registry, making.value_model(), folder / "model")
        registry.set_alias(CHAMPION, 1)
    shutil.copytree(read_settings().kernels, registry.settings.kernels)
    return folder / "var"


@contextmanager
def databasing(kind: str, folder: Path) -> Iterator[tuple[str, Server | None]]:
    """Give a database of this test alone, and what stops it."""
    if kind == "sqlite":
        yield databases.new_url("sqlite", folder), None
        return
    with serving() as server:
        yield server.url, server


@contextmanager
def telling(kind: str, var: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    """Set everything up: database, source, receiver, flows, and a worker that runs."""
    told, source = Told(), Asked()

    def says(_: Got) -> Said:
        source.come()
        return Said(b'{"state": "live"}')

    with ExitStack() as stack:
        context = stack.enter_context(certified("localhost", folder, monkeypatch))
        register = stack.enter_context(answering(says, context))
        receiver = stack.enter_context(receivers.receiving(told.answer))
        url, server = stack.enter_context(databasing(kind, folder))
        engine = stack.enter_context(databases.opened(url))
        upgrade(engine)
        bank = LiveBank(engine, "")
        for document in (RISEN, MOVED, FOLLOWS):
            bank.add_flow(document)
        cash = {"input": banks.CASH["input"], "cases": [{"when": {"at_least": 1000}, "points": 70}]}
        bank.activate(banks.document({"cash": cash}))
        machine = Context(engine, Actor(bank.of, receivers.MACHINE))
        told.secret = add_endpoint(machine, receiver.url, private_allowed=True).secret
        (folder / "sources.yaml").write_text(json.dumps(sources_of(register.port)), encoding="utf-8")
        settings = {"FIVEFOLD_DATABASE_URL": url, "FIVEFOLD_SOURCES_FILE": str(folder / "sources.yaml")}
        worker = stack.enter_context(nursing(var, settings, folder / "workers.log"))
        yield Story(bank, worker, told, source, server, random.Random(13))


def sources_of(port: int) -> dict[str, Any]:
    register = {
        "title": "Register",
        "url": f"https://localhost:{port}/",
        "sends": ["segment"],
        "gives": {"state": "/state"},
        "answer": {},
        "private": True,
    }
    return {"organisations": {"bank": {"hosts": ["localhost"]}}, "sources": {"register": register}}


@pytest.mark.postgresql
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("kind", databases.KINDS)
def test_a_transaction_acts_once_whoever_is_killed(
    kind: str, var: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = SOAK if DEPTH == "soak" else STEADY
    with telling(kind, var, tmp_path, monkeypatch) as story:
        begun = monotonic()
        while (struck := story.struck.total()) < scale.kills:
            stops = story.struck[POSTGRESQL] if story.server else scale.stops
            most = min(story.chance.choice([2, 3, 4]), scale.kills - struck)
            story.round(most, stops=stops < scale.stops and struck >= stops * scale.kills // scale.stops)
        story.worker.end()
        log.info(
            "struck",
            kind=kind,
            times=story.struck.total(),
            at=dict(story.struck),
            runs=story.bank.count("flow_runs"),
            told_again=story.told.times.total() - len(story.told.times),
            seconds=round(monotonic() - begun),
        )
        assert "Traceback" not in story.worker.said()
        expect_once(story)
