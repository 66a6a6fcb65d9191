"""Parts of a flow as lines of YAML, values compared as YAML means them, rows matched by most of their cells."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from fivefold.domain.text import json_in_sight
from fivefold.risk.language.documents import Path

_PLAIN: Final = re.compile(r"(?:[A-Za-z][\w-]*|\d+(?= [A-Za-z]))(?: [\w-]+)*")
_IN_LINES: Final = re.compile(r"\S[^\n]*+(?:\n++(?=[^\n]*\S)[^\n]*+)+")
"""Text in several lines, none of which is of spaces alone. Each line is matched whole and once: people write this text,
so the pattern must not try every way to split it."""
_WORDS_OF_YAML: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
MOST_COMPARED: Final = 1_000_000
"""The most pairs of rows to compare for equal and similar ones: more would take too much time and memory."""
Cells = frozenset[tuple[Path, str]]
"""The words of a value and the numbers of its items, each with its content."""


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
    """Write a part as a block, whose first line follows its dash."""
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
    """Write a value under its name: in one line, or in several if it is text in lines or a list of several words."""
    if isinstance(value, str) and _IN_LINES.fullmatch(value) and all(map(str.isprintable, value.split("\n"))):
        return [f"{inline(name)}: |-", *(f"  {line}" if line else "" for line in value.split("\n"))]
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        return [f"{inline(name)}:", *(f"  - {inline(part)}" for part in value)]
    return [f"{inline(name)}: {inline(value)}"]


def cells_of(value: Any) -> Cells:
    """Split a value into cells. `True == 1` is not an equality here, and the order of words does not count.

    >>> sorted(cells_of({"when": {"above": 1}, "to": "ask"}))
    [(('to',), 'ask'), (('when', 'above'), '1')]
    """
    if isinstance(value, dict | list | tuple) and value:
        named = value.items() if isinstance(value, dict) else enumerate(value)
        return frozenset(((word, *path), cell) for word, each in named for path, cell in cells_of(each))
    return frozenset({((), inline(value))})


def is_same(one: Any, other: Any) -> bool:
    """Return whether two values say the same.

    >>> is_same({"a": 1, "b": [2]}, {"b": [2], "a": 1}), is_same([1], [True])
    (True, False)
    """
    return cells_of(one) == cells_of(other)


def most_alike(row: Cells, rows: Sequence[Cells], place: int | None = None) -> int | None:
    """Find the row that has the most cells in common: half of them at least, and more than any other row.

    Of rows that have equally many, the one at *place*. None if none is clear.
    """
    counts = [len(row & each) if 2 * len(row & each) >= max(len(row), len(each)) else 0 for each in rows]
    most = max(counts, default=0)
    if not most:
        return None
    if place is not None and place < len(counts) and counts[place] == most:
        return place
    return counts.index(most) if counts.count(most) == 1 else None


def same_rows(rows: Sequence[Cells], others: Sequence[Cells]) -> list[tuple[int, int]]:
    """Pair as many equal rows as possible in their order: those at the beginning and at the end first.

    If very many rows are between these, none of them is paired.

    >>> same_rows([cells_of(each) for each in "abca"], [cells_of(each) for each in "ba"])
    [(1, 0), (3, 1)]
    """
    shorter = min(len(rows), len(others))
    begin = next((each for each in range(shorter) if rows[each] != others[each]), shorter)
    rest = shorter - begin
    end = next((each for each in range(rest) if rows[-1 - each] != others[-1 - each]), rest)
    last, last_other = len(rows) - end, len(others) - end
    is_small = (last - begin) * (last_other - begin) <= MOST_COMPARED
    inside = _longest_in_common(rows[begin:last], others[begin:last_other]) if is_small else []
    return [
        *((each, each) for each in range(begin)),
        *((begin + one, begin + other) for one, other in inside),
        *((last + each, last_other + each) for each in range(end)),
    ]


def _longest_in_common(rows: Sequence[Cells], others: Sequence[Cells]) -> list[tuple[int, int]]:
    """Pair equal rows by the longest common subsequence."""
    # The most pairs of the rows from a number on with the others from a number on.
    most = [[0] * (len(others) + 1) for _ in range(len(rows) + 1)]
    for one in reversed(range(len(rows))):
        for other in reversed(range(len(others))):
            if rows[one] == others[other]:
                most[one][other] = most[one + 1][other + 1] + 1
            else:
                most[one][other] = max(most[one + 1][other], most[one][other + 1])
    pairs: list[tuple[int, int]] = []
    one = other = 0
    while one < len(rows) and other < len(others):
        if rows[one] == others[other]:
            pairs.append((one, other))
            one, other = one + 1, other + 1
        elif most[one + 1][other] >= most[one][other + 1]:
            one += 1
        else:
            other += 1
    return pairs
