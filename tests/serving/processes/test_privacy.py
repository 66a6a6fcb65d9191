"""Nothing that came in a request is kept: marks are sent through every path, then looked for in all that stays.

The service has faults built in, and a short limit of time, so that errors and crashes are among the paths.
"""

import json
import signal
import socket
import sqlite3
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from sqlalchemy import inspect, text

from fivefold.domain.clock import parse_moment
from tests.serving.processes.registry import FIRST, Template
from tests.serving.processes.service import BREAKS, DIES, FOREIGN, SLEEPS, Service, answer_of, head_of, sample_rows

pytestmark = pytest.mark.full

LIMIT_SECONDS = 2
TIMEOUT = b'[{"detail":"Gateway Timeout"}]'
DATE = "2019-03-17T04:05:06.789012"
CREATED = "2018-02-16T03:04:05.678901"
AMOUNT, BALANCE = 91827.364558, 81726.354449
WORD = "Xq7Zm4Kp"
"""In everything that is sent as text."""
NUMBERS = (AMOUNT, BALANCE)
MARKS = (
    WORD.encode(),
    WORD.lower().encode(),
    WORD.upper().encode(),
    WORD.encode("utf-16-le"),
    *(number.hex().encode() for number in NUMBERS),
    *(str(number).encode() for number in NUMBERS),
    *(f"{number:.2f}".encode() for number in NUMBERS),
    *(struct.pack(order, number) for number in NUMBERS for order in ("<d", ">d")),
    *(moment.encode() for moment in (DATE[11:], CREATED[11:])),
    *(str(parse_moment(moment)).encode() for moment in (DATE, CREATED)),
    *(struct.pack(order, parse_moment(moment)) for moment in (DATE, CREATED) for order in ("<q", ">q")),
)


@dataclass
class Sent:
    """What was sent through a service.

    Attributes:
        statuses: of all answers, by what was sent.
        secrets: tokens that were used.
        metrics: the page of metrics at the end.
    """

    service: Service
    statuses: dict[str, int] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    metrics: bytes = b""

    def post(self, name: str, rows: Any, token: str | None, query: str = "?as_of=2024-07-01") -> httpx.Response:
        answer = self.service.post(rows, token, query)
        self.statuses[name] = answer.status_code
        return answer

    def token(self, plan: str = "unlimited") -> str:
        self.secrets.append(self.service.token(plan))
        return self.secrets[-1]


def marked(user: str = "user", **more: Any) -> list[dict[str, Any]]:
    """Rows that are marked wherever they can be."""
    rows: list[dict[str, Any]] = []
    for number, row in enumerate(sample_rows(f"{user} {WORD}")):
        said = {
            "transaction_id": f"{WORD} {number}",
            "transaction_amount": AMOUNT + number,
            "user_balance": BALANCE,
            "transaction_date": DATE,
            "user_created": CREATED,
            "note": WORD,
        }
        rows.append({**row, **said, **more})
    return rows


