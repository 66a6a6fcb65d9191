"""What commands print with: tables, warnings, and options that several of them share."""

import logging
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer
from rich.console import Console
from rich.highlighter import Highlighter
from rich.table import Table
from rich.text import Text

from fivefold.charts.text.waterfall import ADDS, GUIDE, RULE, TAKES
from fivefold.domain.account import account_name
from fivefold.domain.characters import visible, visible_line
from fivefold.domain.clock import now_microseconds, parse_moment
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import protect_folder
from fivefold.domain.settings import read_settings
from fivefold.features.reading.paths import MappedFile, suffix_of
from fivefold.features.reading.text_files import ColumnMap
from fivefold.training.config import DEFAULT_NAME

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from fivefold.models.registry import Registry
    from fivefold.models.value_model import ValueModel
    from fivefold.usecases.shared.actors import Actor


class _Colours(Highlighter):
    """Colours what a reader looks for first, with blue and orange as in the pictures.

    Rich leaves colour out where there is no terminal, or where NO_COLOR is set.
    """

    STYLES: ClassVar = {
        r"\Awarning:": "bold yellow",
        r"\Afivefold:": "bold red",
        f"{ADDS}+": "blue",
        f"{TAKES}+": "dark_orange3",
        f"[{GUIDE}{RULE}]+": "dim",
    }

    def highlight(self, text: Text) -> None:
        """Colour a text in place."""
        for pattern, style in self.STYLES.items():
            text.highlight_regex(pattern, style)


class Terminal(Console):
    """Prints texts with every control character visible, but for tabs and the ends of lines.

    No markup and no emoji: a customer's name or a reason is shown as it is, whatever brackets it holds.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, highlighter=_Colours(), markup=False, emoji=False)

    def print(self, *objects: Any, **how: Any) -> None:
        """Print as Rich does."""
        super().print(*(visible(each) if isinstance(each, str) else each for each in objects), **how)


console = Terminal()
errors = Terminal(stderr=True)

MOST_NAME_COLUMNS = 30
"""Up to this a name in the first column is never folded, so that it can be copied."""

MOST_PIPED_COLUMNS = 10_000
"""Where there is no terminal, a table has this much room: no row is broken that a program may read."""

PathArgument = Annotated[Path, typer.Argument(help="Transactions: Parquet (file or folder), CSV, JSON or JSON lines.")]
NameOption = Annotated[str, typer.Option("--name", help="Name of the registered model.")]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="models:/NAME/VERSION or models:/NAME@ALIAS; the champion by default.")
]
OrganisationOption = Annotated[str, typer.Option("--organisation", help="Whose.")]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="ISO date or time; nothing later is seen. Now by default.")
]


def moment(text: str | None, option: str) -> int:
    """Read an option that is a moment; now, in whole seconds, where it was not given."""
    return now_microseconds() // 1_000_000 * 1_000_000 if text is None else parse_moment(text, option)


def say(text: str = "") -> None:
    """Print a line, which the terminal wraps: a path in it can be copied whole."""
    console.print(text, soft_wrap=True)


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """Print a table as wide as the terminal allows; the first *left* columns are words, the others numbers.

    Words are broken between words, and inside one only where it alone is wider than its column. Piped on, where there
    is no terminal, a table is as wide as its rows.
    """
    console.print(title, style="bold", soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    short = all(len(row[0]) <= MOST_NAME_COLUMNS for row in rows)
    for number, column in enumerate(columns):
        justify: Literal["left", "right"] = "left" if number < left else "right"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=short and number == 0)
    for row in rows:
        table.add_row(*map(visible_line, row))
    if console.is_terminal or "COLUMNS" in os.environ:
        console.print(table)
        return
    whole = console.measure(table, options=console.options.update(width=MOST_PIPED_COLUMNS)).maximum
    Terminal(width=max(whole, 1)).print(table)


def quoted(path: Path | str) -> str:
    """Write a path as a shell takes it, so that the command around it can be pasted."""
    return shlex.quote(str(path))


def warn(text: str) -> None:
    """Print a warning where it does not disturb what is piped on."""
    errors.print(f"warning: {text}", soft_wrap=True)


def open_registry(name: str = DEFAULT_NAME) -> "Registry":
    """Open the registry; MLflow takes seconds to import, so only commands that need it pay for it.

    ConfigError where no model can have that name.
    """
    require_name(name)
    from fivefold.models.registry import Registry  # noqa: PLC0415 (imports MLflow)

    return Registry(read_settings(), name)


def require_name(name: str) -> None:
    """Raise ConfigError where no model can have that name."""
    if not re.fullmatch(r"[\w.-]+", name):
        raise ConfigError(f"the model's name is {name!r}; it may hold letters, digits and the signs . _ -")


def open_current_database() -> "Engine":
    """Open the database of the settings, brought forward to the schema that this program knows."""
    from fivefold.store.sql.database import open_database, upgrade  # noqa: PLC0415 (imports SQLAlchemy)

    settings = read_settings()
    protect_folder(settings.var)
    engine = open_database(settings.database, settings.clock_tolerance_seconds)
    upgrade(engine)
    return engine


class _Compiling(logging.Handler):
    """Prints that the indicators are being compiled, while that happens."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it once, beside what is piped on."""
        errors.print(record.getMessage(), soft_wrap=True)


