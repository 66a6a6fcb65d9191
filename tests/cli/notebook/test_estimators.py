"""Transactions to indicators in scikit-learn's form."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks as checks

import fivefold
from fivefold.domain.errors import ConfigError
from fivefold.models.estimator import ValueRegressor
from fivefold.notebook.estimators import IndicatorTransformer
from tests.cli.running import AS_OF, Home

CHECKS = (
    checks.check_estimator_cloneable,
    checks.check_estimator_repr,
    checks.check_no_attributes_set_in_init,
    checks.check_parameters_default_constructible,
    checks.check_get_params_invariance,
    checks.check_set_params,
    checks.check_estimator_tags_renamed,
    checks.check_valid_tag_types,
    checks.check_mixin_order,
    checks.check_n_features_in_after_fitting,
)
"""Those of scikit-learn that bring no numbers of their own: transactions are no matrix."""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_scikit_learn_accepts_it(check: Any) -> None:
    check("IndicatorTransformer", IndicatorTransformer(as_of=AS_OF))


def test_it_gives_the_indicators_and_their_names(home: Home) -> None:
    rows = pd.read_parquet(home.rows)
    transformer = clone(IndicatorTransformer(as_of=AS_OF))
    frame = transformer.fit_transform(rows)
    pd.testing.assert_frame_equal(frame, fivefold.indicators(rows, as_of=AS_OF))
    assert list(frame.columns) == transformer.get_feature_names_out().tolist()
    some = rows[rows["user_id"].isin(frame.index[:5])]
    pd.testing.assert_frame_equal(transformer.transform(some).sort_index(), frame.iloc[:5].sort_index())
    with pytest.raises(ConfigError, match=r"other columns than those of fit: .*balance"):
        transformer.transform(rows.drop(columns=["user_balance"]))


def test_own_indicators_whose_text_changed_since_fit_are_refused(home: Home, tmp_path: Path) -> None:
    text = (
        "from fivefold.features.own_indicators import Integers, indicator\n\n\n"
        '@indicator("rows_all", label="Rows", unit="count", empty=0.0, family="volume")\n'
        "def rows_all(kind: Integers) -> float:\n"
        '    """Number of rows."""\n'
        "    return float(len(kind))\n"
    )
    own, rows = tmp_path / "own.py", pd.read_parquet(home.rows)
    own.write_text(text, encoding="utf-8")
    transformer = IndicatorTransformer(as_of=AS_OF, own=own)
    frame = transformer.fit_transform(rows)
    assert frame["rows_all"].min() >= 1
    pd.testing.assert_frame_equal(transformer.transform(rows), frame)
    own.write_text(text.replace("float(len(kind))", "2.0 * len(kind)"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"own\.py has another text than at fit"):
        transformer.transform(rows)


def test_it_stands_before_an_estimator(home: Home) -> None:
    rows = pd.read_parquet(home.rows)
    frame = fivefold.indicators(rows, as_of="2024-06-01")
    worth = np.arange(float(len(frame)))
    pipeline = make_pipeline(
        IndicatorTransformer(as_of="2024-06-01"), ValueRegressor(rounds=5, min_rows_in_leaf=2, threads=1)
    )
    predicted = pipeline.fit(rows, worth).predict(rows)
    assert predicted.shape == worth.shape
    assert np.corrcoef(predicted, worth)[0, 1] > 0.1
