"""The registry: MLflow keeps every version; the alias `champion` says which one serves.

It is embedded in SQLite, or another MLflow where `MLFLOW_TRACKING_URI` names one: a server keeps the files then.
"""

import json
import logging
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.environment_variables import MLFLOW_TRACKING_URI
from mlflow.exceptions import MlflowException

from fivefold.domain.errors import ConfigError, ModelNotFound, RegistryError
from fivefold.domain.files import protect_folder
from fivefold.domain.settings import Settings, without_password
from fivefold.models.embedded import ARTIFACT, relocate, require_registered
from fivefold.models.value_model import ValueModel

CHAMPION = "champion"
CHALLENGER = "challenger"
PARENT_TAG = "recalibration_of"
"""Tag of a recalibrated version: the number of the version whose trees it has."""
ABSENT_TAG = "absent_columns"
"""Tag of a version whose training data lacked columns: their names, with spaces between."""
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow answers where there is no such model, or no such alias of it."""

_ADDRESS = "MLFLOW_TRACKING_URI"
_VARIABLE: Any = MLFLOW_TRACKING_URI
_SERVED = ("http://", "https://", "databricks")
"""Addresses of servers, which say themselves where files are kept."""

# MLflow would try for minutes to reach a server that is down.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
for _noisy in ("mlflow", "alembic", "urllib3"):
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
    def absent(self) -> tuple[str, ...]:
        """The columns that its training data lacked, which it does not read."""
        return tuple(self.tags.get(ABSENT_TAG, "").split())

    @property
    def parent(self) -> int | None:
        """The version whose trees it has, where only its score curve is new; None where it was trained."""
        number = self.tags.get(PARENT_TAG)
        return int(number) if number else None

    @property
    def test_as_of(self) -> int:
        """The moment (microseconds) after which it learnt nothing."""
        return int(self.tags.get("test_as_of", 0))


class Registry:
    """The versions of one named model in one MLflow."""

    def __init__(self, settings: Settings, name: str) -> None:
        """Open the registry, making the embedded one where there is none yet; RegistryError where it cannot be asked.

        Where the folder of the embedded one was moved, its models are found where they are now.
        """
        protect_folder(settings.var)
        self.settings = settings
        self.name = name
        # One process at a time: where there is none yet this makes it, and MLflow lets two spoil each other's.
        with FileLock(settings.var / "mlflow.lock"):
            relocate(settings)
            self.client = self._client()

    def _client(self) -> MlflowClient:
        uri = self.settings.tracking_uri
        try:
            client = MlflowClient(uri, uri)
            if not self.settings.embedded:
                client.search_registered_models(max_results=1)  # what is wrong with the address is said here, once
        except Exception as error:
            if self.settings.embedded:
                raise
            # MLflow, its drivers and its HTTP client have no error in common.
            shown, why = self.settings.tracking_shown, _one_line(error)
            raise RegistryError(f"{_ADDRESS} is {shown}, which cannot be asked: {why}") from None
        return client

    def use(self) -> None:
        """Make this registry the one at MLflow's global address, by which it logs runs."""
        before = _VARIABLE.get_raw()
        mlflow.set_tracking_uri(self.settings.tracking_uri)
        # MLflow writes the environment as well, which would speak for every registry that is opened later.
        if before is None:
            _VARIABLE.unset()
        else:
            _VARIABLE.set(before)

    def experiment(self, name: str) -> str:
        """Give the identifier of an experiment, making it where there is none yet."""
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        served = self.settings.tracking_uri.startswith(_SERVED)
        location = None if served else (self.settings.artifacts / name).as_uri()
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

    def find(self, uri: str) -> Version:
        """Find a version of this model by MLflow's address.

        Raises:
            ConfigError: it is no address, or one of another model.
            ModelNotFound: there is no such version or alias.
        """
        name, at, rest = address(uri)
        if name != self.name:
            raise ConfigError(f"{uri} is a version of {name}, and {self.name} was asked for: give --name {name}")
        if not at:
            return self.version(int(rest))
        found = self._aliased(rest)
        if found is None:
            raise ModelNotFound(f"{self.name} has no version with the alias {rest}")
        return found

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
        """Load a version.

        Raises:
            ModelNotFound: there is none of that number, or its files are gone.
            ModelError: it is damaged, or not the one that was registered.
            FingerprintMismatch: it is of another catalogue.
        """
        uri = f"models:/{self.name}/{number}"
        model = self._load(uri)
        require_registered(model, self.version(number).tags.get("content_hash"), uri)
        return model

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
        """Load any registered value model by MLflow's address, `models:/name/version` or `models:/name@alias`.

        Errors are those of `load`; ConfigError where it is no address.
        """
        if not uri.startswith("models:/"):
            raise ConfigError(f"model is {uri!r}; it must be models:/NAME/VERSION or models:/NAME@ALIAS")
        model = self._load(uri)
        name, at, rest = address(uri)
        ask = self.client.get_model_version_by_alias if at else self.client.get_model_version
        require_registered(model, ask(name, rest).tags.get("content_hash"), uri)
        return model

    def _load(self, uri: str) -> ValueModel:
        self.use()
        # Files of the embedded registry are read where they are; those of a server are copied here for the moment.
        with tempfile.TemporaryDirectory(prefix="fivefold-") as folder:
            there = None if self.settings.embedded else folder
            try:
                found = mlflow.artifacts.download_artifacts(uri, dst_path=there)
            except (MlflowException, OSError) as error:
                why = _one_line(error)
                raise ModelNotFound(f"{uri} cannot be loaded from {self.settings.tracking_shown}: {why}") from None
            return ValueModel.load(Path(found) / ARTIFACT)

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


def without(absent: tuple[str, ...]) -> str:
    """Say what data lacked.

    >>> without(("user_balance", "user_created")), without(())
    ('without user_balance, user_created', 'with every column')
    """
    return f"without {', '.join(absent)}" if absent else "with every column"


def address(uri: str) -> tuple[str, bool, str]:
    """Take a model's address apart: its name, whether an alias follows, and the version or the alias.

    >>> address("models:/value/3"), address("models:/value@champion")
    (('value', False, '3'), ('value', True, 'champion'))
    """
    found = re.fullmatch(r"models:/([\w.-]+)(?:/([1-9][0-9]{0,8})|@([\w.-]+))", uri)
    if found is None:
        raise ConfigError(f"model is {uri!r}; it must be models:/NAME/VERSION or models:/NAME@ALIAS")
    name, version, alias = found.groups()
    return name, alias is not None, alias or version


def _one_line(error: Exception) -> str:
    text = str(error).strip()
    if text.startswith("No such artifact"):
        return "its files are gone"
    return without_password(text.splitlines()[0]) if text else type(error).__name__
