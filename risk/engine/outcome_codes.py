"""A rule's outcome as one whole number, points and slot together, so that it needs one column.

A code is points × 2^20 + slot. The slot is the number of the case that held, counted from 0, then one each for
`otherwise`, for unknown and for failed. The codes of all rules can be added: the sum's upper part is the total.
"""

import polars as pl

SLOTS = 1 << 20
"""More than all slots of a thousand rules with two hundred cases together, so that a sum's parts stay apart."""


def rule_column(rule: str) -> str:
    """Name the column of a rule's codes; no other column begins so, and a rule may well be called total or floor.

    >>> rule_column("cash-out")
    'rule cash-out'
    """
    return f"rule {rule}"


def code(point_units: int, slot: int) -> int:
    """Join points (in the smallest unit) and slot.

    >>> code(-500, 3), points_of(code(-500, 3)), slot_of(code(-500, 3))
    (-524287997, -500, 3)
    """
    return point_units * SLOTS + slot


def points_of(joined: int) -> int:
    """Take the points (in the smallest unit) out of a code."""
    return joined // SLOTS


def slot_of(joined: int) -> int:
    """Take the slot out of a code."""
    return joined % SLOTS


def points_column(codes: pl.Expr) -> pl.Expr:
    """Take the points out of a column of codes, or of sums of codes."""
    return codes // SLOTS


def slot_column(codes: pl.Expr) -> pl.Expr:
    """Take the slot out of a column of codes, as UInt8."""
    return codes.cast(pl.UInt8, wrap_numerical=True)  # its lowest byte: no rule has more than 200 cases
