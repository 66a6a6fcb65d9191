"""`fivefold recalibrate`: the trees of a version with a score curve of later customers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import (
    MapOption,
    NameOption,
    echo,
    mapped,
    open_registry,
    paragraph,
    require_module,
    require_source,
    show_table,
    still_serving,
    warn,
)
from fivefold.domain.clock import day_text, parse_moment
from fivefold.domain.settings import model_address, parse_model_uri, require_model_name
from fivefold.training.config import DEFAULT_NAME

if TYPE_CHECKING:
    from fivefold.training.recalibrate import Recalibration

VersionOption = Annotated[
    str | None,
    typer.Option("--model", help="A version, models:/NAME/VERSION or models:/NAME@ALIAS; the champion by default."),
]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", help="ISO date; by default the latest date whose value window the data cover."),
]


def recalibrate(
    data: Annotated[Path, typer.Option("--data", help="Transactions up to one horizon after --as-of.")],
    as_of: AsOfOption = None,
    model: VersionOption = None,
    name: NameOption = DEFAULT_NAME,
    names: MapOption = None,
) -> None:
    """Make and judge a new score curve for the trees of a version. It does not become champion by itself."""
    when = None if as_of is None else parse_moment(as_of, "--as-of")
    require_model_name(name)
    require_source(data)
    uri = None if model is None else model_address(model, name)
    if uri is not None:
        parse_model_uri(uri)
    require_module("optuna")  # its extra has all that this takes; a smaller one has the first module that is imported
    from fivefold.training.recalibrate import recalibrate as run

    source = mapped(data, names)
    show(run(source if source.names.ours else data, open_registry(name), uri=uri, as_of=when), name)


def show(outcome: "Recalibration", name: str) -> None:
    """Print what the new curve changes, the verdict, and the command that makes the version champion."""
    from fivefold.training.report.recalibration_card import change_sentences

    lineage, model, change = outcome.lineage, outcome.model, outcome.change
    for text in lineage.warnings:
        warn(text)
    currency = model.currency
    columns = ("segment", "share before", "share after", f"mean value before ({currency})", "mean value after")
    customers, day = model.curve.customers, day_text(model.test_as_of)
    show_table(
        f"{customers:,} customers known on {day}: curve of version {lineage.parent}, and new",
        columns,
        change.rows(currency),
    )
    echo()
    for sentence in change_sentences(lineage, change):
        echo(sentence)
    echo()
    echo(f"Registered as {name} version {outcome.version}; model hash {model.content_hash[:12]}.")
    paragraph(f"The gate: {outcome.verdict}.")
    option = "" if name == DEFAULT_NAME else f" --name {name}"
    command = f"fivefold promote {outcome.version}{option}"
    if outcome.verdict.promote:
        echo(f"It is the challenger, and {still_serving(name)}. To make it champion: {command} --reason TEXT")
        return
    echo(
        f"The gate does not allow it, and {still_serving(name)}. To overrule the gate: {command} --force --reason TEXT"
    )
