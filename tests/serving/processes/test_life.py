"""One service from its start without a model to its end under load; each step is done once, and looked at after.

Registry, models and signals are real; the alias is looked at every second, not every ten.
"""

import json
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from fivefold.cli.serve import require_free
from fivefold.models.embedded import no_versions_text
from fivefold.models.registry import CHAMPION, Registry
from tests.serving.processes.registry import BROKEN, FIRST, NAME, OTHER_FINGERPRINT, SECOND, Template
from tests.serving.processes.service import SLEEPS, STOP_SECONDS, Service, answer_of, head_of, sample_rows

pytestmark = pytest.mark.full

UNAVAILABLE = b'[{"detail":"Service Unavailable"}]'
STEADY_SECONDS = 15
BODY = json.dumps(sample_rows()).encode()


@pytest.fixture(scope="module")
def lived(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that starts where nobody has trained yet: there is not even a registry."""
    var = tmp_path_factory.mktemp("life") / "var"
    var.mkdir()
    shutil.copytree(template.var / "kernels", var / "kernels")
    with Service(var, faults=True) as service:
        yield service


@dataclass
class Seen:
    """What was seen at one moment."""

    live: httpx.Response
    ready: httpx.Response
    scored: httpx.Response
    refused: float
    version: float
    workers: list[int]


def look(service: Service, token: str) -> Seen:
    metrics = service.metrics()
    return Seen(
        service.get("/livez"),
        service.get("/readyz"),
        service.post(sample_rows(), token, "?as_of=2024-07-01&explain=true"),
        metrics["fivefold_champion_refused"],
        metrics["fivefold_model_version"],
        service.worker_pids(),
    )


@pytest.fixture(scope="module")
def token(lived: Service) -> str:
    return lived.token()


@pytest.fixture(scope="module")
def begun(lived: Service) -> float:
    return monotonic()


@pytest.fixture(scope="module")
def registry(lived: Service, template: Template) -> Registry:
    """The registry of the service, with the versions of the template."""
    return template.register_in(Registry(lived.settings, NAME))


@pytest.fixture(scope="module")
def without_model(lived: Service, token: str, begun: float) -> Seen:
    return look(lived, token)


@pytest.fixture(scope="module")
def with_broken_model(lived: Service, token: str, without_model: Seen, registry: Registry, begun: float) -> Seen:
    """The champion is a version that cannot be read."""
    registry.set_alias(CHAMPION, BROKEN)
    lived.wait_for(lambda: "damaged" in lived.get("/readyz").text, 40)
    sleep(max(0.0, begun + STEADY_SECONDS - monotonic()))
    return look(lived, token)


@pytest.fixture(scope="module")
def with_model(lived: Service, token: str, with_broken_model: Seen, registry: Registry) -> Seen:
    """A sound version is promoted."""
    registry.set_alias(CHAMPION, FIRST)
    lived.wait_until_ready(FIRST)
    return look(lived, token)


@pytest.fixture(scope="module")
def with_other_fingerprint(lived: Service, token: str, with_model: Seen, registry: Registry) -> Seen:
    """A version of other indicators is promoted."""
    registry.set_alias(CHAMPION, OTHER_FINGERPRINT)
    lived.wait_for(lambda: _refusals(lived, OTHER_FINGERPRINT) == lived.workers, 40)
    return look(lived, token)


@pytest.fixture(scope="module")
def without_registry(lived: Service, token: str, with_other_fingerprint: Seen) -> Seen:
    """The registry's database is moved away for a while."""
    database, away = lived.var / "mlflow.db", lived.var / "mlflow.away"
    database.rename(away)
    sleep(2.5)  # the alias is looked at twice
    seen = look(lived, token)
    away.rename(database)
    return seen


@pytest.fixture(scope="module")
def with_damaged_registry(lived: Service, token: str, without_registry: Seen) -> Seen:
    """The registry's database is no database."""
    database = lived.var / "mlflow.db"
    sound, before = database.read_bytes(), _refusals(lived, None)
    database.write_bytes(b"this is no database " * 100)
    lived.wait_for(lambda: _refusals(lived, None) >= before + lived.workers, 40)
    seen = look(lived, token)
    database.write_bytes(sound)
    return seen


@pytest.fixture(scope="module")
def with_second_model(lived: Service, token: str, with_damaged_registry: Seen, registry: Registry) -> Seen:
    """The registry is back, and its champion another one."""
    registry.set_alias(CHAMPION, SECOND)
    lived.wait_until_ready(SECOND)
    return look(lived, token)


@dataclass
class Ended:
    """What the callers of a service saw that was asked to end.

    Attributes:
        begun: answers to requests of which the service had read a part before.
        load: answers to the others, in order; 0 for a connection that ended without one.
        broken: what came of answers that ended in their middle.
        answered: all answers 200.
        charged: calls that the token paid in the meantime.
        code: exit code.
        seconds: from the signal to the end.
        left: processes that are still there.
    """

    begun: list[int] = field(default_factory=list)
    load: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    charged: int = 0
    code: int | None = None
    seconds: float = 0.0
    left: list[int] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return (self.begun + self.load).count(200)


@pytest.fixture(scope="module")
def ended(lived: Service, token: str, with_second_model: Seen) -> Ended:
    """The service is asked to end while many ask it."""
    seen, stop = Ended(), threading.Event()
    before = lived.usage_of(token)[0]
    slow = [_begin(lived, token) for _ in range(6)]
    sleeping = json.dumps(sample_rows(f"{SLEEPS} a while") * 1_001).encode()
    long = _connect(lived)
    long.sendall(head_of(token, len(sleeping)) + sleeping)
    with ThreadPoolExecutor(6) as pool:
        callers = [pool.submit(_call_until, stop, lived, token, seen) for _ in range(6)]
        sleep(1.0)
        asked = monotonic()
        lived.worker_pids()
        lived.process.send_signal(signal.SIGTERM)
        sleep(0.5)
        for connection in slow:
            connection.sendall(BODY[50:])
        seen.begun = [_status(connection, seen) for connection in [*slow, long]]
        seen.code = lived.process.wait(30)
        seen.seconds = monotonic() - asked
        stop.set()
        for caller in callers:
            caller.result()
    seen.charged = lived.usage_of(token)[0] - before
    seen.left = lived.left_over()
    return seen


def _refusals(service: Service, version: int | None) -> int:
    return sum(event["event"] == "champion refused" and event["version"] == version for event in service.events())


def _connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=30)


