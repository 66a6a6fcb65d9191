"""The embedded registry is a folder: it may be moved, copied and restored, and its champion is found without MLflow."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import alembic.command
import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.db.utils import _get_alembic_config

from fivefold.domain.errors import ConfigError, ModelError, ModelNotFoundError, PromotionRefusedError, RegistryError
from fivefold.domain.settings import Settings
from fivefold.models import embedded
from fivefold.models.embedded import (
    embedded_champion,
    load_embedded_champion,
    load_value_model,
    relocate,
    without_models_text,
)
from fivefold.models.promotions import promote, rollback
from fivefold.models.registry import CHAMPION, Registry
from tests.models.making import (
    add_bare_version,
    add_version,
    new_registry,
    reference_matrix,
    registered_files,
    value_model,
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one version, the champion; copied, never changed."""
    folder = tmp_path_factory.mktemp("original")
    registry = new_registry(folder / "var")
    model = value_model()
    number = add_version(registry, model, folder / "saved", content_hash=model.content_hash, gate_promote="true")
    promote(registry, number)
    registry.client._tracking_client.store.engine.dispose()
    return folder / "var"


@pytest.fixture
def copied(original: Path, tmp_path: Path) -> Path:
    """The folder at another place, as a restore puts it there."""
    return Path(shutil.copytree(original, tmp_path / "restored here" / "var"))


@pytest.fixture
def moved(copied: Path) -> Path:
    """The folder at another place, and nothing where it was."""
    return registered_in(copied.parent / "gone", copied)


def registered_in(before: Path, copied: Path) -> Path:
    """Record in a copy that its files were in another folder *before*."""
    with sqlite3.connect(copied / "mlflow.db") as database:
        for (present,) in database.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall():
            recorded = (before / "artifacts" / "value").as_uri()
            for table, column in (
                ("experiments", "artifact_location"),
                ("runs", "artifact_uri"),
                ("logged_models", "artifact_location"),
                ("model_versions", "storage_location"),
            ):
                database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (present, recorded))
    return copied


def ends_while_it_migrates(*_: object, **__: object) -> None:
    raise SystemExit(137)


