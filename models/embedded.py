"""The embedded registry's database file, read and updated without MLflow, which takes seconds to import.

This module rewrites addresses when the folder was moved, looks up the champion's folder, and loads a model by its
address: the champion without MLflow, any other one with it.
A file in an unexpected form (another release of MLflow may have other tables) is left to MLflow.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fivefold.domain.errors import ConfigError, ModelError, ModelNotFoundError, RegistryError
from fivefold.domain.files import causes, put_in_place
from fivefold.domain.settings import VARIABLE_VAR, Settings, model_address, parse_model_uri, require_model_name
from fivefold.models.value_model import ValueModel, missing_files

ARTIFACT = Path("artifacts") / "value_model"
"""Where a registered model keeps its value model."""
RESTORE = "restore the files of the registry from a backup, or promote another version"
"""The remedy for a version that has lost files."""
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_WAIT_SECONDS = 30.0
_REMOVED = "Deleted_Internal"
"""The stage of a version that was removed in MLflow."""
_MOST_NAMES = 10
"""Most models that an error names."""


@dataclass(frozen=True)
class EmbeddedChampion:
    """The champion as the registry's file records it.

    Attributes:
        version: its number.
        folder: of its value model.
        content_hash: of the model that was registered; None where it was not recorded.
    """

    version: int
    folder: Path
    content_hash: str | None


def relocate(settings: Settings) -> int:
    """Point the addresses of artifacts to the present folder; return the number of experiments changed.

    MLflow stores absolute addresses, so a folder that was moved or restored elsewhere would lose every model.
    An experiment stays unchanged while its files are at the old place and not in the present folder.
    """
    if not settings.embedded or not settings.registry.is_file():
        return 0
    with suppress(sqlite3.Error), _opened(settings.registry) as database:
        changes = _moved(database, settings.artifacts)
        for before, now in changes:
            for table, column in _ADDRESSES:
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 (names of ours)
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (now.as_uri(), len(before) + 1, before, len(before) + 1, f"{before}/"),
                )
        database.commit()
        return len(changes)
    return 0


@contextmanager
def _opened(registry: Path) -> Iterator[sqlite3.Connection]:
    """Open the registry's file; what else is wrong with it is left to MLflow.

    RegistryError where another process has locked it for longer than is waited: MLflow would wait for it again and
    again, two minutes together.
    """
    try:
        with closing(sqlite3.connect(registry, timeout=_WAIT_SECONDS)) as database:
            yield database
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise RegistryError(f"{registry} cannot be opened: {error}; another process holds it") from None
        raise


def create_registry(registry: Path) -> None:
    """Let MLflow make the registry's file if it does not exist.

    MLflow does that in many transactions, so it works on another file. A process that dies leaves no registry, and the
    next one begins anew. The caller holds the lock of the registry. An older file is left to MLflow, which upgrades it
    in place: other processes may write to it meanwhile.
    """
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine  # noqa: PLC0415 (MLflow takes seconds to import)

    if registry.exists():
        return
    unfinished = registry.with_name(f".{registry.name}.unfinished")
    _remove(unfinished)
    engine = create_sqlalchemy_engine(f"sqlite:///{unfinished}")  # type: ignore[no-untyped-call]  # MLflow annotates nothing here
    try:
        _initialize_tables(engine)  # type: ignore[no-untyped-call]  # as above
    finally:
        engine.dispose()
    put_in_place(unfinished, registry)


def _remove(file: Path) -> None:
    """Remove a SQLite file with its companion files."""
    for end in ("", "-journal", "-wal", "-shm"):
        file.with_name(f"{file.name}{end}").unlink(missing_ok=True)


def without_models_text(registry: Path, error: BaseException) -> str:
    """Say what to do with a file whose tables MLflow cannot use and that has no model; empty where it may have one.

    Empty too for any other error, such as of a full disk or of a file that another process has locked.
    """
    of_sqlite = next((cause for cause in causes(error) if isinstance(cause, sqlite3.Error)), None)
    if getattr(of_sqlite, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR:
        return ""
    with suppress(sqlite3.Error), closing(sqlite3.connect(registry, timeout=_WAIT_SECONDS)) as database:
        if database.execute("SELECT 1 FROM registered_models LIMIT 1").fetchone() is None:
            return "; it has no model: remove it to begin anew"
    return ""


def no_versions_text(settings: Settings, name: str) -> str:
    """Say that a model has no versions, and what to do; ConfigError where no training could make the first there.

    Models of other names come first, as it is one of these that is meant; then a registry that was lost: a training
    would begin another one.
    """
    if settings.embedded and settings.var.exists() and not settings.var.is_dir():
        raise ConfigError(f"{settings.var} is not a folder; {VARIABLE_VAR} must name one")
    others = _embedded_names(settings, name)
    if others:
        return (
            f"{name} has no versions in {settings.registry_shown}: models there are {', '.join(others)}; a command "
            "takes one by --name, the service and workers by FIVEFOLD_MODEL"
        )
    return (
        f"{name} has no versions in {settings.registry_shown}: if it was trained before, look for its registry, which "
        f"{VARIABLE_VAR} or MLFLOW_TRACKING_URI names; if not, run `fivefold train`"
    )


def _embedded_names(settings: Settings, name: str) -> list[str]:
    """Return the embedded registry's models with versions, except *name*; empty if its file cannot be read."""
    if not settings.embedded or not settings.registry.is_file():
        return []
    with suppress(sqlite3.Error, RegistryError), _opened(settings.registry) as database:
        query = "SELECT DISTINCT name FROM model_versions WHERE name != ? AND current_stage != ? ORDER BY name LIMIT ?"
        return [other for (other,) in database.execute(query, (name, _REMOVED, _MOST_NAMES))]
    return []


