"""The entry point: all commands, and the one place that prints errors."""

import platform
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.extras import missing_extra
from fivefold.cli.lazy import LazyGroup
from fivefold.cli.plain import write_plainly_where_needed
from fivefold.domain.errors import FivefoldError
from fivefold.domain.release import release

if TYPE_CHECKING:
    from rich.console import Console

STOPPED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

app = typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _show_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"fivefold {release()}, Python {platform.python_version()}")
        raise typer.Exit


@app.callback()
def overview(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """What each customer is worth, from 1 to 5, and exactly why."""


def main() -> None:
    """Run a command; print an error of fivefold with exit code 2, and Ctrl-C with 130."""
    write_plainly_where_needed()
    try:
        app(prog_name="fivefold")
    except FivefoldError as error:
        _errors().print(f"fivefold: {error}", soft_wrap=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        if not missing:
            raise
        _errors().print(f"fivefold: {missing}", soft_wrap=True)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        _errors().print(f"fivefold: {error.filename2 or error.filename}: {error.strerror}", soft_wrap=True)
        sys.exit(2)
    except SystemExit as end:
        if end.code == STOPPED:  # typer ends so after Ctrl-C, silently
            _errors().print("fivefold: stopped; no file is half written")
        raise


def _errors() -> "Console":
    from fivefold.cli.terminal import errors

    return errors


if __name__ == "__main__":
    main()
