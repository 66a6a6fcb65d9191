"""`fivefold replay`: make a stored assessment, or decision, again from what was kept of it, and compare the bytes."""

import json
from typing import Annotated

import typer

from fivefold.cli.terminal import acting_in, open_current_database, say, warn

DIFFERENT = 1
"""Exit code where other bytes came out; a replay that was refused ends with 2."""


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
    from fivefold.usecases.decisions.read import replay_by_name  # noqa: PLC0415 (imports the engine)

    engine = open_current_database()
    found = replay_by_name(engine, acting_in(engine, organisation), assessment)
    what = f"{'decision' if assessment.startswith('d:') else 'assessment'} {assessment}"
    if show:
        say(json.dumps(json.loads(found.made), indent=2, ensure_ascii=False))
    if found.same:
        say(f"{what.capitalize()}: the same {len(found.made):,} bytes came out.")
        age = json.loads(found.made).get("stale_rates_days")
        if age is not None:
            say(f"Its exchange rates were stale: the newest was {age:,} days old when it was made.")
        return
    warn(f"{what} came out different; it was made by engine {found.engine}, this is {found.engine_now}")
    stored, made = json.loads(found.stored), json.loads(found.made)
    for key in sorted({*stored, *made}):
        if stored.get(key) != made.get(key):
            warn(f"{key}: stored {json.dumps(stored.get(key))[:200]}, made {json.dumps(made.get(key))[:200]}")
    raise typer.Exit(DIFFERENT)
