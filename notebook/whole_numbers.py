"""Whole numbers that a notebook gives as parameters: Python's own, or NumPy's."""

from typing import Any

import numpy as np

from fivefold.domain.errors import ConfigError


def is_whole(number: Any) -> bool:
    """Tell whether it is a whole number; a truth value is none."""
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def whole_number(number: Any, parameter: str, least: int, most: int | None = None) -> int:
    """Read a whole number of a range; ConfigError names the *parameter* where it is none.

    >>> whole_number(80, "level_percent", 1, 99)
    80
    """
    if not is_whole(number) or number < least or (most is not None and number > most):
        allowed = f"a whole number from {least}" + ("" if most is None else f" to {most}")
        raise ConfigError(f"{parameter} is {number!r}, and has to be {allowed}")
    return int(number)
