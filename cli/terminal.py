"""What commands print with: tables, warnings, and options that several of them share."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from domain.clock import now_microseconds, parse_moment
from domain.settings import read_settings
from training.config import DEFAULT_NAME

if TYPE_CHECKING:
    from models.registry import Registry
    from models.value_model import ValueModel

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

PathArgument = Annotated[Path, typer.Argument(help="Transactions: Parquet (file or folder), CSV, JSON or JSON lines.")]
NameOption = Annotated[str, typer.Option("--name", help="Name of the registered model.")]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="models:/NAME/VERSION or models:/NAME@ALIAS; the champion by default.")
]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="ISO date or time; nothing later is seen. Now by default.")
]


def moment(text: str | None, option: str) -> int:
    """Read an option that is a moment; now where it was not given."""
    return now_microseconds() if text is None else parse_moment(text, option)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """Print a table; the first *left* columns are words, the others numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def warn(text: str) -> None:
    """Print a warning where it does not disturb what is piped on."""
    errors.print(f"warning: {text}", markup=False, soft_wrap=True)


def open_registry(name: str = DEFAULT_NAME) -> "Registry":
    """Open the registry; MLflow takes seconds to import, so only commands that need it pay for it."""
    from models.registry import Registry  # noqa: PLC0415 (imports MLflow)

    return Registry(read_settings(), name)


def load_model(uri: str | None, name: str = DEFAULT_NAME) -> "ValueModel":
    """Load the model that a command was asked for, the champion by default."""
    registry = open_registry(name)
    return registry.load_uri(uri) if uri else registry.load_champion()
