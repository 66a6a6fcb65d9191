"""The registry, on a real embedded MLflow."""

import errno
import json
import os
import shutil
import socket
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE

from fivefold.domain.errors import (
    ConfigError,
    FingerprintMismatchError,
    ModelError,
    ModelNotFoundError,
    RegistryError,
)
from fivefold.domain.settings import Settings
from fivefold.models import registry as registry_module
from fivefold.models.embedded import load_value_model
from fivefold.models.registry import (
    CHALLENGER,
    CHAMPION,
    INDICATORS_TAG,
    PARENT_HASH_TAG,
    PARENT_TAG,
    TREES_TAG,
    Registry,
)
from fivefold.training.logged import indicators_signature, transactions_signature
from tests.models.making import (
    AS_OF,
    add_bare_version,
    add_version,
    empty_database,
    new_registry,
    reference_matrix,
    registered_files,
    value_model,
)


def test_a_registry_without_a_version_has_no_champion(registry: Registry) -> None:
    assert (registry.settings.var / "mlflow.db").is_file()
    assert registry.versions() == []
    assert registry.champion() is None


def test_an_experiment_is_made_once_and_keeps_its_files_beside_the_database(registry: Registry) -> None:
    made = registry.experiment("value")
    assert registry.experiment("value") == made
    location = registry.client.get_experiment(made).artifact_location
    assert location == (registry.settings.artifacts / "value").as_uri()


def test_versions_count_from_1_and_the_newest_is_the_challenger(registry: Registry) -> None:
    assert [add_bare_version(registry, note=str(number)) for number in range(3)] == [1, 2, 3]
    assert [version.number for version in registry.versions()] == [3, 2, 1]
    assert [version.aliases for version in registry.versions()] == [(CHALLENGER,), (), ()]
    assert registry.versions()[0].tags["note"] == "2"


def test_more_than_nine_versions_are_in_order_of_number_not_of_text(registry: Registry) -> None:
    for _ in range(11):
        add_bare_version(registry)
    assert [version.number for version in registry.versions()] == list(range(11, 0, -1))


