"""The entry point: every command, and one place where errors meet the person at the terminal."""

import sys

import typer

from cli import (
    audit,
    backtests,
    catalogue,
    clock,
    demo,
    drift,
    evidence,
    explain,
    files,
    importing,
    levels,
    members,
    privacy,
    registry,
    replay,
    rules,
    score,
    serve,
    train,
    validating,
    webhooks,
)
from cli import worker as working
from cli.terminal import errors
from domain.errors import FivefoldError

STOPPED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""

app = typer.Typer(
    help="What each customer is worth, from 1 to 5, and exactly why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (
    demo,
    train,
    score,
    explain,
    registry,
    catalogue,
    files,
    serve,
    members,
    importing,
    levels,
    backtests,
    working,
    webhooks,
    privacy,
    replay,
    audit,
    clock,
    validating,
    evidence,
    drift,
    rules,
):
    module.add_to(app)


def main() -> None:
    """Run a command; what fivefold refuses is told in plain words, with exit code 2, and Ctrl-C with 130."""
    try:
        app(prog_name="fivefold")
    except FivefoldError as error:
        errors.print(f"fivefold: {error}", soft_wrap=True)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        errors.print(f"fivefold: {error.filename2 or error.filename}: {error.strerror}", soft_wrap=True)
        sys.exit(2)
    except SystemExit as end:
        if end.code == STOPPED:  # what typer makes of Ctrl-C, without a word
            errors.print("fivefold: stopped; no file is half written")
        raise


if __name__ == "__main__":
    main()
