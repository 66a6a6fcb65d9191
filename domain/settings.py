"""Settings: what the environment says, read once at entry and frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLE_VAR = "FIVEFOLD_VAR"


@dataclass(frozen=True)
class Settings:
    """Where fivefold keeps what it makes.

    Attributes:
        var: folder of everything generated: registry, compiled indicators, demo files (`FIVEFOLD_VAR`).
    """

    var: Path

    @property
    def tracking_uri(self) -> str:
        """The embedded MLflow's database."""
        return f"sqlite:///{self.var / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """The embedded MLflow's files."""
        return self.var / "artifacts"

    @property
    def kernels(self) -> Path:
        """The compiled indicators."""
        return self.var / "kernels"


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from *environment* (by default the process's own).

    >>> read_settings({"FIVEFOLD_VAR": "/data"}).tracking_uri
    'sqlite:////data/mlflow.db'
    """
    found = os.environ if environment is None else environment
    return Settings(var=Path(found.get(VARIABLE_VAR) or "var").expanduser().absolute())
