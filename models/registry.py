"""The registry: MLflow keeps every version; the alias `champion` names the one that serves.

It is embedded in SQLite, or the MLflow that `MLFLOW_TRACKING_URI` names; a server then keeps the files.
"""

import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from shutil import disk_usage
from threading import Timer
from typing import Any, cast

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.environment_variables import MLFLOW_TRACKING_URI
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException

from fivefold.domain.errors import ConfigError, ModelError, ModelNotFoundError, RegistryError
from fivefold.domain.files import naming
from fivefold.domain.provenance import may_be_same_model
from fivefold.domain.settings import Settings, parse_model_uri
from fivefold.models.embedded import (
    ARTIFACT,
    create_registry,
    load_files,
    relocate,
    require_not_empty,
    require_registered,
    without_models_text,
)
from fivefold.models.registry_errors import TranslatedClient, line_of_error, of_another_release, registry_error
from fivefold.models.value_model import ValueModel

CHAMPION = "champion"
CHALLENGER = "challenger"
PARENT_TAG = "recalibration_of"
"""Tag of a recalibrated version: the number of the version whose score curve it replaces."""
TREES_TAG = "trees_of"
"""Tag of a recalibrated version: the version that its trees were learnt for, as NAME/NUMBER."""
PARENT_HASH_TAG = "parent_content_hash"
"""Tag of a recalibrated version: the content hash of the version that `PARENT_TAG` names."""
ABSENT_TAG = "absent_columns"
"""Tag of a version whose training data lacked columns: their names, with spaces between."""
STATELESS_TAG = "stateless_share"
"""Tag of a version whose training data had states: the share of the rows without one."""
OWN_TAG = "own_indicators"
"""Tag of a version with an operator's own indicators: the name of their file, a space, and its SHA-256."""
INDICATORS_TAG = "indicators_model"
"""Tag of a version: MLflow's address of the same model as one that takes indicators in place of transactions."""
DATA_DIGEST_TAG = "data_digest"
"""Tag of a run and of a version: the digest of the data that it learnt from."""
RATES_DIGEST_TAG = "rates_digest"
"""Tag of a run and of a version that learnt: the digest of the rates of its data, see `training.plan.rates_digest`."""
RATES_DAYS_TAG = "rates_days"
"""Tag beside it: the day of each of these rates, see `training.data.ComparedRates`."""
JUDGED_AS_OF_TAG, JUDGED_HASH_TAG = "judged_as_of_us", "judged_content_hash"
"""Tags of a refitted version: the test as-of and the content hash of the model that was judged in its place."""
REFUSED_TAG = "refit_refused"
"""Tag of a run whose refit was refused, so that no version was registered: the reason."""
CARD_FILE = "model_card.md"
"""The model card in Markdown, among the artefacts of the training run."""
MOST_NAMED = 10
"""Most other models that are named if a model has no champion."""

log = logging.getLogger("fivefold.models")
SLOW_SECONDS = 5.0
_ADDRESS = "MLFLOW_TRACKING_URI"
_VARIABLE: Any = MLFLOW_TRACKING_URI
_SERVERS = ("http://", "https://", "databricks")
"""Addresses of servers, which decide themselves where files are kept."""

# MLflow would try for minutes to reach a server that is down.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
# And two minutes at each try for one that accepts a connection and says nothing.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
for _noisy in ("mlflow", "alembic", "urllib3"):
    logging.getLogger(_noisy).setLevel(logging.ERROR)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it also raises the errors that it would log


@dataclass(frozen=True)
class RegisteredVersion:
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
    def stateless_share(self) -> float | None:
        """The share of the rows of its training data without a state; None where an earlier release did not count."""
        return float(self.tags[STATELESS_TAG]) if STATELESS_TAG in self.tags else None

    @property
    def parent(self) -> int | None:
        """The version that was recalibrated, which has the same trees; None where it was trained.

        A number that is not smaller is of another name, from which MLflow copied this version with its tags.
        """
        number = int(self.tags.get(PARENT_TAG) or 0)
        return number if 0 < number < self.number else None

    @property
    def judged_as_of(self) -> int | None:
        """The test as-of (microseconds) of the model whose figures it has; None where it was judged itself."""
        moment = self.tags.get(JUDGED_AS_OF_TAG)
        return int(moment) if moment else None

    @property
    def test_as_of(self) -> int:
        """The moment (microseconds) after which it learnt nothing."""
        return int(self.tags.get("test_as_of", 0))


