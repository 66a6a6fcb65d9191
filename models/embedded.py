"""The embedded registry's own file, read and mended without MLflow, which takes seconds to import.

Only two things are done here: addresses follow the folder when it is moved, and the champion's folder is looked up.
Whatever does not look as expected (another release of MLflow may lay its tables out otherwise) is left to MLflow.
"""

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fivefold.domain.errors import ModelError
from fivefold.domain.settings import Settings
from fivefold.models.value_model import ValueModel

ARTIFACT = Path("artifacts") / "value_model"
"""Where a registered model keeps its value model."""
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Kept:
    """The champion as the file of the registry has it.

    Attributes:
        version: its number.
        folder: of its value model.
        content_hash: what was registered; None where nothing was noted.
    """

    version: int
    folder: Path
    content_hash: str | None


def relocate(settings: Settings) -> int:
    """Make the addresses of artifacts those of the present folder; give how many experiments were moved.

    MLflow keeps absolute addresses, so a folder that was moved or restored elsewhere would lose every model.
    An experiment stays as it is where its files are still where they were and not in the present folder.
    """
    if not settings.embedded or not settings.registry.is_file():
        return 0
    with suppress(sqlite3.Error), closing(sqlite3.connect(settings.registry, timeout=_WAIT_SECONDS)) as database:
        moved = [pair for pair in _locations(database, settings.artifacts) if _has_moved(*pair)]
        for before, now in moved:
            for table, column in _ADDRESSES:
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 (names of ours)
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (now.as_uri(), len(before) + 1, before, len(before) + 1, f"{before}/"),
                )
        database.commit()
        return len(moved)
    return 0


def kept_champion(settings: Settings, name: str) -> Kept | None:
    """Find the champion of a model; None where there is none, or where MLflow itself must be asked."""
    if not settings.embedded or not settings.registry.is_file():
        return None
    relocate(settings)
    with suppress(sqlite3.Error), closing(sqlite3.connect(settings.registry, timeout=_WAIT_SECONDS)) as database:
        row = database.execute(
            "SELECT v.version, v.storage_location, t.value FROM registered_model_aliases a "
            "JOIN model_versions v ON v.workspace = a.workspace AND v.name = a.name AND v.version = a.version "
            "LEFT JOIN model_version_tags t ON t.workspace = v.workspace AND t.name = v.name "
            "AND t.version = v.version AND t.key = 'content_hash' "
            "WHERE a.workspace = 'default' AND a.name = ? AND a.alias = 'champion'",
            (name,),
        ).fetchone()
        path = None if row is None else _path(row[1] or "")
        if path is not None and (path / ARTIFACT).is_dir():
            return Kept(int(row[0]), path / ARTIFACT, row[2])
    return None


def load_kept(kept: Kept) -> ValueModel:
    """Load the champion that was found; errors as of `ValueModel.load`, and ModelError where it is another one."""
    model = ValueModel.load(kept.folder)
    require_registered(model, kept.content_hash, f"version {kept.version}")
    return model


def require_registered(model: ValueModel, content_hash: str | None, where: str) -> None:
    """Raise ModelError where a model is not the one whose hash was noted when it was registered, if one was."""
    if content_hash and content_hash != model.content_hash:
        raise ModelError(f"{where} is not the model that was registered: its files were changed since")


def _locations(database: sqlite3.Connection, artifacts: Path) -> list[tuple[str, Path]]:
    """List where each experiment of ours keeps its files, beside where it would keep them now."""
    found = database.execute("SELECT name, artifact_location FROM experiments").fetchall()
    return [
        (location, artifacts / name)
        for name, location in found
        if (path := _path(location or "")) is not None and path.parts[-2:] == (artifacts.name, name)
    ]


def _has_moved(before: str, now: Path) -> bool:
    old = _path(before)
    if old is None or old == now:
        return False
    if now.parent.exists() and old.parent.exists() and now.parent.samefile(old.parent):
        return False  # the same folder under another name
    return now.exists() or not old.parent.exists()


def _path(uri: str) -> Path | None:
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None
