"""Levels that are given to an assessment, held until now or set by people: refused where they cannot be used."""

import polars as pl

from domain.errors import LayoutError
from risk.facts.portfolio import ENTITY


def refuse_levels(what: str, given: pl.DataFrame, levels: int, since: str | None = None) -> None:
    """Refuse levels of which nobody could say what they come to.

    Args:
        what: they are called in errors.
        given: `entity_id`, `level` (number), and a moment.
        levels: how many levels there are.
        since: the column of the moment from which a level is held; None where a level needs none.

    Raises:
        LayoutError: an entity stands there twice, a level is none of the ruleset's, or the moment is missing: without
            it no cooldown could be told, and the level would be lost at once.
    """
    twice = given.filter(given[ENTITY].is_duplicated())
    if len(twice):
        raise LayoutError(f"{what} have entity {twice[ENTITY][0]!r} {_times(twice)}; each may have one level")
    strange = given.filter(~pl.col("level").is_between(1, levels))
    if len(strange):
        raise LayoutError(
            f"{what}: entity {strange[ENTITY][0]!r} has level {strange['level'][0]}; there are 1 to {levels}"
        )
    timeless = given.filter(pl.col("level").is_not_null() & pl.col(since).is_null()) if since else strange
    if len(timeless):
        raise LayoutError(
            f"{what}: entity {timeless[ENTITY][0]!r} has a level without {since}, the moment since when it is held"
        )


def _times(twice: pl.DataFrame) -> str:
    count = int((twice[ENTITY] == twice[ENTITY][0]).sum())
    return "twice" if count == 2 else f"{count} times"
