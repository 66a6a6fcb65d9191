"""The names that a file of an operator's own indicators imports: the decorator, the codes of rows, and shared loops.

    from fivefold.features.own_indicators import DEPOSIT, Floats, Integers, indicator

A function that several indicators call is marked with `shared`. `docs/own-indicators.md` has a whole example.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast

from numba.extending import register_jitable

from fivefold.features.catalogue import statistics
from fivefold.features.catalogue.indicator import indicator
from fivefold.features.histories import Floats, Integers
from fivefold.features.schema import DEPOSIT, FAILED_ROW, NOTHING, PENDING_ROW, WITHDRAWAL

_Function = TypeVar("_Function", bound=Callable[..., Any])


def shared(function: _Function) -> _Function:
    """Mark a function that indicators call: it is compiled with them, and raises IndexError outside an array."""
    marked: _Function = register_jitable(boundscheck=True)(function)
    return marked


_CHECKED = dict(vars(statistics))
"""The names that the loops below see: each other with checks, which those of the catalogue lack."""


def _checked(function: _Function) -> _Function:
    """Return a copy of a loop of the catalogue with checks, for callers whose rows it cannot trust."""
    loop = cast("FunctionType", function)
    copied = FunctionType(loop.__code__, _CHECKED, loop.__name__, loop.__defaults__, loop.__closure__)
    copied.__doc__, copied.__annotations__ = loop.__doc__, loop.__annotations__
    _CHECKED[loop.__name__] = copied
    return shared(cast("_Function", copied))


deviation_of = _checked(statistics.deviation_of)
deviation_of_gaps = _checked(statistics.deviation_of_gaps)
held_days = _checked(statistics.held_days)
held_from = _checked(statistics.held_from)
in_days = _checked(statistics.in_days)
mean_gap = _checked(statistics.mean_gap)
mean_of = _checked(statistics.mean_of)
power = _checked(statistics.power)
ratio = _checked(statistics.ratio)
rows_until = _checked(statistics.rows_until)

__all__ = [
    "DEPOSIT",
    "FAILED_ROW",
    "NOTHING",
    "PENDING_ROW",
    "WITHDRAWAL",
    "Floats",
    "Integers",
    "deviation_of",
    "deviation_of_gaps",
    "held_days",
    "held_from",
    "in_days",
    "indicator",
    "mean_gap",
    "mean_of",
    "power",
    "ratio",
    "rows_until",
    "shared",
]
