"""What is doubtful about a portfolio's files: rows of nobody who was read, words that a ruleset writes differently."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl

from fivefold.cli.portfolio.files import PortfolioFiles
from fivefold.cli.terminal import warn
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.language.inputs import ScreeningInput, TagInput

_LINKED = ("transactions", "cases", "alerts", "tags", "screenings")
_WORDS: dict[Any, str] = {TagInput: "tag", ScreeningInput: "screening"}


def print_input_warnings(files: PortfolioFiles, portfolio: Portfolio, *rulesets: AnalysedRuleset) -> None:
    """Warn of everything that makes a file say nothing, where it was probably meant to say something."""
    paths = {field.name: getattr(files, field.name) for field in fields(files)}
    for part in _LINKED:
        frame = getattr(portfolio, part)
        if frame is not None and paths[part] is not None:
            warn_of_strangers(paths[part], frame, portfolio.entities)
    for doubt in dict.fromkeys(doubt for ruleset in rulesets for doubt in _words_apart(portfolio, ruleset)):
        warn(doubt)


def warn_of_strangers(path: Path, rows: pl.DataFrame, entities: pl.DataFrame) -> None:
    """Warn where rows are of no entity that was read, or say of none: they count for no one."""
    if not len(rows) or not len(entities):
        return
    known = rows[ENTITY].is_in(entities[ENTITY].implode())
    strangers = rows.filter(~known & rows[ENTITY].is_not_null())[ENTITY]
    if not known.any() and len(strangers):
        warn(
            f"none of the {len(rows):,} rows of {path} is of an entity that was read; "
            f"it has {strangers[0]!r}, where entities are called {entities[ENTITY][0]!r}"
        )
    elif len(strangers):
        names = strangers.unique(maintain_order=True)
        shown = ", ".join(map(repr, names.head(SHOWN)))
        warn(f"{len(strangers):,} of the {len(rows):,} rows of {path} are of no entity that was read, such as {shown}")
    nameless = rows[ENTITY].null_count()
    if nameless:
        warn(f"{nameless:,} of the {len(rows):,} rows of {path} have no {ENTITY}, and count for no entity")


SHOWN = 5
"""How many identifiers a warning names."""


def _words_apart(portfolio: Portfolio, analysed: AnalysedRuleset) -> Iterator[str]:
    """Tell of tags and screenings that the files have in other letters than the ruleset."""
    name = analysed.ruleset.name
    for made in analysed.inputs:
        column = _WORDS.get(type(made))
        frame = None if column is None else getattr(portfolio, f"{column}s")
        if column is not None and frame is not None and column in frame.columns:
            asked = getattr(made, column)
            there = frame[column].cast(pl.String).unique().drop_nulls().sort()
            for word in there.filter(there != asked):
                if _plain(word) == _plain(asked):
                    yield f"there are {column}s called {word!r}; ruleset {name} asks for {asked!r} alone"


def _plain(word: str) -> str:
    return "".join(sign for sign in word.casefold() if sign.isalnum())
