"""Since when floors rest on what is unknown, as text: that is how it is kept in files and in the database."""

import polars as pl

from fivefold.risk.engine.levels import FLOOR_LOST, HARD_FLOOR_LOST, MOMENTS

FLOORS_LOST = "floors_lost"
"""The column of this text; null where no floor rests on what is unknown."""

_KEPT = {"floor": FLOOR_LOST, "hard_floor": HARD_FLOOR_LOST}


def as_text() -> pl.Expr:
    """Write the two columns of moments as JSON: `{"floor": [...], "hard_floor": [...]}`, microseconds or null."""
    any_lost = pl.any_horizontal(pl.col(column).is_not_null() for column in _KEPT.values())
    text = pl.struct(pl.col(column).alias(name) for name, column in _KEPT.items()).struct.json_encode()
    return pl.when(any_lost).then(text).alias(FLOORS_LOST)


def from_text(texts: pl.Series) -> list[pl.Series]:
    """Read them back: the columns `floor_lost` and `hard_floor_lost`.

    Raises:
        polars.exceptions.ComputeError: a text was not written by `as_text`.
    """
    filled = texts.cast(pl.String).fill_null("{}")
    decoded = filled.str.json_decode(pl.Struct(dict.fromkeys(_KEPT, MOMENTS)))
    return [decoded.struct.field(name).alias(column) for name, column in _KEPT.items()]
