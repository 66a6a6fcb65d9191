"""What commands share: lines, tables, warnings, options, and the settings and stores that they open."""

import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer
from rich.console import Console
from rich.highlighter import Highlighter
from rich.table import Table
from rich.text import Text

from fivefold.charts.text.waterfall import ADDS, GUIDE, RULE, TAKES
from fivefold.domain.clock import SECOND_US, now_microseconds, parse_moment
from fivefold.domain.files import naming
from fivefold.domain.provenance import account_name
from fivefold.domain.settings import Settings, read_settings, require_model_name
from fivefold.domain.text import visible, visible_line
from fivefold.features.reading.text_files import ColumnMap, MappedFile, suffix_of
from fivefold.training.config import DEFAULT_NAME

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from fivefold.models.registry import Registry
    from fivefold.models.value_model import ValueModel
    from fivefold.usecases.shared.context import Context


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
    """Prints text with visible control characters, except tabs and line ends.

    No markup and no emoji: brackets in a customer's name or a reason are printed as they are.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, highlighter=_Colours(), markup=False, emoji=False)

    def print(self, *objects: Any, **how: Any) -> None:
        """Print as Rich does; an error of a full disk names the stream."""
        with naming(Path("standard error" if self.stderr else "standard output")):
            super().print(*(visible(each) if isinstance(each, str) else each for each in objects), **how)


console = Terminal()
errors = Terminal(stderr=True)

FINDINGS = 1
"""Exit code where a command did its work, and reports something to look at; a refused command ends with 2."""

MOST_NAME_COLUMNS = 30
"""Longest name in the first column that is never folded, so that it can be copied."""

MOST_PIPED_COLUMNS = 10_000
"""Width of a table without a terminal: a program reads each row on one line."""

PathArgument = Annotated[
    Path, typer.Argument(help="Transactions: Parquet (file, folder, pattern, table, store), CSV, JSON or JSON lines.")
]
NameOption = Annotated[str, typer.Option("--name", help="Name of the registered model.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A version, models:/NAME/VERSION, models:/NAME@ALIAS, or the folder of a saved model, with a slash in it;"
        " the champion by default.",
    ),
]
LevelOption = Annotated[
    int | None,
    typer.Option(
        "--level",
        min=1,
        max=99,
        help="How many of 100 customers should lie in their interval; 80, unless the training chose another number.",
    ),
]
OrganisationOption = Annotated[str, typer.Option("--organisation", help="The organisation.")]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="ISO date or time; nothing later is seen. Now by default.")
]


def moment(text: str | None, option: str) -> int:
    """Read the moment of an option; now, in whole seconds, if it is missing."""
    return now_microseconds() // SECOND_US * SECOND_US if text is None else parse_moment(text, option)


def past_moment(text: str | None) -> int:
    """Read `--as-of` for files. One that is to come gets a warning: windows end then, and are not full yet."""
    at = moment(text, "--as-of")
    if at > now_microseconds():
        warn(f"--as-of is {text}, which is in the future: what happens until then is not in the data")
    return at


def echo(text: str = "") -> None:
    """Print a line without wrapping it, so that a path in it can be copied."""
    console.print(text, soft_wrap=True)


def paragraph(text: str) -> None:
    """Print a text folded between words where the terminal ends; without a terminal as one line."""
    console.print(visible_line(text), soft_wrap=not _has_width())


def _has_width() -> bool:
    return console.is_terminal or "COLUMNS" in os.environ


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """Print a table as wide as the terminal allows; the first *left* columns are words, the others numbers.

    Text is folded between words, and inside a word only if it is wider than its column. Without a terminal a table is
    as wide as its rows.
    """
    console.print(title, style="bold", soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    short = all(len(row[0]) <= MOST_NAME_COLUMNS for row in rows)
    for number, column in enumerate(columns):
        justify: Literal["left", "right"] = "left" if number < left else "right"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=short and number == 0)
    for row in rows:
        table.add_row(*map(visible_line, row))
    if _has_width():
        console.print(table)
        return
    whole = console.measure(table, options=console.options.update(width=MOST_PIPED_COLUMNS)).maximum
    Terminal(width=max(whole, 1)).print(table)


def quoted(path: Path | str) -> str:
    """Quote a path for the shell."""
    return shlex.quote(str(path))


def warn(text: str) -> None:
    """Print a warning on standard error."""
    errors.print(f"warning: {text}", soft_wrap=True)


def open_registry(name: str = DEFAULT_NAME) -> "Registry":
    """Open the registry.

    Raises:
        ConfigError: the name is invalid.
        ModelNotFoundError: nothing was registered yet: only a training creates the embedded registry.
    """
    require_model_name(name)
    from fivefold.models.embedded import require_registry

    require_registry(read_settings(), name)
    return create_registry(name)


def create_registry(name: str) -> "Registry":
    """Open the registry for a training, which creates the embedded one; ConfigError if the name is invalid."""
    require_model_name(name)
    from fivefold.models.registry import Registry  # MLflow takes seconds to import

    return Registry(read_settings(), name)


def still_serving(name: str) -> str:
    """Say what serves where a new version of a model was not promoted."""
    return "no model serves" if open_registry(name).champion() is None else "the champion before it still serves"


def open_current_database() -> "Engine":
    """Open the database of the settings and upgrade its schema; what is logged from now on goes to standard error.

    Raises:
        StoreError: it cannot be used.
    """
    import structlog

    from fivefold.serving.logs import configure_logs
    from fivefold.store.sql.database import open_current

    if not structlog.is_configured():
        configure_logs(logging.WARNING)
    return open_current(read_settings())


class _Printing(logging.Handler):
    """Prints log lines that are for people: of the compilation of indicators, and of a disk that is full."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it on standard error. If its disk is full too, the work continues; the next line may get through."""
        with suppress(OSError):
            errors.print(record.getMessage(), soft_wrap=True)


