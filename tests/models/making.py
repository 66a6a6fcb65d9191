"""What the tests of the value model share: simulated indicators, and models fitted on them in a blink."""

from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa

from fivefold.domain.clock import to_microseconds
from fivefold.domain.money import Rate, RateTable, ecb_rates
from fivefold.domain.segments import DEFAULT_CUT_POINTS
from fivefold.domain.settings import Settings
from fivefold.features.catalogue.own import OwnIndicators
from fivefold.features.column_names import ABSENCES
from fivefold.features.histories import Floats, Histories
from fivefold.features.indicator_matrix import catalogue, indicator_matrix, select_columns, snapshots
from fivefold.features.reading.sources import read_histories
from fivefold.models.certainty.intervals import IntervalTable
from fivefold.models.curve import ScoreCurve
from fivefold.models.drift import DriftReference
from fivefold.models.estimator import ValueRegressor
from fivefold.models.registry import INDICATORS_TAG, Registry
from fivefold.models.value_model import ValueModel
from fivefold.training.simulation.simulator import Simulation, simulate
from tests.sharing import made_once

DAY = date(2024, 6, 30)
AS_OF = to_microseconds(DAY)
RATES = RateTable(
    "EUR",
    DAY,
    {code: Rate(rate, DAY) for code, rate in {"GBP": 1.16, "PLN": 0.23, "SEK": 0.088, "USD": 0.92}.items()},
    "tests",
)
FAST = {"rounds": 25, "leaves": 8, "min_rows_in_leaf": 20, "learning_rate": 0.2, "threads": 1}


@cache
def simulated() -> Histories:
    """The histories of 400 simulated customers of 2023 and 2024."""
    return read_histories(pa.concat_tables(simulate(Simulation(customers=400, seed=11))), RATES)


@cache
def known_matrix() -> Floats:
    """Indicators of thousands of customers: the simulated ones, at ten dates."""
    as_ofs = np.array([to_microseconds(date(2024, month, 1)) for month in range(2, 12)])
    taken = snapshots(simulated(), as_ofs)
    return taken.values[taken.row_counts > 0]


@cache
def reference_matrix() -> Floats:
    """Indicators of the customers known at `AS_OF`."""
    matrix, seen = indicator_matrix(simulated(), AS_OF)
    return matrix[seen > 0]


def later_values(matrix: Floats) -> Floats:
    """Money that follows from the indicators, more or less."""
    column = {name: matrix[:, number] for number, name in enumerate(catalogue().names)}
    return np.maximum(0.0, 0.005 * column["deposit_sum_90d"] + 0.01 * np.nan_to_num(column["balance_last"])) + 0.01


def fitted(matrix: Floats, values: Floats, **parameters: Any) -> ValueRegressor:
    return ValueRegressor(**{**FAST, **parameters}).fit(matrix, values)


def model_of(regressor: ValueRegressor, reference: Floats, **changes: Any) -> ValueModel:
    """Put a model together around a fitted regressor and the predictions of a reference portfolio."""
    parts = {
        "booster": regressor.booster_,
        "objective": regressor.objective,
        "curve": ScoreCurve.of(reference),
        "cut_points": DEFAULT_CUT_POINTS,
        "rates": RATES,
        "horizon_days": 90,
        "indicators": catalogue().names,
        "fingerprint": catalogue().fingerprint,
        "definition": {"horizon_days": 90, "currency": "EUR", "yearly_margin": 0.02},
        "test_as_of": AS_OF,
        "reference": DriftReference.of(catalogue().names, known_matrix(), np.linspace(1, 5, len(known_matrix()))),
    }
    return ValueModel(**{**parts, **changes})


@cache
def spread() -> DriftReference:
    """How the indicators of the reference customers are spread; the scores do not matter here."""
    matrix = reference_matrix()
    return DriftReference.of(catalogue().names, matrix, np.linspace(1.0, 5.0, len(matrix)))