def send_what_needs_no_fault(sent: Sent) -> None:
    token, rows = sent.token(), marked()
    sent.post("scored", rows, token)
    sent.post("explained", rows, token, "?as_of=2024-07-01&explain=true")
    sent.post("in a thread", marked("many") * 1_500, token)
    for name in ("transaction_state", "transaction_currency", "user_category", "transaction_date", "user_created"):
        sent.post(f"400 {name}", marked(**{name: WORD}), token)
    sent.post("400 amount", json.dumps(marked()).replace(str(AMOUNT), "-1e999").encode(), token)
    sent.post("400 twice", [{**rows[0], "transaction_id": WORD}, {**rows[1], "transaction_id": WORD}], token)
    sent.post("400 as_of", rows, token, f"?as_of={WORD}")
    sent.post("400 explain", rows, token, f"?explain={WORD}")
    sent.post("401", rows, WORD)
    sent.post("401 without", rows, None)
    sent.post("405", rows, token, f"?user_type={WORD}")
    sent.post("406", rows * 2, sent.token("few_rows"))
    sent.post("413 bytes", json.dumps(rows).encode() + b" " * 3_000_000, token)
    sent.post("413 users", [row for number in range(501) for row in marked(f"{number}")], token)
    sent.post("422 missing", [{**rows[0], "user_balance": WORD}], token)
    sent.post("422 no array", {WORD: rows}, token)
    sent.post("422 no JSON", json.dumps(rows).encode()[:-1], token)
    sent.post("422 no UTF-8", json.dumps(rows).encode() + b"\xff", token)
    used_up = sent.token("one_call")
    sent.post("200 last", rows, used_up)
    sent.post("429", rows, used_up)
    for method, path in [("GET", f"/{WORD}/x?{WORD}={WORD}"), (WORD.upper(), "/v4/scoring"), ("PUT", f"/v4/{WORD}")]:
        # A safe request id is the caller's own name, and is meant to be in the log; this one is not safe.
        headers = {"user-agent": WORD, "x-request-id": f"{WORD} {WORD}", "traceparent": WORD, "baggage": f"a={WORD}"}
        answer = httpx.request(method, sent.service.url + path, headers=headers, trust_env=False, json=rows)
        sent.statuses[f"{method} {path}"] = answer.status_code
    _leave(sent, head_of(token, 10_000) + json.dumps(rows).encode())
    _leave(sent, f"{WORD} is no HTTP\r\n\r\n".encode())
    _leave(sent, f"POST /v4/scoring HTTP/1.1\r\nContent-Length: {WORD}\r\n\r\n".encode())


