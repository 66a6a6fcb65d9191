"""Commands that continue where an interrupted run stopped, and `fivefold parts`: what such runs left."""

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Final

import typer

from fivefold.cli.terminal import create_registry, echo, errors, show_table
from fivefold.domain.errors import ConfigError, RegistryError
from fivefold.domain.files import unfinished_files
from fivefold.domain.parts import (
    PROGRAM,
    Leftover,
    Parts,
    Task,
    left_of,
    leftovers,
    open_parts,
    others_of,
    remove_leftover,
)
from fivefold.domain.provenance import release, sources_hash
from fivefold.domain.settings import read_settings
from fivefold.domain.text import count_text
from fivefold.features.reading.text_files import MappedFile

RestartOption = Annotated[
    bool, typer.Option("--restart", help="Start over, without the parts that an interrupted run finished.")
]
_LIBRARIES: Final = ("lightgbm", "numba", "numpy", "optuna", "polars", "pyarrow")
"""Those whose releases a result may depend on."""


def parts(
    folder: Annotated[
        Path | None,
        typer.Argument(help="The folder of the outputs; by default the current folder and that of trainings."),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what is listed.")] = False,
) -> None:
    """List what interrupted runs left.

    The command that began a run continues it. Unfinished files that no command continues are listed one day after the
    last of them was written.
    """
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder")
    folders = [Path(), trainings_folder()] if folder is None else [folder]
    where = " and ".join(map(str, folders))
    left_parts = [left for each in folders for left in leftovers(each)]
    unfinished = [left for each in folders for left in unfinished_files(each)]
    if not left_parts and not unfinished:
        echo(f"No interrupted run left anything in {where}.")
        return
    if left_parts:
        _show_parts(left_parts, where)
    for path in unfinished:
        if remove:
            path.unlink(missing_ok=True)
        echo(f"{'Removed' if remove else 'Unfinished, and no command continues it'}: {path}")
    if remove and not _remove(left_parts):
        raise typer.Exit(2)


def _show_parts(left_parts: list[Leftover], where: str) -> None:
    rows = [
        [
            each.output.name,
            each.command,
            each.begun[:19],
            "running" if each.is_running else "interrupted",
            f"{each.parts:,}",
            f"{each.size_bytes / 1e6:,.1f} MB",
        ]
        for each in left_parts
    ]
    show_table(f"Parts in {where}", ("output", "command", "begun (UTC)", "", "parts", "size"), rows, left=4)


def _remove(left_parts: list[Leftover]) -> bool:
    """Remove what is not running; return False if the registry could not be asked about a folder, which stays."""
    every_answered = True
    for each in left_parts:
        if each.is_running:
            echo(f"Not removed: {each.output.name} is still being written")
            continue
        try:
            if each.command == "train" and each.parts:  # a version is registered after the first part alone
                end_registered_by(each, each.output.stem)
        except RegistryError as error:
            every_answered = False
            echo(f"Not removed: {each.folder}: the registry cannot be asked whether it registered a version: {error}")
            continue
        remove_leftover(each)
        echo(f"Removed: {each.folder}")
    return every_answered


def end_registered_by(left: Leftover, name: str) -> bool:
    """Give the version that an interrupted training of a model registered its alias, and its run an end.

    So its parts may go. False where it registered none. Its promotion gets the entry that it lacks.
    """
    from fivefold.cli.value_model.registry import log_champion
    from fivefold.training.continuation import registered_before

    if not read_settings().has_registry:  # to open it would create it
        return False
    registry = create_registry(name)
    version = registered_before(registry, Parts(left.folder, left.output))
    if version is not None:
        log_champion(registry, version)
    return version is not None


def trainings_folder() -> Path:
    """Give the folder of the parts of trainings, which make versions and no files."""
    return read_settings().var / "trainings"


@contextmanager
def continued(task: Task, *, restart: bool, replaces: bool = False) -> Iterator[Parts]:
    """Give the parts of a task, and say on standard error what is continued and what is left to continue.

    Where it *replaces* them, parts with other conditions are removed, for there is nobody who could answer.
    """
    is_begun = False
    for other in others_of(task) if replaces else ():
        remove_leftover(other)
        errors.print(f"Starting over: {count_text(other.parts, 'part')} of {task.label} had other conditions; removed.")
    try:
        with open_parts(task, restart=restart) as own:
            is_begun = True
            if own.begun_with:
                errors.print(f"Continuing with {count_text(own.begun_with, 'part')} of an interrupted run.")
            yield own
    except BaseException:
        if is_begun and (left := left_of(task)):
            errors.print(
                f"{count_text(left, 'part')} of {task.label} {'is' if left == 1 else 'are'} finished. "
                f"The same command{task.again} continues with them. With --restart it starts over.",
                soft_wrap=True,
            )
        raise


def conditions(options: Mapping[str, object], source: MappedFile | None = None) -> dict[str, str]:
    """Write what a result depends on: options by their names, those that are given; the input; the program."""
    option_texts = {name: str(value) for name, value in options.items() if value not in {None, False}}
    read = {} if source is None else {"the input": _place(source), "its content": source.state}
    libraries = ", ".join(f"{name} {_release_of(name)}" for name in _LIBRARIES)
    return {
        **option_texts,
        **read,
        PROGRAM: f"fivefold {release()} ({sources_hash()}) on Python {platform.python_version()}, {libraries}",
    }


def _release_of(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:  # Optuna comes with an extra, which who only scores files does not need
        return "not installed"


def _place(source: MappedFile) -> str:
    return str(source.path.resolve() if source.path.exists() else source)
