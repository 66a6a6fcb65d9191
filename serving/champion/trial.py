"""A model is tried in a process of its own before it serves: what ends that process would have ended the service.

Malformed trees end a process in LightGBM's own code, where nothing in Python can catch it. What could not be tried is
noted beside the pinned models, by its number and run, for all workers and starts: an operator reads there why.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import structlog

from fivefold.domain.errors import ConfigError, ModelError
from fivefold.domain.files import replacing

TRIAL_SECONDS = 300.0
"""So long a trial may take: the first on a machine compiles the indicators."""
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Who ends a trial with these is no model: an operator, or a machine that is out of memory."""
_PROGRAM = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from fivefold.models.value_model import ValueModel
from fivefold.serving.champion.warm_up import warmed
warmed(ValueModel.load(Path(sys.argv[1])))
"""

log = structlog.get_logger("fivefold.model")


def require_sound(folder: Path, notes: Path, number: int, run_id: str | None) -> None:
    """Load and run a model in a child process; ModelError where that ends it, OSError where somebody else did.

    What the model itself refuses in plain words is left to the load that follows. It is tried once: the worker that
    comes first notes what came out.

    Args:
        folder: the model's.
        notes: where the results of trials are kept.
        number: of its version.
        run_id: of its training.
    """
    note = notes / f"{number}-{run_id or 'unknown'}.json"
    outcome = _noted(note)
    if outcome is None:
        outcome = _outcome(folder)
        _keep(note, outcome)
    if outcome:
        raise ModelError(f"version {number} is quarantined: to load it {outcome}; remove {note} to try it again")


def _outcome(folder: Path) -> str:
    """Try a model; say how it ended the process, empty where it did not."""
    command = [sys.executable, "-P", "-c", _PROGRAM, str(folder)]
    # A process that was started elsewhere finds our rooms where this one did.
    around = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(  # noqa: S603 (our own words)
            command, capture_output=True, timeout=TRIAL_SECONDS, check=False, env=around
        )
    except subprocess.TimeoutExpired:
        return f"took more than {TRIAL_SECONDS:.0f} seconds"
    if -done.returncode in FROM_OUTSIDE:
        raise OSError("the trial of a model was killed")
    return f"ended a process with signal {-done.returncode}" if done.returncode < 0 else ""


def _noted(note: Path) -> str | None:
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        return str(found["outcome"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(note: Path, outcome: str) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        with replacing(note) as unfinished:
            unfinished.write_text(json.dumps({"outcome": outcome}), encoding="utf-8")
    except (OSError, ConfigError) as error:  # the trial counts all the same, and is made again at the next start
        log.warning("trial not noted", error=type(error).__name__)