_compiling = logging.getLogger("fivefold.compiling")
if not _compiling.handlers:
    _compiling.addHandler(_Compiling())
    _compiling.setLevel(logging.INFO)
    _compiling.propagate = False


def actor() -> str:
    """Name the person at the terminal for the audit log: the machine's account, whatever the environment says."""
    return f"cli:{account_name()}"


def acting_in(engine: "Engine", organisation: str) -> "Actor":
    """Name the person at the terminal, who acts in an organisation; ConfigError where there is none of that name."""
    from fivefold.usecases.accounts.organisations import actor_in  # noqa: PLC0415 (imports SQLAlchemy)

    return actor_in(engine, organisation, actor())


MapOption = Annotated[
    list[str] | None, typer.Option("--map", help="What a column of the file is, such as customer_id=user_id.")
]


def mapped(path: Path, names: Sequence[str] | None, ours: Mapping[str, str] | None = None) -> MappedFile:
    """Give a file whose columns have names of their own: those of options, and *ours* by theirs for the others."""
    given = ColumnMap.read(names or [])
    return MappedFile(path, ColumnMap({**(ours or {}), **given.ours}))


def warn_of_currency(source: MappedFile, base: str) -> None:
    """Warn where a file's amounts are all in one currency, and that is not the base."""
    from fivefold.features.reading.sources import currencies_of  # noqa: PLC0415 (loads the readers)

    found = currencies_of(source)
    if found and base not in found:
        warn(
            f"no amount of {source} is in {base}, the base currency: all are in {', '.join(found[:5])}, and are "
            f"converted; with the base {found[0]} nothing would have to be"
        )


def require_source(path: Path) -> None:
    """Raise LayoutError where a file of transactions is none that is read, before anything heavy is imported."""
    suffix_of(path)


def load_model(uri: str | None, name: str = DEFAULT_NAME) -> "ValueModel":
    """Load the model that a command was asked for, the champion by default.

    The champion of the embedded registry is read where it lies: opening MLflow takes longer than scoring a file.
    """
    from fivefold.models.embedded import embedded_champion, load_embedded_champion  # noqa: PLC0415 (imports LightGBM)

    require_name(name)
    kept = None if uri else embedded_champion(read_settings(), name)
    if kept is not None:
        return load_embedded_champion(kept)
    registry = open_registry(name)
    return registry.load_uri(uri) if uri else registry.load_champion()


def say_absent(model: "ValueModel") -> None:
    """Say what a model does not read, as its training data lacked it; nothing of one that reads all."""
    if model.absent:
        say(f"This model was trained without {', '.join(model.absent)}, and scores every customer without.")
