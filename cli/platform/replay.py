"""`fivefold replay`: compute a stored assessment or decision again from its inputs, and compare the bytes."""

import json
from typing import Annotated

import typer

from fivefold.cli.terminal import acting_in, echo, open_current_database, warn

DIFFERENT = 1
"""Exit code if the bytes differ; a refused replay ends with 2."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    assessment: Annotated[str, typer.Argument(help="Its number, such as 12.3; d:12 for a decision.")],
    organisation: Annotated[str, typer.Option("--organisation", help="Whose it is.")] = "default",
    show: Annotated[bool, typer.Option("--show", help="Print the breakdown that came out.")] = False,
) -> None:
    """Make a stored assessment or decision again, to the byte.

    It is made from its recorded inputs and versions. Exit code 1 where it is not the same.
    """
    from fivefold.usecases.decisions.read import replay_by_name

    engine = open_current_database()
    outcome = replay_by_name(acting_in(engine, organisation), assessment)
    what = f"{'decision' if assessment.startswith('d:') else 'assessment'} {assessment}"
    if show:
        echo(json.dumps(json.loads(outcome.breakdown_now), indent=2, ensure_ascii=False))
    if outcome.same:
        echo(f"{what.capitalize()}: the same {len(outcome.breakdown_now):,} bytes came out.")
        age = json.loads(outcome.breakdown_now).get("stale_rates_days")
        if age is not None:
            echo(f"Its exchange rates were stale: the newest was {age:,} days old when it was made.")
        return
    warn(f"{what} came out different; it was made by engine {outcome.engine}, this is {outcome.engine_now}")
    stored, computed = json.loads(outcome.stored), json.loads(outcome.breakdown_now)
    for key in sorted({*stored, *computed}):
        if stored.get(key) != computed.get(key):
            warn(f"{key}: stored {json.dumps(stored.get(key))[:200]}, computed {json.dumps(computed.get(key))[:200]}")
    raise typer.Exit(DIFFERENT)
