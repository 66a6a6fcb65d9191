"""Models of the registry in memory: each version is loaded once, and predicts many rows at once."""

import hashlib
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from fivefold.domain.errors import ModelError
from fivefold.domain.settings import Settings
from fivefold.models.registered.explaining import RowExplanation, TreeExplainer, tree_explainer
from fivefold.models.registered.finding import AliasedModel, Signature, find_aliased, one_line, read_signature
from fivefold.models.registry import Registry
from fivefold.models.registry_errors import registry_error

MOST_LOADED = 8
MOST_SIGNATURES = 200
Cell = float | int | str | bool | datetime | None
_DTYPES = {"double": np.float64, "float": np.float32, "long": np.int64, "integer": np.int32, "boolean": np.bool_}


@dataclass(frozen=True, eq=False, kw_only=True)
class LoadedModel:
    """A version in memory.

    Attributes:
        signature: what it takes and gives.
        digest: the SHA-256 of its files, by their names, in hexadecimal.
        model: as MLflow loaded it.
        folder: of its files, which goes with it; None where the registry's own are read.
    """

    signature: Signature
    digest: str
    model: Any
    folder: "tempfile.TemporaryDirectory[str] | None"

    def frame(self, rows: Sequence[Mapping[str, Cell]]) -> pd.DataFrame:
        """Make the table that the model takes: a row's missing number is NaN, another missing value None."""
        return pd.DataFrame({each.name: _column(each.kind, each.name, rows) for each in self.signature.columns})

    def predict(self, frame: pd.DataFrame) -> list[tuple[Any, ...]]:
        """Return the model's output for each row, in the order of the signature's outputs.

        ModelError where it raises, or gives another shape than its signature says.
        """
        try:
            outputs = self.model.predict(frame)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a model is code of others)
            raise ModelError(f"it raised {type(error).__name__}") from None  # its words may name values of customers
        return self._rows(outputs, len(frame))

    def _rows(self, outputs: Any, count: int) -> list[tuple[Any, ...]]:
        names = [each.name for each in self.signature.outputs]
        if isinstance(outputs, pd.DataFrame):
            is_named = all(names) and set(names) <= set(map(str, outputs.columns))
            values = outputs.set_axis(list(map(str, outputs.columns)), axis=1)[names] if is_named else outputs
            array = values.to_numpy(dtype=object)
        else:
            array = np.asarray(outputs, dtype=object)
        array = array.reshape(-1, 1) if array.ndim == 1 else array
        if array.shape != (count, len(names)):
            shape = " × ".join(map(str, array.shape)) or "no"
            raise ModelError(f"it gave {shape} values, where its signature says {count} × {len(names)}")
        return [tuple(row) for row in array]

    @cached_property
    def explainer(self) -> "TreeExplainer | str":
        """What explains it, or why nothing does."""
        return tree_explainer(self.model)

    def explain(self, frame: pd.DataFrame, output: int, values: Sequence[float]) -> "list[RowExplanation | None]":
        """Explain one output of each row by its columns; None where the parts do not add up to the given value."""
        assert not isinstance(self.explainer, str)
        return self.explainer.explain(frame, output, values)


def _column(kind: str, name: str, rows: Sequence[Mapping[str, Cell]]) -> "pd.Series[Any]":
    values = [row.get(name) for row in rows]
    if kind in _DTYPES:
        filled = [np.nan if value is None else value for value in values] if kind in {"double", "float"} else values
        return pd.Series(np.array(filled, dtype=_DTYPES[kind]), name=name)
    if kind == "datetime":
        return pd.Series(pd.to_datetime(np.array(values, dtype="datetime64[us]")).astype("datetime64[ns]"), name=name)
    return pd.Series(values, dtype=object, name=name)


class Models:
    """The models of one registry; recently used versions stay in memory."""

    def __init__(self, settings: Settings, most: int = MOST_LOADED) -> None:
        """Keep at most *most* versions in memory."""
        self._settings, self._most = settings, most
        self._lock = threading.RLock()
        self._loaded: OrderedDict[tuple[Any, ...], LoadedModel] = OrderedDict()
        self._signatures: OrderedDict[tuple[Any, ...], Signature] = OrderedDict()

    def aliased(self, name: str, alias: str) -> AliasedModel:
        """Find the version to which an alias points now; errors as `find_aliased`."""
        with self._lock:
            return find_aliased(self._settings, name, alias)

    def signature(self, reference: AliasedModel) -> Signature:
        """Give what a version takes and gives; errors as `read_signature`."""
        with self._lock:
            if reference.key not in self._signatures:
                self._signatures[reference.key] = read_signature(self._settings, reference)
                _keep(self._signatures, MOST_SIGNATURES)
            self._signatures.move_to_end(reference.key)
            return self._signatures[reference.key]

    def load(self, reference: AliasedModel) -> LoadedModel:
        """Load a version, once as long as it stays in memory; of many the one that was asked longest ago goes.

        ModelError where it cannot be loaded; errors as `read_signature`.
        """
        with self._lock:
            if reference.key not in self._loaded:
                self._loaded[reference.key] = self._load(reference)
                _keep(self._loaded, self._most)
            self._loaded.move_to_end(reference.key)
            return self._loaded[reference.key]

    def _load(self, reference: AliasedModel) -> LoadedModel:
        signature = self.signature(reference)
        Registry(self._settings, reference.name).use()
        # The embedded registry's files are read in place; a server's files are copied to a folder of their own.
        folder = None if self._settings.embedded else tempfile.TemporaryDirectory(prefix="fivefold-")
        try:
            path = mlflow.artifacts.download_artifacts(reference.uri, dst_path=None if folder is None else folder.name)
        except (MlflowException, OSError) as error:
            raise registry_error(error, f"version {reference.version} of {reference.name} cannot be read") from None
        digest = digest_of_files(Path(path))
        try:
            model = mlflow.pyfunc.load_model(path)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a model is code of others)
            raise ModelError(f"it cannot be loaded: {type(error).__name__}: {one_line(error)}") from None
        return LoadedModel(signature=signature, digest=digest, model=model, folder=folder)


def _keep(entries: "OrderedDict[tuple[Any, ...], Any]", most: int) -> None:
    while len(entries) > most:
        entries.popitem(last=False)


def digest_of_files(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of all files of a folder, in hexadecimal."""
    whole = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            name = file.relative_to(folder).as_posix()
            whole.update(f"{name}\n{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()
