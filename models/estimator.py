"""The estimator: LightGBM on indicators, in scikit-learn's form, predicting money. Only training needs it."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Self

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fivefold.domain.errors import ConfigError
from fivefold.features.histories import Floats, Integers
from fivefold.models.prediction import expected_value
from fivefold.models.trees.text import LOG_LINK, OBJECTIVES

ROWS_A_BLOCK: Final = 8_192


class MatrixRows(lightgbm.Sequence):
    """Some rows of a matrix, which LightGBM reads a block at a time: they are not copied as a whole.

    >>> MatrixRows(np.arange(6.0).reshape(3, 2), np.array([0, 2]))[0:2].tolist()
    [[0.0, 1.0], [4.0, 5.0]]
    """

    batch_size = ROWS_A_BLOCK

    def __init__(self, matrix: Floats, places: Integers | None = None) -> None:
        """Take the rows at some *places* of an n x F matrix, by default all of them."""
        self._matrix, self._places = matrix, places

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._matrix if self._places is None else self._places)

    def __getitem__(self, key: Any) -> Floats:
        """Return one row, or the rows of a slice or a list."""
        rows: Floats = self._matrix[key if self._places is None else self._places[key]]
        return rows

    @property
    def columns(self) -> int:
        """Number of columns."""
        return int(self._matrix.shape[1])


class MatrixData(lightgbm.Dataset):
    """Rows of a matrix as LightGBM learns from them, with the bins that it cuts for their copy."""

    def get_params(self) -> dict[str, Any]:
        """Return every parameter of the training.

        LightGBM asks for them where rows come a block at a time, and its own answer lacks some that bear on the bins.
        """
        return dict(self.params or {})


class ValueRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Predicts the expected value (money, never negative) of the next horizon from the indicator matrix.

    X is n x F with NaN where an indicator is undefined; y is n values, none negative. The same data, parameters
    and seed give the same trees: LightGBM runs `deterministic`, row-wise and on a fixed number of threads.

    >>> X, y = np.arange(40.0).reshape(-1, 1), np.arange(40.0)
    >>> model = ValueRegressor(rounds=20, min_rows_in_leaf=2).fit(X, y)
    >>> bool(model.predict(X)[-1] > model.predict(X)[0])
    True

    *monotone* has a number for each column: 1 where the prediction may not fall as the column rises, -1 where it may
    not rise, 0 where it may do both; None for no such limit at all.
    """

    def __init__(
        self,
        *,
        objective: str = "tweedie",
        tweedie_power: float = 1.5,
        rounds: int = 300,
        learning_rate: float = 0.05,
        leaves: int = 31,
        min_rows_in_leaf: int = 20,
        feature_share: float = 1.0,
        row_share: float = 1.0,
        l2: float = 0.0,
        path_smooth: float = 0.0,
        monotone: Sequence[int] | None = None,
        seed: int = 1,
        threads: int = 2,
    ) -> None:
        self.objective = objective
        self.tweedie_power = tweedie_power
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.leaves = leaves
        self.min_rows_in_leaf = min_rows_in_leaf
        self.feature_share = feature_share
        self.row_share = row_share
        self.l2 = l2
        self.path_smooth = path_smooth
        self.monotone = monotone
        self.seed = seed
        self.threads = threads

    def fit(
        self,
        X: npt.ArrayLike | MatrixRows,  # noqa: N803 (scikit-learn's name)
        y: npt.ArrayLike,
        sample_weight: Floats | None = None,
        callbacks: Sequence[Callable[..., Any]] = (),
    ) -> Self:
        """Fit on n x F indicators and n values; ValueError where a value is negative, or all are 0.

        *callbacks* are LightGBM's: each is called after every round.
        """
        rows, values = self._checked(X, y)
        if (values < 0).any():
            raise ValueError("Negative values in data: y must be money that is 0 or more; floor it first")
        if self.objective not in OBJECTIVES:
            raise ConfigError(f"objective is {self.objective!r}; it must be one of {', '.join(OBJECTIVES)}")
        if self.monotone is not None and len(self.monotone) != rows.columns:
            raise ConfigError(f"monotone has {len(self.monotone)} numbers, and X has {rows.columns} columns")
        if self.objective in LOG_LINK and not values.any():
            raise ValueError(f"Only zeros in data: every value in y is 0, and {self.objective} has nothing to learn")
        names = [str(name) for name in getattr(self, "feature_names_in_", ())]
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, np.empty((len(rows), 1)))
        data = MatrixData(rows, label=values, weight=weight, feature_name=names or "auto", free_raw_data=True)
        self.booster_ = lightgbm.train(
            self.lightgbm_parameters(), data, num_boost_round=self.rounds, callbacks=list(callbacks)
        )
        return self

    def _checked(self, X: npt.ArrayLike | MatrixRows, y: npt.ArrayLike) -> tuple[MatrixRows, Floats]:  # noqa: N803 (as above)
        """Check the training data; a `MatrixRows` is made by the product itself, and needs no check."""
        if isinstance(X, MatrixRows):
            self.n_features_in_ = X.columns
            return X, np.asarray(y, dtype=np.float64)
        checked, values = validate_data(
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", y_numeric=True, ensure_min_samples=2
        )
        return MatrixRows(checked), values

    def predict(self, X: npt.ArrayLike) -> Floats:  # noqa: N803 (scikit-learn's name)
        """Predict the expected value (money) of each row; never negative."""
        check_is_fitted(self)
        checked: Floats = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return expected_value(self.booster_, checked)

    def lightgbm_parameters(self) -> dict[str, Any]:
        """Return LightGBM's own parameters."""
        return {
            "objective": self.objective,
            "tweedie_variance_power": self.tweedie_power,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.min_rows_in_leaf,
            "feature_fraction": self.feature_share,
            "bagging_fraction": self.row_share,
            "bagging_freq": int(self.row_share < 1.0),
            "lambda_l2": self.l2,
            "path_smooth": self.path_smooth,
            "seed": self.seed,
            "num_threads": self.threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
            **({} if self.monotone is None else {"monotone_constraints": list(self.monotone)}),
        }

    def __sklearn_tags__(self) -> Any:
        """Declare to scikit-learn that X may have NaN and that y is not negative."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.positive_only = True
        return tags
