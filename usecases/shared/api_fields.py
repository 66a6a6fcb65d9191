"""The form that results of use cases, which are the API's response models, have in the API.

Inside, a result has moments in microseconds and its own names. The API shows a moment as ISO 8601 in UTC, and a field
or a class under its declared name.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, Any, Final, TypeVar

from pydantic import ConfigDict, Field, PlainSerializer, WithJsonSchema, with_config

from fivefold.domain.clock import utc_text

Result = TypeVar("Result", bound=type)
Line = TypeVar("Line")

Moment = Annotated[
    int, PlainSerializer(utc_text, return_type=str), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""A moment: microseconds inside, ISO 8601 in UTC in the API."""

_TEXTS: Final = frozenset(("as_of", "assessed_at", "at", "may_move_down_on", "time"))
"""Fields of stored JSON that hold a moment as `domain.clock.iso_text` writes it."""
_BY_NAME: Final = "lists"
"""A field of stored JSON whose own fields hold moments: since when the version of each list that was read holds."""
_STORED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00", re.ASCII)
_MICROSECONDS: Final = "_us"


def with_moments(stored: Any) -> Any:
    """Copy stored JSON with its moments as the API shows them; moments in microseconds also stay as they were.

    >>> with_moments({"at": "1970-01-01T00:00:00+00:00", "does": [{"due_us": 0}]})
    {'at': '1970-01-01T00:00:00Z', 'does': [{'due_us': 0, 'due_at': '1970-01-01T00:00:00Z'}]}
    """
    if isinstance(stored, Mapping):
        shown: dict[str, Any] = {}
        for name, value in stored.items():
            if name == _BY_NAME and isinstance(value, Mapping):
                shown[name] = {key: _utc(each) for key, each in value.items()}
            else:
                shown[name] = _utc(value) if name in _TEXTS else with_moments(value)
            if name.endswith(_MICROSECONDS) and (value is None or type(value) is int):
                own = name.removesuffix(_MICROSECONDS)
                shown[own if own in _TEXTS else f"{own}_at"] = None if value is None else utc_text(value)
        return shown
    return [with_moments(each) for each in stored] if isinstance(stored, list | tuple) else stored


def _utc(value: Any) -> Any:
    is_stored = isinstance(value, str) and _STORED.fullmatch(value)
    return f"{value.removesuffix('+00:00')}Z" if is_stored else value


def _object_with_moments(stored: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = with_moments(stored)
    return shown


StoredObject = Annotated[Mapping[str, Any], PlainSerializer(_object_with_moments, return_type=dict[str, Any])]
"""An object of stored JSON, which stays as it is stored; the API shows its moments as everywhere."""

INTERNAL: Any = Field(exclude=True)
"""Leaves a field out of the API: `Annotated[int, INTERNAL]`."""


def shown_as(name: str) -> Any:
    """Return the declaration of a field's name in the API.

    A moment `created_us`, for example, has the type `Annotated[Moment, shown_as("created_at")]`.
    """
    return Field(serialization_alias=name)


def schema(name: str) -> Callable[[Result], Result]:
    """Return a decorator that names a class in the API's document; a class that inherits from it needs its own name."""
    return with_config(ConfigDict(title=name))


def row_as(kind: type[Line], row: Any, **others: Any) -> Line:
    """Make a dataclass from a row: its fields are the row's attributes of the same names, except *others*."""
    names = (each.name for each in fields(kind))  # type: ignore[arg-type]  # each kind of line is a dataclass
    return kind(**{name: getattr(row, name) for name in names if name not in others}, **others)
