"""Characters that end a line, steer a terminal or turn the order of what follows: no name has any of them."""

import re
from typing import Final

CONTROL: Final = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""As a class of a regular expression has them: C0, delete, C1, ends of lines and paragraphs, marks of direction."""
_CONTROL = re.compile(f"[{CONTROL}]")
_STEERING = re.compile(f"(?![\t\n])[{CONTROL}]")


def control_in(name: str) -> str:
    r"""Name the first control character of a name; empty where it has none.

    >>> control_in("a\nforged"), control_in("M\u00fcller")
    ('U+000A', '')
    """
    found = _CONTROL.search(name)
    return f"U+{ord(found[0]):04X}" if found else ""


def visible(text: str) -> str:
    r"""Show control characters instead of obeying them, but for tabs and ends of lines, which a text may have.

    >>> visible("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return _STEERING.sub(_escaped, text)


def visible_line(text: str) -> str:
    r"""Show control characters, tabs and ends of lines among them: what stands in one line stays in it.

    >>> visible_line("a\nfivefold: all is well")
    'a\\nfivefold: all is well'
    """
    return _CONTROL.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
