"""A seeded part of a portfolio: the same seed draws the same entities, in whatever order their rows stand."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from fivefold.domain.errors import ConfigError
from fivefold.risk.facts.portfolio import ENTITY, Portfolio


@dataclass(frozen=True)
class Sampled:
    """A part of a portfolio.

    Attributes:
        portfolio: with the drawn entities alone.
        as_of: one moment, or one for each row of its entities.
        entities: how many entities the whole has.
        size: how many were drawn.
    """

    portfolio: Portfolio
    as_of: int | pl.Series
    entities: int
    size: int


def draw(portfolio: Portfolio, as_of: int | pl.Series, size: int | None, seed: int) -> Sampled:
    """Draw so many entities at random, each as likely as the others; all of them where there are no more, or no size.

    ConfigError where the size is no sample, or there are no entities.
    """
    if size is not None and size < 1:
        raise ConfigError(f"a sample of {size} entities was asked for; at least 1 is possible")
    names = portfolio.entities[ENTITY].cast(pl.String)
    entities = names.unique().sort()
    if not len(entities):
        raise ConfigError("the portfolio has no entities")
    if size is None or size >= len(entities):
        return Sampled(portfolio, as_of, len(entities), len(entities))
    places = np.random.default_rng(seed).choice(len(entities), size, replace=False)
    chosen = entities.gather(np.sort(places))
    in_sample = names.is_in(chosen.implode())
    part = replace(
        portfolio, entities=portfolio.entities.filter(in_sample), transactions=_linked(portfolio.transactions, chosen)
    )
    return Sampled(part, as_of.filter(in_sample) if isinstance(as_of, pl.Series) else as_of, len(entities), size)


def _linked(rows: pl.DataFrame | pl.LazyFrame | None, chosen: pl.Series) -> pl.DataFrame | pl.LazyFrame | None:
    """Leave out the transactions of others, which nobody reads; the other linked facts are few."""
    if rows is None:
        return None
    link = ENTITY if ENTITY in rows.collect_schema() else "user_id"
    return rows.filter(pl.col(link).cast(pl.String).is_in(chosen.implode()))
