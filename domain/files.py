"""Atomic writes of files, and folders that belong to this account alone."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fivefold.domain.errors import ConfigError


def require_folder(path: Path) -> None:
    """Raise ConfigError if the folder of *path* does not exist."""
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {path.absolute().parent}")


_PRIVATE = 0o700


def make_private_folder(path: Path) -> None:
    """Make a folder and its missing parents, accessible only to their owner; existing folders stay as they are."""
    for folder in reversed(path.absolute().parents):
        if not folder.exists():
            folder.mkdir(mode=_PRIVATE, exist_ok=True)
    path.mkdir(mode=_PRIVATE, exist_ok=True)


def protect_folder(path: Path) -> None:
    """Make a folder private, or take away others' access to our own; it holds what this program runs or trusts.

    ConfigError if it belongs to another account (other than root), or if everyone may write to it: another account
    could then place code that this program would run.
    """
    make_private_folder(path)
    status = path.stat()
    if status.st_uid == os.geteuid():
        if stat.S_IMODE(status.st_mode) & 0o077:
            path.chmod(_PRIVATE)
    elif status.st_uid != 0 or (status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX):
        raise ConfigError(
            f"{path} belongs to the account with the number {status.st_uid} and has the mode"
            f" {stat.S_IMODE(status.st_mode):o}; it must belong to this account ({os.geteuid()}), with mode 700"
        )


def is_own_file(path: Path) -> bool:
    """Return whether *path* is a regular file, not a link, that only this account or root can have written."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_uid in {os.geteuid(), 0} and not status.st_mode & stat.S_IWOTH


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside *path*; it replaces *path* at the end, and is removed on an error.

    ConfigError if the folder does not exist.
    """
    require_folder(path)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