def _begin(service: Service, token: str) -> socket.socket:
    """Send half a request."""
    connection = _connect(service)
    connection.sendall(head_of(token, len(BODY)) + BODY[:50])
    return connection


def _status(connection: socket.socket, seen: Ended) -> int:
    """Read an answer to its end: its status, or 0 where there is none."""
    with connection:
        try:
            status, headers, body = answer_of(connection)
        except OSError:  # not one byte of it, for what is read is read at once
            return 0
    if status and len(body) != int(headers["content-length"]):
        seen.broken.append(f"{status} {headers} {body!r}")
    return status


def _call_until(stop: threading.Event, service: Service, token: str, seen: Ended) -> None:
    while not stop.is_set():
        try:
            connection = _connect(service)
            connection.sendall(head_of(token, len(BODY), more="Connection: close\r\n") + BODY)
        except OSError:
            sleep(0.05)  # nobody listens any more
            continue
        seen.load.append(_status(connection, seen))


def version_in(answer: httpx.Response) -> Any:
    return answer.json()[0]["model"]["version"]


def test_without_a_model_it_lives_and_says_so(lived: Service, without_model: Seen) -> None:
    assert without_model.live.status_code == 200
    assert (without_model.scored.status_code, without_model.scored.content) == (503, UNAVAILABLE)
    assert int(without_model.scored.headers["retry-after"]) > 0
    assert without_model.scored.headers["x-model-version"] == "none"
    assert without_model.ready.status_code == 503
    assert without_model.ready.json() == [{"detail": no_versions_text(lived.settings, NAME), "ready_for": ["/v1"]}]
    assert (without_model.version, without_model.refused) == (0, 1)


