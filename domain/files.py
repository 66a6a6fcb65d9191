"""Writing files so that nothing is ever half written."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from domain.errors import ConfigError


def require_folder(path: Path) -> None:
    """Raise ConfigError where there is no folder that *path* could be written into."""
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {path.absolute().parent}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside *path* to write to; it takes *path*'s name at the end, and is removed on an error.

    ConfigError where the folder does not exist.
    """
    require_folder(path)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
