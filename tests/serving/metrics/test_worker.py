"""What a worker says of itself: alive, ready, and what it has done."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from threading import Event
from threading import enumerate as threads
from time import monotonic

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import make_url, text
from structlog.testing import capture_logs

from fivefold.domain.errors import ConfigError
from fivefold.serving.metrics import worker
from fivefold.serving.metrics.worker import SILENT_SECONDS, WorkerPages, serving
from fivefold.store.sql.database import open_database
from fivefold.usecases.levels.worker import BatchResult
from fivefold.usecases.levels.worker_loop import LoopHealth
from tests.pace import slowness, until
from tests.store import databases
from tests.store.silence import way_to

SECONDS = min(0.5 * slowness(), 5.0)
LEAST_SECONDS = 2
"""The driver waits at least so long for a connection, whatever the address says."""


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pages(tmp_path: Path, clock: Clock) -> Iterator[WorkerPages]:
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        yield WorkerPages(engine, LoopHealth(clock))


def samples(pages: WorkerPages) -> dict[str, float]:
    said = pages.page("/metrics")[2].decode()
    found = [sample for family in text_string_to_metric_families(said) for sample in family.samples]
    return {f"{sample.name} {' '.join(sample.labels.values())}".strip(): sample.value for sample in found}


def test_what_was_done_is_counted(pages: WorkerPages) -> None:
    pages.count_batch(BatchResult(20, 2, 20), 0.3)
    pages.count_batch(BatchResult(5, 0, 5), 0.2)
    pages.model = 7
    pages.health.beat("assess", None)
    pages.health.beat("backtests", "the database cannot be reached")
    found = samples(pages)
    assert found["fivefold_worker_batches_total"] == 2
    assert found["fivefold_worker_entities_total assessed"] == 25
    assert found["fivefold_worker_entities_total failed"] == 2
    assert found["fivefold_worker_batch_seconds_sum"] == pytest.approx(0.5)
    assert (found["fivefold_worker_duty_failing assess"], found["fivefold_worker_duty_failing backtests"]) == (0, 1)
    assert found["fivefold_worker_model_version"] == 7


def test_it_is_alive_while_its_duties_come_to_an_end(pages: WorkerPages, clock: Clock) -> None:
    clock.seconds = SILENT_SECONDS - 1
    assert pages.page("/livez")[0] == 200
    clock.seconds += 1
    status, _, said = pages.page("/livez")
    assert (status, json.loads(said)["detail"]) == (503, "duties: no duty came to an end for 600 s")
    pages.health.beat("assess", None)
    assert pages.page("/livez")[0] == 200


@pytest.mark.parametrize("kind", databases.KINDS)
def test_it_stays_ready_when_a_newer_worker_brings_the_schema_forward(kind: str, tmp_path: Path, clock: Clock) -> None:
    with databases.opened(databases.new_url(kind, tmp_path)) as engine:
        old = WorkerPages(engine, LoopHealth(clock))
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        assert old.page("/readyz")[0] == 200
        status, _, said = WorkerPages(engine, LoopHealth(clock)).page("/readyz")
        assert (status, "has schema 9999" in json.loads(said)["detail"]) == (503, True)


def test_it_is_ready_where_its_duties_go_well_and_its_database_answers(pages: WorkerPages) -> None:
    assert pages.page("/readyz")[0] == 200
    pages.health.beat("assess", "ValueError")
    status, _, said = pages.page("/readyz")
    assert (status, json.loads(said)["parts"]) == (503, {"assess": "ValueError"})
    pages.health.beat("assess", None)
    assert pages.page("/readyz")[0] == 200


def test_a_duty_that_fails_in_one_of_its_threads_is_named_until_that_one_goes_well(pages: WorkerPages) -> None:
    with ThreadPoolExecutor(1) as other:
        other.submit(pages.health.beat, "assess", "ValueError").result()
        pages.health.beat("assess", None)  # of a thread that has nothing to do
        assert json.loads(pages.page("/readyz")[2])["parts"] == {"assess": "ValueError"}
        assert samples(pages)["fivefold_worker_duty_failing assess"] == 1
        other.submit(pages.health.beat, "assess", None).result()
    assert pages.page("/readyz")[0] == 200


def test_without_its_database_it_is_not_ready_and_says_nothing_of_where_that_is() -> None:
    engine = open_database("postgresql://nobody@127.0.0.1:9/secret?connect_timeout=1")
    pages = WorkerPages(engine, LoopHealth())
    for duty in ("assess", "flows"):
        pages.health.beat(duty, "the database cannot be reached")
    status, _, said = pages.page("/readyz")
    assert (status, json.loads(said)["parts"]) == (503, {"database": "the database cannot be reached"})


def test_a_duty_that_failed_for_its_database_says_nothing_of_where_that_is(pages: WorkerPages) -> None:
    """The database may answer again before the duty has its next turn."""
    pages.health.beat("assess", "the disk of the database's file is full: /srv/bank/fivefold.db")
    assert json.loads(pages.page("/readyz")[2])["parts"] == {"assess": "the disk of the database's file is full"}


def test_a_cause_is_named_once_with_all_that_it_stops(pages: WorkerPages) -> None:
    for duty, cause in (("assess", "the disk of the database is full"), ("flows", "ValueError"), ("points", None)):
        pages.health.beat(duty, cause)
    pages.health.beat("evidence", "the disk of the database is full")
    detail = "assess, evidence: the disk of the database is full; flows: ValueError"
    assert json.loads(pages.page("/readyz")[2])["detail"] == detail


def test_with_a_database_that_can_only_be_read_it_is_not_ready_though_its_duties_have_nothing_to_store(
    tmp_path: Path,
) -> None:
    url = make_url(databases.new_url("postgresql", tmp_path))
    standby = url.update_query_dict({"options": "-c default_transaction_read_only=on"})
    with databases.opened(standby.render_as_string(hide_password=False)) as engine:
        pages = WorkerPages(engine, LoopHealth())
        status, _, content = pages.page("/readyz")
    assert status == 503
    assert json.loads(content)["parts"] == {"database": "the database can only be read, and not written"}


def test_where_the_database_hangs_it_says_so_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe gave up first, and nobody learned why."""
    monkeypatch.setattr(worker, "ANSWER_SECONDS", SECONDS)
    with way_to(databases.new_url("postgresql", tmp_path)) as way, databases.opened(way.url) as engine:
        pages = WorkerPages(engine, LoopHealth())
        assert pages.page("/readyz")[0] == 200
        way.hang()
        begun = monotonic()
        status, _, content = pages.page("/readyz")
        seconds = monotonic() - begun
    assert (status, json.loads(content)["parts"]) == (503, {"database": "the database cannot be reached"})
    assert seconds < 2 * max(LEAST_SECONDS, ceil(SECONDS)), "it waits once, not for a second question too"


