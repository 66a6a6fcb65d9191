"""The registry: MLflow, embedded in SQLite, keeps every version; the alias `champion` says which one serves."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from domain.errors import ConfigError, ModelNotFound
from domain.settings import Settings
from models.value_model import ValueModel

CHAMPION = "champion"
CHALLENGER = "challenger"
_ARTIFACT = "artifacts/value_model"
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow answers where there is no such model, or no such alias of it."""

for _noisy in ("mlflow", "alembic"):
    logging.getLogger(_noisy).setLevel(logging.ERROR)


@dataclass(frozen=True)
class Version:
    """One registered version, as the registry knows it without loading the model.

    Attributes:
        number: counts from 1.
        created_us: when it was registered, microseconds.
        aliases: `champion`, `challenger` or none.
        run_id: the training run.
        tags: what training wrote beside it: fingerprint, definition, test as-of, the gate's verdict.
        metrics: of the training run, by name.
    """

    number: int
    created_us: int
    aliases: tuple[str, ...]
    run_id: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def definition(self) -> Any:
        """What the version predicts, see `ValueModel.definition`."""
        return json.loads(self.tags.get("definition", "null"))

    @property
    def test_as_of(self) -> int:
        """The moment (microseconds) after which it learnt nothing."""
        return int(self.tags.get("test_as_of", 0))


class Registry:
    """The versions of one named model in one MLflow."""

    def __init__(self, settings: Settings, name: str) -> None:
        """Open the registry, making the embedded one where there is none yet."""
        settings.var.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.name = name
        # One process at a time: where there is none yet this makes it, and MLflow lets two spoil each other's.
        with FileLock(settings.var / "mlflow.lock"):
            self.client = MlflowClient(settings.tracking_uri, settings.tracking_uri)

    def use(self) -> None:
        """Make this registry the one at MLflow's global address, by which it logs runs and looks artifacts up."""
        mlflow.set_tracking_uri(self.settings.tracking_uri)

    def experiment(self, name: str) -> str:
        """Give the identifier of an experiment, making it where there is none yet."""
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = (self.settings.artifacts / name).as_uri()
        return str(self.client.create_experiment(name, artifact_location=location))

    def versions(self) -> list[Version]:
        """List the versions, newest first."""
        found = self.client.search_model_versions(f"name = '{self.name}'", max_results=10_000)
        # A search does not tell the aliases; the model itself does.
        return sorted((self._version(version) for version in found), key=lambda version: -version.number)

    def version(self, number: int) -> Version:
        """Find one version; ModelNotFound names those that there are."""
        try:
            return self._version(self.client.get_model_version(self.name, str(number)))
        except MlflowException:
            there = ", ".join(str(version.number) for version in self.versions()) or "none yet: run `fivefold train`"
            raise ModelNotFound(f"{self.name} has no version {number}; there are: {there}") from None

    def champion(self) -> Version | None:
        """Find the version that serves; None where nothing was promoted yet."""
        return self._aliased(CHAMPION)

    def add(self, uri: str, run_id: str, model_id: str, description: str, tags: dict[str, str]) -> int:
        """Register a logged model as the next version, and as challenger; give its number."""
        if not self.client.search_registered_models(f"name = '{self.name}'"):
            self.client.create_registered_model(self.name)
        made = self.client.create_model_version(
            self.name, uri, run_id, tags=tags, description=description, model_id=model_id
        )
        self.set_alias(CHALLENGER, int(made.version))
        return int(made.version)

    def set_alias(self, alias: str, number: int) -> None:
        """Move an alias to a version."""
        self.client.set_registered_model_alias(self.name, alias, str(number))

    def load(self, number: int) -> ValueModel:
        """Load a version; FingerprintMismatch where it is of another catalogue."""
        return self._load(f"models:/{self.name}/{number}")

    def load_champion(self) -> ValueModel:
        """Load the version that serves; ModelNotFound where nothing was promoted yet."""
        champion = self.champion()
        if champion is None:
            raise ModelNotFound(
                f"{self.name} has no champion in {self.settings.var}: run `fivefold train`, or promote a version "
                "(`fivefold models` lists them)"
            )
        return self.load(champion.number)

    def load_uri(self, uri: str) -> ValueModel:
        """Load any registered value model by MLflow's address, `models:/name/version` or `models:/name@alias`."""
        if not uri.startswith("models:/"):
            raise ConfigError(f"model is {uri!r}; it must be models:/NAME/VERSION or models:/NAME@ALIAS")
        return self._load(uri)

    def _load(self, uri: str) -> ValueModel:
        self.use()
        try:
            folder = mlflow.artifacts.download_artifacts(uri)
        except (MlflowException, OSError) as error:
            raise ModelNotFound(f"{uri} cannot be loaded from {self.settings.tracking_uri}: {error}") from None
        return ValueModel.load(Path(folder) / _ARTIFACT)

    def _aliased(self, alias: str) -> Version | None:
        try:
            return self._version(self.client.get_model_version_by_alias(self.name, alias))
        except MlflowException as error:
            if error.error_code not in _NOT_THERE:
                raise
            return None

    def _version(self, found: ModelVersion) -> Version:
        aliases = self.client.get_registered_model(self.name).aliases
        metrics = self.client.get_run(found.run_id).data.metrics if found.run_id else {}
        return Version(
            int(found.version),
            int(found.creation_timestamp) * 1_000,
            tuple(sorted(alias for alias, number in aliases.items() if str(number) == str(found.version))),
            found.run_id or "",
            dict(found.tags),
            metrics,
        )
