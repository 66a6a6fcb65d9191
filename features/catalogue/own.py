"""An operator's own indicators: a Python text that is stored with the model and alone decides their values.

The text is imported under a name made of its hash, so two models may use two versions of one file in a process.
"""

import ast
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isnan
from pathlib import Path
from typing import Final

from fivefold.domain.errors import ConfigError
from fivefold.features.catalogue.indicator import Catalogue, Indicator, collect
from fivefold.features.catalogue.kernel import names_of_walk
from fivefold.features.catalogue.own_text import PUBLIC, require_closed_text
from fivefold.features.indicators import CATALOGUE
from fivefold.features.numba_cache import cached_module

LONGEST_LABEL: Final = 32
LONGEST_WINDOW_DAYS: Final = 36_500
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
_MOST_LOADED: Final = 16
RESULT_COLUMNS: Final = frozenset(
    {
        *("user_id", "as_of", "score", "category", "expected_value", "currency", "percentile", "consistency", "base"),
        *("expected_value_low", "expected_value_high", "score_low", "score_high", "interval_level_percent"),
        *("score_before", "category_before", "move", "reference_date", "model_hash"),
    }
)
"""Names of other columns in tables of scores, which no new indicator may have."""


@dataclass(frozen=True)
class OwnIndicators:
    """A file of own indicators.

    Attributes:
        name: the name of the file, for people.
        text: the text of the file; lines end with a line feed alone.
    """

    name: str
    text: str

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the text, in hexadecimal: every character counts."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def catalogue(self) -> Catalogue:
        """The declared indicators, in the order of the lines. The first access runs the text.

        Raises:
            ConfigError: the text is not Python, has a forbidden import, cannot be run, or has a wrong declaration.
        """
        return _catalogue_of(self)


def read_own_indicators(path: Path) -> OwnIndicators:
    """Read a file of own indicators without running it; ConfigError if it cannot be read."""
    try:
        return OwnIndicators(path.name, path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"indicators: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"indicators: {path} is not text in UTF-8: {error}") from None


@lru_cache(maxsize=_MOST_LOADED)
def _catalogue_of(own: OwnIndicators) -> Catalogue:
    require_closed_text(own.name, own.text)
    try:
        module = cached_module("own", own.text)
    except ConfigError as error:
        raise ConfigError(f"{own.name}: {error}") from error
    except Exception as error:
        raise ConfigError(f"{own.name} cannot be imported: {type(error).__name__}: {error}") from error
    try:
        declared = collect(module)
    except ConfigError as error:
        raise ConfigError(f"{own.name}: {error}".replace(f"'{module.__name__}'", "none")) from None
    if not declared.indicators:
        raise ConfigError(
            f"{own.name} declares no indicator; mark a function with @indicator, which is imported from {PUBLIC}"
        )
    problems = [problem for each in declared.indicators for problem in _problems(each)]
    labels = [each.label for each in declared.indicators]
    problems += [
        f"indicator {each.name} has the label {each.label!r}, as another one has; give each its own"
        for each in declared.indicators
        if labels.count(each.label) > 1
    ]
    reserved = names_of_walk(declared)
    problems += [
        f"the function {name} has a name that the kernel uses itself; call it otherwise"
        for name in dict.fromkeys(each.function.__name__ for each in declared.indicators)
        if name in reserved
    ]
    _raise_any(own, problems)
    return declared


def check_names(own: OwnIndicators) -> None:
    """Refuse names and words that no new model may have; a model that was trained with them stays usable.

    Raises:
        ConfigError: an indicator has the name of a column of results, or words with control characters.
    """
    problems = []
    for each in own.catalogue.indicators:
        if each.name in RESULT_COLUMNS:
            problems.append(f"indicator {each.name} has the name of a column of results; give it another name")
        problems += [
            f"indicator {each.name} has control or invisible characters in its {what}, {words!r}; leave them out"
            for what, words in (("label", each.label), ("docstring", each.meaning))
            if not words.isprintable()
        ]
    _raise_any(own, problems)


def _raise_any(own: OwnIndicators, problems: Sequence[str]) -> None:
    if problems:
        raise ConfigError("\n".join([f"{own.name} cannot be used:", *(f"  {problem}" for problem in problems)]))


def hint_about(error: Exception, text: str) -> str:
    """Return advice on an error that ended an own indicator; empty if there is none.

    It is empty too if the *text* of the file may have raised the error itself, which then has its own words.
    """
    if any(isinstance(node, ast.Raise) for node in ast.walk(ast.parse(text))):
        return ""
    hints = {
        IndexError: "; it reads outside its rows, which end at as-of and may be none: bound the loop by len()",
        ZeroDivisionError: "; divide by `ratio`, which is undefined where the divisor is 0",
        ValueError: "; its arguments can only be read, and math functions have bounds",
    }
    return hints.get(type(error), "")


def _problems(each: Indicator) -> Iterator[str]:
    """Yield the problems of a declaration that `collect` does not refuse."""
    if not _NAME.fullmatch(each.name):
        yield f"indicator {each.name} must be named in small letters, digits and underscores, at most 63 of them"
    if each.name in CATALOGUE.names:
        yield f"indicator {each.name} is one of the catalogue already; give yours another name"
    if not each.label[:1].isupper() or len(each.label) > LONGEST_LABEL:
        yield (
            f"indicator {each.name} has the label {each.label!r}; give label= a few words that begin with a capital "
            f"letter, at most {LONGEST_LABEL} signs with the words of the window in place of {{window}}: this one has "
            f"{len(each.label)}"
        )
    elif each.label in _LABELS:
        yield f"indicator {each.name} has the label {each.label!r}, which {_LABELS[each.label]} has already"
    if not (isnan(each.empty) or each.empty == 0.0):
        yield f"indicator {each.name} has empty={each.empty:g}; it is 0 or nan"
    if each.window_days is not None and not 0 < each.window_days <= LONGEST_WINDOW_DAYS:
        yield f"indicator {each.name} has a window of {each.window_days} days; it is 1 to {LONGEST_WINDOW_DAYS}"


_LABELS: Final = {each.label: each.name for each in CATALOGUE.indicators}
