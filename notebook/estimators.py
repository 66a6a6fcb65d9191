"""The value model's parts in scikit-learn's form: transactions to indicators, and indicators to value."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from fivefold.domain.errors import ConfigError
from fivefold.features.catalogue.own import read_own_indicators
from fivefold.notebook.transactions import AnyTransactions, Moment, indicators


class IndicatorTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Turns transactions into the indicators of their customers, as known at a moment; learns nothing from them.

    Parameters:
        as_of: the moment, nothing later is seen; None for now.
        currency: the currency that every amount is converted into.
        columns: our names of the columns, as in `read_transactions`.
        own: a Python file of your own indicators, as in `indicators`.

    `transform` returns one row for each customer, by `user_id`, and not one for each transaction. So use it before a
    pipeline, and not inside a cross-validation of rows: choose customers or dates first.
    """

    def __init__(
        self,
        *,
        as_of: Moment = None,
        currency: str = "EUR",
        columns: Mapping[str, str] | None = None,
        own: Path | str | None = None,
    ) -> None:
        self.as_of = as_of
        self.currency = currency
        self.columns = columns
        self.own = own

    def fit(self, X: AnyTransactions, y: Any = None) -> Self:  # noqa: N803 (scikit-learn's names)
        """Store which indicators data with these columns have, and the digest of your own."""
        self.own_digest_ = self._digest()
        self.names_ = tuple(self._indicators(X).columns)
        return self

    def transform(self, X: AnyTransactions) -> pd.DataFrame:  # noqa: N803 (scikit-learn's name)
        """Compute the indicators of every customer of *X*.

        Raises:
            ConfigError: *X* lacks columns that the data of `fit` had, or has more; or the file of your own indicators
                has another text than at `fit`.
        """
        check_is_fitted(self)
        if self._digest() != self.own_digest_:
            raise ConfigError(f"{self.own} has another text than at fit, and may count other things: fit again")
        frame = self._indicators(X)
        if tuple(frame.columns) != self.names_:
            differ = sorted(set(frame.columns) ^ set(self.names_))
            raise ConfigError(f"these data have other columns than those of fit: {', '.join(differ)} differ")
        return frame

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the indicators."""
        check_is_fitted(self)
        return np.asarray(self.names_, dtype=object)

    def __sklearn_tags__(self) -> Any:
        """Declare to scikit-learn that X is a table of transactions, and that nothing is learnt."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        tags.requires_fit = True
        return tags

    def _digest(self) -> str | None:
        return None if self.own is None else read_own_indicators(Path(self.own)).digest

    def _indicators(self, source: AnyTransactions) -> pd.DataFrame:
        return indicators(source, as_of=self.as_of, currency=self.currency, columns=self.columns, own=self.own)