for _name in ("fivefold.compiling", "fivefold.parts"):
    _printed = logging.getLogger(_name)
    if not _printed.handlers:
        _printed.addHandler(_Printing())
        _printed.setLevel(logging.INFO)
        _printed.propagate = False


def require_module(name: str) -> None:
    """Raise ModuleNotFoundError if a module is not installed; `main` names the extra that has it."""
    if find_spec(name) is None:
        raise ModuleNotFoundError(f"no module {name}", name=name)


def require_system_libraries() -> None:
    """Raise OSError where the system lacks a library that LightGBM needs; `main` names it.

    A process that is started later would end with its own traceback.
    """
    import_module("lightgbm")


def actor() -> str:
    """Name the actor for the audit log: the machine's account, independent of the environment."""
    return f"cli:{account_name()}"


def of_organisation(organisation: str) -> str:
    """Return what a suggested command needs to ask in the organisation of this one; nothing for the default one."""
    return "" if organisation == "default" else f" --organisation {shlex.quote(organisation)}"


def acting_in(organisation: str, engine: "Engine | None" = None) -> "Context":
    """Give the context of the actor at the terminal, in the database of the settings where no other is given.

    ConfigError if there is no such organisation.
    """
    from fivefold.usecases.accounts.organisations import actor_in
    from fivefold.usecases.shared.context import Context

    engine = engine or open_current_database()
    return Context(engine, actor_in(engine, organisation, actor()))


def acting_in_new(organisation: str) -> "Context":
    """Give the context of the actor at the terminal in an organisation, which is created if missing."""
    from fivefold.usecases.accounts.organisations import actor_in_new
    from fivefold.usecases.shared.context import Context

    engine = open_current_database()
    return Context(engine, actor_in_new(engine, organisation, actor()))


MapOption = Annotated[
    list[str] | None, typer.Option("--map", help="The file's name of a column and ours, such as customer_id=user_id.")
]


def mapped(path: Path, names: Sequence[str] | None, ours: Mapping[str, str] | None = None) -> MappedFile:
    """Give a file with renamed columns: by the options *names*, and else by *ours*, from the file's name to ours."""
    options = ColumnMap.read(names or [])
    return MappedFile(path, ColumnMap({**(ours or {}), **options.ours}))


def require_source(path: Path) -> None:
    """Raise FileFormatError if a file of transactions has an unknown format, before anything heavy is imported."""
    suffix_of(path)


def require_scores(paths: Sequence[Path]) -> None:
    """Raise FileFormatError as `require_source` does, for files of earlier scores."""
    for path in paths:
        suffix_of(path, others="")


def load_model(uri: str | None, name: str = DEFAULT_NAME) -> "ValueModel":
    """Load the model of a URI, by default the champion."""
    from fivefold.models.embedded import load_value_model

    return load_value_model(read_settings(), uri, name)


def print_absent_columns(model: "ValueModel") -> None:
    """Print the columns that the model was trained without, if there are any."""
    from fivefold.features.column_names import unread_columns

    columns = unread_columns(model.absent)
    if unread := [name for name in model.absent if name in columns]:
        echo(f"This model was trained without {', '.join(unread)}, and reads no such column.")
    if read := [name for name in model.absent if name not in columns]:
        echo(f"This model was trained without {', '.join(read)}, but reads what rows have of it.")


def checked_settings() -> Settings:
    """Read the settings; ConfigError for one that would fail later, in a worker that restarts forever, or mislead."""
    from fivefold.store.accounts.plans import read_plans, require_plan_of_people
    from fivefold.usecases.flows.agents import require_agent
    from fivefold.usecases.flows.sources import read_sources
    from fivefold.usecases.webhooks.signing import require_keys

    settings = read_settings()
    require_model_name(settings.model_name, "FIVEFOLD_MODEL")
    require_plan_of_people(settings.openid, read_plans(settings.plans_file))
    read_sources(settings.sources_file, settings.secrets)
    require_agent(settings.agent)
    require_keys(settings.webhook_keys)
    return settings