def _leave(sent: Sent, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", sent.service.port), timeout=10) as connection:
        connection.sendall(said)
        sleep(0.1)


@pytest.fixture(scope="module")
def faulty(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    var = tmp_path_factory.mktemp("privacy") / "var"
    template.copy_to(var, FIRST)
    (var / "temporary").mkdir()
    environment = {
        "FIVEFOLD_LIMIT_SECONDS": str(LIMIT_SECONDS),
        "FIVEFOLD_LIMIT_BYTES": "3000000",
        "FIVEFOLD_LIMIT_USERS": "500",
        "TMPDIR": str(var / "temporary"),
    }
    with Service(var, environment=environment, faults=True) as service:
        service.wait_until_ready(FIRST)
        yield service


@dataclass(frozen=True)
class Killed:
    """A request that ended its worker.

    Attributes:
        before: the workers until then.
        started: how many had said until then that they serve.
        usage: what the request cost.
    """

    before: list[int]
    started: int
    usage: tuple[int, int]


@pytest.fixture(scope="module")
def killed(faulty: Service) -> Killed:
    before, started, token = faulty.worker_pids(), faulty.workers_with(FIRST), faulty.token()
    with pytest.raises(httpx.RemoteProtocolError):
        faulty.post(marked(DIES), token)
    assert faulty.ready()  # the other one; what follows goes to it until there is a new one
    return Killed(before, started, faulty.usage_of(token))


@pytest.fixture(scope="module")
def replaced(faulty: Service, killed: Killed, through_faults: Sent) -> list[int]:
    """The workers once there are two again."""
    faulty.wait_for(lambda: faulty.workers_with(FIRST) > killed.started, 60)
    return faulty.worker_pids()


@dataclass(frozen=True)
class Locked:
    """A request to a service whose database another program keeps locked for longer than the limit of time."""

    ready: httpx.Response
    status: int
    usage: tuple[int, int]
    next_status: int
    next_usage: tuple[int, int]


@pytest.fixture(scope="module")
def locked(faulty: Service, killed: object) -> Locked:
    token = faulty.token()
    assert faulty.post(b"[", token).status_code == 422  # and so the token is remembered
    with closing(sqlite3.connect(faulty.var / "fivefold.db")) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        asked = pool.submit(faulty.post, sample_rows(), token)
        sleep(LIMIT_SECONDS + 0.5)
        ready = faulty.get("/readyz")
        other.rollback()
        status = asked.result().status_code
    sleep(1)  # for a charge that came too late
    usage = faulty.usage_of(token)
    following = faulty.post(sample_rows(), token)
    return Locked(ready, status, usage, following.status_code, faulty.usage_of(token))


@pytest.fixture(scope="module")
def crowded(faulty: Service, locked: Locked) -> list[tuple[int, float]]:
    """Large requests that take too long, on all threads; what small ones of callers never seen before meet with."""
    token, others = faulty.token(), [faulty.token() for _ in range(6)]
    slow = json.dumps(marked(SLEEPS) * 1_001).encode()
    with ThreadPoolExecutor(20) as pool:
        large = [pool.submit(faulty.post, slow, token) for _ in range(20)]
        sleep(0.7)
        small = []
        for other in others:
            begun = monotonic()
            status = faulty.post(sample_rows(), other).status_code
            small.append((status, monotonic() - begun))
        # Those that may not even wait are refused at once.
        assert {504} <= {request.result().status_code for request in large} <= {429, 503, 504}
    assert faulty.usage_of(token) == (0, 0)
    faulty.wait_for(lambda: faulty.post(slow.replace(SLEEPS.encode(), b"awake"), token).status_code == 200, 60)
    return small


@pytest.fixture(scope="module")
def through_faults(faulty: Service, crowded: object) -> Sent:
    """Everything through a service that has faults as well, on SQLite; it has ended at the end."""
    sent = Sent(faulty)
    send_what_needs_no_fault(sent)
    token = sent.token()
    for name, rows in (("500", marked(BREAKS)), ("500 in a thread", marked(BREAKS) * 1_500)):
        assert sent.post(name, rows, token).content == b'[{"detail":"Internal Server Error"}]'
    assert sent.post("504", marked(SLEEPS) * 1_500, token).content == TIMEOUT
    with socket.create_connection(("127.0.0.1", faulty.port), timeout=10) as connection:
        connection.sendall(head_of(token, 10_000) + json.dumps(marked()).encode())
        sent.statuses["504 slow body"], _, body = answer_of(connection)
        assert body == TIMEOUT
    assert faulty.usage_of(token) == (0, 0)
    return sent


@pytest.fixture(scope="module")
def ended(through_faults: Sent, replaced: list[int]) -> Sent:
    """A marked request is on its way when the service is asked to end."""
    service = through_faults.service
    token = through_faults.token()
    body = json.dumps(marked()).encode()
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head_of(token, len(body)) + body[:-1])
        sleep(0.3)
        through_faults.metrics = service.get("/metrics").content
        service.worker_pids()
        service.process.send_signal(signal.SIGTERM)
        sleep(0.3)
        connection.sendall(body[-1:])
        through_faults.statuses["at the end"] = answer_of(connection)[0]
    assert service.process.wait(30) in {0, 143, -signal.SIGTERM}
    return through_faults


@pytest.fixture(scope="module")
def through_postgresql(on_postgresql: Service) -> Sent:
    sent = Sent(on_postgresql)
    send_what_needs_no_fault(sent)
    return sent


def found_in(content: bytes, secrets: list[str]) -> list[bytes]:
    return [mark for mark in (*MARKS, *(secret.encode() for secret in secrets)) if mark in content]


def files_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


EXPECTED = {
    "scored": 200,
    "explained": 200,
    "in a thread": 200,
    "400 transaction_state": 400,
    "400 transaction_currency": 400,
    "400 user_category": 400,
    "400 transaction_date": 400,
    "400 user_created": 400,
    "400 amount": 400,
    "400 twice": 400,
    "400 as_of": 400,
    "400 explain": 400,
    "401": 401,
    "401 without": 401,
    "405": 405,
    "406": 406,
    "413 bytes": 413,
    "413 users": 413,
    "422 missing": 422,
    "422 no array": 422,
    "422 no JSON": 422,
    "422 no UTF-8": 422,
    "200 last": 200,
    "429": 429,
    f"GET /{WORD}/x?{WORD}={WORD}": 404,
    f"{WORD.upper()} /v4/scoring": 400,
    f"PUT /v4/{WORD}": 404,
}


def test_every_path_was_gone(ended: Sent, through_postgresql: Sent) -> None:
    at_faults = {"500": 500, "500 in a thread": 500, "504": 504, "504 slow body": 504, "at the end": 200}
    assert ended.statuses == {**EXPECTED, **at_faults}
    assert through_postgresql.statuses == EXPECTED


def test_marks_are_found_where_they_are(tmp_path: Path) -> None:
    """The search itself finds what is there."""
    kept = tmp_path / "kept"
    for content in (json.dumps(marked()).encode(), struct.pack("<d", AMOUNT), f"day {parse_moment(DATE)}".encode()):
        kept.write_bytes(b"\0" * 10 + content)
        assert [path for path in files_below(tmp_path) if found_in(path.read_bytes(), [])] == [kept]


def test_a_database_that_is_locked_for_a_while_charges_what_is_answered(locked: Locked) -> None:
    assert locked.ready.status_code == 200
    assert (locked.status, locked.usage) in {(200, (1, 1)), (504, (0, 0))}
    calls = locked.usage[0] + 1
    assert (locked.next_status, locked.next_usage) == (200, (calls, calls))


def test_large_requests_hold_no_small_ones_up(crowded: list[tuple[int, float]]) -> None:
    assert [status for status, _ in crowded] == [200] * 6
    assert max(seconds for _, seconds in crowded) < 1


def test_a_killed_worker_is_replaced_and_its_request_costs_nothing(killed: Killed, replaced: list[int]) -> None:
    assert len(killed.before) == len(replaced) == 2
    assert len(set(killed.before) & set(replaced)) == 1
    assert killed.usage == (0, 0)


def test_no_file_holds_a_mark(ended: Sent) -> None:
    folder = ended.service.var
    looked_at = list(files_below(folder))
    assert folder / "fivefold.db" in looked_at
    assert folder / "stderr.log" in looked_at
    assert any("metrics" in path.parts for path in looked_at)
    found = {str(path): marks for path in looked_at if (marks := found_in(path.read_bytes(), ended.secrets))}
    assert not found


def test_nothing_is_left_where_it_was_started(ended: Sent) -> None:
    left = {str(path.relative_to(ended.service.stand)) for path in ended.service.stand.rglob("*")}
    assert left == {*FOREIGN, *(f"{name}/__init__.py" for name in FOREIGN)}


def test_no_metric_holds_a_mark(ended: Sent, through_postgresql: Sent) -> None:
    for content in (ended.metrics, through_postgresql.service.get("/metrics").content):
        assert b"fivefold_requests_total" in content
        assert not found_in(content, ended.secrets)


def test_no_row_of_a_database_holds_a_mark(ended: Sent, through_postgresql: Sent) -> None:
    for sent in (ended, through_postgresql):
        engine = sent.service.engine
        tables = inspect(engine).get_table_names()
        assert {"tokens", "usage", "counted", "organisations"} <= set(tables)
        with engine.connect() as connection:
            rows = [tuple(row) for table in tables for row in connection.execute(text(f'SELECT * FROM "{table}"'))]
        assert len(rows) > 3
        assert not found_in(repr(rows).encode(), sent.secrets)


def test_no_log_of_the_other_database_holds_a_mark(through_postgresql: Sent) -> None:
    from tests.store.databases import postgresql

    service = through_postgresql.service
    for path in [*service.logs, postgresql().log]:
        assert not found_in(path.read_bytes(), through_postgresql.secrets)


def test_an_error_is_logged_by_its_kind_and_place(ended: Sent) -> None:
    failed = [event for event in ended.service.events() if event["event"] == "failed"]
    assert [event["error"] for event in failed] == ["RuntimeError"] * 2
    for event in failed:
        assert set(event) == {"event", "level", "timestamp", "request_id", "error", "at"}
        assert event["at"].startswith("check_rows:")


def test_counts_are_all_that_is_kept_of_a_customer(ended: Sent) -> None:
    """Every customer of an answered request was counted once, at the latest when the service ended."""
    with ended.service.engine.connect() as connection:
        kept = [json.loads(row.counts) for row in connection.execute(text("SELECT counts FROM counted"))]
    calls, users = ended.service.usage()
    assert calls >= users > 0
    assert sum(sum(counts[-1]) for counts in kept) == users
