"""MLflow's global address, given back as it was after a test that changed it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow

VARIABLE = "MLFLOW_TRACKING_URI"


@contextmanager
def kept_address() -> Iterator[None]:
    """Give the address back afterwards, and the variable that MLflow writes with it."""
    before, variable = mlflow.get_tracking_uri(), os.environ.get(VARIABLE)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
        if variable is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = variable
