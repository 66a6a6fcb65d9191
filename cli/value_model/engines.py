"""The options of commands that run in this process or on Apache Spark."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import make_private_folder
from fivefold.domain.settings import read_settings
from fivefold.features.reading.text_files import require_parquet

if TYPE_CHECKING:
    from fivefold.features.partitions import Engine


class EngineName(StrEnum):
    """Where rows are read and customers computed."""

    PROCESS = "process"
    SPARK = "spark"


EngineOption = Annotated[EngineName, typer.Option("--engine", help="Where: in this process, or on Apache Spark.")]
MasterOption = Annotated[
    str | None,
    typer.Option(
        "--spark-master",
        help="Spark's URL: spark://HOST:PORT, local[2], or sc://HOST:PORT for Spark Connect. "
        "By default as Spark itself is configured.",
    ),
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--spark-folder", help="A folder that this machine and all workers share. That of --output by default."
    ),
]


def require_engine(
    engine: EngineName, master: str | None, folder: Path | None, path: Path, output: Path | None, *, writes: bool = True
) -> None:
    """Check the options before anything starts; *writes* is False for a command without --output.

    Raises:
        ConfigError: options of Spark without it, its folder is not there, or workers elsewhere share none.
        FileFormatError: Spark is to read what is not Parquet.
    """
    if engine is EngineName.PROCESS:
        if master is not None or folder is not None:
            raise ConfigError("--spark-master and --spark-folder are for --engine spark")
    else:
        require_parquet(path)
        if master is not None and not master.startswith("local") and folder is None and output is None:
            raise ConfigError(
                f"--spark-master is {master}, whose workers hand results over in a folder that this machine and they "
                f"share: give --spark-folder{', or --output in such a folder' if writes else ''}"
            )
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"--spark-folder is {folder}; there is no such folder")


@contextmanager
def open_engine(
    engine: EngineName, master: str | None, folder: Path | None, output: Path | None
) -> Iterator["Engine | None"]:
    """Give Spark with a folder of its own, which goes at the end; None for this process."""
    if engine is EngineName.PROCESS:
        yield None
        return
    from fivefold.features.spark import SparkEngine, open_session

    settings = read_settings()
    shared = folder or (output.absolute().parent if output else settings.var)
    make_private_folder(shared)
    with tempfile.TemporaryDirectory(prefix=".spark-", dir=shared.absolute()) as own:
        session = open_session(settings, master)
        yield SparkEngine(session, Path(own))