@cache
def interval_table() -> IntervalTable:
    """Intervals of 500 predictions, as large as those of the models here; most values are 0, as in a shop."""
    predicted = np.linspace(0.1, 100.0, 500)
    realised = np.where(np.arange(500) % 20 < 17, 0.0, 5.0 * predicted)
    table = IntervalTable.of(predicted, realised, np.full(500, np.nan), as_ofs=(AS_OF,))
    assert table is not None
    return table


@cache
def value_model(objective: str = "tweedie") -> ValueModel:
    """A model of the simulated customers, with 400 of them as its reference."""
    matrix = known_matrix()
    regressor = fitted(matrix, later_values(matrix), objective=objective)
    return model_of(regressor, regressor.predict(reference_matrix()))


def converting_model(**changes: Any) -> ValueModel:
    """The model of `value_model`, with the rates of all currencies, which a program computes values with."""
    made = value_model()
    rates = ecb_rates("EUR", date(2024, 1, 1)).rates
    return replace(made, rates=RateTable("EUR", made.rates.as_known_on, rates, "tests"), **changes)


@cache
def model_of_amounts() -> ValueModel:
    """A model whose training data had customer, date and amount alone."""
    matrix, names = select_columns(known_matrix(), ABSENCES), catalogue(ABSENCES).names
    regressor = fitted(matrix, later_values(known_matrix()))
    return replace(
        model_of(regressor, regressor.predict(select_columns(reference_matrix(), ABSENCES))),
        indicators=names,
        fingerprint=catalogue(ABSENCES).fingerprint,
        reference=DriftReference.of(names, matrix, np.linspace(1, 5, len(matrix))),
        absent=ABSENCES,
    )


def model_of_own(own: OwnIndicators) -> ValueModel:
    """A model that reads an operator's own indicators beside the catalogue."""
    columns = catalogue((), own)
    matrix, seen = indicator_matrix(simulated(), AS_OF, own)
    known = matrix[seen > 0]
    regressor = fitted(known, later_values(known) + known[:, -1], feature_share=1.0)
    return replace(
        model_of(regressor, regressor.predict(known)),
        indicators=columns.names,
        fingerprint=columns.fingerprint,
        reference=DriftReference.of(columns.names, known, np.linspace(1, 5, len(known))),
        own=own,
    )


@cache
def empty_database() -> bytes:
    """The database that a registry lays out where there is none: it takes MLflow seconds, so it is done once."""
    return (made_once("mlflow", _lay_out) / "var" / "mlflow.db").read_bytes()


def _lay_out(folder: Path) -> None:
    registry = Registry(Settings(var=folder / "var"), "value")
    assert registry.versions() == []
    registry.client._tracking_client.store.engine.dispose()


def new_registry(var: Path, name: str = "value") -> Registry:
    """Open a registry of its own in *var*."""
    var.mkdir(parents=True, exist_ok=True)
    (var / "mlflow.db").write_bytes(empty_database())
    return Registry(Settings(var=var), name)


def add_version(registry: Registry, model: ValueModel, folder: Path, **tags: str) -> int:
    """Register *model* as a run of training would, but with nothing beside it; *tags* are what the gate said."""
    from fivefold.training.logged import log_models

    registry.use()
    model.save(folder / "value_model")
    with mlflow.start_run(experiment_id=registry.experiment(registry.name)) as run:
        mlflow.log_metric("model_normalised_gini", 0.5)
        logged, of_indicators = log_models(model, folder)
    tags[INDICATORS_TAG] = of_indicators.model_uri
    return registry.add(logged.model_uri, run.info.run_id, logged.model_id, "a test", tags)


def registered_files(folder: Path, name: str) -> list[Path]:
    """Find a file of each registered model in a registry's folder; not those of the same models of indicators."""
    found = folder.rglob(f"value_model/{name}")
    return [path for path in found if "reads: transactions" in (path.parents[2] / "MLmodel").read_text("utf-8")]


def add_bare_version(registry: Registry, **tags: str) -> int:
    """Register a version without a model behind it: enough for aliases and promotions."""
    run = registry.client.create_run(registry.experiment(registry.name))
    return registry.add("file:///nowhere", run.info.run_id, None, "a test", tags)
