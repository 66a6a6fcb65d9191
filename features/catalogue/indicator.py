"""What an indicator is: a short plain function of one customer's history, declared with its meaning."""

import ast
import hashlib
import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isnan
from types import ModuleType
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from fivefold.domain.errors import ConfigError, FingerprintMismatchError
from fivefold.features import schema as columns
from fivefold.features.catalogue import statistics

ARGUMENTS: Final = (
    "time",  # moments of the rows up to as-of, microseconds, rising
    "amount",  # signed, base currency
    "balance",  # after the row, base currency
    "kind",  # DEPOSIT, WITHDRAWAL, NOTHING, PENDING_ROW or FAILED_ROW
    "currency",  # position in the rate table's codes
    "category",  # 0 API, 1 WEB
    "created",  # account creation as each row states it, microseconds
    "decay",  # weight of each row: 1 at as-of, halved every 360 days before
    "first_row",  # first row inside the window; the rows before it are there as well
    "window_start",  # moment that opens the window, itself outside
    "as_of",  # microseconds
)
"""The parameters that a function may have; the columns end at as-of, so it cannot read anything later."""
MOVES_WITH_TIME: Final = frozenset({"as_of", "decay"})
"""The parameters that change while nothing happens."""

_ARGUMENT_OF: Final = {columns.BALANCE: "balance", columns.CATEGORY: "category", columns.CREATED: "created"}

FAMILIES: Final = ("recency", "tenure", "volume", "rhythm", "balance", "trend", "quality", "currency", "channel")
UNITS: Final = ("days", "money", "money per day", "count", "share", "ratio", "flag")

Function = TypeVar("Function", bound=Callable[..., float])


@dataclass(frozen=True)
class Indicator:
    """One column of the catalogue.

    Attributes:
        name: `subject_statistic_window`.
        family: the group it is explained under.
        unit: one of `UNITS`; money is in the base currency.
        meaning: one sentence for people.
        empty: its value for a history without rows: 0 for a sum of nothing, NaN for a mean of nothing.
        window_days: length of the window (as-of - window, as-of]; None for all history.
        function: computes it from the arguments named by its parameters.
        constants: further arguments, by name.
        label: a few words for a picture, where the meaning would be too long.
    """

    name: str
    family: str
    unit: str
    meaning: str
    empty: float
    window_days: int | None
    function: Callable[..., float]
    constants: tuple[tuple[str, float], ...] = ()
    label: str = ""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the function's parameters, in order."""
        return tuple(inspect.signature(self.function).parameters)

    def reads(self, column: str) -> bool:
        """Check whether its value depends on a column of `features.schema.NULLABLE`."""
        return _ARGUMENT_OF[column] in self.parameters

    def declared(self) -> dict[str, Any]:
        """Return everything that defines its value, for the fingerprint: all fields but its wording."""
        return {
            "name": self.name,
            "unit": self.unit,
            "empty": None if isnan(self.empty) else self.empty,
            "window_days": self.window_days,
            "constants": dict(self.constants),
            "function": self.function.__name__,
        }


@dataclass(frozen=True)
class Catalogue:
    """Indicators in a fixed order: the columns of the matrix that the model sees.

    Attributes:
        indicators: in the order of the columns.
        own: the number of the operator's own indicators, which come last.
        own_digest: SHA-256 of the text that declares these; empty without any.
    """

    indicators: tuple[Indicator, ...]
    own: int = 0
    own_digest: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(indicator.name for indicator in self.indicators)

    def readers(self, column: str) -> npt.NDArray[np.bool_]:
        """Mark the indicators that read a column of `features.schema.NULLABLE`."""
        return self._readers[column]

    @cached_property
    def _readers(self) -> dict[str, npt.NDArray[np.bool_]]:
        return {
            column: np.array([each.reads(column) for each in self.indicators], dtype=np.bool_)
            for column in columns.NULLABLE
        }

    @cached_property  # of the loaded code, even if its files change later
    def fingerprint(self) -> str:
        """SHA-256 over the declarations, the functions' code and the code they share; comments do not count.

        For an operator's own indicators every character of their text counts.
        """
        declared = [indicator.declared() for indicator in self._shipped]
        code = [code_of(module) for module in self.modules]
        shipped = hashlib.sha256(json.dumps([code, declared], sort_keys=True).encode()).hexdigest()
        return fingerprint_with(shipped, self.own_digest)

    @property
    def _shipped(self) -> tuple[Indicator, ...]:
        return self.indicators[: len(self.indicators) - self.own]

    @property
    def modules(self) -> tuple[ModuleType, ...]:
        """The modules whose code decides the values: those of the functions, and those that all of them share.

        Beside shipped indicators, an operator's own are left out: their text is known by its hash.
        """
        names = {indicator.function.__module__ for indicator in self._shipped}
        return tuple(sys.modules[name] for name in (columns.__name__, statistics.__name__, *sorted(names)))

    def require(self, fingerprint: str, whose: str) -> None:
        """Raise FingerprintMismatchError unless *fingerprint*, which *whose* carries, is this catalogue's."""
        require_fingerprint(fingerprint, self.fingerprint, whose)


def require_fingerprint(fingerprint: str, computed: str, whose: str) -> None:
    """Raise FingerprintMismatchError unless *fingerprint*, which *whose* carries, is the *computed* one."""
    if fingerprint != computed:
        raise FingerprintMismatchError(
            f"{whose} was trained on other indicators (catalogue {fingerprint[:12]}) than this program computes "
            f"(catalogue {computed[:12]}): train again, or use the program that it was trained with"
        )