@contextmanager
def _said_when_slow(address: str) -> Iterator[None]:
    """Log what the process waits for, if it takes longer than a registry that answers."""
    timer = Timer(
        SLOW_SECONDS, log.warning, ("waiting for the registry of models at %s, which does not answer", address)
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Registry:
    """The versions of one named model in one MLflow."""

    def __init__(self, settings: Settings, name: str) -> None:
        """Open the registry, creating the embedded one if needed; RegistryError where it cannot be asked.

        Where the folder of the embedded one was moved, the addresses of its models are updated.
        """
        settings.protect_var()
        self.settings = settings
        self.name = name
        # One process at a time: this may create the registry, and two processes would damage each other's.
        with settings.lock(settings.var / "mlflow.lock"):
            require_not_empty(settings)
            relocate(settings)
            self.client = self._client()

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Let one run of the model at a time count how often a window was judged on, judge on it and log that.

        Others on this machine wait; the system takes the lock back from a process that dies.
        """
        with self.settings.lock(self.settings.var / f"judge-{self.name}.lock"):
            yield

    def _client(self) -> MlflowClient:
        uri = self.settings.tracking_uri
        try:
            if self.settings.embedded:
                create_registry(self.settings.registry)
            client = MlflowClient(uri, uri)
            if not self.settings.embedded:
                with _said_when_slow(self.settings.tracking_shown):
                    client.search_registered_models(max_results=1)  # a wrong address fails here, once
        except Exception as error:  # noqa: BLE001 (MLflow, its drivers and its HTTP client have no error in common)
            address = f"{_ADDRESS} is {self.settings.tracking_shown}, which cannot be asked"
            where = f"{self.settings.registry} cannot be opened" if self.settings.embedded else address
            remedy = without_models_text(self.settings.registry, error) if self.settings.embedded else ""
            raise RegistryError(f"{where}: {of_another_release(error) or line_of_error(error) + remedy}") from None
        return cast("MlflowClient", TranslatedClient(client, self.settings.registry_shown))

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Let MLflow log runs to this registry, with errors of ours."""
        self.use()
        try:
            yield
        except (MlflowException, RequestException) as error:  # not of files of our own that are logged
            raise registry_error(
                error, f"the registry of models, {self.settings.registry_shown}, takes no run"
            ) from error
        except OSError:
            places = (self.settings.var, Path(tempfile.gettempdir()))  # MLflow writes to both, and names no file
            with naming(min(places, key=lambda place: disk_usage(place).free)):
                raise

    def use(self) -> None:
        """Make this registry the one at MLflow's global address, by which it logs runs."""
        before = _VARIABLE.get_raw()
        mlflow.set_tracking_uri(self.settings.tracking_uri)
        # MLflow also sets the environment variable, which would apply to every registry that is opened later.
        if before is None:
            _VARIABLE.unset()
        else:
            _VARIABLE.set(before)

    def experiment(self, name: str) -> str:
        """Return the identifier of an experiment, which is created if needed."""
        experiment = self.client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        on_server = self.settings.tracking_uri.startswith(_SERVERS)
        location = None if on_server else (self.settings.artifacts / name).as_uri()
        return str(self.client.create_experiment(name, artifact_location=location))

    def versions(self) -> list[RegisteredVersion]:
        """List the versions, newest first."""
        return self._versions(self._listed())

    def numbers(self) -> list[int]:
        """Return the numbers of the versions, newest first, by one query however many there are."""
        return [int(version.version) for version in self._listed()]

    def run_ids(self) -> dict[int, str]:
        """Return the training run of each version by its number, by one query however many there are."""
        return {int(version.version): version.run_id or "" for version in self._listed()}

    def tagged(self, tag: str, value: str) -> RegisteredVersion | None:
        """Return the newest version whose *tag* has this *value*; None if none has."""
        version = next((each for each in self._listed() if each.tags.get(tag) == value), None)
        return None if version is None else self._version(version)

    def end_killed(self, tag: str, value: str) -> None:
        """Mark the runs with a tag of a value as killed, and those within them, where they are said to be under way.

        For a caller who knows that none is: a process that was killed could not say so.
        """
        experiment = self.experiment(self.name)
        for run in self.client.search_runs([experiment], f"tags.{tag} = '{value}' AND status = 'RUNNING'"):
            within = f"tags.`mlflow.parentRunId` = '{run.info.run_id}' AND status = 'RUNNING'"
            for each in (*self.client.search_runs([experiment], within), run):
                self.client.set_terminated(each.info.run_id, "KILLED")

    def versions_below(self, number: int | None, most: int) -> list[RegisteredVersion]:
        """List the newest versions below a number, or of all, newest first, at most so many: a page of them."""
        below = (version for version in self._listed() if number is None or int(version.version) < number)
        return self._versions(list(islice(below, most)))

    def _listed(self) -> list[ModelVersion]:
        """List the versions, newest first, as a search gives them: without the aliases, and without the metrics."""
        versions = self.client.search_model_versions(f"name = '{self.name}'", max_results=10_000)
        return sorted(versions, key=lambda version: -int(version.version))

    def refused_refits(self, data_digest: str) -> list[Mapping[str, str]]:
        """Return the tags of runs on data of a digest whose refit was refused, newest first; they have no versions."""
        runs = self.client.search_runs(
            [self.experiment(self.name)], f"tags.{DATA_DIGEST_TAG} = '{data_digest}'", max_results=10_000
        )
        return [dict(run.data.tags) for run in runs if REFUSED_TAG in run.data.tags]

    def artifact(self, run_id: str, name: str) -> str | None:
        """Read a text that training stored with a run; None if none has that name."""
        try:
            with tempfile.TemporaryDirectory(prefix="fivefold-") as folder:
                path = self.client.download_artifacts(run_id, name, folder)
                return Path(path).read_text(encoding="utf-8")
        except ModelNotFoundError:
            return None

    def version(self, number: int) -> RegisteredVersion:
        """Return one version; ModelNotFoundError names the existing ones."""
        try:
            return self._version(self.client.get_model_version(self.name, str(number)))
        except ModelNotFoundError:
            versions = ", ".join(map(str, self.numbers())) or "none yet: run `fivefold train`"
            raise ModelNotFoundError(f"{self.name} has no version {number}; there are: {versions}") from None

    def trees_of(self, version: RegisteredVersion) -> int:
        """Return the number of the version that a version's trees were learnt for: its own if it was trained.

        It is its own as well where MLflow copied it from another name: the numbers in its tags are those of others.
        """
        while (parent := version.parent) is not None:
            name, _, number = version.tags.get(TREES_TAG, "").rpartition("/")
            if name == self.name:
                return int(number)
            try:
                before = self.version(parent)
            except ModelNotFoundError:
                return version.number if name else parent
            if not may_be_same_model(before.tags.get("content_hash"), version.tags.get(PARENT_HASH_TAG)):
                break
            version = before
        return version.number

    def with_trees_of(self, version: RegisteredVersion) -> list[RegisteredVersion]:
        """Return the versions that predict the same money as a version, and itself, the highest number first."""
        trees = self.trees_of(version)
        same = [each for each in self.versions() if self.trees_of(each) == trees]
        return sorted(same, key=lambda each: -each.number)

    def find(self, uri: str) -> RegisteredVersion:
        """Find a version of this model by MLflow's address.

        Raises:
            ConfigError: it is not an address, or is one of another model.
            ModelNotFoundError: there is no such version or alias.
        """
        name, at, rest = parse_model_uri(uri)
        if name != self.name:
            raise ConfigError(f"{uri} is a version of {name}, and {self.name} was requested: give --name {name}")
        if not at:
            return self.version(int(rest))
        version = self._aliased(rest)
        if version is None:
            raise ModelNotFoundError(f"{self.name} has no version with the alias {rest}")
        return version

    def has_version(self, number: int, content_hash: str | None) -> bool:
        """Check whether a model is registered under a number; if its hash is unknown, the number decides.

        A registry that was lost and made anew has none of that number, or another model.
        """
        try:
            version = self.client.get_model_version(self.name, str(number))
        except ModelNotFoundError:
            return False
        return may_be_same_model(version.tags.get("content_hash"), content_hash)

    def champion(self) -> RegisteredVersion | None:
        """Return the version that serves; None if none does."""
        return self._aliased(CHAMPION)

    def champion_that_is_gone(self) -> int | None:
        """Return the number that the champion's alias names if that version does not exist; else None."""
        try:
            number = self.client.get_registered_model(self.name).aliases.get(CHAMPION)
        except ModelNotFoundError:  # all of it was deleted
            return None
        return None if number is None or self.champion() is not None else int(number)

    def add(self, uri: str, run_id: str, model_id: str, description: str, tags: dict[str, str]) -> int:
        """Register a logged model as the next version, and as challenger; return its number."""
        if not self.client.search_registered_models(f"name = '{self.name}'"):
            self.client.create_registered_model(self.name)
        version = self.client.create_model_version(
            self.name, uri, run_id, tags=tags, description=description, model_id=model_id
        )
        self.set_alias(CHALLENGER, int(version.version))
        return int(version.version)

    def set_alias(self, alias: str, number: int) -> None:
        """Move an alias to a version."""
        self.client.set_registered_model_alias(self.name, alias, str(number))

    def load(self, number: int) -> ValueModel:
        """Load a version.

        Raises:
            ModelNotFoundError: there is none of that number, or its files are gone.
            RegistryError: the registry, or the store of its files, does not answer now.
            ModelError: it is damaged, or not the one that was registered.
            FingerprintMismatchError: it is of another catalogue.
        """
        uri = f"models:/{self.name}/{number}"
        model = self._load(uri)
        require_registered(model.content_hash, self.version(number).tags.get("content_hash"), uri)
        return model

    def require_champion(self) -> RegisteredVersion:
        """Return the version that serves; ModelNotFoundError if none does."""
        champion = self.champion()
        if champion is None:
            raise ModelNotFoundError(
                f"{self.name} has no champion in {self.settings.registry_shown}: run `fivefold train`, or promote a "
                f"version (`fivefold models` lists them){self.others_text()}"
            )
        return champion

    def load_champion(self) -> ValueModel:
        """Load the version that serves; ModelNotFoundError if none does."""
        return self.load(self.require_champion().number)

    def others_text(self) -> str:
        """Say which other models are registered, and by which option to take one; empty where there is none."""
        models = self.client.search_registered_models(max_results=MOST_NAMED)
        others = [model.name for model in models if model.name != self.name]
        if not others:
            return ""
        rest = " and others" if models.token else ""
        return f". Registered are {', '.join(others)}{rest}: a command takes one by --name"

    def load_uri(self, uri: str) -> ValueModel:
        """Load any registered value model by MLflow's address, `models:/name/version` or `models:/name@alias`.

        Errors are those of `load`; ConfigError where it is not an address.
        """
        name, at, rest = parse_model_uri(uri)
        model = self._load(uri)
        ask = self.client.get_model_version_by_alias if at else self.client.get_model_version
        require_registered(model.content_hash, ask(name, rest).tags.get("content_hash"), uri)
        return model

    def _load(self, uri: str) -> ValueModel:
        self.use()
        # The embedded registry's files are read in place; a server's files are copied to a temporary folder.
        with tempfile.TemporaryDirectory(prefix="fivefold-") as folder:
            target = None if self.settings.embedded else folder
            try:
                artifacts = mlflow.artifacts.download_artifacts(uri, dst_path=target)
            except (MlflowException, OSError) as error:
                raise registry_error(error, f"{uri} cannot be loaded from {self.settings.tracking_shown}") from None
            return load_files(Path(artifacts) / ARTIFACT, uri)

    def require_servable(self, number: int) -> None:
        """Refuse a version whose description by MLflow is gone or damaged: `load` needs none, the service does.

        Raises:
            ModelError: what MLflow imports a model by, its file `MLmodel`, is missing or says of no Python model.
        """
        self.use()
        uri = f"models:/{self.name}/{number}"
        try:
            flavors = mlflow.models.get_model_info(uri).flavors
        except Exception as error:  # noqa: BLE001 (MLflow reads the file as it is: a damaged one fails anywhere)
            raise ModelError(
                f"{uri} cannot be served: its file MLmodel cannot be read: {line_of_error(error)}"
            ) from None
        if "python_function" not in flavors:
            raise ModelError(f"{uri} cannot be served: its file MLmodel names no Python model")

    def _aliased(self, alias: str) -> RegisteredVersion | None:
        try:
            return self._version(self.client.get_model_version_by_alias(self.name, alias))
        except ModelNotFoundError:
            return None

    def _version(self, version: ModelVersion) -> RegisteredVersion:
        return self._versions([version])[0]

    def _versions(self, versions: Sequence[ModelVersion]) -> list[RegisteredVersion]:
        """Read the aliases once for all, and the metrics of each."""
        aliases = self.client.get_registered_model(self.name).aliases if versions else {}
        return [self._with_metrics(version, aliases) for version in versions]

    def _with_metrics(self, version: ModelVersion, aliases: Mapping[str, str]) -> RegisteredVersion:
        metrics = self.client.get_run(version.run_id).data.metrics if version.run_id else {}
        return RegisteredVersion(
            int(version.version),
            int(version.creation_timestamp) * 1_000,
            tuple(sorted(alias for alias, number in aliases.items() if str(number) == str(version.version))),
            version.run_id or "",
            dict(version.tags),
            metrics,
        )