def test_the_aliases_are_asked_for_once_and_numbers_alone_need_neither_aliases_nor_metrics(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        add_bare_version(registry, note=str(number % 2))
    asked: list[str] = []
    client = registry.client
    for name in ("get_registered_model", "get_run", "search_model_versions"):
        method = getattr(client, name)
        monkeypatch.setattr(client, name, lambda *given, n=name, m=method, **more: asked.append(n) or m(*given, **more))
    assert [version.aliases for version in registry.versions()] == [(CHALLENGER,), (), ()]
    assert sorted(asked) == ["get_registered_model", *["get_run"] * 3, "search_model_versions"]
    asked.clear()
    assert registry.numbers() == [3, 2, 1]
    assert asked == ["search_model_versions"]
    found = registry.tagged("note", "0")
    assert found is not None
    assert (found.number, asked.count("get_run")) == (3, 1)
    assert registry.tagged("note", "7") is None


def test_a_version_tells_what_was_written_beside_it(registry: Registry) -> None:
    definition = {"currency": "EUR", "yearly_margin": 0.02}
    number = add_bare_version(registry, definition=json.dumps(definition), test_as_of=str(AS_OF))
    registry.client.log_metric(registry.version(number).run_id, "model_normalised_gini", 0.9)
    registry.set_alias(CHAMPION, number)
    version = registry.version(number)
    assert version.definition == definition
    assert version.test_as_of == AS_OF
    assert version.metrics == {"model_normalised_gini": 0.9}
    assert version.aliases == (CHALLENGER, CHAMPION)
    assert 1.7e15 < version.created_us < 1e16
    assert registry.champion() == version


def test_a_version_without_tags_is_still_listed(registry: Registry) -> None:
    version = registry.version(add_bare_version(registry))
    assert version.definition is None
    assert version.test_as_of == 0


def test_an_unknown_version_names_those_that_there_are(registry: Registry) -> None:
    with pytest.raises(ModelNotFoundError, match="value has no version 1; there are: none yet: run `fivefold train`"):
        registry.version(1)
    add_bare_version(registry)
    add_bare_version(registry)
    with pytest.raises(ModelNotFoundError, match=r"value has no version 7; there are: 2, 1$"):
        registry.version(7)


def test_other_models_in_the_same_mlflow_are_left_alone(registry: Registry) -> None:
    add_bare_version(registry)
    other = Registry(registry.settings, "other")
    assert other.versions() == []
    assert other.champion() is None
    assert add_bare_version(other) == 1
    assert [version.number for version in registry.versions()] == [1]


def test_a_loaded_version_scores_the_same_bits(filled: Registry) -> None:
    loaded = filled.load(1)
    assert loaded.content_hash == value_model().content_hash
    before, after = value_model().scores(reference_matrix()), loaded.scores(reference_matrix())
    assert before.score.tobytes() == after.score.tobytes()


@pytest.mark.parametrize("uri", ["models:/value/1", "models:/value@champion", "models:/value@challenger"])
def test_a_version_is_loaded_by_its_address(filled: Registry, uri: str) -> None:
    assert filled.load_uri(uri).content_hash == value_model().content_hash


def test_the_champion_is_loaded_by_its_alias(filled: Registry) -> None:
    assert filled.load_champion().content_hash == value_model().content_hash


@pytest.mark.parametrize("uri", ["value/1", "runs:/abc/model", "/tmp/model", "", "models:/value", "models:/value/abc"])
def test_an_address_of_another_kind_is_refused(filled: Registry, uri: str) -> None:
    with pytest.raises(ConfigError, match="it must be models:/NAME/VERSION or models:/NAME@ALIAS"):
        filled.load_uri(uri)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Max retries exceeded"),
        PermissionError("denied"),
        MlflowException("failures occurred while downloading"),
        MlflowException("API request failed", TEMPORARILY_UNAVAILABLE),
    ],
)
def test_files_that_cannot_be_read_now_are_not_called_gone(
    filled: Registry, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def away(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", away)
    with pytest.raises(RegistryError, match="models:/value/1 cannot be loaded from sqlite:///"):
        filled.load(1)


def test_a_registry_that_is_away_does_not_say_that_a_version_is_gone(
    filled: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise MlflowException("away", TEMPORARILY_UNAVAILABLE)

    monkeypatch.setattr(MlflowClient, "get_model_version", away)
    with pytest.raises(RegistryError, match="cannot be asked for this: away"):
        filled.version(1)
    monkeypatch.setattr(MlflowClient, "download_artifacts", away)
    with pytest.raises(RegistryError, match="cannot be asked for this: away"):
        filled.artifact("run", "model_card.md")


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("set_terminated", ("run",)),
        ("get_run", ("run",)),
        ("search_runs", (["1"],)),
        ("create_run", ("1",)),
        ("list_artifacts", ("run",)),
        ("search_model_versions", ()),
        ("set_registered_model_alias", ("value", "champion", "1")),
    ],
)
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MlflowException("away", TEMPORARILY_UNAVAILABLE), RegistryError),
        (ConnectionError("away"), RegistryError),
        (MlflowException("Run 'run' not found", RESOURCE_DOES_NOT_EXIST), ModelNotFoundError),
    ],
)
def test_every_call_of_the_client_fails_with_an_error_of_ours(
    filled: Registry,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    arguments: tuple[Any, ...],
    error: Exception,
    kind: type[Exception],
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(MlflowClient, method, failing)
    with pytest.raises(kind, match=str(error)) as refused:
        getattr(filled.client, method)(*arguments)
    assert refused.type is kind


def test_a_registry_that_takes_no_run_is_named(filled: Registry) -> None:
    words = f"the registry of models, {filled.settings.var}, takes no run: disk full"
    with pytest.raises(RegistryError, match=words), filled.logging():
        raise MlflowException("disk full")
    with pytest.raises(FileNotFoundError), filled.logging():
        raise FileNotFoundError("a picture of our own")


def test_a_full_disk_is_told_whatever_mlflow_says_of_it(filled: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: Any, **__: Any) -> None:
        with closing(sqlite3.connect(":memory:")) as database:
            database.execute("PRAGMA max_page_count = 1")
            try:
                database.execute("CREATE TABLE too_much (number)")
            except sqlite3.Error as error:
                raise MlflowException("(raised as a result of Query-invoked autoflush)\n[SQL: INSERT]") from error

    monkeypatch.setattr(MlflowClient, "create_run", fill)
    with pytest.raises(RegistryError) as refused:
        filled.client.create_run("1")
    place = filled.settings.var
    assert str(refused.value) == f"the registry of models, {place}, cannot be asked for this: its disk is full"
    with pytest.raises(OSError, match="No space") as caught, filled.logging():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename in {str(place), tempfile.gettempdir()}


@pytest.mark.parametrize("uri", ["models:/value/99", "models:/nobody/1", "models:/value@nobody"])
def test_an_address_of_nothing_says_where_was_looked(filled: Registry, uri: str) -> None:
    with pytest.raises(ModelNotFoundError, match=rf"{uri} cannot be loaded from sqlite:///"):
        filled.load_uri(uri)


def test_without_a_champion_the_message_says_how_to_get_one(registry: Registry) -> None:
    with pytest.raises(ModelNotFoundError, match="run `fivefold train`, or promote a version"):
        registry.load_champion()
    add_bare_version(registry)
    with pytest.raises(ModelNotFoundError, match="value has no champion"):
        registry.load_champion()


def test_where_other_models_are_registered_the_message_names_them(registry: Registry) -> None:
    assert registry.others_text() == ""
    for name in ("shop", "bank"):
        registry.client.create_registered_model(name)
    with pytest.raises(ModelNotFoundError, match=r"\. Registered are bank, shop: a command takes one by --name$"):
        registry.load_champion()


def test_a_registry_elsewhere_is_named_by_its_address_where_it_has_no_champion(tmp_path: Path) -> None:
    (tmp_path / "other.db").write_bytes(empty_database())
    elsewhere = Registry(Settings(tmp_path / "var", tracking=f"sqlite:///{tmp_path}/other.db"), "value")
    with pytest.raises(ModelNotFoundError, match=rf"^value has no champion in sqlite:///{tmp_path}/other\.db: run"):
        elsewhere.load_champion()


def test_artifacts_that_are_gone_are_an_error_that_names_the_version(registry: Registry, tmp_path: Path) -> None:
    number = add_version(registry, value_model(), tmp_path / "model")
    shutil.rmtree(registry.settings.artifacts)
    with pytest.raises(ModelError, match=f"value/{number}|value_model"):
        registry.load(number)


def test_a_version_of_another_catalogue_is_refused_by_whoever_loads_it(registry: Registry, tmp_path: Path) -> None:
    number = add_version(registry, value_model(), tmp_path / "model")
    (written,) = registered_files(registry.settings.artifacts, "model.json")
    fingerprint = value_model().fingerprint
    written.write_text(written.read_text(encoding="utf-8").replace(fingerprint, "f" * 64), encoding="utf-8")
    with pytest.raises(FingerprintMismatchError):
        registry.load(number)


def test_two_registries_in_one_process_do_not_mix(registry: Registry, tmp_path: Path) -> None:
    other = new_registry(tmp_path / "other")
    add_version(registry, value_model("poisson"), tmp_path / "model")  # though the other was opened last
    assert len(registry.versions()) == 1
    assert other.versions() == []
    add_version(other, value_model("tweedie"), tmp_path / "model2")
    assert registry.load(1).objective == "poisson"
    assert other.load(1).objective == "tweedie"
    assert registry.load_uri("models:/value/1").objective == "poisson"


def test_a_registry_that_cannot_be_asked_is_not_taken_for_one_without_a_champion(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> None:
        raise MlflowException("database is locked", TEMPORARILY_UNAVAILABLE)

    registry.set_alias(CHAMPION, add_bare_version(registry))
    monkeypatch.setattr(MlflowClient, "get_model_version_by_alias", unavailable)
    with pytest.raises(RegistryError, match="locked"):
        registry.champion()


def test_a_server_that_says_nothing_is_named_while_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() == 20
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(registry_module, "SLOW_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(RegistryError, match=f"MLFLOW_TRACKING_URI is {address}, which cannot be asked"):
            Registry(Settings(tmp_path, tracking=address), "m")
    assert caplog.messages == [f"waiting for the registry of models at {address}, which does not answer"]


def test_the_logged_model_is_a_real_mlflow_model_with_its_signature(filled: Registry) -> None:
    filled.use()
    found = mlflow.models.get_model_info("models:/value/1")
    assert found.signature == transactions_signature(value_model())
    of_indicators = mlflow.models.get_model_info(filled.version(1).tags[INDICATORS_TAG])
    assert of_indicators.signature == indicators_signature(value_model())


@pytest.mark.parametrize(
    ("revision", "problem"),
    [
        ("ffffffffffff", f"it was made by another release of MLflow than {mlflow.__version__}; install that one$"),
        ("451aebb31d03", "out-of-date database schema .* run 'mlflow db upgrade"),
    ],
)
def test_a_registry_of_another_mlflow_says_what_to_do(tmp_path: Path, revision: str, problem: str) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty_database())
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    with pytest.raises(RegistryError, match=problem):
        Registry(Settings(var=tmp_path), "value")


def test_an_empty_file_is_a_damaged_registry_and_stays_as_it_is(tmp_path: Path) -> None:
    here = Settings(var=tmp_path)
    here.registry.touch()
    for _ in range(2):
        with pytest.raises(RegistryError, match=f"^{here.registry} is empty; restore it from a backup, or remove it"):
            Registry(here, "value")
        with pytest.raises(RegistryError, match="is empty"):
            load_value_model(here, None, "value")
    assert here.registry.stat().st_size == 0


def test_a_folder_of_another_account_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are loaded from there, and what loads them is run."""
    there = Settings(var=tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="it must belong to this account"):
        Registry(there, "value")
    assert list(tmp_path.iterdir()) == []


def test_trees_are_those_of_the_first_version_also_where_one_between_was_deleted(registry: Registry) -> None:
    add_bare_version(registry, content_hash="a")
    add_bare_version(registry, content_hash="b", **{PARENT_TAG: "1", PARENT_HASH_TAG: "a"})  # before there was the tag
    add_bare_version(registry, content_hash="c", **{PARENT_TAG: "2", PARENT_HASH_TAG: "b"})
    add_bare_version(registry, **{PARENT_TAG: "2", PARENT_HASH_TAG: "b", TREES_TAG: f"{registry.name}/1"})
    assert [registry.trees_of(version) for version in registry.versions()] == [1] * 4
    registry.client.delete_model_version(registry.name, "2")
    assert [registry.trees_of(version) for version in registry.versions()] == [1, 2, 1], "2 is the last that is known"


@pytest.mark.parametrize("tags", [{}, {TREES_TAG: "value/1"}])
@pytest.mark.parametrize("others", [0, 1, 2, 3])
def test_a_version_that_was_copied_under_another_name_has_trees_of_its_own(
    registry: Registry, tags: dict[str, str], others: int
) -> None:
    add_bare_version(registry, content_hash="a")
    add_bare_version(registry, content_hash="b", **{PARENT_TAG: "1", PARENT_HASH_TAG: "a"}, **tags)
    elsewhere = Registry(registry.settings, "elsewhere")
    for number in range(others):
        add_bare_version(elsewhere, content_hash=f"other {number}")
    if not others:
        elsewhere.client.create_registered_model("elsewhere")
    copied = elsewhere.client.create_model_version("elsewhere", "file:///nowhere", tags=dict(registry.version(2).tags))
    newest = elsewhere.version(int(copied.version))
    assert newest.number == others + 1
    assert elsewhere.trees_of(newest) == newest.number
