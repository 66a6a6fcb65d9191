"""The walk over histories without the cache: interpreted, and compiled with bounds checks."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from fivefold.features.catalogue import statistics
from fivefold.features.catalogue.indicator import Catalogue
from fivefold.features.catalogue.kernel import SIGNATURE, Walk, functions_of, interpret_walk, walk_source

interpreted = interpret_walk


def bounds_checked(catalogue: Catalogue) -> Walk:
    """Compile at once, under Numba's switch: its option alone would leave the shared helpers unchecked."""
    walk: Any = _execute(catalogue, numba.njit(boundscheck=True, nogil=True))
    config: Any = numba.config
    before = config.BOUNDSCHECK
    config.BOUNDSCHECK = 1
    try:
        walk.compile(SIGNATURE)
    finally:
        config.BOUNDSCHECK = before
    walk.disable_compile()
    checked: Walk = walk
    return checked


def _execute(catalogue: Catalogue, build: Callable[[Callable[..., Any]], Any]) -> Walk:
    names: dict[str, Any] = {name: build(function) for name, function in functions_of(catalogue).items()}
    names |= {"np": np, "rows_until": statistics.rows_until, "fill_decay": statistics.fill_decay}
    exec(compile(walk_source(catalogue), "<walk>", "exec"), names)
    walk: Walk = build(names["walk"])
    return walk
