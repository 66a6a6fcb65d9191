"""`fivefold drift`: the customers scored lately against the customers of the training reference."""

from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import NameOption, console, open_current_database, open_registry, require_name, show_table
from fivefold.domain.clock import DAY_US, day_text, now_microseconds
from fivefold.domain.errors import ModelNotFoundError
from fivefold.domain.settings import read_settings
from fivefold.training.config import DEFAULT_NAME

if TYPE_CHECKING:
    from fivefold.models.value_model import ValueModel

SHOWN = 15


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drift)


def drift(
    days: Annotated[int, typer.Option("--days", min=1, help="How far back to look.")] = 30,
    every: Annotated[bool, typer.Option("--all", help="Every indicator, not only the furthest.")] = False,
    version: Annotated[int | None, typer.Option("--version", help="Of the model; the champion by default.")] = None,
    name: NameOption = DEFAULT_NAME,
) -> None:
    """Tell how far scored customers drifted. The training reference is compared with the counts of the service."""
    require_name(name)
    from fivefold.usecases.monitoring.drift import drift_key, measure_drift

    number, model = _model_of(name, version)
    engine = open_current_database()
    since = day_text(now_microseconds() - days * DAY_US)[:10]
    drifts = measure_drift(engine, model.reference, drift_key(name, model), number, since)
    rows = [
        [line.name, "" if line.index is None else f"{line.index:.3f}", line.verdict, f"{line.customers:,}"]
        for line in (drifts if every else drifts[:SHOWN])
    ]
    columns = ("indicator", "PSI", "verdict", "customers")
    show_table(f"{name} version {number}: drift since {since}", columns, rows)
    console.print("PSI below 0.1 is stable, above 0.25 shifted; under 500 customers it is unknown.")


def _model_of(name: str, version: int | None) -> "tuple[int, ValueModel]":
    """Load a version, or the champion; that of the embedded registry without MLflow, whose import takes seconds."""
    from fivefold.models.embedded import embedded_champion, load_embedded_champion

    embedded = embedded_champion(read_settings(), name)
    if embedded is not None and version in {None, embedded.version}:
        return embedded.version, load_embedded_champion(embedded)
    registry = open_registry(name)
    champion = registry.champion()
    number = version or (champion.number if champion else None)
    if number is None:
        raise ModelNotFoundError(f"{name} has no champion: run `fivefold train`")
    return number, registry.load(number)
