"""Where a training run's time goes: the steps that `training.retrain.retrain` calls, by the clock."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lightgbm

from benchmarks.scale.commands import CONFIG, Files, Usage, take
from fivefold.cli.main import app
from fivefold.training import retrain

FIT = "LightGBM"


def train(files: Files) -> tuple[Usage, dict[str, float]]:
    """Train on the ordered rows; the first version is the champion of the files.

    Returns:
        What the command took, and the seconds of each step, the fits of LightGBM apart from all of them.
    """
    files.config.write_text(CONFIG, encoding="utf-8")
    written = files.folder / "steps.json"
    command = [sys.executable, "-m", __spec__.name, str(files.ordered), str(files.config), str(written)]
    usage = take(command, files.environment, files.folder)
    steps: dict[str, float] = json.loads(written.read_text(encoding="utf-8"))
    return usage, steps


@contextmanager
def _timed(steps: dict[str, float]) -> Iterator[None]:
    """Take the time of every function of the product that `retrain` calls, less that of LightGBM inside."""
    with ExitStack() as stack:
        for name, function in vars(retrain).items():
            of_product = getattr(function, "__module__", "").startswith("fivefold.") and name != "retrain"
            if of_product and callable(function) and not isinstance(function, type):
                stack.enter_context(patch.object(retrain, name, _clocked(function, name, steps)))
        fitting = _clocked(lightgbm.train, FIT, steps)
        for place in (lightgbm, lightgbm.sklearn):
            stack.enter_context(patch.object(place, "train", fitting))
        yield


def _clocked(function: Callable[..., Any], name: str, steps: dict[str, float]) -> Callable[..., Any]:
    def clocked(*args: Any, **kwargs: Any) -> Any:
        begun, inner = time.perf_counter(), sum(steps.values())
        try:
            return function(*args, **kwargs)
        finally:  # what a step called is that step's own
            inside = sum(steps.values()) - inner
            steps[name] = steps.get(name, 0.0) + time.perf_counter() - begun - inside

    return clocked


def _main(data: str, config: str, written: str) -> None:
    steps: dict[str, float] = {}
    begun = time.perf_counter()
    with _timed(steps):
        app(["train", "--data", data, "--config", config], standalone_mode=False)
    steps["all else"] = time.perf_counter() - begun - sum(steps.values())
    Path(written).write_text(json.dumps(steps), encoding="utf-8")


if __name__ == "__main__":
    _main(*sys.argv[1:])
