"""`fivefold simulate` and `fivefold sort`: files of transactions."""

from pathlib import Path
from typing import Annotated

import typer

from cli.terminal import PathArgument, say
from domain.errors import ConfigError

OutputOption = Annotated[Path, typer.Option("--output", "-o", help="The Parquet file to write.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(simulate)
    app.command()(sort)


def simulate(
    output: OutputOption,
    customers: Annotated[int, typer.Option("--customers", min=1, help="How many customers.")] = 5_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same customers.")] = 1,
) -> None:
    """Simulate customers to try things out on. They deposit, withdraw, pause and leave."""
    from training.simulator import Simulation, write_simulation  # noqa: PLC0415 (heavy to import)

    _require_parquet(output)
    rows = write_simulation(Simulation(customers=customers, seed=seed), output)
    say(f"{rows:,} transactions of {customers:,} simulated customers: {output}")


def sort(path: PathArgument, output: OutputOption) -> None:
    """Group a file's rows by customer. Streaming needs that; files larger than memory are fine."""
    from features.sort import sort_by_customer  # noqa: PLC0415 (heavy to import)

    _require_parquet(output)
    rows = sort_by_customer(path, output)
    say(f"{rows:,} rows, grouped by customer: {output}")


def _require_parquet(output: Path) -> None:
    if output.suffix.lower() != ".parquet":
        raise ConfigError(f"--output is {output}; it must end in .parquet")
