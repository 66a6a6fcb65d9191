"""The files that a command reads and writes: what is written takes the place of nothing that is read."""

from collections.abc import Iterator, Mapping
from inspect import Parameter
from itertools import combinations
from pathlib import Path
from typing import Any

from typer.models import OptionInfo

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import require_place
from fivefold.features.reading.text_files import SUFFIXES as TABLES

OUTPUTS = ("output", "to", "moves", "breakdowns", "failures", "explanations", "html", "json", "refused_path")
"""The parameters, by their names, whose files commands write; all others but SHARED are read."""
SHARED = "spark_folder"
"""The parameter of the folder that workers of Spark share: outputs may go into it, as nothing there is read."""


def require_places(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    """Check every file that a command is to write, before anything is read or computed.

    Raises:
        ConfigError: it cannot be written, is a file that the command reads, or is written twice.
    """
    words = {name: _words(parameter) for name, parameter in parameters.items()}
    outputs = {words[name]: values[name] for name in OUTPUTS if isinstance(values.get(name), Path)}
    for (one, path), (other, second) in combinations(outputs.items(), 2):
        if path.resolve() == second.resolve():
            raise ConfigError(f"{one} and {other} are both {path}; each is a file of its own")
    for option, path in outputs.items():
        for name, value in values.items():
            if name in OUTPUTS or name == SHARED:
                continue
            if any(_is_same(path, source) for source in _paths(value)):
                raise ConfigError(f"{option} is {path}, which is read as {words[name]}; write another file")
            if isinstance(value, Path) and _would_be_read(path, value, of_lists=name == "lists"):
                raise ConfigError(
                    f"{option} is {path}, in the folder {value}, which is read as {words[name]}; "
                    "write into another folder"
                )
        require_place(path)


def _words(parameter: Parameter) -> str:
    """Give the name of a parameter on the command line."""
    [info] = parameter.annotation.__metadata__
    if isinstance(info, OptionInfo):
        return next((each for each in info.param_decls or () if each.startswith("--")), f"--{parameter.name}")
    return f"the argument {info.metavar or parameter.name.upper()}"


def _paths(value: Any) -> Iterator[Path]:
    """Give the paths of a parameter's value: text may be the path of a ruleset, a number is none."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str | Path):
            yield Path(each)


def _is_same(output: Path, source: Path) -> bool:
    """Tell whether *output* is a file that is read."""
    try:
        return output.is_file() and source.exists() and output.samefile(source)
    except OSError:  # a text that is too long for a path
        return False


def _would_be_read(output: Path, source: Path, *, of_lists: bool) -> bool:
    """Tell whether a command that reads the folder *source* would read *output* too: lists lie in it, tables below."""
    from fivefold.usecases.portfolio_files.bundled import SUFFIXES as DOCUMENTS

    if not source.is_dir():
        return False
    folder, place, suffix = source.resolve(), output.parent.resolve(), output.suffix.lower()
    if of_lists:
        return suffix in DOCUMENTS and place == folder
    return suffix in TABLES and place.is_relative_to(folder)
