"""Another MLflow than the embedded one: a real server that keeps the files itself, as before an object store."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from fivefold.domain.errors import ModelNotFoundError, RegistryError
from fivefold.domain.settings import Settings, read_settings
from fivefold.models.promotions import promote, promotion_history
from fivefold.models.registry import Registry
from tests.models.making import add_version, empty_database, value_model

pytestmark = pytest.mark.full

SECONDS = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "records.db").write_bytes(empty_database())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", "--serve-artifacts"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/records.db",
        "--artifacts-destination",
        str(folder / "store"),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(process, address, folder / "log")
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    last = monotonic() + SECONDS
    while process.poll() is None and monotonic() < last:
        try:
            if httpx.get(f"{address}/health").status_code == 200:
                return
        except httpx.HTTPError:
            sleep(0.2)
    pytest.fail(log.read_text())


def test_a_model_goes_to_a_server_and_comes_back_on_another_machine(server: str, tmp_path: Path) -> None:
    here = Registry(read_settings({"FIVEFOLD_VAR": str(tmp_path / "here"), "MLFLOW_TRACKING_URI": server}), "value")
    model = value_model()
    number = add_version(here, model, tmp_path / "saved", content_hash=model.content_hash, gate_promote="true")
    promote(here, number)
    assert not here.settings.artifacts.exists()
    assert not here.settings.registry.exists()
    there = Registry(read_settings({"FIVEFOLD_VAR": str(tmp_path / "there"), "MLFLOW_TRACKING_URI": server}), "value")
    assert there.load_champion().content_hash == model.content_hash
    assert there.load_uri(f"models:/value/{number}").content_hash == model.content_hash
    assert [made.version for made in promotion_history(there)] == [number]
    with pytest.raises(ModelNotFoundError, match="value has no version 7"):
        there.version(7)
    with pytest.raises(ModelNotFoundError, match="models:/value/7 cannot be loaded from http"):
        there.load(7)


def test_opening_another_registry_does_not_change_the_environment(tmp_path: Path, server: str) -> None:
    assert "MLFLOW_TRACKING_URI" not in os.environ
    Registry(Settings(tmp_path, tracking=server), "value").use()
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_server_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(
            RegistryError, match=f"MLFLOW_TRACKING_URI is http://{address}, which cannot be asked"
        ) as no:
            Registry(Settings(tmp_path, tracking=f"http://ann:secret@{address}"), "value")
    assert "secret" not in str(no.value)
    assert "\n" not in str(no.value)
