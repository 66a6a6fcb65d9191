"""Error messages for Python: they name a parameter where the message of a command names an option."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import numpy as np

from fivefold.domain.errors import (
    ConfigError,
    FileFormatError,
    InvalidDataError,
    InvalidRulesetError,
    NotEnoughDataError,
)

PARAMETERS: Final[Mapping[str, str]] = {
    "map": "columns",
    "as-of": "as_of",
    "name": "name",
    "origins": "origins",
    "tune": "tune",
}
"""The names of parameters by the options of the commands."""
_PAIR = re.compile(r"(?<!\S)--map (?:'([^']+)=(\w[\w ]*)'|(\S+)=(\w+))")
_OPTION = re.compile(r"(?<![^\s(])--([a-z-]+)")


def parameters_named(text: str, parameters: Mapping[str, str] = PARAMETERS) -> str:
    """Replace the options of commands in a text by the names of parameters.

    >>> parameters_named("give --as-of, or --map a=user_id --map 'b c=user_balance'. Then --seed")
    "give as_of, or columns={'a': 'user_id', 'b c': 'user_balance'}. Then --seed"
    """
    text = _PAIR.sub(lambda pair: f"columns={{{pair[1] or pair[3]!r}: {pair[2] or pair[4]!r}}}", text)
    text = text.replace("} columns={", ", ")
    return _OPTION.sub(lambda option: parameters.get(option[1], option[0]), text)


@contextmanager
def in_words_of_python(named: Callable[[str], str] = parameters_named, folder: str = "") -> Iterator[None]:
    """Rewrite the text of errors by *named*, and remove the *folder* of temporary tables from them."""
    try:
        yield
    except (ConfigError, FileFormatError, NotEnoughDataError) as error:
        text = named(str(error))
        if text == str(error):
            raise
        raise type(error)(text) from None
    except InvalidRulesetError as error:
        findings = [replace(each, problem=named(each.problem)) for each in error.findings]
        raise InvalidRulesetError(findings, error.source) from None
    except InvalidDataError as error:
        if not folder:
            raise
        source = error.source.removeprefix(f"{folder}/")
        raise InvalidDataError(list(error.every), error.count, source, error.beyond) from None


def is_whole(number: Any) -> bool:
    """Check whether a value is a whole number; a bool is not."""
    return isinstance(number, int | np.integer) and not isinstance(number, bool)


def whole_number(number: Any, parameter: str, least: int, most: int | None = None) -> int:
    """Return a whole number of a range; ConfigError names the *parameter* if it is invalid.

    >>> whole_number(80, "level_percent", 1, 99)
    80
    """
    if not is_whole(number) or number < least or (most is not None and number > most):
        allowed = f"a whole number from {least}" + ("" if most is None else f" to {most}")
        raise ConfigError(f"{parameter} is {number!r}, and has to be {allowed}")
    return int(number)
