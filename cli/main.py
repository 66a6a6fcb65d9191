"""The entry point: all commands, and the one place that prints errors, also where an extra or Unicode is missing."""

import codecs
import os
import platform
import sqlite3
import sys
import traceback
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.lazy import LazyGroup
from fivefold.cli.signals import ends_on_signals
from fivefold.domain.errors import FivefoldError
from fivefold.domain.files import disk_error
from fivefold.domain.provenance import missing_extra, release
from fivefold.domain.settings import unknown_settings

if TYPE_CHECKING:
    from rich.console import Console


OUT_OF_MEMORY = (
    "out of memory: give the command more memory, or less data at once; docs/scale.md says how much commands need, "
    "and why `ulimit -v` ends them early"
)
UTF_8 = "set LC_ALL=C.UTF-8"
NO_LIBRARY = "cannot open shared object file"
"""How the system's loader says that a library is missing, which a module of Python was linked with."""
NO_HOME = "Could not determine home directory."
"""How Python says that an account has neither a home folder nor HOME."""
UNFORESEEN = "this error is unexpected; report it with the lines above, which say where it occurred"
STOPPED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""
UNREAD = 141
"""Exit code where what reads the output ended first, as `head` does: 128 + SIGPIPE. Typer ends with 1 then."""
NAME = "fivefold-plain"
_SIGNS = str.maketrans(
    {
        "█": "#",
        "░": "-",
        "━": "=",
        "┊": ":",
        "─": "-",
        "├": "|",
        "┤": "|",
        "→": "->",
        "…": "...",
        "−": "-",
        "–": "-",
        "×": "x",
        "≥": ">=",
        "≤": "<=",
        "·": "-",
        "€": "EUR",
    }
)

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
    """What each customer is worth, how risky each customer is, and exactly why."""


def main() -> None:
    """Run a command; print an error with exit code 2, its traceback too if it is unforeseen, and Ctrl-C with 130.

    Where what reads its output ends first, it ends with 141.
    """
    write_plainly_where_needed()
    try:
        with ends_on_signals():
            _warn_of_settings()
            app(prog_name="fivefold")
    except SystemExit as end:
        code = UNREAD if isinstance(end.__context__, BrokenPipeError) else end.code
        if isinstance(end.__context__, typer.Abort):  # a question that was not answered yes; typer ends with 1 then
            code = STOPPED if isinstance(end.__context__.__context__, KeyboardInterrupt) else 2
        if code == STOPPED:  # typer ends so after Ctrl-C, silently
            _say("fivefold: stopped; no file is half written")
        sys.exit(code)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 (Python ends with 1 otherwise, as findings do, after a panic of Polars too)
        words = _words_of(error)
        if words is None:
            with suppress(OSError):
                traceback.print_exception(error)
            words = UNFORESEEN
        _say(f"fivefold: {words}")
        sys.exit(2)


def _warn_of_settings() -> None:
    for name, nearest in unknown_settings():
        _errors().print(
            f"warning: {name} is not a setting and has no effect; the nearest one is {nearest}", soft_wrap=True
        )


def _say(text: str) -> None:
    """Print the end of a command on standard error; if that fails, only the exit code tells it.

    Otherwise the command would end with 1: by Rich if the reader has gone, by Python if the disk is full.
    """
    with suppress(OSError, SystemExit):
        _errors().print(text, soft_wrap=True)


def _words_of(error: BaseException) -> str | None:
    """Say what went wrong; None for an error that fivefold did not foresee."""
    if isinstance(error, FivefoldError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        return missing_extra(error) or None
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    if isinstance(error, UnicodeEncodeError) and sys.getfilesystemencoding() != "utf-8":
        lacks = f"that this locale, of the encoding {sys.getfilesystemencoding()}, lacks"
        return f"a text, such as a path or an identifier, has a character {lacks}; {UTF_8}"
    if isinstance(getattr(error, "orig", error), sqlite3.Error) and hasattr(error, "__notes__"):
        return str(error.__notes__[0])  # of a damaged file: `store.sql.database.reachable`
    return _words_of_system(error)


def _words_of_system(error: BaseException) -> str | None:
    """Say what the system lacks or refuses; None for another error."""
    if isinstance(error, OSError | ImportError) and NO_LIBRARY in str(error):
        return f"{error}. It is a library of this system; LightGBM needs the GNU OpenMP library (libgomp1 on Debian)"
    if isinstance(error, RuntimeError) and str(error) == NO_HOME:
        return f"the system knows no home folder of this account ({os.geteuid()}), but MLflow needs one; set HOME"
    if isinstance(error, OSError) and (path := error.filename2 or error.filename) is not None:
        return f"{path}: {error.strerror}"
    if isinstance(error, OSError) and (number := disk_error(error)) is not None:
        return os.strerror(number)  # the error of Polars has no words of its own
    return None


def _errors() -> "Console":
    from fivefold.cli.terminal import errors

    return errors


def plain(text: str) -> str:
    """Replace all characters beyond ASCII by similar ones, or by `?`.

    >>> plain("café: 4 → 3 ░░┊██")
    'cafe: 4 -> 3 --:##'
    """
    letters = unicodedata.normalize("NFKD", text.translate(_SIGNS))
    return "".join(sign for sign in letters if not unicodedata.combining(sign)).encode("ascii", "replace").decode()


def write_plainly_where_needed() -> None:
    """Let standard output and error replace characters that their encoding lacks, instead of failing."""
    codecs.register_error(NAME, _replaced)
    for stream in (sys.stdout, sys.stderr):
        change = getattr(stream, "reconfigure", None)
        if change is not None:
            change(errors=NAME)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end


if __name__ == "__main__":
    main()
