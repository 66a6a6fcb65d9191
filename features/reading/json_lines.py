"""JSON lines, one row each: rows that are objects, and separately the torn rows."""

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Final

import numpy as np

from fivefold.domain.errors import FileFormatError
from fivefold.domain.text import why_unreadable
from fivefold.features.histories import Integers
from fivefold.features.reading.text_files import NOT_UNICODE, TornRow, open_text, unchanged

ALLOWED: Final = "one JSON object, on a line of its own"
_SPACE = re.compile(r"[ \t\r]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class TwiceError(ValueError):
    """A JSON object has a name twice: it is unknown which of two amounts is meant."""

    def of_file(self, path: Path) -> FileFormatError:
        """Return the error for a file that has such an object."""
        return FileFormatError(f"{path} {self} in one object; each name may be there once")


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these names and values, for `object_pairs_hook`; TwiceError if a name is there twice."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise TwiceError(f"has the name {next(name for name in names if names.count(name) > 1)!a} twice")
    return values


_DECODER = json.JSONDecoder(object_pairs_hook=once)


@dataclass(frozen=True)
class JsonLine:
    """A line that is not blank.

    Attributes:
        row: the number of the line; the first line is row 1.
        text: the line in the file, without its end.
        values: the values of the object; for a torn line those before the error.
        torn: the problem of a torn line; None for an object.
    """

    row: int
    text: str
    values: Mapping[str, Any]
    torn: TornRow | None = None


@dataclass(frozen=True)
class JsonRows:
    """A whole file.

    Attributes:
        rows: the lines that are objects.
        numbers: their row numbers; the first line is row 1.
        torn: the other lines.
    """

    rows: list[dict[str, Any]]
    numbers: Integers
    torn: tuple[TornRow, ...]


def json_lines(path: Path, *, finite: bool = False) -> Iterator[JsonLine]:
    """Read JSON lines, gzipped or not; blank lines are not rows, but have a number.

    With *finite*, a line with a number such as NaN or 1e400 is torn: Python reads it, but JSON has no such number.

    Raises:
        FileFormatError: the file cannot be unpacked, or it is changed meanwhile.
    """
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            yield _line(number, line.rstrip("\r\n"), _FINITE if finite else _DECODER)


def _lines(path: Path) -> Iterator[str]:
    try:
        with unchanged(path), open_text(path, newline="\n", errors="surrogateescape") as file:
            yield from file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileFormatError(f"{path} cannot be unpacked: {error}") from None


def read_json_lines(path: Path) -> JsonRows:
    """Read a whole file of JSON lines; FileFormatError if it cannot be unpacked."""
    rows, numbers, torn = [], [], []
    for line in json_lines(path):
        if line.torn is None:
            rows.append(dict(line.values))
            numbers.append(line.row)
        else:
            torn.append(line.torn)
    return JsonRows(rows, np.array(numbers, np.int64), tuple(torn))


def _finite(text: str) -> float:
    if isfinite(number := float(text)):
        return number
    raise ValueError(f"{text} is not a number in JSON")


_FINITE: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_finite, object_pairs_hook=once)


def _line(number: int, text: str, decoder: json.JSONDecoder) -> JsonLine:
    try:
        text.encode()
        values = decoder.decode(text)
        half = _half_of_a_sign(values) if _SURROGATE.search(text) else ""
        if isinstance(values, dict) and not half:
            return JsonLine(number, text, values)
        problem = f"has {half}, which is half of a sign" if half else f"is a JSON {type(values).__name__}"
    except UnicodeEncodeError:  # a byte that is not UTF-8 was read as half a surrogate
        problem = NOT_UNICODE
    except json.JSONDecodeError as error:
        problem = f"is not valid JSON: {error.msg} at sign {error.pos + 1}"
    except TwiceError as error:
        problem = str(error)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, and endless nesting
        problem = f"is not valid JSON: {why_unreadable(error)}"
    legible = text.encode(errors="surrogateescape").decode(errors="replace")
    return JsonLine(number, text, _legible(legible), TornRow(number, legible, (), problem, ALLOWED))


def _half_of_a_sign(value: Any) -> str:
    r"""Return the first escape in a value of JSON that is half of a surrogate pair; empty if there is none.

    >>> _half_of_a_sign({"a": ["\ud83d\ude00", "b\ud83d"]})
    '\\ud83d'
    """
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return f"\\u{ord(error.object[error.start]):04x}"
    return ""


def _legible(text: str) -> dict[str, Any]:
    """Read the values of an object up to the error in its text; the last value may be cut off and is left out.

    Values with half of a surrogate pair, which no column of text can hold, are left out too.

    >>> _legible('{"entity_id": "a", "found": true, "screening": "sanc')
    {'entity_id': 'a', 'found': True}
    >>> _legible('{"entity_id": 12')
    {}
    """
    values: dict[str, Any] = {}
    place = _after(text, 0, "{")
    try:
        while place and _after(text, place, '"'):
            name, place = _DECODER.raw_decode(text, place + _blank(text, place))
            begin = _after(text, place, ":")
            if not begin:
                break
            value, place = _DECODER.raw_decode(text, begin + _blank(text, begin))
            if text[place + _blank(text, place) :][:1] in {",", "}"} and not _half_of_a_sign({name: value}):
                values[name] = value
            place = _after(text, place, ",")
    except (ValueError, RecursionError):
        pass
    return values


def _blank(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return 0 if match is None else match.end() - place


def _after(text: str, place: int, sign: str) -> int:
    """Return the place after a character and the blanks before it; 0 if another character follows."""
    place += _blank(text, place)
    return place + 1 if text[place : place + 1] == sign else 0
