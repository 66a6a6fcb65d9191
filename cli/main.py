"""The entry point: every command, and one place where errors meet the person at the terminal."""

import sys

import typer

from cli import catalogue, demo, drift, explain, files, registry, score, serve, train
from cli.terminal import errors
from domain.errors import FivefoldError

app = typer.Typer(
    help="What each customer is worth, from 1 to 5, and exactly why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (demo, train, score, explain, registry, catalogue, files, serve, drift):
    module.add_to(app)


def main() -> None:
    """Run a command; what fivefold refuses is told in plain words, with exit code 2."""
    try:
        app()
    except FivefoldError as error:
        errors.print(f"fivefold: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("fivefold: stopped; nothing was half written", markup=False)
        sys.exit(130)


if __name__ == "__main__":
    main()
