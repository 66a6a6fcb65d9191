"""Parts of a flow as lines of YAML."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from fivefold.domain.text import json_in_sight

_PLAIN: Final = re.compile(r"(?:[A-Za-z][\w-]*|\d+(?= [A-Za-z]))(?: [\w-]+)*")
_IN_LINES: Final = re.compile(r"\S[^\n]*(?:\n+[^\n]*\S[^\n]*)+(?<!\n)")
"""Text in several lines, none of which is of spaces alone."""
_WORDS_OF_YAML: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def inline(value: Any) -> str:
    """Write a value in one line of YAML, with quotes where they are needed.

    >>> inline(["2 days", "2", "09:00"])
    '[2 days, "2", "09:00"]'

    >>> inline({"when": {"level": "in_force", "in": ["high", "no"]}, "to": "ask", "give": {"amount": Decimal("0.50")}})
    '{when: {level: in_force, in: [high, "no"]}, to: ask, give: {amount: 0.50}}'
    """
    match value:
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case dict():
            return f"{{{', '.join(f'{inline(str(name))}: {inline(each)}' for name, each in value.items())}}}"
        case list() | tuple():
            return f"[{', '.join(map(inline, value))}]"
        case int() | Decimal():
            return str(value)
        case str() if _PLAIN.fullmatch(value) and value.lower() not in _WORDS_OF_YAML:
            return value
        case _:
            return json_in_sight(str(value))


def block(part: Mapping[str, Any], column: int) -> str:
    """Write a part as a block, whose first line stands behind its dash."""
    lines: list[str] = []
    for name, value in part.items():
        if isinstance(value, dict) and any(isinstance(each, dict | list) for each in value.values()):
            lines.append(f"{inline(name)}:")
            for word, each in value.items():
                lines += [f"  {line}" for line in _block(word, each)]
        else:
            lines += _block(name, value)
    return re.sub(r"\n +(?=\n)", "\n", f"\n{' ' * column}".join(lines))


def _block(name: str, value: Any) -> Sequence[str]:
    """Write a value under its name: in one line, or in lines where it is text in lines or a list of several words."""
    if isinstance(value, str) and _IN_LINES.fullmatch(value) and all(map(str.isprintable, value.split("\n"))):
        return [f"{inline(name)}: |-", *(f"  {line}" if line else "" for line in value.split("\n"))]
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        return [f"{inline(name)}:", *(f"  - {inline(part)}" for part in value)]
    return [f"{inline(name)}: {inline(value)}"]
