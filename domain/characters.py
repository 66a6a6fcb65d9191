"""Control characters, which no name may have, and the delimiters of CSV."""

import csv
import re
from typing import Final

CONTROL: Final = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""For a class of a regular expression: C0, delete, C1, ends of lines and paragraphs, marks of direction."""
_CONTROL = re.compile(f"[{CONTROL}]")
_STEERING = re.compile(f"(?![\t\n])[{CONTROL}]")


def control_in(name: str) -> str:
    r"""Name the first control character of a name; empty where it has none.

    >>> control_in("a\nforged"), control_in("M\u00fcller")
    ('U+000A', '')
    """
    match = _CONTROL.search(name)
    return f"U+{ord(match[0]):04X}" if match else ""


def visible(text: str) -> str:
    r"""Escape control characters other than tabs and ends of lines, which a text may have.

    >>> visible("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _STEERING.sub(_escape, text)


def visible_line(text: str) -> str:
    r"""Escape all control characters, tabs and ends of lines included: the text stays in its line.

    >>> visible_line("a\nfivefold: all is well")
    'a\\nfivefold: all is well'
    """
    return _CONTROL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


DELIMITERS: Final = (",", ";", "\t", "|")


def delimiter_of(header: str) -> str:
    """Give the sign that gives the most columns of a header line; a comma where none gives several.

    >>> delimiter_of("currency;date;rate"), delimiter_of("rate")
    (';', ',')
    """
    return max(DELIMITERS, key=lambda sign: len(next(csv.reader([header], delimiter=sign), [])))
