"""Checks of the entities in a call, before anything is stored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final

from pydantic import TypeAdapter

from fivefold.domain.errors import InvalidDataError, Problem
from fivefold.domain.text import cut_text, wrong_in_name
from fivefold.features.reading.columns import short_text
from fivefold.risk.facts.portfolio import ENTITY, error_of
from fivefold.risk.facts.reading import entities_from_rows, read_field
from fivefold.risk.language.fields import FieldType
from fivefold.store.erasure.erase import ERASED_NAME

FIELDS: TypeAdapter[dict[str, FieldType]] = TypeAdapter(dict[str, FieldType])
"""Reads the typed fields of an entity type from JSON."""

ALLOWED_MOMENT: Final = "an ISO 8601 date or time such as 2024-06-30 or 2024-06-30T12:00:00Z"
RIGHT_NAME: Final = "text without control characters and without white space around it, not . or .."
"""The allowed form of a new identifier, in words."""
MOST_CHARACTERS = 200
"""The most characters of an identifier."""


@dataclass(frozen=True)
class OwnerGiven:
    """An owner in a request, from a moment until before another one; `usecases.ingest.ownerships` explains None."""

    type_name: str
    external_id: str
    from_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True)
class EntityRow:
    """An entity in a request.

    Attributes:
        external_id: its external name.
        attributes: the attributes to set; others stay as they are, and None removes one.
        owner: type and external id of its only owner; None changes nothing.
        owners: all present and past owners; other ownerships end now. None changes nothing.
    """

    external_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    owner: tuple[str, str] | None = None
    owners: Sequence[OwnerGiven] | None = None


def refuse_bad_rows(rows: Sequence[EntityRow], fields: Mapping[str, FieldType], own: str = ENTITY) -> None:
    """Raise InvalidDataError with every invalid name or value, if any; *own* is the field of the names."""
    problems = problems_of_rows(rows, fields, own)
    if problems:
        raise InvalidDataError(problems)


def problems_of_rows(rows: Sequence[EntityRow], fields: Mapping[str, FieldType], own: str = ENTITY) -> list[Problem]:
    """Return every problem of names, in the field *own*; problems of values only if everything else is valid."""
    problems = [each for number, row in enumerate(rows) for each in _problems_of_name(number, own, row.external_id)]
    first: dict[str, int] = {}
    for number, row in enumerate(rows):
        if first.setdefault(row.external_id, number) != number:
            problems.append(Problem(number, own, f"{short_text(row.external_id)} is repeated", "each once"))
        problems += [
            Problem(number, name, "is not a field of this type", ", ".join(fields) or "none")
            for name in row.attributes
            if name not in fields
        ]
        problems += _unstorable(number, row.attributes)
    return problems or _problems_of_values(rows, fields)


def _problems_of_name(number: int, own: str, name: Any) -> list[Problem]:
    right = f"text of 1 to {MOST_CHARACTERS} characters"
    if not isinstance(name, str) or not 1 <= len(name) <= MOST_CHARACTERS or not storable(name):
        return [Problem(number, own, f"is {short_text(name)}", right)]
    if ERASED_NAME.fullmatch(name):
        other = "any name but erased- and a number"
        return [Problem(number, own, f"is {short_text(name)}, a name reserved for erased entities", other)]
    return []


def problems_of_new_names(names: Iterable[tuple[int, str]], field: str) -> list[Problem]:
    """Return the problems of new identifiers, given by row, with `wrong_in_name`; existing ones must still be found."""
    return [
        Problem(number, field, f"is {short_text(name)}, {wrong}", RIGHT_NAME)
        for number, name in names
        if (wrong := wrong_in_name(name))
    ]


def storable(text: str) -> bool:
    """Check whether every database stores a text unchanged: PostgreSQL takes no NUL, and UTF-8 no half surrogates."""
    return "\0" not in text and text.encode("utf-8", "replace") == text.encode("utf-8", "surrogatepass")


def _problems_of_values(rows: Sequence[EntityRow], fields: Mapping[str, FieldType]) -> list[Problem]:
    """Read the values as the engine does, so that unreadable ones are refused now, not found in an assessment."""
    names = sorted({name for row in rows for name in row.attributes})
    declared = {name: fields[name] for name in names}
    frame = entities_from_rows([{ENTITY: str(number), **row.attributes} for number, row in enumerate(rows)], declared)
    problems = [
        Problem(number, name, "is not finite", "a finite number, or null for none")
        for number, row in enumerate(rows)
        for name, value in row.attributes.items()
        if isinstance(value, float) and not isfinite(value)
    ]
    for name in names:
        wrong = [(frame[error_of(name)], cut_text)] if error_of(name) in frame.columns else []  # quoted already
        read = read_field(frame[name], declared[name])[1]
        for bad, write in [*wrong, *([] if read is None else [(read, short_text)])]:
            problems += [
                Problem(number, name, f"is {write(text)}", allowed_values(declared[name]))
                for number, text in enumerate(bad.to_list())
                if text is not None
            ]
    return problems


def _unstorable(number: int, attributes: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of texts that cannot be stored; these are not checked further, as they cannot be read."""
    message = "has a character that cannot be stored"
    return [
        Problem(number, name, message, "text without NUL and without half surrogates")
        for name, value in attributes.items()
        for text in (value if isinstance(value, list | tuple) else [value])
        if isinstance(text, str) and not storable(text)
    ]


def allowed_values(declared: FieldType) -> str:
    """Return the allowed values of a field, in words."""
    words = {
        "text": "text",
        "number": "a finite number",
        "flag": "true or false",
        "date": ALLOWED_MOMENT,
        "country": "two capital letters, ISO 3166 (GB, not UK; GR, not EL)",
    }
    if isinstance(declared, str):
        return words.get(declared, declared)
    return (
        "a list of texts, in one text as a; b"
        if isinstance(declared, tuple)
        else f"one of {', '.join(declared.one_of)}"
    )


def problems_of_fields(rows_of_fields: Sequence[Mapping[str, Any]], fields: Mapping[str, FieldType]) -> list[Problem]:
    """Return the problems of fields, given for several things; a problem's row is the place of the thing."""
    return problems_of_rows([EntityRow(str(number), one) for number, one in enumerate(rows_of_fields)], fields)


def refuse_bad_fields(values: Mapping[str, Any], fields: Mapping[str, FieldType]) -> None:
    """Raise InvalidDataError if the fields of one thing do not match their declarations."""
    refuse_bad_rows([EntityRow("it", values)], fields)
