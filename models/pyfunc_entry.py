"""How MLflow loads a registered value model: indicators in, scores out. Logged as code, not pickled.

The code that it needs is stored with the model, so it loads where fivefold is not installed.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

_loaded = sys.modules.get("fivefold")
_folders = [Path(path) for path in getattr(_loaded, "__path__", [])]
if _loaded and not any((folder / "models" / "value_model.py").is_file() for folder in _folders):
    _where = getattr(_loaded, "__file__", None) or _folders
    raise ImportError(f"{_where} is another module named 'fivefold': load the model before it")

from fivefold.models.value_model import ValueModel  # noqa: E402 (another module of that name is refused first)


class ScoringModel(PythonModel):
    """Scores a data frame whose columns are the catalogue's indicators."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the logged value model; FingerprintMismatchError where it was trained on another catalogue."""
        self.value_model = ValueModel.load(Path(context.artifacts["value_model"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, str] | None = None
    ) -> pd.DataFrame:
        """Give expected_value, percentile, score and category for each row."""
        matrix = model_input[list(self.value_model.indicators)].to_numpy(dtype=np.float64)
        return pd.DataFrame(vars(self.value_model.scores(matrix)), index=model_input.index)


set_model(ScoringModel())
