"""`fivefold simulate`, `sample` and `sort`: files to try things out on, and files put in order."""

import shlex
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.terminal import MapOption, PathArgument, echo, mapped, show_table
from fivefold.cli.value_model.output import require_output
from fivefold.cli.value_model.parts import RestartOption, conditions, continued
from fivefold.domain.clock import DAY_WRITTEN
from fivefold.domain.errors import ConfigError
from fivefold.domain.parts import Task

OUTPUT = typer.Option("--output", "-o", help="The Parquet file to write.")
SAMPLE_CUSTOMERS = 300


def simulate(
    new_file: Annotated[Path | None, OUTPUT] = None,  # its folder is made: a parameter among `OUTPUTS` has one
    portfolio: Annotated[
        Path | None,
        typer.Option(
            "--portfolio", help="Write a portfolio for rules into this folder instead, as `fivefold sample` does."
        ),
    ] = None,
    customers: Annotated[
        int | None,
        typer.Option("--customers", min=1, help="Number of customers; by default 5,000, or 300 for a portfolio."),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option("--rows", min=1, help="Approximate number of transactions, instead of --customers."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same customers.")] = 1,
    restart: RestartOption = False,
) -> None:
    """Simulate customers to experiment with. They deposit, withdraw, pause and leave.

    The file contains only their transactions; --portfolio writes the tables that rules read, as `fivefold sample` does.
    """
    if portfolio is not None:
        others = {"--output": new_file, "--rows": rows, "--restart": restart or None}
        if names := [name for name, value in others.items() if value is not None]:
            raise ConfigError(f"{names[0]} is given beside --portfolio, which fills a folder of its own; leave it out")
        sample(portfolio, customers or SAMPLE_CUSTOMERS, seed)
        return
    if new_file is None:
        raise ConfigError("give --output FILE.parquet for transactions, or --portfolio FOLDER for a portfolio")
    _write_transactions(new_file, customers, rows, seed, restart=restart)


def _write_transactions(new_file: Path, customers: int | None, rows: int | None, seed: int, *, restart: bool) -> None:
    """Write a file of transactions, and make its folder."""
    from fivefold.training.simulation.simulator import Simulation, customers_for, write_simulation

    _require_parquet(new_file)
    if rows is not None and customers is not None:
        raise ConfigError("--rows and --customers are both given; say one of them")
    count = (customers or 5_000) if rows is None else customers_for(rows)
    try:
        new_file.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        blocked = next(place for place in new_file.parents if place.exists())
        raise ConfigError(f"--output is {new_file}, and {blocked} cannot be a folder: a file is there") from None
    require_output(new_file)
    options = conditions({"--customers": count, "--seed": seed})
    with continued(Task(command="simulate", output=new_file, conditions=options), restart=restart) as parts:
        written = write_simulation(Simulation(customers=count, seed=seed), new_file, parts)
    echo(f"{written:,} transactions of {count:,} simulated customers: {new_file}")


def sample(
    folder: Annotated[Path, typer.Argument(help="The folder to write the tables to.")],
    customers: Annotated[
        int, typer.Option("--customers", min=20, max=10_000, help="How many customers.")
    ] = SAMPLE_CUSTOMERS,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed and day give the same customers.")] = 1,
    end: Annotated[
        str | None, typer.Option("--end", help="The day after the last transactions; by default today.")
    ] = None,
) -> None:
    """Write a sample portfolio for the ruleset fatf-retail. It comes with labels, and with two rulesets to compare."""
    from pyarrow.parquet import read_schema

    from fivefold.training.simulation.sample_portfolio import write_sample

    tables = write_sample(folder, customers, seed, None if end is None else _day(end))
    show_table(
        f"{customers:,} invented customers in {folder}",
        ("table", "columns"),
        [[path.name, ", ".join(read_schema(path).names)] for path in tables.paths],
        left=2,
    )
    parts = " ".join(f"--{path.stem} {shlex.quote(str(path))}" for path in tables.paths[1:])
    echo(f"  {tables.links.name}: which persons own companies")
    echo(f"  {tables.labels.name}: who was confirmed, and when it became known")
    echo("  now.yaml, draft.yaml, my-lists: a ruleset, a draft of its next version, and the list that they read")
    echo("\nTry the shipped ruleset on them:")
    echo(f"  fivefold rules assess fatf-retail {shlex.quote(str(tables.customers))} {parts}")
    echo(f"with --explain {tables.stories['structuring']} (cash below the reporting threshold), or one of these:")
    for story, customer in tables.stories.items():
        echo(f"  {customer}  {story}")


def _day(typed: str) -> date:
    try:
        return date.fromisoformat(typed if DAY_WRITTEN.fullmatch(typed) else "")
    except ValueError:
        raise ConfigError(f"--end is {typed!r}; it must be a day such as 2026-07-01") from None


def sort(
    path: PathArgument, output: Annotated[Path, OUTPUT], names: MapOption = None, restart: RestartOption = False
) -> None:
    """Group a file's rows by customer. Streaming needs this order. The file may be larger than memory."""
    from fivefold.features.reading.sort_file import sort_by_customer

    _require_parquet(output)
    file = mapped(path, names)
    task = Task(command="sort", output=output, conditions=conditions({"--map": ", ".join(names or []) or None}, file))
    with continued(task, restart=restart) as parts:
        rows = sort_by_customer(file, output, parts)
    echo(f"{rows:,} rows, grouped by customer: {output}")


def _require_parquet(output: Path) -> None:
    if output.suffix.lower() != ".parquet":
        raise ConfigError(f"--output is {output}; it must end in .parquet")
