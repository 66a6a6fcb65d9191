"""Texts in CSV that a spreadsheet would run as formulas: an apostrophe before them keeps them texts."""

import polars as pl

_SIGNS = "=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20"
"""What a formula may begin with, full-width signs and ends of lines among it (OWASP, CSV injection)."""
_FORMULA = f"^'*[{_SIGNS}]"
_QUOTED = f"^'+[{_SIGNS}]"
_NUMBER = r"^[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$"


def inert_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """Do what `inert` does to every column, and to their names."""
    names = inert(pl.Series(frame.columns, dtype=pl.String))
    return pl.DataFrame([inert(column).alias(name) for column, name in zip(frame, names, strict=True)])


def restored_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """Undo what `inert_frame` did."""
    names = restored(pl.Series(frame.columns, dtype=pl.String))
    return pl.DataFrame([restored(column).alias(name) for column, name in zip(frame, names, strict=True)])


def inert(column: pl.Series) -> pl.Series:
    """Put an apostrophe before texts that would run; numbers stay numbers, and columns of other types what they are.

    Texts that have one already get another: so `restored` gives every text back as it was.
    """
    if column.dtype != pl.String:
        return column
    runs = column.str.contains(_FORMULA) & ~column.str.contains(_NUMBER)
    return ("'" + column).zip_with(runs.fill_null(value=False), column).alias(column.name)


def restored(column: pl.Series) -> pl.Series:
    """Take off again what `inert` put before texts."""
    if column.dtype != pl.String:
        return column
    is_quoted = column.str.contains(_QUOTED).fill_null(value=False)
    return column.str.slice(1).zip_with(is_quoted, column).alias(column.name)