def test_without_a_model_who_may_not_ask_is_told_that_first(lived: Service, without_model: Seen) -> None:
    if not lived.workers_with(FIRST):
        assert lived.post(b"[", None).status_code == 401


def test_a_broken_model_ends_no_worker(without_model: Seen, with_broken_model: Seen) -> None:
    assert len(without_model.workers) == 2
    assert with_broken_model.workers == without_model.workers
    assert with_broken_model.live.status_code == 200
    assert (with_broken_model.scored.status_code, with_broken_model.scored.content) == (503, UNAVAILABLE)
    assert with_broken_model.ready.status_code == 503
    assert "is damaged" in with_broken_model.ready.json()[0]["detail"]
    assert (with_broken_model.version, with_broken_model.refused) == (0, 1)


def test_a_promoted_model_makes_it_ready(with_broken_model: Seen, with_model: Seen) -> None:
    assert with_model.workers == with_broken_model.workers
    assert with_model.ready.json() == [{"detail": "ready", "model_version": FIRST}]
    assert with_model.scored.status_code == 200
    assert version_in(with_model.scored) == FIRST
    assert (with_model.version, with_model.refused) == (FIRST, 0)


def test_a_model_of_other_indicators_is_refused_and_the_last_good_one_serves(with_other_fingerprint: Seen) -> None:
    seen = with_other_fingerprint
    assert seen.scored.status_code == 200
    assert version_in(seen.scored) == FIRST
    assert seen.scored.headers["x-model-version"] == str(FIRST)
    (state,) = seen.ready.json()
    assert (seen.ready.status_code, state["detail"], state["model_version"]) == (200, "ready", FIRST)
    assert "train again, or use the program that it was trained with" in state["refused"]
    assert (seen.version, seen.refused) == (FIRST, 1)


def test_a_registry_that_is_gone_ends_nothing(without_registry: Seen) -> None:
    assert without_registry.scored.status_code == without_registry.ready.status_code == 200
    assert version_in(without_registry.scored) == FIRST


def test_a_registry_that_cannot_be_read_ends_nothing_and_is_told(with_damaged_registry: Seen) -> None:
    assert with_damaged_registry.scored.status_code == 200
    assert version_in(with_damaged_registry.scored) == FIRST
    (state,) = with_damaged_registry.ready.json()
    assert (state["detail"], state["model_version"]) == ("ready", FIRST)
    assert "the registry cannot be reached" in state["refused"]
    assert with_damaged_registry.refused == 1


def test_after_all_that_the_next_sound_model_serves(with_model: Seen, with_second_model: Seen) -> None:
    assert with_second_model.workers == with_model.workers
    assert with_second_model.ready.json() == [{"detail": "ready", "model_version": SECOND}]
    assert version_in(with_second_model.scored) == SECOND
    assert (with_second_model.version, with_second_model.refused) == (SECOND, 0)


def test_what_was_begun_is_finished(ended: Ended) -> None:
    assert ended.begun == [200] * 7
    assert not ended.broken
    assert set(ended.load) <= {0, 200}
    assert ended.load.count(200) > 20


def test_what_was_answered_was_charged_and_nothing_else(ended: Ended) -> None:
    assert ended.charged == ended.answered


def test_it_ends_soon_and_whole(lived: Service, ended: Ended) -> None:
    assert ended.code in {0, 143, -signal.SIGTERM}
    assert ended.seconds < 15
    assert ended.left == []
    assert lived.said().count("Completed cleanup hook: close") == 2


def test_a_kill_of_the_first_process_leaves_no_worker_and_the_port_free(lived: Service, ended: Ended) -> None:
    """As when the system runs out of memory: no other process is sent anything, and a supervisor starts it again."""
    assert ended.left == []
    lived.start()
    assert len(lived.worker_pids()) == lived.workers
    lived.process.kill()
    lived.process.wait(STOP_SECONDS)
    lived.wait_for(lambda: not lived.left_over(), STOP_SECONDS)
    require_free("127.0.0.1", lived.port)
