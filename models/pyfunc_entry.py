"""How MLflow loads a registered value model: transactions in, a row of scores for each customer out.

Logged as code, not pickled. The code that it needs is stored with the model, so it loads where fivefold is not
installed. The same code is logged once more as a model of indicators; the configuration of each says what it reads.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

_loaded = sys.modules.get("fivefold")
_folders = [Path(path) for path in getattr(_loaded, "__path__", [])]
if _loaded and not any((folder / "models" / "value_model.py").is_file() for folder in _folders):
    _where = getattr(_loaded, "__file__", None) or _folders
    raise ImportError(f"{_where} is another module named 'fivefold': load the model before it")
if _loaded and not any((folder / "models" / "scoring" / "frames.py").is_file() for folder in _folders):
    raise ImportError(
        f"{_folders[0]} is of an older model, whose code reads no transactions: load this model before that one, or in "
        "a process of its own"
    )

from fivefold.domain.errors import FivefoldError  # noqa: E402 (another module of that name is refused first)
from fivefold.models.scoring.frames import NOW, read_asked, score_frame  # noqa: E402 (as above)
from fivefold.models.scoring.histories import doubts_of  # noqa: E402 (as above)
from fivefold.models.value_model import ValueModel  # noqa: E402 (as above)

READS = "reads"
"""The field of a logged model's configuration that says what its rows are."""
TRANSACTIONS, INDICATORS = "transactions", "indicators"


class ScoringModel(PythonModel):
    """Scores a data frame: of transactions, or of the catalogue's indicators, as its configuration says."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the logged value model; FingerprintMismatchError where it was trained on another catalogue."""
        self.value_model = ValueModel.load(Path(context.artifacts["value_model"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score the rows of a frame.

        Of transactions: the rows that `fivefold score` writes, one for each customer, as of `params["as_of"]`.
        Of indicators: expected_value, percentile, score and category for each row.

        Of what these scores may be wrong by Python is warned, in the words of the command.

        MlflowException, with the rows that are wrong, where transactions or parameters cannot be read.
        """
        if (context.model_config or {}).get(READS) == TRANSACTIONS:
            try:
                return self._scored(model_input, params or {})
            except FivefoldError as error:
                raise MlflowException.invalid_parameter_value(str(error)) from error
        matrix = model_input[list(self.value_model.indicators)].to_numpy(dtype=np.float64)
        return pd.DataFrame(vars(self.value_model.scores(matrix)), index=model_input.index)

    def _scored(self, transactions: pd.DataFrame, parameters: dict[str, Any]) -> pd.DataFrame:
        how = read_asked(parameters)
        batch = score_frame(self.value_model, transactions, how)
        is_now = parameters["as_of"] == NOW
        for doubt in doubts_of(self.value_model, [batch], how.as_of, is_now=is_now, option='params={{"as_of": "{}"}}'):
            warnings.warn(doubt, stacklevel=3)
        return batch.table.to_pandas()


set_model(ScoringModel())
