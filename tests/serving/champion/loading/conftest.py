"""A registry with versions, a model store of the test, and notes of what is loaded, imported and tried."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bentoml
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore

from fivefold.models.registry import Registry
from fivefold.models.value_model import ValueModel
from fivefold.serving.champion import loader
from tests.mlflow_address import kept_address
from tests.serving.processes.registry import (
    FIRST,
    Template,
)


@pytest.fixture(autouse=True)
def trials(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Models are tried in no process of their own here, which takes seconds; those that would be are noted."""
    tried: list[int] = []
    monkeypatch.setattr(loader, "require_sound", lambda *given: tried.append(given[2]))
    return tried


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Iterator[ModelStore]:
    """BentoML's models in a folder of the test; MLflow's global address is given back as it was."""
    folder = tmp_path / "bentoml"
    folder.mkdir()
    found = ModelStore(folder)
    BentoMLContainer.model_store.set(found)
    with kept_address():
        yield found
    BentoMLContainer.model_store.reset()


@pytest.fixture
def registry(template: Template, tmp_path: Path) -> Registry:
    """A registry whose champion is the first version."""
    return template.copy_to(tmp_path / "var", FIRST)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that models were loaded from."""
    folders: list[Path] = []
    real = ValueModel.load

    def noted(folder: Path) -> ValueModel:
        folders.append(folder)
        return real(folder)

    monkeypatch.setattr(ValueModel, "load", noted)
    return folders


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were brought from MLflow to BentoML."""
    tags: list[str] = []
    real = bentoml.mlflow.import_model

    def noted(tag: str, uri: str, **more: Any) -> bentoml.Model:
        tags.append(tag)
        return real(tag, uri, **more)

    monkeypatch.setattr(bentoml.mlflow, "import_model", noted)
    return tags
