"""Levels that are given to an assessment, held until now or set by people: refused where they cannot be used."""

import polars as pl

from fivefold.domain.errors import FileFormatError
from fivefold.risk.facts.portfolio import ENTITY


def validate_held_levels(what: str, frame: pl.DataFrame, levels: int, moment: str, *, needed: bool = False) -> None:
    """Refuse levels that an assessment cannot go on from.

    Args:
        what: they are called in errors.
        frame: `entity_id`, `level` (number), and a moment (microseconds).
        levels: how many levels there are.
        moment: the column of the moment.
        needed: a level without a moment is refused: its cooldown has no begin, and the level would be lost at once.

    Raises:
        FileFormatError: a column is missing or of another type, an entity is there twice, a level or a floor is none of
            the ruleset's, or a moment is missing.
    """
    _refuse_columns(what, frame, moment)
    _refuse_floors(what, frame, levels)
    level = frame["level"]
    if frame[ENTITY].n_unique() < len(frame):
        twice = frame.filter(frame[ENTITY].is_duplicated())
        raise FileFormatError(f"{what} have entity {twice[ENTITY][0]!r} {_times(twice)}; each may have one level")
    if not level.drop_nulls().is_between(1, levels).all():
        one = frame.filter(~pl.col("level").is_between(1, levels)).row(0, named=True)
        raise FileFormatError(f"{what}: entity {one[ENTITY]!r} has level {one['level']}; there are 1 to {levels}")
    if needed and frame[moment].null_count():
        timeless = frame.filter(level.is_not_null() & frame[moment].is_null())[ENTITY]
        if len(timeless):
            raise FileFormatError(
                f"{what}: entity {timeless[0]!r} has a level without {moment}, the moment since when it is held"
            )


def _refuse_columns(what: str, frame: pl.DataFrame, moment: str) -> None:
    """Refuse other columns: a date read as microseconds would be in 1970, and its cooldown long over."""
    missing = [name for name in (ENTITY, "level", moment) if name not in frame.columns]
    if missing:
        raise FileFormatError(f"{what} have no {', '.join(missing)}; there are {', '.join(frame.columns) or 'none'}")
    for name, right in ((ENTITY, "text"), ("level", "whole numbers"), (moment, "whole numbers, microseconds UTC")):
        dtype = frame.schema[name]
        if not (dtype == pl.Null or (dtype == pl.String if name == ENTITY else dtype.is_integer())):
            raise FileFormatError(f"{what}: {name} is {dtype}; it must be {right}")


def _refuse_floors(what: str, frame: pl.DataFrame, levels: int) -> None:
    for name in ("floor", "hard_floor"):
        if name in frame.columns and not frame[name].drop_nulls().is_between(0, levels).all():
            one = frame.filter(~pl.col(name).is_between(0, levels)).row(0, named=True)
            raise FileFormatError(
                f"{what}: entity {one[ENTITY]!r} has {name} {one[name]}; there are 1 to {levels}, 0 for none"
            )


def _times(twice: pl.DataFrame) -> str:
    count = int((twice[ENTITY] == twice[ENTITY][0]).sum())
    return "twice" if count == 2 else f"{count} times"
