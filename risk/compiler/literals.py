"""Values that a test compares with, and that its subject can never have."""

from collections.abc import Iterator
from typing import Any

from fivefold.domain.suggestions import perhaps
from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.compiler.values import level_number, misfit, ordinal
from fivefold.risk.language.countries import COUNTRIES, described
from fivefold.risk.language.documents.reader import Path
from fivefold.risk.language.fields import FieldType, OneOf, ValueType

_BY_VALUE = frozenset({"equals", "not_equals", "above", "at_least", "below", "at_most", "between", "in", "not_in"})
"""Operators that compare with values of the subject's own kind; the others take words of their own."""


def literal_diagnostics(
    path: Path, operator: str, value: Any, kind: ValueType, declared: FieldType | None
) -> Iterator[Diagnostic]:
    """Find what does not fit in one comparison, whose operator is right for the kind."""
    several = isinstance(value, tuple)
    values = value if several else (value,)
    if operator not in _BY_VALUE and not (operator == "contains_any" and kind is ValueType.TEXTS):
        return
    for number, one in enumerate(values):
        at = (*path, number) if several else path
        problem = misfit(kind, one) if kind is not ValueType.TEXTS else None
        problem = problem or (_impossible(one, kind, declared) if kind in {ValueType.TEXT, ValueType.LEVEL} else None)
        if problem is not None:
            yield Diagnostic(at, problem)
            return
    names = declared.one_of if isinstance(declared, OneOf) else ()
    if operator == "between" and ordinal(kind, value[0], names) > ordinal(kind, value[1], names):
        yield Diagnostic(path, f"runs from {value[0]} to {value[1]}; the lower end comes first")


def _impossible(value: Any, kind: ValueType, declared: FieldType | None) -> str | None:
    if kind is ValueType.LEVEL and isinstance(declared, OneOf):
        names = declared.one_of
        no_level = f"there is no level {value}; there are {', '.join(names)} (1 to {len(names)}){perhaps(value, names)}"
        return no_level if level_number(value, names) is None else None
    if isinstance(declared, OneOf) and value not in declared.one_of:
        choices, near = ", ".join(declared.one_of), perhaps(value, declared.one_of)
        return f"compares with {value!r}, which it can never be; it is one of {choices}{near}"
    if declared == "country" and value not in COUNTRIES:
        written_country = described(value) if described(value) != value else repr(value)
        return f"compares a country with {written_country}; write two capital letters (ISO 3166 alpha-2), such as NO"
    return None
