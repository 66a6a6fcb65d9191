"""The options of commands that run in this process or on Apache Spark."""

import os
import platform
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from filelock import FileLock, Timeout

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import make_private_folder
from fivefold.domain.settings import read_settings
from fivefold.features.reading.text_files import MappedFile, require_parquet

if TYPE_CHECKING:
    from fivefold.features.partitions import Engine
    from fivefold.training.on_engine import EngineFile


class EngineName(StrEnum):
    """Where rows are read and customers computed."""

    PROCESS = "process"
    SPARK = "spark"


EngineOption = Annotated[
    EngineName, typer.Option("--engine", help="Where to compute: in this process, or on Apache Spark.")
]
MasterOption = Annotated[
    str | None,
    typer.Option(
        "--spark-master",
        help="Spark's URL: spark://HOST:PORT, local[2], or sc://HOST:PORT for Spark Connect. "
        "By default, Spark's own configuration applies.",
    ),
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--spark-folder",
        help="A folder that this machine and all workers share; by default that of --output, if given.",
    ),
]


def require_engine(
    engine: EngineName, master: str | None, folder: Path | None, path: Path, output: Path | None, *, writes: bool = True
) -> None:
    """Check the options before anything starts; *writes* is False for a command without --output.

    Raises:
        ConfigError: options of Spark without it, a URL that Spark does not know, its folder is not there, or workers
            elsewhere share none.
        FileFormatError: Spark is to read what is not Parquet.
    """
    if engine is EngineName.PROCESS:
        if master is not None or folder is not None:
            raise ConfigError("--spark-master and --spark-folder are for --engine spark")
    else:
        require_parquet(path)
        if master is not None and _MASTER.fullmatch(master) is None:
            raise ConfigError(f"--spark-master is {master!r}; allowed: {_MASTERS}")
        if master is not None and not master.startswith("local") and folder is None and output is None:
            raise ConfigError(
                f"--spark-master is {master}, whose workers pass results through a folder that they share with this "
                f"machine: give --spark-folder{', or --output in such a folder' if writes else ''}"
            )
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"--spark-folder is {folder}; there is no such folder")


_MASTER = re.compile(
    r"local(\[(\*|[1-9]\d*)(\s*,\s*[1-9]\d*)?\])?|local-cluster\[[\d, ]+\]|yarn|(k8s|sc)://.+"
    r"|spark://{host}:\d+(,{host}:\d+)*".format(host=r"(\[[\da-fA-F:.]+\]|[^/:,\[\]]+)")
)
"""The URLs that Spark takes; of others Java itself says much."""
_MASTERS = "local[2], local[*], spark://HOST:PORT, yarn, k8s://…, or sc://HOST:PORT for Spark Connect"


OpenWorkers = Callable[[], AbstractContextManager["Engine | None"]]
"""Gives the engine whose workers read the rows; None where this process does."""


@contextmanager
def open_engine(
    engine: EngineName, master: str | None, folder: Path | None, output: Path | None
) -> Iterator["Engine | None"]:
    """Give Spark with a folder of its own, which is removed at the end; None for this process."""
    if engine is EngineName.PROCESS:
        yield None
        return
    from fivefold.features.spark import SparkEngine, open_session

    settings = read_settings()
    shared = folder or (output.absolute().parent if output else settings.var)
    make_private_folder(shared)
    with _folder_of_run(shared.absolute()) as own:
        session = open_session(settings, master)
        yield SparkEngine(session, own)


def read_by(engine: "Engine | None", path: "Path | MappedFile") -> "Path | MappedFile | EngineFile":
    """Give the file to the engine, if there is one."""
    from fivefold.training.on_engine import EngineFile

    if engine is None:
        return path
    return EngineFile(engine, MappedFile.of(path))


@contextmanager
def _folder_of_run(shared: Path) -> Iterator[Path]:
    """Make a folder for what this run hands to workers, and remove it at the end. First remove what killed runs left.

    A lock beside the folder says that its run is alive. Not every shared folder passes locks on to other machines, so
    folders of other machines, by the name, are let be. So are those of other accounts, which this one cannot remove.
    """
    prefix = f".spark-{platform.node()}-"
    for left in shared.glob(f"{prefix}{_ANY_TOKEN}{_LOCK}"):
        with suppress(Timeout, OSError):  # a problem with old folders must not end this run
            if left.stat().st_uid == os.geteuid():
                with FileLock(left, timeout=0):
                    _remove(left.with_suffix(""), left)
    lock = FileLock(shared / f"{prefix}{secrets.token_hex(_TOKEN_BYTES)}{_LOCK}")
    with lock:
        own = Path(lock.lock_file).with_suffix("")
        own.mkdir(mode=0o700)
        try:
            yield own
        finally:
            _remove(own, Path(lock.lock_file))


_LOCK = ".lock"
_TOKEN_BYTES = 4
_ANY_TOKEN = "[0-9a-f]" * 2 * _TOKEN_BYTES
"""Exactly this many digits, because the name of one machine may begin with the name of another."""


def _remove(folder: Path, lock: Path) -> None:
    """Remove the folder of a run, and then its lock.

    It is renamed first, so that a worker that still writes finds no folder. What such a worker finishes meanwhile may
    be in the way of one try.
    """
    removed = folder.with_name(f"{folder.name}-removed")
    if folder.is_dir():
        try:
            folder.rename(removed)
        except OSError:  # not every shared folder lets folders be renamed
            removed = folder
    for _ in range(5):
        shutil.rmtree(removed, ignore_errors=True)
        if not removed.exists():
            lock.unlink(missing_ok=True)
            return
        time.sleep(0.2)
    sys.stderr.write(f"fivefold: {removed} could not be removed; it holds transactions of customers\n")
