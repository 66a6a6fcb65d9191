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

from models.registry import CHAMPION, Registry
from tests.serving.process_faults import SLEEPS
from tests.serving.process_registry import BROKEN, FIRST, NAME, OTHER_FINGERPRINT, SECOND, Template
from tests.serving.process_service import Service, answer_of, head_of, sample_rows

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
    del begun  # only so that it is before
    return look(lived, token)


@pytest.fixture(scope="module")
def with_broken_model(lived: Service, token: str, without_model: Seen, registry: Registry, begun: float) -> Seen:
    """The champion is a version that cannot be read."""
    registry.set_alias(CHAMPION, BROKEN)
    lived.wait_for(lambda: "damaged" in lived.get("/readyz").text, 20)
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
    refused = [event for event in lived.events() if event["event"] == "champion refused"]
    lived.wait_for(lambda: _refusals(lived) >= len(refused) + lived.workers, 20)
    return look(lived, token)


@pytest.fixture(scope="module")
def with_unreachable_registry(lived: Service, token: str, with_other_fingerprint: Seen) -> Iterator[Seen]:
    """The registry's database is no more."""
    database = lived.var / "mlflow.db"
    away = database.rename(lived.var / "mlflow.away")
    database.mkdir()  # nobody can make a new one either
    refused = _refusals(lived)
    lived.wait_for(lambda: _refusals(lived) >= refused + lived.workers, 30)
    yield look(lived, token)
    database.rmdir()
    away.rename(database)


@pytest.fixture(scope="module")
def with_second_model(lived: Service, token: str, with_unreachable_registry: Seen) -> Seen:
    """The registry is back, and its champion another one."""
    (lived.var / "mlflow.db").rmdir()
    shutil.copy2(lived.var / "mlflow.away", lived.var / "mlflow.db")
    Registry(lived.settings, NAME).set_alias(CHAMPION, SECOND)
    lived.wait_until_ready(SECOND)
    return look(lived, token)


def _refusals(service: Service) -> int:
    return sum(event["event"] == "champion refused" for event in service.events())
