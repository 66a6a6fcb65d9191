"""Values of a flow compared as YAML says them, and rows known again by most of their cells."""

from collections.abc import Sequence
from typing import Any

from fivefold.risk.language.documents import Path
from fivefold.usecases.flows.forms.inline import inline

Cells = frozenset[tuple[Path, str]]
"""The words of a value and the numbers of its items, each with what stands there."""


def cells_of(value: Any) -> Cells:
    """Take a value apart. Python's `True == 1` is no equality here, and the order of words does not count.

    >>> sorted(cells_of({"when": {"above": 1}, "to": "ask"}))
    [(('to',), 'ask'), (('when', 'above'), '1')]
    """
    if isinstance(value, dict | list | tuple) and value:
        named = value.items() if isinstance(value, dict) else enumerate(value)
        return frozenset(((word, *path), said) for word, each in named for path, said in cells_of(each))
    return frozenset({((), inline(value))})


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two values say the same.

    >>> is_same({"a": 1, "b": [2]}, {"b": [2], "a": 1}), is_same([1], [True])
    (True, False)
    """
    return cells_of(one) == cells_of(other)


def most_alike(row: Cells, rows: Sequence[Cells], place: int | None = None) -> int | None:
    """Find the one of several rows that has most cells the same: half of them at least, and more than any other.

    Of rows that have as many it is the one at *place*. None where none is clear.
    """
    counts = [len(row & each) if 2 * len(row & each) >= max(len(row), len(each)) else 0 for each in rows]
    most = max(counts, default=0)
    if not most:
        return None
    if place is not None and place < len(counts) and counts[place] == most:
        return place
    return counts.index(most) if counts.count(most) == 1 else None
