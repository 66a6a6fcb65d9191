"""The service with faults that a test asks for by the name of a user; `service` starts it in its place."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fivefold.features.reading.request_body import BodyColumns
from fivefold.models.value_model import ValueModel
from fivefold.serving.champion import loader
from fivefold.serving.service import Fivefold
from fivefold.serving.v4 import endpoint as scoring
from fivefold.usecases.scoring import RequestRows
from tests.serving.processes.service import BREAKS, DIES, SLEEPS
from tests.serving.v4.rows import told

__all__ = ["Fivefold"]

SLEEP_SECONDS = 4.0

loader.POLL_SECONDS = 1.0
_sound = scoring.check_rows


def check_rows(model: ValueModel, rows: BodyColumns | Sequence[Mapping[str, Any]], **more: Any) -> RequestRows:
    """Check, unless the first user asks for something else."""
    seen = told(rows) if isinstance(rows, BodyColumns) else rows
    asked = str(seen[0]["user_id"]) if seen else ""
    if asked.startswith(BREAKS):
        raise RuntimeError(f"cannot score {seen}") from ValueError(f"cannot read {seen[0]}")
    if asked.startswith(SLEEPS):  # with more rows than are scored in the loop, so that nobody else waits
        time.sleep(SLEEP_SECONDS)
    if asked.startswith(DIES):
        os.kill(os.getpid(), signal.SIGKILL)
    return _sound(model, rows, **more)


scoring.check_rows = check_rows