def fingerprint_with(shipped: str, own_digest: str) -> str:
    """Return the fingerprint of a catalogue with an operator's own indicators; *own_digest* is empty without any."""
    return hashlib.sha256(json.dumps([shipped, own_digest]).encode()).hexdigest() if own_digest else shipped


def indicator(
    name: str,
    *,
    unit: str,
    empty: float,
    windows: Sequence[int | None] = (None,),
    variants: Sequence[Mapping[str, float]] = ({},),
    family: str | None = None,
    label: str = "",
) -> Callable[[Function], Function]:
    """Declare a function as indicators: one for each window and each variant of its constants.

    *label* is a short form of the docstring's first line, which is the label by default.
    *name*, *label* and the docstring's first line may contain `{window}` and the constants; the family is the module's
    name.

    >>> @indicator("event_count_{window}", unit="count", empty=0.0, windows=(30, None), family="volume")
    ... def event_count(time, first_row):
    ...     \"\"\"Number of events {window}.\"\"\"
    ...     return float(len(time) - first_row)
    >>> [each.name for each in event_count.indicators]
    ['event_count_30d', 'event_count_all']
    """

    def declare(function: Function) -> Function:
        wording = (inspect.getdoc(function) or "").split("\n", maxsplit=1)[0]
        template = Indicator(
            name, family or function.__module__.rsplit(".", 1)[-1], unit, wording, empty, None, function, label=label
        )
        _check_types(template, windows, variants)
        declared = [_instance(template, days, variant) for days in windows for variant in variants]
        function.indicators = tuple(declared)  # type: ignore[attr-defined]  # where `collect` finds them
        return function

    return declare


def collect(*modules: Any) -> Catalogue:
    """Gather the indicators that *modules* declare, in the order of their lines; ConfigError for a wrong one."""
    indicators = [
        each
        for module in modules
        for function in vars(module).values()
        if callable(function) and getattr(function, "__module__", "") == module.__name__
        for each in getattr(function, "indicators", ())
    ]
    for each in indicators:
        _check(each)
    names = [each.name for each in indicators]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"declared more than once: {', '.join(twice)}")
    functions = {each.function.__name__: each.function for each in indicators}
    for each in indicators:
        other = functions[each.function.__name__]
        if other is not each.function:
            raise ConfigError(
                f"{each.function.__module__} and {other.__module__} both have a function {other.__name__}; "
                "the kernel knows each by its name, so it must be the only one of that name"
            )
    return Catalogue(tuple(indicators))


def code_of(thing: Any) -> str:
    """Return the code of a function or module, without comments, docstrings, decorators and layout."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.Module | ast.ClassDef):
            node.body = [line for line in node.body if not _is_text(line)] or [ast.Pass()]
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
    return ast.unparse(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _check_types(template: Indicator, windows: object, variants: object) -> None:
    """Refuse arguments of the decorator of a wrong type, which would fail later with an unclear error."""
    texts = ((what, getattr(template, what)) for what in ("name", "label", "unit", "family"))
    wrong = [f"{what}={value!r}, which is not a text" for what, value in texts if not isinstance(value, str)]
    if not isinstance(template.empty, float | int) or isinstance(template.empty, bool):
        wrong.append(f"empty={template.empty!r}, which is neither 0.0 nor nan")
    if not isinstance(windows, Sequence) or not all(each is None or type(each) is int for each in windows):
        wrong.append(f"windows={windows!r}; give whole numbers of days, or None, in brackets: windows=(30, None)")
    if not isinstance(variants, Sequence) or not all(isinstance(each, Mapping) for each in variants):
        wrong.append(f"variants={variants!r}; give constants by name, in brackets: variants=({{'days': 7.0}},)")
    if wrong:
        raise ConfigError(f"indicator {template.name} is declared with {' and with '.join(wrong)}")


def _filled(template: Indicator, what: str, text: str, values: Mapping[str, object]) -> str:
    """Put the window and the constants in place of their names in braces."""
    try:
        return text.format(**values)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError):
        raise ConfigError(
            f"indicator {template.name} has braces in its {what}, {text!r}, that are filled with nothing; there are "
            f"{', '.join(f'{{{name}}}' for name in values)}, and a brace itself is written twice"
        ) from None


def _instance(template: Indicator, days: int | None, variant: Mapping[str, float]) -> Indicator:
    of_name = {"window": "all" if days is None else f"{days}d", **variant}
    of_meaning = {"window": "in all history" if days is None else f"in the last {days} days", **variant}
    of_label = {"window": "all time" if days is None else f"{days} days", **variant}
    meaning = _filled(template, "docstring", template.meaning, of_meaning)
    return replace(
        template,
        name=_filled(template, "name", template.name, of_name),
        meaning=meaning,
        label=_filled(template, "label", template.label, of_label) or meaning.rstrip("."),
        window_days=days,
        constants=tuple(sorted(variant.items())),
    )


def _check(indicator: Indicator) -> None:
    unknown = [name for name in indicator.parameters if name not in ARGUMENTS and name not in dict(indicator.constants)]
    if unknown:
        raise ConfigError(f"indicator {indicator.name} asks for {', '.join(unknown)}; there are {', '.join(ARGUMENTS)}")
    for what, value, allowed in (("family", indicator.family, FAMILIES), ("unit", indicator.unit, UNITS)):
        if value not in allowed:
            raise ConfigError(f"indicator {indicator.name} has the {what} {value!r}; allowed: {', '.join(allowed)}")
    if not indicator.meaning.endswith("."):
        raise ConfigError(f"indicator {indicator.name} has no meaning: its docstring's first line must be a sentence")
