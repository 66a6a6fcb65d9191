"""`fivefold ui`: MLflow's own interface on our registry, without anything of it that calls home."""

import importlib.util
import os
import sys
from typing import Annotated

import typer

from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import read_settings

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # The folder where this was started may have packages of the same names as ours.
    "PYTHONSAFEPATH": "1",
}
"""Switches of MLflow: a program that is started anew does not have those that fivefold sets for itself."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ui")(show)


def show(
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 5000,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; it has no sign-in.")] = "127.0.0.1",
) -> None:
    """Show every run and version in a browser. It is MLflow's interface, without telemetry, and runs until stopped."""
    settings = read_settings()
    if settings.tracking_uri.startswith(("http://", "https://")):
        raise ConfigError(f"MLFLOW_TRACKING_URI is {settings.tracking_shown}, a server: it has an interface of its own")
    if importlib.util.find_spec("mlflow") is None:
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")  # the program that is started would say it
    os.environ |= QUIET
    arguments = ["--backend-store-uri", settings.tracking_uri, "--host", host, "--port", str(port)]
    sys.stdout.flush()
    # MLflow's own command takes this process's place, so that signals reach it and nobody else.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "mlflow", "server", *arguments])  # noqa: S606 (our own words)