def test_a_probe_that_gives_up_leaves_no_trace_and_a_fault_one_line(
    pages: WorkerPages, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback stood among the lines of JSON."""
    begun, gone = Event(), Event()

    def slow(_: str) -> tuple[int, str, bytes]:
        begun.set()
        assert gone.wait(30)
        return 200, "text/plain", b"x" * 10_000_000

    monkeypatch.setattr(pages, "page", slow)
    with capture_logs() as lines:
        with serving(pages, 0) as port:
            with socket.create_connection(("127.0.0.1", port or 0)) as probe:
                probe.sendall(b"GET /readyz HTTP/1.1\r\n\r\n")
                assert begun.wait(30)
            gone.set()
            until(lambda: not [one for one in threads() if "process_request" in one.name])
        assert lines == []
        monkeypatch.setattr(pages, "page", lambda _: 1 / 0)
        with serving(pages, 0) as port, pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False)
    assert [(line["event"], line["error"]) for line in lines] == [("page of health failed", "ZeroDivisionError")]
    assert capfd.readouterr().err == ""


def test_it_answers_on_this_machine_and_the_port_is_free_again(pages: WorkerPages) -> None:
    with serving(pages, 0) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert [client.get(path).status_code for path in ("/livez", "/readyz", "/metrics", "/else")] == [200] * 3 + [
            404
        ]
        assert "fivefold_worker_batches_total" in client.get("/metrics?x=1").text
        with pytest.raises(ConfigError, match="cannot be used"), serving(pages, port):
            pass
    with serving(pages, 0, "0.0.0.0") as port, httpx.Client(trust_env=False) as client:
        assert client.get(f"http://127.0.0.2:{port}/livez").status_code == 200
    with pytest.raises(ConfigError, match="does not name an address"), serving(pages, 0, "no-host.invalid"):
        pass
    with serving(pages, port), serving(pages, None) as none:
        assert none is None
