"""A real registry of MLflow with small models, for tests of steps that ask them."""

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from fivefold.domain.settings import Settings
from fivefold.models.registry import Registry
from tests.mlflow_address import kept_address


@cache
def table() -> pd.DataFrame:
    """400 customers: age and income, and whether they left."""
    rng = np.random.default_rng(1)
    people = pd.DataFrame({"age": rng.uniform(20, 80, 400), "income": rng.uniform(0, 5_000, 400)})
    people.loc[::9, "income"] = np.nan
    return people


@cache
def left() -> np.ndarray:
    whole = table()["age"] / 80 + table()["income"].fillna(9_000) / 10_000
    return ((whole + np.random.default_rng(2).normal(0, 0.3, 400)) > 0.9).to_numpy().astype(int)


@cache
def booster() -> lgb.Booster:
    rounds, options = 10, {"objective": "binary", "verbosity": -1, "num_leaves": 5, "num_threads": 1, "seed": 1}
    return lgb.train(options, lgb.Dataset(table(), left()), rounds)


@cache
def linear() -> LogisticRegression:
    return LogisticRegression(max_iter=1_000).fit(table().fillna(0), left())


@cache
def forest() -> RandomForestClassifier:
    return RandomForestClassifier(5, max_depth=3, random_state=1).fit(table().fillna(0), left())


def people() -> list[dict[str, Decimal | None]]:
    """The same customers as facts."""
    columns = list(table().columns)
    return [
        {name: None if np.isnan(value) else Decimal(str(value)) for name, value in zip(columns, row, strict=True)}
        for row in table().to_numpy()
    ]


def unlike_nan() -> float:
    """What the booster gives to who is 50 and of unknown income."""
    return float(booster().predict(pd.DataFrame({"age": [50.0], "income": [float("nan")]}))[0])


class Adds(mlflow.pyfunc.PythonModel):
    """Gives the age."""

    def predict(self, context, model_input, params=None):  # noqa: ANN001, ANN201 (MLflow takes hints for a signature)
        return pd.DataFrame({"probability": model_input["age"] * 1.0})


class Odd(mlflow.pyfunc.PythonModel):
    """Does for each row what its age says; one that raises raises for all."""

    def predict(self, context, model_input, params=None):  # noqa: ANN001, ANN201 (as above)
        ages = list(model_input["age"])
        if 1.0 in ages:
            raise ValueError("no such age\nnot shown")
        if 2.0 in ages:
            return [0.5] * (len(ages) + 1)
        if 3.0 in ages:
            raise SystemExit(3)
        odd = {4.0: float("nan"), 5.0: float("inf"), 7.0: 10**400}
        return pd.Series([odd.get(age, 0.25) for age in ages], dtype=object if 7.0 in ages else float)


class Shelf:
    """A registry in a folder."""

    def __init__(self, var: Path, *, is_copy: bool = False) -> None:
        self.is_copy = is_copy
        var.mkdir(exist_ok=True)
        self.settings = Settings(var=var)
        self.registry = Registry(self.settings, "any")
        self.registry.use()

    def log(self, name: str, model: Any, signature: Any = None, alias: str | None = "champion", **options: Any) -> int:
        """Log and register a model; give its version, to which the alias points from then on."""
        flavour = mlflow.lightgbm if isinstance(model, lgb.Booster) else mlflow.sklearn
        if isinstance(model, mlflow.pyfunc.PythonModel):
            flavour, options = mlflow.pyfunc, {"python_model": model, **options}
        else:
            options = {"lgb_model" if flavour is mlflow.lightgbm else "sk_model": model, **options}
        with warnings.catch_warnings(), mlflow.start_run(experiment_id=self.registry.experiment("flows")):
            warnings.simplefilter("ignore")
            logged = flavour.log_model(
                name="model", signature=signature, registered_model_name=name, pip_requirements=[], **options
            )
        version = int(logged.registered_model_version)
        if alias is not None:
            self.point(name, alias, version)
        return version

    def point(self, name: str, alias: str, version: int) -> None:
        self.registry.client.set_registered_model_alias(name, alias, str(version))

    def delete(self, name: str) -> None:
        self.registry.client.delete_registered_model(name)

    def churn(self) -> int:
        """The booster, with a signature whose age is required and whose income is not."""
        if not self.is_copy:
            return self.log("churn", booster(), signature_of())
        self.is_copy = False
        self.point("churn", "champion", 1)
        return 1

    def scored(self) -> int:
        """The linear model, whose outputs are two probabilities without names."""
        signature = infer_signature(table().fillna(0), linear().predict_proba(table().fillna(0)))
        return self.log("scored", linear(), signature, pyfunc_predict_fn="predict_proba")


def signature_of(outputs: Any = None, **columns: Any) -> Any:
    """A signature with age (required) and income (which may be missing), or as given: a type and whether required."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, Schema

    taken = columns or {"age": ("double", True), "income": ("double", False)}
    inputs = Schema([ColSpec(kind, name, required=required) for name, (kind, required) in taken.items()])
    given = outputs if outputs is not None else {"probability": "double"}
    return ModelSignature(inputs=inputs, outputs=Schema([ColSpec(kind, name) for name, kind in given.items()]))


@cache
def _made() -> "tempfile.TemporaryDirectory[str]":
    """A registry with the booster as `churn`, made once: MLflow takes seconds to make one."""
    folder = tempfile.TemporaryDirectory(prefix="fivefold-test-")
    shelf = Shelf(Path(folder.name) / "var")
    shelf.churn()
    shelf.registry.client.delete_registered_model_alias("churn", "champion")
    return folder


def shelves(folder: Path) -> Iterator[Shelf]:
    """Give a registry whose first version of `churn` is the booster, and MLflow's address back afterwards."""
    with kept_address():
        shutil.copytree(Path(_made().name) / "var", folder)
        yield Shelf(folder, is_copy=True)
