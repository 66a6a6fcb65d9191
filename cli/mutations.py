"""How `fivefold rules test --mutate` and `fivefold flows mutate` write which changes no example notices."""

from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import echo
from fivefold.domain.text import count_text

if TYPE_CHECKING:
    from fivefold.risk.governance.mutation.run import ChangeTried, Mutations

LeastOption = Annotated[
    float | None,
    typer.Option(
        "--least",
        min=0,
        max=100,
        show_default="100",
        help="Pass where so many percent of changes are noticed.",
    ),
]
SecondsOption = Annotated[
    float | None,
    typer.Option("--seconds", min=1, show_default="300", help="Begin no further change after so long."),
]
MOST_SECONDS = 300
ALL_PERCENT = 100


def is_enough(tried: "Mutations", least: float | None) -> bool:
    """Tell whether all changes were tried, and so many percent of those that can be noticed are."""
    return not tried.counts["not tried"] and tried.noticed_percent >= (ALL_PERCENT if least is None else least)


def show_changes(path: str, tried: "Mutations") -> None:
    """Write the changes that no example notices, as editors read them, then those that none can, then the counts."""
    from fivefold.risk.governance.mutation.run import MutantVerdict

    unnoticed, no_effect = tried.of(MutantVerdict.UNNOTICED), tried.of(MutantVerdict.NO_EFFECT)
    for change in unnoticed:
        echo(f"{_place(path, change)}: no example notices")
        if change.inputs:
            echo(f"    an example that would: {change.inputs}")
        if change.example is not None:
            echo(f"    {change.example_text}")
    for change in no_effect:
        echo(f"{_place(path, change)}: no example can notice: {change.no_effect}")
    left = tried.counts["not tried"]
    echo(
        f"{count_text(len(tried.changes), 'change')} by one step: {tried.counts['noticed']} noticed, "
        f"{len(unnoticed)} not noticed, {len(no_effect)} that no example can notice"
        + (f", {left} not tried for want of time" if left else "")
    )
    which = "those that were tried and" if left else "those that"
    echo(f"Examples notice {tried.noticed_percent:.1f} % of {which} can be noticed")


def _place(path: str, change: "ChangeTried") -> str:
    at = f"{path}:{change.line}" if change.line else path
    return f"{at}: {change.where}: {change.before} → {change.after}"
