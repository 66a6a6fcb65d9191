"""Tries a model before it serves, in a child process: a crash in this process would end the service.

Malformed trees end a process in LightGBM's native code, where Python cannot catch it. The result is stored beside the
pinned models, by version and run, for all workers and later starts; operators find the reason there.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import structlog

from fivefold.domain.errors import ConfigError, ModelError
from fivefold.domain.files import replacing
from fivefold.models.value_model import ValueModel

TRIAL_SECONDS = 300.0
"""Time limit of a trial: the first on a machine compiles the indicators."""
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that no model causes: from an operator, or from a machine that is out of memory."""
_PROGRAM = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from fivefold.models.value_model import ValueModel
from fivefold.serving.champion.trial import warm_up_model
warm_up_model(ValueModel.load(Path(sys.argv[1])))
"""

log = structlog.get_logger("fivefold.model")


def require_sound(folder: Path, notes: Path, number: int, run_id: str | None) -> None:
    """Load and run a model in a child process; ModelError if that crashes it, OSError if it was killed from outside.

    Exceptions in the child are ignored: the load that follows raises them again. Each model is tried once; the first
    worker stores the result.

    Args:
        folder: the folder of the model.
        notes: the folder of the results.
        number: the number of its version.
        run_id: the run that trained it.
    """
    note = notes / f"{number}-{run_id or 'unknown'}.json"
    outcome = _read_outcome(note)
    if outcome is None:
        outcome = _try_model(folder)
        _write_outcome(note, outcome)
    if outcome:
        raise ModelError(f"version {number} is quarantined: to load it {outcome}; remove {note} to try it again")


def _try_model(folder: Path) -> str:
    """Try a model; return how it crashed the child process, empty if it did not."""
    command = [sys.executable, "-P", "-c", _PROGRAM, str(folder)]
    # The child imports fivefold from the same place as this process.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        process = subprocess.run(  # noqa: S603 (our own command)
            command, capture_output=True, timeout=TRIAL_SECONDS, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return f"took more than {TRIAL_SECONDS:.0f} seconds"
    if -process.returncode in FROM_OUTSIDE:
        raise OSError("the trial of a model was killed")
    return f"ended a process with signal {-process.returncode}" if process.returncode < 0 else ""


def _read_outcome(note: Path) -> str | None:
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["outcome"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_outcome(note: Path, outcome: str) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        with replacing(note) as unfinished:
            unfinished.write_text(json.dumps({"outcome": outcome}), encoding="utf-8")
    except (OSError, ConfigError) as error:  # the result holds all the same; the next start tries again
        log.warning("trial not noted", error=type(error).__name__)


def warm_up_model(model: ValueModel) -> ValueModel:
    """Run every step of a request once; return the model."""
    model.warm()
    empty_row = np.full((1, len(model.catalogue.names)), np.nan)
    model.reference.count(model.reference.empty(), empty_row, model.scores(empty_row).score)
    return model
