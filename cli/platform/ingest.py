"""`fivefold import`: import a portfolio from files, with progress; a stopped import resumes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tqdm import tqdm

from fivefold.cli.parameters import command_group
from fivefold.cli.rules.options import ListsOption, RulesetArgument
from fivefold.cli.terminal import (
    FINDINGS,
    OrganisationOption,
    acting_in,
    acting_in_new,
    echo,
    moment,
    open_current_database,
    warn,
)
from fivefold.domain.errors import ConfigError, StoreError, first_row_of, problem_lines
from fivefold.domain.text import count_text
from fivefold.features.reading.text_files import ColumnMap

if TYPE_CHECKING:
    from fivefold.usecases.ingest.files import Progress

FileArgument = Annotated[
    Path, typer.Argument(help="Parquet, CSV or JSON lines (CSV and JSON lines also as .gz), one row each.")
]
MapOption = Annotated[
    list[str] | None, typer.Option("--map", help="The file's name of a column and ours, such as customer_id=entity_id.")
]
RefusedOption = Annotated[
    Path | None,
    typer.Option(
        "--refused", help="File for refused rows, which is overwritten; by default a new file beside the import."
    ),
]
TypeOption = Annotated[str, typer.Option("--type", help="The type of the entities.")]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="The moment to treat as now, for histories of the past.")
]

TABLES = {
    "entities": "Import entities: entity_id, their fields, and optionally owner_id, the only owner.",
    "owners": "Import owners: entity_id, owner_id, and optionally owner_type, from, until. "
    "A joint account has several rows.",
    "transactions": "Import transactions and their corrections, in the API's columns; each is stored once.",
    "tags": "Import tags: entity_id, tag, and optionally from (by default the time of the import) and until. "
    "Repeated rows are recognised.",
    "screenings": "Import screenings: entity_id, screening, found (true or false), at. Repeated rows are recognised.",
    "links": "Import links: type, from, to (empty for no link), and optionally valid_from and valid_until.",
    "cases": "Import cases: entity_id, number, opened, and optionally closed, outcome, status and fields.",
    "alerts": "Import alerts, in the columns of cases.",
}
"""The help text of each command by table."""


def setup(
    path: RulesetArgument,
    organisation: OrganisationOption = "default",
    base: Annotated[str, typer.Option("--base", help="The base currency, into which money is converted.")] = "EUR",
    lists: ListsOption = None,
    sole_operator: Annotated[
        str,
        typer.Option(
            "--sole-operator", help="Let one person approve their own proposals, for a trial; the text says why."
        ),
    ] = "",
) -> None:
    """Define the levels of a ruleset, declare its type of entity, add its lists. Then entities can be imported."""
    from fivefold.risk.language.base import canonical_form
    from fivefold.usecases.accounts.entity_types import define_type
    from fivefold.usecases.accounts.second_person import allow_sole_operator
    from fivefold.usecases.accounts.settings import SettingsChange, choose_levels
    from fivefold.usecases.changes.asks import change_settings, put_list
    from fivefold.usecases.portfolio_files.bundled import lists_with, load_ruleset

    analysed = load_ruleset(path)
    ruleset, available = analysed.ruleset, lists_with(lists)
    built_later = sorted(analysed.references - available.keys())
    names = [name for name in analysed.lists if name not in built_later]
    unknown = [name for name in names if name not in available]
    if unknown:
        raise ConfigError(f"{path} reads the list {unknown[0]}, which does not exist; give a folder with it by --lists")
    who = acting_in_new(organisation)
    if choose_levels(who, ruleset.levels).base_currency != base:
        change_settings(who, SettingsChange(base_currency=base), f"set-up of {ruleset.name}")
    content = ruleset.model_dump(mode="json", by_alias=True)
    fields, transaction_fields, case_fields = (
        content.get(name) or {} for name in ("fields", "transaction_fields", "case_fields")
    )
    links = {name: declared.kind for name, declared in ruleset.links.items()}
    define_type(who, ruleset.entity_type, fields, transaction_fields, case_fields, content["purposes"], links)
    for name in names:
        put_list(who, canonical_form(available[name]), reason=f"set-up of {ruleset.name}")
    if sole_operator:
        allow_sole_operator(who, sole_operator)
    read_lists = f", and the lists {', '.join(names)}" if names else ""
    echo(f"{organisation} has the levels {', '.join(ruleset.levels)}, the type {ruleset.entity_type}{read_lists}.")
    for name in built_later:
        echo(
            f"The reference portfolio {name} does not exist yet. Import the entities, commit {ruleset.name}, and "
            "request the reference on the ruleset's page; a worker builds it. Until then the ruleset cannot "
            "decide."
        )


def import_command(table: str) -> Callable[..., None]:
    """Make the command that imports a table."""

    def take(
        path: FileArgument,
        kind: TypeOption = "customer",
        organisation: OrganisationOption = "default",
        as_of: AsOfOption = None,
        names: MapOption = None,
        refused_path: RefusedOption = None,
    ) -> None:
        import_file(table, path, kind, organisation, as_of, names, refused_path)

    take.__doc__ = TABLES[table]
    return take


def import_file(
    table: str,
    path: Path,
    kind: str = "customer",
    organisation: str = "default",
    as_of: str | None = None,
    names: list[str] | None = None,
    refused: Path | None = None,
) -> None:
    """Import a file of a table, one of TABLES, and print the counts; exit code FINDINGS if a row was refused."""
    from fivefold.usecases.accounts.organisations import require_type
    from fivefold.usecases.ingest.files import ImportFile, import_table
    from fivefold.usecases.levels.clock_repair import refuse_future

    file = ImportFile(path, ColumnMap.read(names or []), refused)
    engine = open_current_database()
    clock = _clock(as_of)
    if clock is not None:
        refuse_future(engine, clock(), "--as-of")
    context, bar, rows = replace(acting_in(organisation, engine), clock=clock), _bar(path), 0
    require_type(context, kind)

    def report(progress: "Progress") -> None:
        nonlocal rows
        rows = progress.rows
        bar(progress)

    try:
        progress = import_table(context, table, kind, file, report)
    except (StoreError, OSError, KeyboardInterrupt):
        if rows:
            warn(
                f"{count_text(rows, 'row')} of {path} {_was(rows)} imported before; "
                "the same command continues after them"
            )
        raise
    echo(
        f"{count_text(progress.rows, 'row')}: {progress.new:,} new, {progress.changed:,} changed,"
        f" {progress.same:,} known before."
    )
    if progress.without_from:
        begins = "it begins" if progress.without_from == 1 else "they begin"
        echo(f"{count_text(progress.without_from, 'tag')} had no from; {begins} now.")
    for doubt in progress.doubts:
        warn(doubt)
    if progress.refused:
        _show_refused(progress, path)
        raise typer.Exit(FINDINGS)


def _show_refused(progress: "Progress", path: Path) -> None:
    numbering = "the header is row 1" if first_row_of(str(path)) > 1 else "rows count from 1"
    rows, them = count_text(progress.refused, "row"), "it" if progress.refused == 1 else "them"
    warn(f"{rows} {_was(progress.refused)} refused, and nothing of {them} was stored ({numbering}):")
    for line in problem_lines(progress.problems):
        warn(line)
    if beyond := progress.refused - len({problem.row for problem in progress.problems}):
        warn(f"and {count_text(beyond, 'row')} more; only the file has their reasons")
    if progress.refused_path is None:
        warn(f"the file with {them} was deleted or cut; import {path} again for a new one")
        return
    warn(f"they are in {progress.refused_path}, each with the reason; correct them there and import that file")


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _clock(as_of: str | None) -> Callable[[], int] | None:
    """Give the clock of an import; None for the database's, by which workers go."""
    if as_of is None:
        return None
    at = moment(as_of, "--as-of")
    return lambda: at


def _bar(path: Path) -> "Callable[[Progress], None]":
    """Return a function that shows the progress as a bar, on a terminal."""
    bar = tqdm(unit=" rows", desc=path.name, unit_scale=True, disable=None)  # only on a terminal

    def update(progress: "Progress") -> None:
        bar.update(progress.rows - bar.n)
        bar.refresh()
        if progress.finished:
            bar.close()

    return update


IMPORT = command_group(
    "Import entities and their facts from files.",
    {"setup": setup} | {table: import_command(table) for table in TABLES},
)
