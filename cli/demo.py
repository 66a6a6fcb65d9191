"""`fivefold demo`: the whole value side on simulated customers, in one go."""

import typer

from cli import explain, score, train
from cli.terminal import console, load_model, open_registry
from domain.clock import to_microseconds
from domain.settings import read_settings
from training.config import DEFAULT_NAME, TrainingConfig


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo() -> None:
    """Simulate customers, train, register, promote, score a file and explain one customer."""
    from training.simulator import Simulation  # noqa: PLC0415 (heavy to import)

    config = TrainingConfig()
    path = train.simulated_file()
    if open_registry(config.name).champion() is None:
        console.print("Training on them (the first time on a machine, the indicators are compiled as well) ...")
        train.show_outcome(train.run(path, config), config)
    else:
        console.print(f"There is a champion already; `fivefold train` would train another one on {path}.")
    model = load_model(None, DEFAULT_NAME)
    as_of = to_microseconds(Simulation(customers=1).end)
    output = read_settings().var / "demo" / "scores.csv"
    console.print()
    score.score_file(model, path, output, as_of).show(model, as_of, asked=True)
    console.print(f"Every customer's score: {output}")
    console.print()
    explain.show(model, path, "user_000001", as_of)
    console.print(
        f"""
What next:
  .venv/bin/fivefold models                               which model serves, and why
  .venv/bin/fivefold indicators                           what the model sees
  .venv/bin/fivefold explain {path} --user user_000002 --as-of 2025-01-01 --png why.png
  .venv/bin/fivefold train --data YOUR_FILE --config training/configs/berka.yaml
  .venv/bin/mlflow ui --backend-store-uri {read_settings().tracking_uri}""",
        markup=False,
        soft_wrap=True,
    )