def test_a_registry_whose_process_died_while_it_was_made_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(var=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(alembic.command, "upgrade", ends_while_it_migrates)
        with pytest.raises(SystemExit):
            Registry(settings, "value")
    assert [path.name for path in tmp_path.glob(".mlflow*")] == [".mlflow.db.unfinished"]
    assert not settings.has_registry
    assert Registry(settings, "value").versions() == []
    assert not list(tmp_path.glob(".mlflow*"))


def test_a_registry_of_an_older_release_is_upgraded_in_place(copied: Path) -> None:
    registry, settings = copied / "mlflow.db", Settings(var=copied)
    newest = revision(registry)
    alembic.command.downgrade(_get_alembic_config(f"sqlite:///{registry}"), "-1")
    assert revision(registry) != newest
    assert [version.number for version in Registry(settings, "value").versions()] == [1]
    assert revision(registry) == newest


@pytest.mark.filterwarnings("ignore:Unnamed CHECK constraint")
def test_a_registry_that_cannot_be_opened_and_has_no_model_may_be_removed(tmp_path: Path) -> None:
    """An earlier release left it so where it was ended while it made the file."""
    new_registry(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "half")  # MLflow looks at a file once in a process
    with sqlite3.connect(tmp_path / "half" / "mlflow.db") as database:
        database.execute("DROP TABLE jobs")
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")  # an early one
    with pytest.raises(
        RegistryError, match=r"mlflow.db cannot be opened: .*; it has no model: remove it to begin anew$"
    ):
        Registry(Settings(var=tmp_path / "half"), "value")


def test_a_registry_that_another_process_has_locked_is_not_to_be_removed(tmp_path: Path) -> None:
    new_registry(tmp_path)
    other, waiting = (sqlite3.connect(tmp_path / "mlflow.db", timeout=0) for _ in range(2))
    with closing(other), closing(waiting):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked") as locked:
            waiting.execute("BEGIN IMMEDIATE")
    error = MlflowException("cannot be migrated")
    error.__cause__ = locked.value
    assert without_models_text(tmp_path / "mlflow.db", error) == ""


def revision(registry: Path) -> str:
    with closing(sqlite3.connect(registry)) as database:
        return str(database.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def locations(var: Path) -> list[str]:
    with sqlite3.connect(var / "mlflow.db") as database:
        return [row[0] for row in database.execute("SELECT storage_location FROM model_versions")]


def test_a_registry_that_another_process_has_locked_is_waited_for_once(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_WAIT_SECONDS", 0.05)
    settings = Settings(copied)
    with closing(sqlite3.connect(settings.registry)) as database:
        database.execute("BEGIN EXCLUSIVE")
        for ask in (embedded_champion, Registry, lambda *at: load_value_model(at[0], None, at[1])):
            with pytest.raises(RegistryError, match=r"cannot be opened: database is locked; another process holds it"):
                ask(settings, "customer-value")


def test_a_folder_that_was_moved_keeps_its_models(moved: Path) -> None:
    registry = Registry(Settings(var=moved), "value")
    assert registry.load_champion().content_hash == value_model().content_hash
    assert locations(moved)[0].startswith((moved / "artifacts").as_uri())
    registry.use()
    loaded = mlflow.pyfunc.load_model("models:/value@champion")
    assert loaded.unwrap_python_model().value_model.content_hash == value_model().content_hash


def test_a_copy_reads_its_own_files_and_not_those_of_the_original(original: Path, copied: Path) -> None:
    registry = Registry(Settings(var=copied), "value")
    (written,) = registered_files(copied, "booster.txt")
    written.unlink()
    with pytest.raises(ModelError, match="booster"):
        registry.load(1)
    assert Registry(Settings(var=original), "value").load(1).content_hash == value_model().content_hash


def test_a_copy_from_where_nothing_can_be_looked_into_reads_its_own_files(copied: Path) -> None:
    """A folder of another account fails like a name that is too long: its files may be there or not."""
    elsewhere = registered_in(Path("/", "a" * 300), copied)
    kept = embedded_champion(Settings(var=elsewhere), "value")
    assert kept is not None
    assert kept.folder.is_relative_to(copied)
    (copied / "artifacts").rename(copied / "aside")
    registered_in(Path("/", "a" * 300), copied)
    assert relocate(Settings(var=copied)) == 0


def test_a_copy_that_may_only_be_read_gives_the_champion_of_its_own_files(copied: Path) -> None:
    registered_in(Path("/", "a" * 300), copied)
    with closing(sqlite3.connect(copied / "mlflow.db")) as database:
        database.execute("CREATE TRIGGER kept BEFORE UPDATE ON experiments BEGIN SELECT RAISE(ABORT, 'kept'); END")
    before = locations(copied)
    assert load_value_model(Settings(var=copied), None, "value").content_hash == value_model().content_hash
    assert locations(copied) == before


def test_the_same_folder_under_another_name_is_left_alone(original: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(original)
    before = locations(original)
    assert relocate(Settings(var=tmp_path / "linked")) == 0
    assert locations(original) == before
    assert Registry(Settings(var=tmp_path / "linked"), "value").load(1)


def test_records_without_files_still_read_those_that_are_elsewhere(original: Path, tmp_path: Path) -> None:
    shutil.copy(original / "mlflow.db", tmp_path)
    assert relocate(Settings(var=tmp_path)) == 0
    assert Registry(Settings(var=tmp_path), "value").load(1)


def test_what_is_registered_after_a_move_is_kept_in_the_new_folder(moved: Path, tmp_path: Path) -> None:
    registry = Registry(Settings(var=moved), "value")
    assert add_version(registry, value_model("poisson"), tmp_path / "saved") == 2
    assert registry.load(2).objective == "poisson"
    assert not (moved.parent / "gone").exists()


def test_a_file_that_is_no_registry_is_left_to_mlflow(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database")
    assert relocate(Settings(var=tmp_path)) == 0
    assert embedded_champion(Settings(var=tmp_path), "value") is None
    assert relocate(Settings(var=tmp_path / "nothing")) == 0
    assert embedded_champion(Settings(var=tmp_path / "nothing"), "value") is None


def test_the_champion_is_found_without_mlflow(moved: Path) -> None:
    kept = embedded_champion(Settings(var=moved), "value")
    assert kept is not None
    assert (kept.version, kept.content_hash) == (1, value_model().content_hash)
    assert load_embedded_champion(kept).content_hash == value_model().content_hash
    assert embedded_champion(Settings(var=moved), "nobody") is None


def test_without_a_registry_the_model_of_the_address_is_named(tmp_path: Path) -> None:
    for uri, name in (("models:/other/1", "other"), ("models:/other@champion", "other"), (None, "value")):
        with pytest.raises(ModelNotFoundError, match=f"^{name} has no versions in {tmp_path}"):
            load_value_model(Settings(var=tmp_path), uri, "value")


def test_what_may_be_a_folder_is_refused_with_a_word_of_how_one_is_given(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"or the number of a version; a folder is given with a slash, such as \./m$"):
        load_value_model(Settings(var=tmp_path), "m", "value")
    with pytest.raises(ConfigError, match=r"or the number of a version$"):
        load_value_model(Settings(var=tmp_path), "models:/m", "value")


def test_a_version_whose_files_were_saved_anew_is_not_the_one_that_was_registered(copied: Path) -> None:
    registry = Registry(Settings(var=copied), "value")
    (written,) = registered_files(copied, "model.json")
    value_model("poisson").save(written.parent)
    kept = embedded_champion(registry.settings, "value")
    assert kept is not None
    with pytest.raises(ModelError, match="version 1 is not the model that was registered"):
        load_embedded_champion(kept)
    with pytest.raises(ModelError, match="not the model that was registered"):
        registry.load(1)
    for uri in ("models:/value/1", "models:/value@champion"):
        with pytest.raises(ModelError, match=f"{uri} is not the model that was registered"):
            registry.load_uri(uri)


def test_a_version_that_does_not_load_is_never_made_champion(copied: Path, tmp_path: Path) -> None:
    registry = Registry(Settings(var=copied), "value")
    empty = add_bare_version(registry)
    with pytest.raises(PromotionRefusedError, match=f"version {empty} does not load, so the champion stays"):
        promote(registry, empty, force=True, reason="because")
    champion = registry.champion()
    assert champion is not None
    assert champion.number == 1


def test_a_rollback_to_a_version_that_does_not_load_is_refused(copied: Path, tmp_path: Path) -> None:
    registry = Registry(Settings(var=copied), "value")
    second = add_version(registry, value_model("poisson"), tmp_path / "saved")
    promote(registry, second, force=True, reason="a change")
    first = next(path for path in registered_files(copied, "model.json") if "tweedie" in path.read_text())
    first.unlink()
    with pytest.raises(PromotionRefusedError, match="version 1 does not load"):
        rollback(registry)
    assert registry.champion() == registry.version(second)
    assert CHAMPION in registry.version(second).aliases


def test_a_rollback_to_a_version_that_is_gone_names_an_earlier_champion(copied: Path, tmp_path: Path) -> None:
    registry = Registry(Settings(var=copied), "value")
    for number in (2, 3):
        assert add_version(registry, value_model("poisson"), tmp_path / str(number)) == number
        promote(registry, number, force=True, reason="a change")
    registry.client.delete_model_version("value", "2")
    way = "version 1 was champion earlier; promote it with --force --reason TEXT"
    with pytest.raises(PromotionRefusedError, match=f"^version 2 does not load, so the champion stays: .*; {way}$"):
        rollback(registry)
    registry.client.delete_model_version("value", "3")
    with pytest.raises(PromotionRefusedError, match=f"^version 2 does not load, and nothing serves: .*; {way}$"):
        rollback(registry)
    registry.client.delete_model_version("value", "1")
    with pytest.raises(PromotionRefusedError, match=r"^version 2 does not load, .* not found$"):
        rollback(registry)


def test_a_version_that_no_service_could_import_is_never_made_champion(copied: Path, tmp_path: Path) -> None:
    registry = Registry(Settings(var=copied), "value")
    second = add_version(registry, value_model("poisson"), tmp_path / "saved")
    promote(registry, second, force=True, reason="a change")
    first = next(path for path in registered_files(copied, "model.json") if "tweedie" in path.read_text())
    description = first.parents[2] / "MLmodel"
    text = description.read_text(encoding="utf-8")
    for left in (None, "", "flavors: [", text.replace("python_function:", "another:")):
        description.unlink() if left is None else description.write_text(left, encoding="utf-8")
        with pytest.raises(PromotionRefusedError, match=r"version 1 .*: models:/value/1 cannot be served"):
            rollback(registry)
        assert registry.champion() == registry.version(second)
        registry.load(1)  # files alone can still be scored with it
        description.write_text(text, encoding="utf-8")
    assert rollback(registry).version == 1


@pytest.mark.parametrize("uri", [None, "models:/value/1"])
def test_a_file_that_is_gone_is_named_with_the_version_and_a_remedy(copied: Path, uri: str | None) -> None:
    settings = Settings(var=copied)
    assert load_value_model(settings, uri, "value")
    (written,) = registered_files(copied, "booster.txt")
    written.unlink()
    remedy = "restore the files of the registry from a backup, or promote another version"
    with pytest.raises(ModelError) as refused:
        load_value_model(settings, uri, "value")
    assert str(refused.value) == f"booster.txt of {uri or 'version 1'} is missing in {written.parent}: {remedy}"
    shutil.rmtree(copied / "artifacts" / "value")
    with pytest.raises(ModelNotFoundError, match=f"^models:/value/1 .*: its files are gone: {remedy}$"):
        load_value_model(settings, uri, "value")


def test_artifacts_that_are_gone_are_named_in_one_line(copied: Path) -> None:
    shutil.rmtree(copied / "artifacts")
    with sqlite3.connect(copied / "mlflow.db") as database:
        database.execute("UPDATE model_versions SET storage_location = 'file:///nowhere/artifacts/value/models/m-1'")
    with pytest.raises(ModelNotFoundError, match="models:/value/1") as refused:
        Registry(Settings(var=copied), "value").load(1)
    assert "\n" not in str(refused.value)


def test_a_loaded_version_scores_the_same_bits(moved: Path) -> None:
    loaded = Registry(Settings(var=moved), "value").load(1)
    before, after = value_model().scores(reference_matrix()), loaded.scores(reference_matrix())
    assert before.score.tobytes() == after.score.tobytes()
