"""Room for the files by which the processes of a service share their metrics.

prometheus_client maps them into memory. They are sparse: where the disk is full as a count goes into a new page of
one, the system ends the process. So each file is written in full before it is mapped, as long as that can be refused.
"""

from collections.abc import MutableMapping
from os import getpid
from pathlib import Path
from typing import Final

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which BentoML names the folder, and by which prometheus_client knows that there is one."""
FILE_BYTES: Final = {"counter": 2**21, "histogram": 2**21, "gauge_mostrecent": 2**20}
"""The files of a process, and bytes enough for every route with every status, and for every indicator: none grows."""


def empty(folder: Path) -> str:
    """Remove the files of earlier processes; give why one cannot be removed, or nothing."""
    for path in folder.glob("*.db"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            return f"{path}: {error.strerror}"
    return ""


def reserve_files(environment: MutableMapping[str, str], folder: Path) -> str:
    """Write the files of this process into *folder*; where that fails, take the variable out of the environment.

    BentoML names a folder in its home, which a Bento may share with those of other installations, and their metrics
    would be mixed: ours is named in its place. Without one, prometheus_client keeps the metrics in memory, and
    `/metrics` gives those of the process that answers.

    Returns:
        Why the metrics are not shared although a folder is named; else empty.
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
