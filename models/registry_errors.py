"""Errors of MLflow, its drivers and its store of files, translated to our errors, which say what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from fivefold.domain.errors import ModelError, ModelNotFoundError, RegistryError
from fivefold.domain.files import DISK_FULL, disk_error_behind
from fivefold.domain.settings import without_password
from fivefold.models.embedded import RESTORE

_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's error codes for a model or an alias that does not exist."""
_NOT_FOUND = 404

_REVISIONS = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
"""The changes of its schema that this MLflow knows, each a file that begins with its revision."""


class TranslatedClient:
    """MLflow's client, whose errors are ours whatever is called."""

    def __init__(self, client: MlflowClient, place: str) -> None:
        """Keep the client, and the place of its registry for messages."""
        self._client = client
        self._place = place

    def __getattr__(self, name: str) -> Any:
        """Return the client's attribute; a method with its errors translated."""
        attribute = getattr(self._client, name)
        return _translated(self._place)(attribute) if callable(attribute) else attribute


@contextmanager
def _translated(place: str) -> Iterator[None]:
    """Translate errors of MLflow and of its store of files to ours; see `registry_error`."""
    try:
        yield
    except (MlflowException, OSError) as error:
        raise registry_error(error, f"the registry of models, {place}, cannot be asked for this") from error


def registry_error(error: MlflowException | OSError, text: str) -> ModelError:
    """Return our error for one of MLflow, or of its store of files: *text*, and why.

    It is a ModelNotFoundError if another try would find nothing either, and otherwise a RegistryError.
    """
    kind = ModelNotFoundError if _is_not_there(error) else RegistryError
    return kind(f"{text}: {line_of_error(error)}")


def _is_not_there(error: MlflowException | OSError) -> bool:
    """Tell what will not be there on another try either, from a registry or a store of files that is away now."""
    if str(error).startswith("No such"):
        return True
    if isinstance(error, MlflowException):
        return error.error_code in _NOT_THERE
    answer = getattr(error, "response", None)  # of the HTTP client, whose errors are an OSError
    return isinstance(error, FileNotFoundError | NotADirectoryError) or getattr(answer, "status_code", 0) == _NOT_FOUND


def of_another_release(error: Exception) -> str:
    """Say that another release of MLflow made the registry; empty where it did not, or this one can upgrade it."""
    revision = re.search(r"out-of-date database schema \(found version (\w+),", str(error))
    if revision is None or any(_REVISIONS.glob(f"{revision[1]}_*.py")):
        return ""
    return f"it was made by another release of MLflow than {mlflow.__version__}; install that one"


def line_of_error(error: Exception) -> str:
    """Write what MLflow says in one line, without a password; what the disk says comes first."""
    text = str(error).strip()
    disk = disk_error_behind(error)
    if disk is not None:
        where = f"the disk of {disk.filename}" if disk.filename else "its disk"
        return f"{where} is full" if disk.errno in DISK_FULL else f"{where} fails: {disk.strerror}"
    if text.startswith("No such artifact"):
        return f"its files are gone: {RESTORE}"
    return without_password(text.splitlines()[0]) if text else type(error).__name__
