"""One customer's prediction: LightGBM's call made for that, which its Python package does not offer.

`Booster.predict` reads its parameters and builds a predictor anew at each call, which takes four times as long as the
trees do for one row. The C interface (`LGBM_BoosterPredictForMatSingleRowFast`) does both once. The bits are the same.
It is no part of the Python package's promise: where a release lacks it, the package's own call answers, more slowly.
"""

import ctypes
import logging
import threading
from typing import Any

import lightgbm
import numpy as np

from fivefold.features.histories import Floats

_NORMAL, _FLOAT64, _ALL = ctypes.c_int(0), ctypes.c_int(1), ctypes.c_int(-1)
_PARAMETERS = b"num_threads=1"


log = logging.getLogger("fivefold.models")


def one_row(booster: lightgbm.Booster) -> "OneRow | None":
    """Prepare the call for a booster; None where this release of LightGBM does not offer it as it is known here."""
    try:
        return OneRow(booster)
    except (AttributeError, ImportError, TypeError, ctypes.ArgumentError, lightgbm.basic.LightGBMError) as error:
        log.info("LightGBM %s is asked one row at a time the slower way: %s", lightgbm.__version__, error)
        return None


class OneRow:
    """Predicts the raw money of one row of indicators with one booster; any thread may ask."""

    _prepared: ctypes.c_void_p | None = None

    def __init__(self, booster: lightgbm.Booster) -> None:
        """Prepare the call once; AttributeError or ImportError where LightGBM has other names for it."""
        from lightgbm import basic  # noqa: PLC0415 (its C interface has no other name, and may lose this one)

        self._library: Any = basic._LIB  # type: ignore[attr-defined]  # noqa: SLF001 (as above)
        self._check: Any = basic._safe_call  # noqa: SLF001 (as above)
        self._booster = booster  # LightGBM frees its trees with it
        self._columns = booster.num_feature()
        self._out = np.empty(1)
        self._length = ctypes.c_int64(0)
        self._lock = threading.Lock()
        prepared = ctypes.c_void_p()
        self._check(
            self._library.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster._handle,  # noqa: SLF001 (there is no other way to it)
                _NORMAL,
                ctypes.c_int(0),
                _ALL,
                _FLOAT64,
                ctypes.c_int32(self._columns),
                _PARAMETERS,
                ctypes.byref(prepared),
            )
        )
        self._prepared = prepared
        self._where = ctypes.c_void_p(self._out.ctypes.data)
        self._count = ctypes.byref(self._length)

    def __del__(self) -> None:
        """Free what was prepared."""
        if self._prepared:
            self._library.LGBM_FastConfigFree(self._prepared)

    def predict(self, row: Floats) -> Floats:
        """Predict from a 1 x F matrix; 1 value."""
        if row.shape != (1, self._columns):
            raise ValueError(f"the matrix is {row.shape}; it must be (1, {self._columns})")
        row = np.ascontiguousarray(row, dtype=np.float64)
        with self._lock:
            done = self._library.LGBM_BoosterPredictForMatSingleRowFast(
                self._prepared, ctypes.c_void_p(row.ctypes.data), self._count, self._where
            )
            self._check(done)
            return self._out.copy()
