"""The registered model of indicators, as MLflow's own users load it: indicators in, scores out."""

import json
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from fivefold.domain.errors import FingerprintMismatchError
from fivefold.features.indicator_matrix import catalogue
from fivefold.models.pyfunc_entry import ScoringModel
from fivefold.models.registry import INDICATORS_TAG, Registry
from tests.models.making import reference_matrix, value_model


@pytest.fixture(scope="module")
def loaded(filled: Registry) -> mlflow.pyfunc.PyFuncModel:
    filled.use()
    return mlflow.pyfunc.load_model(filled.version(1).tags[INDICATORS_TAG])


@pytest.fixture
def frame() -> pd.DataFrame:
    matrix = reference_matrix()[:50]
    return pd.DataFrame(matrix, columns=list(catalogue().names), index=range(100, 150))


def test_it_scores_as_the_model_does(loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame) -> None:
    found = loaded.predict(frame)
    wanted = value_model().scores(reference_matrix()[:50])
    assert found.columns.tolist() == ["expected_value", "percentile", "score", "category"]
    assert found.index.tolist() == frame.index.tolist()
    for name in ("expected_value", "percentile", "score"):
        assert found[name].to_numpy().tobytes() == getattr(wanted, name).tobytes()
    assert found["category"].tolist() == wanted.category.tolist()


def test_undefined_indicators_pass(loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame) -> None:
    frame.loc[:, :] = np.nan
    assert np.isfinite(loaded.predict(frame)["score"]).all()


def test_a_missing_column_is_refused_by_its_name(loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame) -> None:
    for name in catalogue().names[::9]:
        with pytest.raises(MlflowException, match=name):
            loaded.predict(frame.drop(columns=name))


def test_the_order_of_the_columns_does_not_matter(loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame) -> None:
    assert loaded.predict(frame[frame.columns[::-1]]).equals(loaded.predict(frame))


def test_further_columns_are_left_alone(loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame) -> None:
    assert loaded.predict(frame.assign(shoe_size=43.0)).equals(loaded.predict(frame))


def test_text_is_refused(loaded: mlflow.pyfunc.PyFuncModel, frame: pd.DataFrame) -> None:
    with pytest.raises(MlflowException, match="Incompatible input types"):
        loaded.predict(frame.assign(**{catalogue().names[0]: "many"}))


def test_the_class_behind_it_scores_a_frame_in_any_order_of_columns(tmp_path: Path, frame: pd.DataFrame) -> None:
    value_model().save(tmp_path)
    scoring, context = ScoringModel(), SimpleNamespace(artifacts={"value_model": str(tmp_path)}, model_config={})
    scoring.load_context(context)
    found = scoring.predict(context, frame[frame.columns[::-1]].assign(shoe_size=43.0))
    assert found["score"].tolist() == value_model().scores(reference_matrix()[:50]).score.tolist()
    assert found.index.tolist() == frame.index.tolist()


def test_a_model_of_another_catalogue_does_not_load(tmp_path: Path) -> None:
    value_model().save(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    (tmp_path / "model.json").write_text(json.dumps({**content, "fingerprint": "0" * 64}), encoding="utf-8")
    with pytest.raises(FingerprintMismatchError):
        ScoringModel().load_context(SimpleNamespace(artifacts={"value_model": str(tmp_path)}, model_config={}))
