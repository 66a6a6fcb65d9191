"""`fivefold demo`: both sides on simulated customers, in one go: a scored file, a request, an explained level."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from fivefold.cli.demo import levels as demo_levels
from fivefold.cli.demo import sample
from fivefold.cli.serve import require_free
from fivefold.cli.terminal import create_registry, echo, load_model, quoted, require_module, require_system_libraries
from fivefold.cli.value_model import explain, score, train
from fivefold.domain.clock import to_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.domain.provenance import EXTRAS, needs_extra
from fivefold.domain.settings import read_settings
from fivefold.training.config import DEFAULT_NAME, TrainingConfig

EXPLAINED = "user_000027"
"""The customer whose score is explained, in the README too, and whom the proposed commands are about."""
NEXT = {
    "demo --serve": "the service and the console in a browser, with tokens and a call to paste",
    "models": "which model serves, and why",
    f"level {EXPLAINED} --organisation demo": "the level of a customer, and why",
    "sample var/sample": "tables to try rulesets on",
    "indicators": "the indicators that the model reads",
    "train --data YOUR_FILE --name ours": "your own model, from user_id, transaction_date and transaction_amount",
    "ui": "every run and version, in a browser",
}
"""What the demo proposes at its end: commands of the program, and what they show."""


def demo(
    serve: Annotated[bool, typer.Option("--serve", help="Only start the service, and leave it running.")] = False,
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 3000,
) -> None:
    """Show everything on simulated customers.

    Value: train, promote, score a file, explain one score. Risk: activate a ruleset, assess, explain one level before
    and after an event, decide on a payment. At the end, serve one request.
    """
    _require_extras()
    if serve:
        require_free(sample.LOOPBACK, port)
    elif not sample.is_free(port):
        port = sample.any_port()
        echo(f"The port is in use, so the demo's service will use {port}.")
    config = TrainingConfig()
    path = train.simulated_file()
    if create_registry(config.name).champion() is None:
        echo("Training a model on them. The first time on a machine, the indicators are compiled too ...")
        train.show_outcome(train.run(path, config), config)
    elif not serve:
        echo(f"There is already a champion; `fivefold train` would train another one on {path}.")
    if serve:
        tokens = demo_levels.console_tokens()
        secret = sample.app_token(demo_levels.ORGANISATION if tokens else "default")
        roles = demo_levels.CONSOLE_MEMBERS
        sample.serve_until_stopped(port, secret, {f"{name}, {roles[name]}:": token for name, token in tokens.items()})
        return
    _show_scores()
    demo_levels.show_levels()
    sample.serve_once(port)
    _propose(path)


def _propose(path: Path) -> None:
    """Print commands that can be pasted into the shell from which the demo was started."""
    program = _program()
    echo("\nNext steps:")
    width = max(map(len, NEXT))
    for command, what in NEXT.items():
        echo(f"  {program} {command:{width}}  {what}")
    picture = f"{program} explain {quoted(path)} --user {EXPLAINED} --as-of 2025-01-01 --png why.png"
    echo(f"A picture of one score:\n  {picture}")


def _program() -> str:
    """Name the program as a shell finds it: `fivefold` where that is on the path, else as it was started."""
    started, on_path = Path(sys.argv[0]), shutil.which("fivefold")
    is_on_path = on_path is not None and Path(on_path).absolute() == started.absolute()
    return "fivefold" if started.name != "fivefold" or not started.exists() or is_on_path else quoted(started)


def _require_extras() -> None:
    """Refuse before anything is written; what the demo shows takes several extras, and one name has them all."""
    for module in (module for extra in ("train", "platform", "serve") for module in EXTRAS[extra]):
        try:
            require_module(module)
        except ModuleNotFoundError:
            raise ConfigError(needs_extra(module, "all")) from None
    require_system_libraries()


def _show_scores() -> None:
    from fivefold.models.scoring.histories import Scoring
    from fivefold.training.simulation.simulator import Simulation

    path = train.simulated_file()
    model = load_model(None, DEFAULT_NAME)
    as_of = to_microseconds(Simulation(customers=1).end)
    output = read_settings().var / "demo" / "scores.csv"
    echo()
    score.score_file(model, path, output, Scoring(as_of)).show(model, as_of, explicit=True)
    echo(f"Every customer's score: {output}")
    echo()
    explain.show(model, path, EXPLAINED, as_of)
    echo()
