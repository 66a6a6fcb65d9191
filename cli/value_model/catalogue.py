"""`fivefold indicators`: the catalogue, and `fivefold warm`: compile it now."""

from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.terminal import echo, show_table


def indicators(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print it as the page docs/indicators.md.")] = False,
    own: Annotated[
        Path | None, typer.Option("--own", help="A Python file with your own indicators; they are checked and added.")
    ] = None,
) -> None:
    """Print the catalogue of indicators. Each has a name, unit, value for an empty history and meaning."""
    from fivefold.features.catalogue.own import read_own_indicators
    from fivefold.features.catalogue.probe import check_own_indicators
    from fivefold.features.catalogue_page import catalogue_markdown, empty_text
    from fivefold.features.indicator_matrix import catalogue

    yours = None if own is None else read_own_indicators(own)
    if yours is not None:
        check_own_indicators(yours)
    if markdown:
        typer.echo(catalogue_markdown(yours), nl=False)
        return
    all_ = catalogue((), yours)
    rows = [[each.name, each.label, each.family, each.unit, empty_text(each), each.meaning] for each in all_.indicators]
    show_table(f"{len(rows)} indicators", ("indicator", "label", "family", "unit", "empty", "meaning"), rows, left=6)
    echo(f"fingerprint {all_.fingerprint}")


def warm() -> None:
    """Compile the indicators now. No later command then waits for it."""
    from fivefold.features.indicator_matrix import warm as compile_now
    from fivefold.models.trees.many_rows import warm_many_rows
    from fivefold.serving.v4.decoding import decode_body

    compile_now()
    warm_many_rows()
    decode_body(b"[]", 1)  # and the loop that reads bodies, for which the first service would wait
    echo("The indicators are compiled.")
