"""Reserves space for the files through which the processes of a service share their metrics.

prometheus_client maps them into memory as sparse files: if the disk is full when a count reaches a new page, the system
ends the process. So each file is written in full before it is mapped, while a full disk still raises an error.

Services of one `FIVEFOLD_VAR` may run side by side, such as while one replaces another. Each has a folder of its own,
or the start of one would remove the counts of another.
"""

import fcntl
import os
from collections.abc import MutableMapping
from os import getpid
from pathlib import Path
from shutil import rmtree
from socket import gethostname
from typing import Final

from filelock import FileLock

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable in which BentoML names the folder; prometheus_client shares metrics if it is set."""
FILE_BYTES: Final = {"counter": 2**21, "histogram": 2**21, "gauge_mostrecent": 2**20}
"""The files of a process, with enough bytes for every route with every status, and every indicator: none grows."""


_LOCK: Final = "service.lock"


def folder_of_service(folder: Path, process: int) -> Path:
    """Return the folder, within *folder*, of the service whose first process has the id *process*."""
    return folder / f"{gethostname()}-{process}"


def begin_service(folder: Path, process: int) -> str:
    """Claim the folder of a service until this process ends, and remove the folders of services that have ended.

    Returns:
        Why that failed; empty if it did not.
    """
    own = folder_of_service(folder, process)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "start.lock"):
            for each in folder.iterdir():
                if each.is_dir() and _has_ended(each):
                    rmtree(each)
            own.mkdir(exist_ok=True)
            claim = os.open(own / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)  # never closed
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return f"{error.filename or own}: {error.strerror}"
    return ""


def _has_ended(files: Path) -> bool:
    """Return whether no process claims the folder of a service, in this container or another one."""
    try:
        with (files / _LOCK).open("rb") as claim:
            fcntl.flock(claim, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def reserve_files(environment: MutableMapping[str, str], folder: Path) -> str:
    """Write the files of this process into *folder*; if that fails, remove the variable from the environment.

    BentoML names a folder in its home, which a Bento may share with those of other installations, so that their metrics
    would be mixed: *folder* replaces it. Without a folder, prometheus_client keeps the metrics in memory, and
    `/metrics` shows those of the process that answers.

    Returns:
        Why the metrics are not shared although a folder is named; otherwise empty.
    """
    if FOLDER not in environment:
        return ""
    environment[FOLDER] = str(folder)
    paths = {folder / f"{name}_{getpid()}.db": size for name, size in FILE_BYTES.items()}
    path = folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, size in paths.items():
            path.write_bytes(bytes(size))
    except OSError as error:
        del environment[FOLDER]
        for each in paths:
            each.unlink(missing_ok=True)
        return f"{path}: {error.strerror}"
    return ""
