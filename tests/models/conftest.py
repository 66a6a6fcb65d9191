"""Registries for the tests of the value model, each in its own folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fivefold.models.registry import Registry
from fivefold.models.value_model import ValueModel
from tests.mlflow_address import kept_address
from tests.models import making


@pytest.fixture(autouse=True)
def keep_mlflow_address() -> Iterator[None]:
    """Give MLflow's global address back as it was."""
    with kept_address():
        yield


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry without a version."""
    return making.new_registry(tmp_path / "var")


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry with one version of the simulated model, the champion; only to be read."""
    registry = making.new_registry(tmp_path_factory.mktemp("filled"))
    folder = tmp_path_factory.mktemp("saved")
    registry.set_alias("champion", making.add_version(registry, making.value_model(), folder))
    return registry


@pytest.fixture(scope="session")
def model() -> ValueModel:
    return making.value_model()
