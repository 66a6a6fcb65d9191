"""A prediction: what LightGBM's trees say of indicators, as money; one customer at a time by a faster call.

`Booster.predict` reads its parameters and builds a predictor at each call, which takes four times as long as the trees
do for one row. The C interface (`LGBM_BoosterPredictForMatSingleRowFast`) does both once. The bits are the same.
Many rows take the way of `trees.many_rows`.
The Python package does not promise that interface: where a release lacks it, `Booster.predict` answers, more slowly.
"""

import ctypes
import logging
import threading
from typing import Any

import lightgbm
import numpy as np

from fivefold.features.histories import Floats
from fivefold.models.trees.many_rows import many_rows_predictor

_NORMAL, _FLOAT64, _ALL = ctypes.c_int(0), ctypes.c_int(1), ctypes.c_int(-1)
_PARAMETERS = b"num_threads=1"
_MANY_ROWS = 64
"""From so many rows on the tables of the trees are asked. They are read in 40 ms, once for a booster."""

log = logging.getLogger("fivefold.models")


class SingleRowPredictor:
    """Predicts the raw money of one row of indicators with one booster; any thread may call it."""

    _config: ctypes.c_void_p | None = None

    def __init__(self, booster: lightgbm.Booster) -> None:
        """Prepare the call once; AttributeError or ImportError where LightGBM has other names for it."""
        from lightgbm import basic  # noqa: PLC0415 (its C interface has no other name, and may lose this one)

        self._library: Any = basic._LIB  # type: ignore[attr-defined]  # noqa: SLF001 (as above)
        self._check: Any = basic._safe_call  # noqa: SLF001 (as above)
        self._booster = booster  # LightGBM frees its trees with it
        self._columns = booster.num_feature()
        self._row, self._out = np.empty((1, self._columns)), np.empty(1)
        self._length = ctypes.c_int64(0)
        self._lock = threading.Lock()
        config = ctypes.c_void_p()
        self._check(
            self._library.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle,  # noqa: SLF001 (there is no other way to it)
                _NORMAL,
                ctypes.c_int(0),
                _ALL,
                _FLOAT64,
                ctypes.c_int32(self._columns),
                _PARAMETERS,
                ctypes.byref(config),
            )
        )
        self._config = config
        # Taken once: to ask an array for its address takes half as long as the prediction.
        self._row_address, self._out_address = (ctypes.c_void_p(one.ctypes.data) for one in (self._row, self._out))
        self._length_address = ctypes.byref(self._length)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle it as its booster alone: what LightGBM prepared stays in this process."""
        return single_row_predictor, (self._booster,)

    def __del__(self) -> None:
        """Free what LightGBM prepared."""
        if self._config:
            self._library.LGBM_FastConfigFree(self._config)

    def predict(self, row: Floats) -> Floats:
        """Predict from a 1 x F matrix; 1 value."""
        if row.shape != (1, self._columns):
            raise ValueError(f"the matrix is {row.shape}; it must be (1, {self._columns})")
        with self._lock:
            self._row[:] = row
            status = self._library.LGBM_BoosterPredictForMatSingleRowFast(
                self._config, self._row_address, self._length_address, self._out_address
            )
            self._check(status)
            return self._out.copy()


def single_row_predictor(booster: lightgbm.Booster) -> SingleRowPredictor | None:
    """Prepare the faster call for a booster; None where this release of LightGBM does not have it in the known form."""
    try:
        return SingleRowPredictor(booster)
    except (AttributeError, ImportError, TypeError, ctypes.ArgumentError, lightgbm.basic.LightGBMError) as error:
        log.info("LightGBM %s predicts single rows by its slower call: %s", lightgbm.__version__, error)
        return None


def expected_value(booster: lightgbm.Booster, matrix: Floats, single_row: SingleRowPredictor | None = None) -> Floats:
    """Predict money from n x F indicators with one thread; the trees of the booster do not change any more.

    *single_row* is that booster's faster call for one row; the bits are the same, and so are those for many rows.
    """
    if not len(matrix):
        return np.empty(0)
    if single_row is not None and len(matrix) == 1:
        return np.maximum(single_row.predict(matrix), 0.0)
    many_rows = many_rows_predictor(booster) if len(matrix) >= _MANY_ROWS else None
    money = booster.predict(matrix, num_threads=1) if many_rows is None else many_rows.predict(matrix)
    return np.maximum(money, 0.0)
