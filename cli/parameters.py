"""Parameters of commands: options in groups, and files. No output may overwrite a file that is read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from inspect import Parameter, Signature, signature
from itertools import combinations
from pathlib import Path
from typing import Any, get_type_hints

import typer
from typer.models import OptionInfo

from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.domain.files import require_place
from fivefold.features.reading.places.addresses import address_of

OUTPUTS = ("output", "to", "moves", "breakdowns", "failures", "explanations", "html", "json", "refused_path", "png")
"""The parameters, by their names, whose files commands write; all others but SHARED are read."""
SHARED = "spark_folder"
"""The parameter of the folder that workers of Spark share: outputs may go into it, as nothing there is read."""


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give typer the fields of each dataclass of options as parameters of their own, in its place.

    The places of the files that the command writes are checked before it runs. The error about what is not there names
    the organisation in which the command looked.
    """
    parameters: list[Parameter] = []
    groups: dict[str, Any] = {}
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in signature(command).parameters.items():
        if is_dataclass(hints[name]):
            groups[name] = hints[name]
            own = get_type_hints(hints[name], include_extras=True)
            parameters += [
                each.replace(annotation=own[each.name]) for each in signature(groups[name]).parameters.values()
            ]
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY))

    def run(**values: Any) -> None:
        require_places({each.name: each for each in parameters}, values)
        organisation = values.get("organisation")
        options = {
            name: group(**{each: values.pop(each) for each in signature(group).parameters})
            for name, group in groups.items()
        }
        try:
            command(**values, **options)
        except NotFoundError as error:
            if organisation is None:
                raise
            raise NotFoundError(f"in the organisation {organisation!r} {error}") from error

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # a function may have one of its own
    return run


def command_group(summary: str, commands: Mapping[str, Callable[..., None] | typer.Typer]) -> typer.Typer:
    """Make a group of commands, or of groups of them, in the order in which help lists them below its *summary*."""
    group = typer.Typer(
        help=summary,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for name, command in commands.items():
        if isinstance(command, typer.Typer):
            group.add_typer(command, name=name)
        else:
            group.command(name)(with_options(command))
    return group


def require_places(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    """Check every file that a command is to write, before anything is read or computed.

    Raises:
        ConfigError: it cannot be written, is a file that the command reads, or is written twice.
    """
    words = {name: _words(parameter) for name, parameter in parameters.items()}
    outputs = {words[name]: values[name] for name in OUTPUTS if isinstance(values.get(name), Path)}
    for (one, path), (other, second) in combinations(outputs.items(), 2):
        if path.resolve() == second.resolve():
            raise ConfigError(f"{one} and {other} are both {path}; give two different files")
    for option, path in outputs.items():
        address = address_of(path)
        if address is not None and address.scheme:
            raise ConfigError(f"{option} is {address}; it must be a file on this machine")
        for name, value in values.items():
            if name in OUTPUTS or name == SHARED:
                continue
            for source in _paths(value):
                if _is_same(path, Path(source)):
                    raise ConfigError(f"{option} is {path}, which is read as {words[name]}; choose another file")
                if isinstance(source, Path) and _is_among(path, source, of_lists=name == "lists"):
                    raise ConfigError(
                        f"{option} is {path}, a file of {source}, which is read as {words[name]}; "
                        "write into another folder"
                    )
        require_place(path)


def _words(parameter: Parameter) -> str:
    """Give the name of a parameter on the command line."""
    [info] = parameter.annotation.__metadata__
    if isinstance(info, OptionInfo):
        return next((each for each in info.param_decls or () if each.startswith("--")), f"--{parameter.name}")
    return f"the argument {info.metavar or parameter.name.upper()}"


def _paths(value: Any) -> Iterator[str | Path]:
    """Give the paths in the value of a parameter. A text counts as one, as rulesets are named by text."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str | Path):
            yield each


def _is_same(output: Path, source: Path) -> bool:
    """Tell whether *output* is a file that is read."""
    try:
        return output.is_file() and source.exists() and output.samefile(source)
    except OSError:  # a text that is too long for a path
        return False


def _is_among(output: Path, source: Path, *, of_lists: bool) -> bool:
    """Tell whether a command that reads the files of *source* reads *output* too, or would do so the next time."""
    if of_lists:
        from fivefold.usecases.portfolio_files.bundled import SUFFIXES as DOCUMENTS

        return output.suffix.lower() in DOCUMENTS and output.parent.resolve() == source.resolve()
    if not source.is_dir() and address_of(source) is None:
        return False
    from fivefold.features.reading.places.stores import takes_in

    return takes_in(source, output)