def require_registry(settings: Settings, name: str) -> None:
    """Raise ModelNotFoundError without a registry: to open the embedded one would create it.

    Workers take one that was just created, and has no champion, for one whose champion was withdrawn.
    """
    if not settings.has_registry:
        raise ModelNotFoundError(no_versions_text(settings, name))


def require_not_empty(settings: Settings) -> None:
    """Raise RegistryError where the embedded registry's file is empty: MLflow would begin a new registry over it."""
    if settings.embedded and settings.registry.is_file() and settings.registry.stat().st_size == 0:
        raise RegistryError(f"{settings.registry} is empty; restore it from a backup, or remove it to begin anew")


def embedded_champion(settings: Settings, name: str) -> EmbeddedChampion | None:
    """Return the champion of a model; None if it has none, or if only MLflow can find it."""
    if not settings.embedded or not settings.registry.is_file():
        return None
    relocate(settings)
    with suppress(sqlite3.Error), _opened(settings.registry) as database:
        row = database.execute(
            "SELECT v.version, v.storage_location, t.value FROM registered_model_aliases a "
            "JOIN model_versions v ON v.workspace = a.workspace AND v.name = a.name AND v.version = a.version "
            "LEFT JOIN model_version_tags t ON t.workspace = v.workspace AND t.name = v.name "
            "AND t.version = v.version AND t.key = 'content_hash' "
            "WHERE a.workspace = 'default' AND a.name = ? AND a.alias = 'champion'",
            (name,),
        ).fetchone()
        path = None if row is None else _path(_present_address(database, settings, row[1] or ""))
        if path is not None and (path / ARTIFACT).is_dir():
            return EmbeddedChampion(int(row[0]), path / ARTIFACT, row[2])
    return None


def _present_address(database: sqlite3.Connection, settings: Settings, address: str) -> str:
    """Point an address to the present folder, as `relocate` does: it cannot where the file may only be read."""
    for before, now in _moved(database, settings.artifacts):
        if address == before or address.startswith(f"{before}/"):
            return f"{now.as_uri()}{address.removeprefix(before)}"
    return address


def load_embedded_champion(champion: EmbeddedChampion) -> ValueModel:
    """Load the champion; errors as `ValueModel.load`, and ModelError if it is not the registered model."""
    where = f"version {champion.version}"
    model = load_files(champion.folder, where)
    require_registered(model.content_hash, champion.content_hash, where)
    return model


def load_files(folder: Path, where: str) -> ValueModel:
    """Load the files of a registered version; errors as `ValueModel.load`, with a remedy for a missing file."""
    if missing := missing_files(folder):
        raise ModelError(f"{missing} of {where} is missing in {folder}: {RESTORE}")
    return ValueModel.load(folder)


def require_registered(content_hash: str, registered: str | None, where: str) -> None:
    """Raise ModelError if a model's hash differs from the one recorded at its registration, if one was."""
    if registered and registered != content_hash:
        raise ModelError(f"{where} is not the model that was registered: its files were changed since")


def _locations(database: sqlite3.Connection, artifacts: Path) -> list[tuple[str, Path]]:
    """Return the address of each of our experiments, with the folder where its files belong now."""
    rows = database.execute("SELECT name, artifact_location FROM experiments").fetchall()
    return [
        (location, artifacts / name)
        for name, location in rows
        if (path := _path(location or "")) is not None and path.parts[-2:] == (artifacts.name, name)
    ]


def _moved(database: sqlite3.Connection, artifacts: Path) -> list[tuple[str, Path]]:
    """List those of `_locations` whose files are in the present folder and not where the file says."""
    return [pair for pair in _locations(database, artifacts) if _has_moved(*pair)]


def _has_moved(before: str, now: Path) -> bool:
    old = _path(before)
    if old is None or old == now:
        return False
    try:
        is_there = old.parent.exists()
    except OSError:  # it possibly belongs to another account, and cannot be read
        return now.exists()
    if is_there and now.parent.exists() and now.parent.samefile(old.parent):
        return False  # the same folder under another name
    return now.exists() or not is_there


def _path(uri: str) -> Path | None:
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _name_in(uri: str) -> str:
    """Give the name of the model in an address; the ConfigError of what may be a folder says how one is given."""
    try:
        return parse_model_uri(uri)[0]
    except ConfigError as error:
        if "/" in uri:
            raise
        raise ConfigError(f"{error}; a folder is given with a slash, such as ./{uri}") from None


def load_value_model(settings: Settings, uri: str | None, name: str) -> ValueModel:
    """Load the model of an address, see `model_address`, or of a folder, which has a slash; by default the champion.

    The champion of the embedded registry is read from its folder: opening MLflow takes longer than scoring a file.

    Raises:
        ConfigError: the name or the address is invalid.
        ModelError: there is no such version or folder, or it cannot be loaded.
    """
    require_model_name(name)
    if uri and "/" in uri and ":/" not in uri:
        return ValueModel.load(Path(uri))
    uri = model_address(uri, name) if uri else None
    embedded = None if uri else embedded_champion(settings, name)
    if embedded is not None:
        return load_embedded_champion(embedded)
    require_registry(settings, _name_in(uri) if uri else name)
    from fivefold.models.registry import Registry  # noqa: PLC0415 (MLflow takes seconds to import)

    registry = Registry(settings, name)
    return registry.load_uri(uri) if uri else registry.load_champion()
