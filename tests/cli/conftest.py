"""One trained registry for all tests of the commands, and the means to run these."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fivefold.cli.demo import app as demo
from fivefold.cli.demo import levels as demo_levels
from fivefold.cli.demo import sample
from fivefold.cli.terminal import echo
from fivefold.cli.value_model import train
from fivefold.domain.settings import read_settings
from fivefold.features.indicator_matrix import warm
from fivefold.training.config import read_config
from tests.cli.running import CONFIG, Home, run
from tests.mlflow_address import kept_address
from tests.models.making import empty_database
from tests.store.databases import upgrade_by_copy

CUSTOMERS = 300


@pytest.fixture(autouse=True)
def keep_mlflow_address() -> Iterator[None]:
    """Give MLflow's global address back as it was."""
    with kept_address():
        yield


@pytest.fixture(autouse=True)
def migrate_by_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each test the migrations of a database of its own; `home` makes one as a user does."""
    monkeypatch.setattr("fivefold.store.sql.database.upgrade", upgrade_by_copy)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `FIVEFOLD_VAR` with nothing in it but the indicators as they are compiled here already."""
    warm()
    var = tmp_path_factory.mktemp("fresh")
    (var / "kernels").symlink_to(read_settings().kernels)
    return var


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A registry made by the commands themselves, from MLflow's empty database on; only to be read."""
    warm()
    var = tmp_path_factory.mktemp("home")
    (var / "mlflow.db").write_bytes(empty_database())
    (var / "kernels").symlink_to(read_settings().kernels)
    config = var / "tiny.yaml"
    config.write_text(CONFIG)
    with kept_address(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "DEMO_CUSTOMERS", CUSTOMERS)
        patch.setattr(sample, "serve_once", lambda port: echo(f"served on {port}"))
        patch.setattr(sample, "is_free", lambda _: True)
        patch.setattr(demo_levels, "show_levels", lambda: echo("levels shown"))
        patch.setattr(demo, "TrainingConfig", lambda: read_config(config))
        first = run(var, "demo")
    with kept_address():
        rows = var / "demo" / "transactions.parquet"
        second = run(var, "train", "--data", rows, "--config", config)
    assert (first.code, second.code) == (0, 0), (first, second)
    return Home(var, rows, config, first, second)


@pytest.fixture
def registry(home: Home, tmp_path: Path) -> Path:
    """A `FIVEFOLD_VAR` that a test may promote in: its own records, the same models."""
    var = tmp_path / "var"
    var.mkdir()
    shutil.copy(home.var / "mlflow.db", var)
    return var
