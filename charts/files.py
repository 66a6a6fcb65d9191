"""The files that a picture can be drawn into."""

from pathlib import Path

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import require_folder

SUFFIXES = (".svg", ".png")


def require_picture(path: Path) -> None:
    """Raise ConfigError if the suffix is not supported, or the file's folder does not exist."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"cannot draw into {path}: the name must end in {' or '.join(SUFFIXES)}")
    require_folder(path)
