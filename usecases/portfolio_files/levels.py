"""Files of levels: the levels that entities hold, and those that people set."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError
from fivefold.domain.text import columns_text, misspelt_names
from fivefold.features.reading.formulas import unescape_formulas_of_frame
from fivefold.features.reading.text_files import suffix_of_name
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.deciding import KEPT_BY
from fivefold.risk.engine.levels import FLOORS_LOST, from_text
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.facts.reading import read_moments
from fivefold.usecases.portfolio_files.tables import TableFile, Warn, read_frame


def read_held_levels(path: Path, levels: tuple[str, ...], as_of: int) -> pl.DataFrame:
    """Read the levels held until now, as `--output` writes them: names of levels, and when they were entered.

    ConfigError if a level was entered after as-of, as no entity held it then; or if a column has nearly the name of an
    absent column of `OPTIONAL`.
    """
    frame = _with_columns(path, ("rules_level", "entered")).drop_nulls("rules_level")
    _refuse_misspelt(frame.columns, path)
    entered = _moments(frame["entered"], path)
    later = frame.filter(entered > as_of)
    if len(later):
        raise ConfigError(
            f"{path}: entity {later[ENTITY][0]} entered its level on {later['entered'][0]}, "
            f"which is after --as-of, {day_text(as_of)}"
        )
    numbers = frame.select(ENTITY, _required_levels(frame["rules_level"], levels, path), entered)
    return numbers.with_columns(_floors(frame, levels, path))


RULESET: Final = "ruleset"
"""The column that names the ruleset that decided on an entity."""
OPTIONAL: Final = ("held_floor", "held_hard_floor", FLOORS_LOST, RULESET, KEPT_BY)
"""Columns that a file of held levels may lack, if written by hand: then no floor is held, and no ruleset decided."""


def _refuse_misspelt(columns: list[str], path: Path) -> None:
    """Raise ConfigError if a column's name differs from an absent one in case, signs or one letter alone."""
    for absent, near in misspelt_names(columns, OPTIONAL).items():
        raise ConfigError(
            f"{path} has no column {absent}, and has {near}: call it {absent}, or give it quite another name if it"
            " is something else; without it a level may fall"
        )


def read_deciding_rulesets(path: Path, rulesets: Sequence[AnalysedRuleset], warn: Warn) -> dict[str, tuple[str, ...]]:
    """Return by entity the rulesets that decided until now, or keep it; empty if the file of levels does not name them.

    Warns of rulesets that are not among *rulesets*: they were retired, or their names changed.
    """
    frame = _read(path)
    columns = [pl.col(name).cast(pl.String).fill_null("") for name in (RULESET, KEPT_BY) if name in frame.columns]
    rows = frame.select(ENTITY, *columns).iter_rows()
    deciding = {entity: tuple(" ".join(names).split()) for entity, *names in rows if any(names)}
    entities = Counter(name for names in deciding.values() for name in set(names))
    for absent in sorted(entities.keys() - {each.ruleset.name for each in rulesets}):
        warn(
            f"{path}: ruleset {absent} decided on {entities[absent]:,} of the entities or kept them, and is not among"
            f" those that assess now ({', '.join(each.ruleset.name for each in rulesets)}): it keeps none of them"
        )
    return deciding


def _floors(frame: pl.DataFrame, levels: tuple[str, ...], path: Path) -> list[pl.Series]:
    """Read the floors that were held, if the file has them: a file written by hand needs none."""
    floors = [
        _level_numbers(frame[column], levels, path).fill_null(0).alias(name)
        for column, name in (("held_floor", "floor"), ("held_hard_floor", "hard_floor"))
        if column in frame.columns
    ]
    if FLOORS_LOST not in frame.columns:
        return floors
    texts = frame[FLOORS_LOST].cast(pl.String)
    try:
        return [*floors, *from_text(texts.set(texts == "", None))]
    except pl.exceptions.PolarsError:
        raise ConfigError(f"{path}: {FLOORS_LOST} is not as `fivefold rules assess --output` writes it") from None


def read_overrides(path: Path, levels: tuple[str, ...]) -> pl.DataFrame:
    """Read the levels that people set: names of levels, and until when; null for no end."""
    frame = _with_columns(path, ("level", "until"))
    return frame.select(ENTITY, _required_levels(frame["level"], levels, path), _moments(frame["until"], path))


def _with_columns(path: Path, columns: tuple[str, ...]) -> pl.DataFrame:
    """Read a file with these columns and one row for each entity."""
    frame = _read(path)
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ConfigError(f"{path} has no column {', '.join(missing)}; {columns_text(frame.columns)}")
    repeated = frame.filter(pl.col(ENTITY).is_duplicated())[ENTITY]
    if len(repeated):
        raise ConfigError(f"{path} has entity {repeated[0]} more than once; every entity must have one row")
    return frame


def _read(path: Path) -> pl.DataFrame:
    """Read a file of levels; remove the apostrophes that `assess` puts before formulas in a CSV."""
    # A torn row is an error here; its message says more than the warning, which is dropped.
    frame = read_frame(TableFile(path, lambda _: None))
    is_written = suffix_of_name(path) == ".csv" and not {*OPTIONAL}.isdisjoint(frame.columns)
    return unescape_formulas_of_frame(frame) if is_written else frame


def _required_levels(names: pl.Series, levels: tuple[str, ...], path: Path) -> pl.Series:
    """Return the numbers of the levels; ConfigError if one is missing."""
    unknown = sorted(set(names.drop_nulls().cast(pl.String)) - set(levels))
    if unknown or names.null_count():
        raise ConfigError(f"{path} has the level {', '.join(unknown) or 'empty'}; there are {', '.join(levels)}")
    return _level_numbers(names, levels, path).alias("level")


def _level_numbers(names: pl.Series, levels: tuple[str, ...], path: Path) -> pl.Series:
    texts = names.cast(pl.String)
    unknown = sorted(set(texts.drop_nulls()) - {*levels, ""})
    if unknown:
        raise ConfigError(f"{path}: {names.name} is {', '.join(unknown)}; there are {', '.join(levels)}")
    return texts.replace_strict(
        {level: number for number, level in enumerate(levels, 1)}, default=None, return_dtype=pl.Int8
    )


def _moments(times: pl.Series, path: Path) -> pl.Series:
    texts = times.set(times == "", None) if times.dtype == pl.String else times
    moments = read_moments(texts)
    if moments.null_count() > texts.null_count():
        wrong = texts.filter(moments.is_null() & texts.is_not_null())[0]
        raise ConfigError(f"{path}: {times.name} is {wrong!r}; it must be an ISO date or time")
    return moments
