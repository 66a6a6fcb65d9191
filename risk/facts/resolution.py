"""What is read of entities: by queries over columns, or for one entity by plain functions. The choice is made here."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

import polars as pl

from fivefold.risk.compiler.conditions import Lists
from fivefold.risk.facts.inputs import Needs, resolve, sources_of
from fivefold.risk.facts.linked import LinkedFacts
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.facts.single.known import Known
from fivefold.risk.facts.single.plans import plan_for
from fivefold.risk.facts.single.values import LeftToColumnsError

Sources = Callable[[], Mapping[str, LinkedFacts]]
"""Prepares the linked facts as columns, once."""


MOST_PLAIN_ROWS: Final = 10_000
"""With more transactions queries are faster, by either of the rulesets that ship: they cost about the same for each."""


def lazy_sources(needs: Needs, portfolio: Portfolio) -> Sources:
    """Give `sources_of`, which is asked when anything needs columns, and once."""
    return cache(lambda: sources_of(needs, portfolio))


def resolve_inputs(
    needs: Needs, portfolio: Portfolio, sources: Sources, lists: Lists, entities: pl.DataFrame
) -> pl.DataFrame:
    """Resolve inputs for some entities, as `risk.facts.inputs.resolve` does; one entity by plain functions.

    Where those meet what they do not expect - a value that could not be read, a column of another type - the columns
    are asked: they read it, name it or refuse it.

    Args:
        needs: what is read.
        portfolio: where it is.
        sources: as `lazy_sources` gives them.
        lists: the members of the named lists.
        entities: `entity_id` (no two alike), `as_of` and the attributes as known then.
    """
    if len(entities) == 1 and not _are_many(portfolio.transactions):
        members = tuple((name, tuple(lists[name])) for name in sorted(lists))
        plan = plan_for(needs, members, portfolio.rates.base)
        known = Known(plan, portfolio, entities, sources)
        try:
            return plan.resolve(known, lambda left: resolve(left, portfolio, sources(), lists, entities))
        except LeftToColumnsError:
            pass
    return resolve(needs, portfolio, sources(), lists, entities)


def _are_many(transactions: pl.DataFrame | pl.LazyFrame | None) -> bool:
    return isinstance(transactions, pl.DataFrame) and len(transactions) > MOST_PLAIN_ROWS
