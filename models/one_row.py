"""One customer's prediction: LightGBM's call made for that, which its Python package does not offer.

`Booster.predict` reads its parameters and builds a predictor anew at each call, which takes four times as long as the
trees do for one row. The C interface (`LGBM_BoosterPredictForMatSingleRowFast`) does both once. The bits are the same.
"""

import ctypes
import threading

import lightgbm
import numpy as np
from lightgbm.basic import _LIB, _safe_call  # type: ignore[attr-defined]  # its C interface has no other name

from features.histories import Floats

_NORMAL, _FLOAT64, _ALL = ctypes.c_int(0), ctypes.c_int(1), ctypes.c_int(-1)
_PARAMETERS = b"num_threads=1"


class OneRow:
    """Predicts the raw money of one row of indicators with one booster; any thread may ask."""

    def __init__(self, booster: lightgbm.Booster) -> None:
        """Prepare the call once."""
        self._booster = booster  # LightGBM frees its trees with it
        self._columns = booster.num_feature()
        self._out = np.empty(1)
        self._length = ctypes.c_int64(0)
        self._lock = threading.Lock()
        self._prepared = ctypes.c_void_p()
        _safe_call(
            _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle,  # noqa: SLF001 (there is no other way to it)
                _NORMAL,
                ctypes.c_int(0),
                _ALL,
                _FLOAT64,
                ctypes.c_int32(self._columns),
                _PARAMETERS,
                ctypes.byref(self._prepared),
            )
        )
        self._where = ctypes.c_void_p(self._out.ctypes.data)
        self._count = ctypes.byref(self._length)

    def __del__(self) -> None:
        """Free what was prepared."""
        if self._prepared:
            _LIB.LGBM_FastConfigFree(self._prepared)

    def predict(self, row: Floats) -> Floats:
        """Predict from a 1 x F matrix; 1 value."""
        if row.shape != (1, self._columns):
            raise ValueError(f"the matrix is {row.shape}; it must be (1, {self._columns})")
        row = np.ascontiguousarray(row, dtype=np.float64)
        with self._lock:
            done = _LIB.LGBM_BoosterPredictForMatSingleRowFast(
                self._prepared, ctypes.c_void_p(row.ctypes.data), self._count, self._where
            )
            _safe_call(done)
            return self._out.copy()
