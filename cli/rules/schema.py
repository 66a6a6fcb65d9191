"""`fivefold rules schema`: the JSON Schema of rulesets and of policies, for editors and other programs."""

from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(schema)


def schema(
    policy: Annotated[bool, typer.Option("--policy", help="That of policies, which decide on transactions.")] = False,
) -> None:
    """Print the JSON Schema of rulesets. An editor that knows it completes words and marks mistakes."""
    from fivefold.risk.language.policy import Policy
    from fivefold.risk.language.ruleset import Ruleset
    from fivefold.risk.language.schema import schema_json

    typer.echo(schema_json(Policy if policy else Ruleset), nl=False)
