"""`fivefold import`: a portfolio from files into the platform, with progress; stopped ones go on where they were."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tqdm import tqdm

from cli.rules_options import ListsOption, RulesetArgument, load_ruleset
from cli.terminal import acting_in, actor, moment, open_current_database, say
from domain.clock import now_microseconds
from domain.errors import ConfigError
from domain.settings import read_settings

if TYPE_CHECKING:
    from usecases.importing import Progress

import_app = typer.Typer(help="Entities and transactions from files into the platform.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="Parquet, CSV or JSON lines, one row each.")]
TypeOption = Annotated[str, typer.Option("--type", help="The type of the entities.")]
OrganisationOption = Annotated[str, typer.Option("--organisation", help="Whose they are.")]
AsOfOption = Annotated[str | None, typer.Option("--as-of", help="The present moment, for histories of the past.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    import_app.command()(setup)
    import_app.command()(entities)
    import_app.command()(transactions)
    app.add_typer(import_app, name="import")


def setup(
    path: RulesetArgument,
    organisation: OrganisationOption = "default",
    base: Annotated[str, typer.Option("--base", help="The currency that everything is converted into.")] = "EUR",
    lists: ListsOption = None,
) -> None:
    """Choose the levels of a ruleset, declare its type of entity, put its lists. Then entities can come."""
    from cli.shipped import lists_with  # noqa: PLC0415 (imports the engine)
    from risk.engine.reads import lists_of_ruleset  # noqa: PLC0415 (as above)
    from risk.language.canonical import canonical_json  # noqa: PLC0415 (as above)
    from usecases.entity_types import define_type  # noqa: PLC0415 (imports SQLAlchemy)
    from usecases.lists import put_list  # noqa: PLC0415 (as above)
    from usecases.organisations import actor_in_new  # noqa: PLC0415 (as above)
    from usecases.settings import change_settings, choose_levels  # noqa: PLC0415 (as above)

    ruleset = load_ruleset(path)
    names, known = lists_of_ruleset(ruleset), lists_with(lists)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"{path} reads the list {unknown[0]}, which nobody has; give a folder that has it by --lists")
    engine = open_current_database()
    who = actor_in_new(engine, organisation, actor())
    choose_levels(engine, who, ruleset.levels)
    change_settings(engine, who, base_currency=base)
    said = ruleset.model_dump(mode="json", by_alias=True)
    fields, transaction_fields, case_fields = (
        said.get(name) or {} for name in ("fields", "transaction_fields", "case_fields")
    )
    define_type(engine, who, ruleset.entity_type, fields, transaction_fields, case_fields)
    for name in names:
        put_list(engine, who, canonical_json(known[name]))
    read = f", and the lists {', '.join(names)}" if names else ""
    say(f"{organisation} has the levels {', '.join(ruleset.levels)}, the type {ruleset.entity_type}{read}.")


def entities(
    path: FileArgument,
    kind: TypeOption = "customer",
    organisation: OrganisationOption = "default",
    as_of: AsOfOption = None,
) -> None:
    """Take entities: entity_id, their fields, perhaps owner_id. Whoever is new or changed becomes due."""
    from usecases.importing import import_entities  # noqa: PLC0415 (imports SQLAlchemy)

    _take(import_entities, path, kind, organisation, as_of)


def transactions(
    path: FileArgument,
    kind: TypeOption = "customer",
    organisation: OrganisationOption = "default",
    as_of: AsOfOption = None,
) -> None:
    """Take transactions as the API names their columns, with transaction_id: each once, however often it is sent."""
    from usecases.importing import import_transactions  # noqa: PLC0415 (imports SQLAlchemy)

    _take(import_transactions, path, kind, organisation, as_of)


def _take(take: Callable[..., "Progress"], path: Path, kind: str, organisation: str, as_of: str | None) -> None:
    from usecases.clock_repair import refuse_future  # noqa: PLC0415 (imports SQLAlchemy)

    engine = open_current_database()
    clock = _clock(as_of)
    if as_of is not None:
        refuse_future(engine, clock(), "--as-of")
    who = acting_in(engine, organisation)
    done = take(engine, who, kind, path, read_settings().var / "imports", _bar(path), clock)
    say(f"{done.rows:,} rows: {done.new:,} new, {done.changed:,} changed, {done.same:,} known before.")


def _clock(as_of: str | None) -> Callable[[], int]:
    if as_of is None:
        return now_microseconds
    at = moment(as_of, "--as-of")
    return lambda: at


def _bar(path: Path) -> "Callable[[Progress], None]":
    bar = tqdm(unit=" rows", desc=path.name, unit_scale=True, disable=None)  # only where somebody looks on

    def told(progress: "Progress") -> None:
        bar.update(progress.rows - bar.n)
        bar.refresh()
        if progress.finished:
            bar.close()

    return told
