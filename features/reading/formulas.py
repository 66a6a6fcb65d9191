"""Texts in CSV that a spreadsheet would run as formulas: a leading apostrophe keeps them texts."""

import re

import polars as pl

from fivefold.domain.text import FORMULA_SIGNS

_SIGNS = re.escape("".join(FORMULA_SIGNS))
_FORMULA = f"^'*[{_SIGNS}]"
_QUOTED = f"^'+[{_SIGNS}]"
_NUMBER = r"^[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$"


def escape_formulas_of_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """Apply `escape_formulas` to every column and to the names of the columns."""
    names = escape_formulas(pl.Series(frame.columns, dtype=pl.String))
    return pl.DataFrame([escape_formulas(column).alias(name) for column, name in zip(frame, names, strict=True)])


def unescape_formulas_of_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """Undo `escape_formulas_of_frame`."""
    names = unescape_formulas(pl.Series(frame.columns, dtype=pl.String))
    return pl.DataFrame([unescape_formulas(column).alias(name) for column, name in zip(frame, names, strict=True)])


def escape_formulas(column: pl.Series) -> pl.Series:
    """Put an apostrophe before texts that would run; numbers and columns of other types stay as they are.

    Texts that already have an apostrophe get another, so that `unescape_formulas` restores every text.
    """
    if column.dtype != pl.String:
        return column
    runs = column.str.contains(_FORMULA) & ~column.str.contains(_NUMBER)
    return ("'" + column).zip_with(runs.fill_null(value=False), column).alias(column.name)


def unescape_formulas(column: pl.Series) -> pl.Series:
    """Remove the apostrophes that `escape_formulas` added."""
    if column.dtype != pl.String:
        return column
    is_quoted = column.str.contains(_QUOTED).fill_null(value=False)
    return column.str.slice(1).zip_with(is_quoted, column).alias(column.name)
