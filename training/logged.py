"""What MLflow stores of a version: the model of transactions, that of indicators, and the code that both need."""

import shutil
from collections.abc import Mapping
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType

import fivefold
from fivefold.domain.clock import DAY_US, day_text
from fivefold.features import schema as c
from fivefold.models import pyfunc_entry
from fivefold.models.scoring.frames import frame_histories, needed_columns, optional_columns
from fivefold.models.value_model import ValueModel

SHIPPED = ("domain", "features", "models")
"""The packages stored with a registered model, so that it loads where fivefold is not installed."""
LEFT_OUT = (
    "__pycache__", "registered", "ahead.py", "arrow_files.py", "digest_loops.py", "kept.py", "partitions.py",
    "parts.py", "spark.py", "csv_file.py", "json_lines.py", "parquet_stream.py", "places", "sort_file.py", "sources.py",
    "tables.py", "text_files.py",
)  # fmt: skip
"""Parts of these packages that are not stored: it asks no other registered model, and reads and scores no files."""
REQUIREMENTS = (
    "currencyconverter",
    "filelock",
    "lightgbm",
    "mlflow",
    "numba",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "requests",
    "scikit-learn",
)
"""The libraries that a registered model needs to load and predict, pinned to the versions of its training."""
MODEL, INDICATORS_MODEL = "model", "indicators"
"""The names of a run's logged models: the one of transactions, which is registered, and the one of indicators."""
_ANY: Any = AnyType()  # type: ignore[no-untyped-call]  # MLflow annotates nothing here
_TYPES: Mapping[str, Any] = {c.BALANCE: "double", c.AMOUNT: "double", c.DATE: _ANY, c.CREATED: _ANY}
"""Moments may be text or timestamps, with a zone or without: no type of MLflow's takes both. The rest is text."""
_MAY_LACK = ("expected_value_low", "expected_value_high", "score_low", "score_high", "consistency")
"""Columns of a score without a value where it is unknown."""


def indicators_signature(model: ValueModel) -> ModelSignature:
    """Write the signature explicitly: inference would make every column with a NaN optional."""
    inputs = Schema([ColSpec("double", name, required=True) for name in model.indicators])
    money = [ColSpec("double", name) for name in ("expected_value", "percentile", "score")]
    return ModelSignature(inputs=inputs, outputs=Schema([*money, ColSpec("string", "category")]))


def transactions_signature(model: ValueModel) -> ModelSignature:
    """Describe the columns of transactions that a model needs and reads, its parameters, and the columns of a score.

    A score has more columns if `explained` or `compare_as_of` is given.
    """
    columns = [(name, True) for name in needed_columns(model)] + [(name, False) for name in optional_columns(model)]
    inputs = Schema([ColSpec(_TYPES.get(name, "string"), name, required=needed) for name, needed in columns])
    outputs = {
        "user_id": "string",
        "score": "double",
        "category": "string",
        "expected_value": "double",
        "currency": "string",
        "percentile": "double",
        "reference_date": "string",
        "as_of": "string",
        "model_hash": "string",
        "expected_value_low": "double",
        "expected_value_high": "double",
        "score_low": "double",
        "score_high": "double",
        "interval_level_percent": "long",
        "consistency": "double",
    }
    params = [
        ParamSpec("as_of", "string", None),
        ParamSpec("compare_as_of", "string", None),
        ParamSpec("explained", "boolean", default=False),
        ParamSpec("level_percent", "long", None),
    ]
    return ModelSignature(
        inputs=inputs,
        outputs=Schema([ColSpec(kind, name, required=name not in _MAY_LACK) for name, kind in outputs.items()]),
        params=ParamSchema(params),
    )


def example_transactions(model: ValueModel) -> pd.DataFrame:
    """Make up the transactions of two customers as an example of the model's input; neither is a real person."""
    rows = [
        {
            c.USER_ID: user_id,
            c.TRANSACTION_ID: f"{user_id}-{days}",
            c.STATE: "COMPLETED",
            c.CURRENCY: model.currency,
            c.BALANCE: balance,
            c.AMOUNT: amount,
            c.CREATED: day_text(model.test_as_of - 400 * DAY_US),
            c.CATEGORY: category,
            c.DATE: day_text(model.test_as_of - days * DAY_US),
        }
        for user_id, category, days, amount, balance in (
            ("example-1", "WEB", 200, 500.0, 500.0),
            ("example-1", "WEB", 90, -120.0, 380.0),
            ("example-1", "API", 3, 250.0, 630.0),
            ("example-2", "API", 45, 40.0, 40.0),
            ("example-2", "API", 44, -15.5, 24.5),
        )
    ]
    return pd.DataFrame(rows)[[*needed_columns(model), *optional_columns(model)]]


def copy_shipped_code(folder: Path) -> Path:
    """Copy the code that is stored with a registered model; return the folder of the package, *folder*/fivefold."""
    package = Path(fivefold.__file__).parent
    target = folder / package.name
    target.mkdir()
    shutil.copy2(package / "__init__.py", target)
    for room in SHIPPED:
        shutil.copytree(package / room, target / room, ignore=shutil.ignore_patterns(*LEFT_OUT))
    return target


def log_models(model: ValueModel, folder: Path) -> tuple[ModelInfo, ModelInfo]:
    """Log a model twice in the active run: as one of transactions, and as one of indicators.

    Args:
        model: the model, which is saved in *folder*/value_model.
        folder: the folder that the code is copied into, once for both.
    """
    code = copy_shipped_code(folder)
    example = example_transactions(model)
    indicators, _ = model.matrix(frame_histories(model, example), model.test_as_of)
    shared: dict[str, Any] = {
        "python_model": str(Path(pyfunc_entry.__file__)),
        "artifacts": {"value_model": (folder / "value_model").as_uri()},
        "code_paths": [str(code)],
        "pip_requirements": [f"{name}=={installed(name)}" for name in REQUIREMENTS],
        "metadata": {"fingerprint": model.fingerprint, "cut_points": list(model.cut_points)},
    }
    of_transactions = mlflow.pyfunc.log_model(
        name=MODEL,
        model_config={pyfunc_entry.READS: pyfunc_entry.TRANSACTIONS},
        signature=transactions_signature(model),
        input_example=(example, {"as_of": day_text(model.test_as_of)}),
        **shared,
    )
    of_indicators = mlflow.pyfunc.log_model(
        name=INDICATORS_MODEL,
        model_config={pyfunc_entry.READS: pyfunc_entry.INDICATORS},
        signature=indicators_signature(model),
        input_example=pd.DataFrame(indicators, columns=list(model.indicators)),
        **shared,
    )
    return of_transactions, of_indicators
