"""`fivefold rules schema`: the JSON Schema of rulesets, for editors and other programs."""

import typer


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(schema)


def schema() -> None:
    """Print the JSON Schema of rulesets. An editor that knows it completes words and marks mistakes."""
    from risk.language.schema import schema_json  # noqa: PLC0415 (imports Polars)

    typer.echo(schema_json(), nl=False)
