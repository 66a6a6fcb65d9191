"""Atomic writes of files, and folders that belong to this account alone."""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from time import time

from fivefold.domain.errors import ConfigError, FivefoldError


def require_folder(path: Path) -> None:
    """Raise ConfigError if the folder of *path* does not exist, or *path* is a folder itself."""
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {path.absolute().parent}")
    if path.is_dir():
        raise ConfigError(f"{path} cannot be written: it is a folder, and must be a file")


def require_place(path: Path) -> None:
    """Raise ConfigError if no file can be made beside *path*, before anything is computed for it."""
    require_folder(path)
    tried = _unfinished(path)
    try:
        tried.touch()
        tried.unlink()
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def _unfinished(path: Path) -> Path:
    """Return the name of a new temporary file beside *path*."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _remove_left(path: Path) -> None:
    """Remove the unfinished files of *path* that were not written to for a day."""
    for left in unfinished_files(path.absolute().parent, escape(path.name)):
        with suppress(OSError):  # another process removes it, or it is another account's
            left.unlink()


def unfinished_files(folder: Path, pattern: str = "*") -> list[Path]:
    """List, by name, the unfinished files that killed processes left in a folder: not written to for a day.

    The *pattern* is for the files' names without the marks of unfinished ones.
    """
    left = list[Path]()
    for each in sorted(folder.glob(f".{pattern}.{'[0-9a-f]' * 8}.part")):
        with suppress(OSError):  # another process removes it
            if time() - each.stat().st_mtime > _LEFT_SECONDS:
                left.append(each)
    return left


_LEFT_SECONDS = 86_400
_PRIVATE = 0o700
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""System errors for a full disk, a full quota, or a file that would be too large."""
_DISK_ERRORS = DISK_FULL | {errno.EIO}
_RUST_ERROR = re.compile(r"\(os error (\d+)\)")


def make_private_folder(path: Path) -> None:
    """Make a folder and its missing parents, accessible only to their owner; existing folders stay as they are."""
    for folder in reversed(path.absolute().parents):
        if not folder.exists():
            folder.mkdir(mode=_PRIVATE, exist_ok=True)
    path.mkdir(mode=_PRIVATE, exist_ok=True)


def protect_folder(path: Path) -> None:
    """Make a private folder, or make our own folder private: it holds files that this program runs or trusts.

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
def replacing(path: Path, *, for_this_run: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside *path*; once it is on the disk it replaces *path*, and on an error it is removed.

    A file that a killed process left beside *path* is removed by a later write of *path*, at least a day after.

    Args:
        path: the file; an existing one stays as it is until then.
        for_this_run: nothing reads it after a power cut, so nothing waits for the disk.

    Raises:
        ConfigError: the folder does not exist, or *path* is a folder.
        OSError: for example, the disk is full; the error names *path*.
    """
    require_folder(path)
    if not for_this_run:
        _remove_left(path)
    unfinished = _unfinished(path)
    try:
        with naming(path, unfinished):
            yield unfinished
            if for_this_run:
                unfinished.replace(path)
            else:
                put_in_place(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def naming(path: Path, unfinished: Path | None = None) -> Iterator[None]:
    """Add *path* to a disk error that names no file, and put it in place of *unfinished* in any system error.

    Libraries raise errors without a name, and users do not know the name of a temporary file.
    """
    try:
        yield
    except Exception as error:
        named = getattr(error, "filename", None)
        is_of_unfinished = unfinished is not None and str(named) == str(unfinished)
        number = error.errno if isinstance(error, OSError) and is_of_unfinished else disk_error(error)
        if number is None or (named is not None and not is_of_unfinished):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def disk_error_behind(error: BaseException) -> OSError | None:
    """Return the error of a full or broken disk among an error and its causes, with the file if it names one.

    >>> wrapped = ValueError("cannot be stored")
    >>> wrapped.__cause__ = OSError(28, "No space left on device", "a.db")
    >>> disk_error_behind(wrapped)
    OSError(28, 'No space left on device')
    """
    for cause in causes(error):
        number = disk_error(cause)
        if number is not None:
            return OSError(number, os.strerror(number), getattr(cause, "filename", None))
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, then its causes, the root cause last."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def disk_error(error: BaseException) -> int | None:
    """Return the system's error number if an error comes from a full or broken disk; None otherwise.

    >>> disk_error(ValueError("parquet: underlying IO error: No space left on device (os error 28)"))
    28
    """
    if isinstance(error, OSError) and error.errno is not None:
        number: int | None = error.errno
    elif getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
        number = errno.ENOSPC
    else:  # Polars raises errors of its own, and OSError without a number; both name the system's in their text
        match = None if isinstance(error, FivefoldError) else _RUST_ERROR.search(str(error))
        number = int(match[1]) if match else None
    return number if number in _DISK_ERRORS else None


def put_in_place(unfinished: Path, path: Path) -> None:
    """Rename a file to *path* once it is on the disk, and wait until the name is on the disk too."""
    flush(unfinished)
    unfinished.replace(path)
    flush(path.absolute().parent)


def flush(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


_KINDS = {
    b"PK\x03\x04": "a workbook or another zip file",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a gzip file",
    b"\xd0\xcf\x11\xe0": "an old workbook or a locked one",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}


def kind_of(content: bytes) -> str:
    """Describe a file that is not text in UTF-8, by its first bytes; empty if these are unknown.

    >>> kind_of(b"PAR1..."), kind_of(b"user_id")
    ('a Parquet file', '')
    """
    return next((kind for sign, kind in _KINDS.items() if content.startswith(sign)), "")


PICTURES = (".svg", ".png")


def require_picture(path: Path) -> None:
    """Raise ConfigError if the suffix is not supported, or the file's folder does not exist."""
    if path.suffix.lower() not in PICTURES:
        raise ConfigError(f"cannot draw into {path}: the name must end in {' or '.join(PICTURES)}")
    require_folder(path)
