"""`fivefold worker`: one on SQLite, until it is stopped; or once, until nothing is left."""

import gc
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from filelock import FileLock
from sqlalchemy import text

from fivefold.cli.platform import worker as command
from fivefold.domain.clock import DAY_US, SECOND_US, now_microseconds, second_text
from fivefold.serving.metrics.worker import WorkerPages
from fivefold.store.sql import clocks
from fivefold.store.sql.database import reading
from fivefold.store.sql.leases import last_lease_end
from fivefold.store.webhooks.outbox import settled_number
from fivefold.usecases.levels import clock_repair, worker, worker_loop
from fivefold.usecases.levels.worker_loop import LoopHealth
from tests.cli.running import LONGEST_SECONDS, last_number, refuse, run, start, succeed
from tests.pace import until
from tests.store import databases


def test_with_nothing_to_do_it_says_so(tmp_path: Path) -> None:
    assert succeed(tmp_path, "worker", "--once") == "0 assessed (0 with a level), 0 failed; nothing is left to do.\n"


@pytest.mark.parametrize("kind", databases.KINDS)
@pytest.mark.parametrize("started", ["worker --once", "serve", "tokens list"])
def test_a_database_from_before_the_first_release_is_refused_with_what_to_do(
    kind: str, started: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = databases.new_url(kind, tmp_path)
    with databases.opened(url) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0015'"))
    monkeypatch.setenv("FIVEFOLD_DATABASE_URL", url)
    said = refuse(tmp_path / "var", *started.split())
    assert said.startswith("the database has schema 0015 of a program from before the first release, ")
    assert said.endswith("Nothing was changed. Make the database anew, and import its data again")


def test_it_lets_the_numbers_of_events_go_on_from_its_start(tmp_path: Path) -> None:
    before = now_microseconds()
    succeed(tmp_path, "worker", "--once")
    assert before < last_number(tmp_path) <= now_microseconds()


def test_with_a_wrong_clock_it_waits_says_so_and_begins_once_the_clock_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that boots before NTP has set its clock: the worker ended, and nothing was served meanwhile."""
    monkeypatch.setattr(command, "AGAIN_SECONDS", 0.05)
    with databases.opened(databases.new_url("postgresql", tmp_path)) as engine, ThreadPoolExecutor(1) as threads:
        pages, stop = WorkerPages(engine, LoopHealth()), Event()
        with monkeypatch.context() as booting:
            booting.setattr(clocks, "now_microseconds", lambda: now_microseconds() + DAY_US)
            beginning = threads.submit(command._begin, engine, stop, pages)
            until(lambda: "start" in pages.health.errors())
            status, _, content = pages.page("/readyz")
            assert (status, "86,400 s ahead of the database's" in json.loads(content)["detail"]) == (503, True)
            assert pages.page("/livez")[0] == 200
            assert not beginning.done()
        assert beginning.result(30)
        assert pages.page("/readyz")[0] == 200
        with reading(engine) as session:
            assert settled_number(session) > now_microseconds() - DAY_US


def test_one_that_waits_for_its_clock_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "now_microseconds", lambda: now_microseconds() + DAY_US)
    stop = Event()
    with databases.opened(databases.new_url("postgresql", tmp_path)) as engine, ThreadPoolExecutor(1) as threads:
        pages = WorkerPages(engine, LoopHealth())
        beginning = threads.submit(command._begin, engine, stop, pages)
        until(lambda: "start" in pages.health.errors())
        stop.set()
        assert not beginning.result(30)


def test_the_collector_spares_what_its_start_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen, before, usual, counts = gc.get_freeze_count(), gc.get_threshold(), (700, 10, 10), list[int]()
    monkeypatch.setattr(worker, "warm", lambda: None)
    for loop in ("run_forever", "drain"):
        monkeypatch.setattr(worker_loop, loop, lambda *_, **__: counts.append(gc.get_freeze_count()))
    gc.set_threshold(*usual)  # another test's worker may have raised them
    try:
        with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
            tasks = [worker_loop.PeriodicTask("assess", lambda: False, 1.0)]
            command._run(engine, tasks, Event(), WorkerPages(engine, LoopHealth()), "")
            assert gc.get_threshold() > usual
            gc.set_threshold(*usual)
            command._drain(engine, lambda: 0, tasks)
        assert gc.get_threshold() > usual
    finally:
        gc.set_threshold(*before)
    assert counts[0] > frozen
    assert len(counts) == 2


def test_a_second_one_on_sqlite_says_what_to_do(tmp_path: Path) -> None:
    with FileLock(tmp_path / "worker.lock"):
        assert "another worker runs already; SQLite allows one" in refuse(tmp_path, "worker", "--once")


def test_its_lock_that_cannot_be_written_is_named_with_the_variable(tmp_path: Path) -> None:
    (tmp_path / "worker.lock").mkdir()
    assert "worker.lock cannot be made (Is a directory); FIVEFOLD_VAR" in refuse(tmp_path, "worker", "--once")


def test_the_past_is_for_once(tmp_path: Path) -> None:
    assert "--as-of needs --once" in refuse(tmp_path, "worker", "--as-of", "2020-01-01")


@pytest.mark.parametrize("arguments", [("worker", "--once"), ("import", "entities", "e.jsonl")])
def test_a_present_to_come_is_refused_and_nothing_is_stored(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    said = refuse(tmp_path, *arguments, "--as-of", "2262-01-01")
    assert "--as-of is 2262-01-01, and by the database's clock it is 20" in said
    assert "Nothing is dated after now." in succeed(tmp_path, "clock", "check")
    assert "nothing was changed" in succeed(tmp_path, "clock", "repair", "--reason", "to be sure")


def test_clocks_that_disagree_are_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be stored from there, and the exit code said that all was well."""
    monkeypatch.setattr(clock_repair, "now_microseconds", lambda: now_microseconds() - DAY_US)
    done = run(tmp_path, "clock", "check")
    assert (done.code, done.err) == (1, "")
    assert done.out.endswith("At most 60 s are allowed: nothing is stored from this machine until the clocks agree.\n")


def test_once_waits_for_what_a_killed_worker_held(set_up: Path, tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text('{"entity_id": "a"}\n{"entity_id": "b"}\n')
    succeed(set_up, "import", "entities", tmp_path / "e.jsonl")
    with databases.opened(f"sqlite:///{set_up / 'fivefold.db'}") as engine, engine.begin() as connection:
        held = "UPDATE due_marks SET lease = 'killed', claimed = revision, lease_until_us = :until WHERE entity_id = 1"
        connection.execute(text(held), {"until": now_microseconds() + 10 * SECOND_US})
    out = succeed(set_up, "worker", "--once")
    assert out.startswith("Another worker holds work, or held it when it was killed; this one waits until 20")
    assert "\n2 assessed (0 with a level), 0 failed; nothing is left to do.\n" in out


def test_in_the_past_it_waits_for_what_others_hold_now(set_up: Path, tmp_path: Path) -> None:
    """In 2024 a lease of today ends too late to hold anything, and was taken from a worker that was alive."""
    (tmp_path / "e.jsonl").write_text('{"entity_id": "a"}\n')
    succeed(set_up, "import", "entities", tmp_path / "e.jsonl", "--as-of", "2024-07-01")
    until_us = now_microseconds() + 5 * SECOND_US
    with databases.opened(f"sqlite:///{set_up / 'fivefold.db'}") as engine, engine.begin() as connection:
        held = "UPDATE due_marks SET lease = 'alive', claimed = revision, lease_until_us = :until"
        connection.execute(text(held), {"until": until_us})
    with FileLock(set_up / "worker.lock"):
        done = run(set_up, "worker", "--once", "--as-of", "2024-07-02")
        assert (done.code, done.out) == (2, ""), "the only worker of SQLite is not waited for"
    out = succeed(set_up, "worker", "--once", "--as-of", "2024-07-02")
    assert now_microseconds() > until_us
    assert out.startswith("Another worker holds work, or held it when it was killed; this one waits until 20")
    assert "\n1 assessed (0 with a level), 0 failed; nothing is left to do.\n" in out


def test_a_few_minutes_ago_it_waits_for_no_longer_than_others_hold_it_now(set_up: Path, tmp_path: Path) -> None:
    """By a clock that starts five minutes ago a lease of today would hold for five minutes more."""
    (tmp_path / "e.jsonl").write_text('{"entity_id": "a"}\n')
    now_us = now_microseconds()
    ago, before = (second_text(now_us - minutes * 60 * SECOND_US) for minutes in (5, 10))
    succeed(set_up, "import", "entities", tmp_path / "e.jsonl", "--as-of", before)
    with databases.opened(f"sqlite:///{set_up / 'fivefold.db'}") as engine:
        with engine.begin() as connection:
            held = "UPDATE due_marks SET lease = 'killed', claimed = revision, lease_until_us = :until"
            connection.execute(text(held), {"until": now_us - 1})
        command._wait_for_others(engine, now_us - 300 * SECOND_US)
        assert last_lease_end(engine, now_us - 300 * SECOND_US) is None
    out = succeed(set_up, "worker", "--once", "--as-of", ago)
    assert out.startswith("1 assessed (0 with a level), 0 failed; nothing is left to do.\n")


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(each, marks=pytest.mark.full) for each in (signal.SIGINT, signal.SIGHUP))]
)
def test_it_works_until_it_is_asked_to_stop(set_up: Path, tmp_path: Path, number: signal.Signals) -> None:
    var = set_up
    (tmp_path / "e.jsonl").write_text('{"entity_id": "a"}\n')
    succeed(var, "import", "entities", tmp_path / "e.jsonl")
    worker = start(var, "worker")
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline().startswith(
            "On sqlite, without a value model: assess, flows, schedules, ends of tags, "
            "overtaken proposals, backfills, markings, "
        )
        assert worker.stdout.readline() == "The worker runs; Ctrl-C ends it.\n"
        until(lambda: "assessments.made" in succeed(var, "audit", "show", columns=200), 60)
    finally:
        worker.send_signal(number)
        out, err = worker.communicate(timeout=LONGEST_SECONDS)
    assert (worker.returncode, out) == (0, "The worker has ended: 1 assessed (0 with a level), 0 failed.\n"), err
    assert '"assessed": 1' in err
    assert "Traceback" not in err
    assert succeed(var, "worker", "--once") == "0 assessed (0 with a level), 0 failed; nothing is left to do.\n"
    (tmp_path / "e.jsonl").write_text('{"entity_id": "b"}\n')
    succeed(var, "import", "entities", tmp_path / "e.jsonl")
    done = run(var, "worker", "--once")
    assert done.out.startswith("1 assessed (0 with a level), 0 failed; nothing is left to do.\n")
    assert done.err == "", "a line of JSON for each batch is for who reads logs"
