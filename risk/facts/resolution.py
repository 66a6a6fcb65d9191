"""Chooses how inputs are resolved: by queries over columns, or for one entity by plain functions.

The transactions of one entity with very many are read by columns, everything else by plain functions.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import polars as pl

from fivefold.risk.compiler.analysis import Analysed
from fivefold.risk.compiler.conditions import Lists
from fivefold.risk.facts.inputs import Needs, resolve, sources_of
from fivefold.risk.facts.linked import LinkedFacts
from fivefold.risk.facts.moments import next_moments
from fivefold.risk.facts.portfolio import ENTITY, Portfolio, error_of
from fivefold.risk.facts.single.context import EntityContext
from fivefold.risk.facts.single.moments import moment_plan_for
from fivefold.risk.facts.single.plans import plan_for
from fivefold.risk.facts.single.values import LeftToColumnsError

Sources = Callable[[], Mapping[str, LinkedFacts]]
"""Prepares the linked facts as columns, once."""


MOST_PLAIN_ROWS: Final = 3_000
"""With more transactions queries are faster: for `fatf-retail` 3,000 take equally long, 6,000 take 0.6 of the time."""


def lazy_sources(needs: Needs, portfolio: Portfolio) -> Sources:
    """Return `sources_of` as a cached function, called only when something needs columns."""
    return cache(lambda: sources_of(needs, portfolio))


def resolve_inputs(
    needs: Needs, portfolio: Portfolio, sources: Sources, lists: Lists, entities: pl.DataFrame
) -> pl.DataFrame:
    """Resolve inputs for some entities, as `risk.facts.inputs.resolve` does; one entity by plain functions.

    If those meet something unexpected (a value that could not be read, a column of another type), the columns are used:
    they read, report or refuse it.

    Args:
        needs: the inputs.
        portfolio: the data.
        sources: the result of `lazy_sources`.
        lists: the members of the named lists.
        entities: `entity_id` (each once), `as_of` and the attributes as known then.
    """
    if len(entities) == 1:
        members = tuple((name, tuple(lists[name])) for name in sorted(lists))
        plan = plan_for(needs, members, portfolio.rates.base, _many_in(portfolio))
        context = EntityContext(plan, portfolio, entities, sources)
        try:
            return plan.resolve(context, lambda left: resolve(left, portfolio, sources(), lists, entities))
        except LeftToColumnsError:
            pass
    return resolve(needs, portfolio, sources(), lists, entities)


def moments_ahead(
    analysed: Analysed[Any],
    portfolio: Portfolio,
    sources: Sources,
    lists: Lists,
    entities: pl.DataFrame,
    inputs: pl.DataFrame,
) -> pl.DataFrame:
    """Find when time alone may next change each input, as `next_moments` does; for one entity by plain functions.

    Inputs without a plain form, and unexpected data, are left to the columns. The arguments are those of
    `next_moments`; for one entity, columns without a moment are left out.
    """
    row = inputs.row(0, named=True) if len(entities) == 1 else {}
    if row and _is_readable(row):
        members = tuple((name, tuple(lists[name])) for name in sorted(lists))
        setting = (members, portfolio.rates.base, _many_in(portfolio))
        plan = moment_plan_for(analysed, *setting)
        context = EntityContext(plan_for(Needs.of(analysed), *setting), portfolio, entities, sources)
        try:
            moments = plan.next_moments(context, row)
        except (LeftToColumnsError, ValueError, OverflowError):
            pass
        else:
            frame = entities[[ENTITY]]
            if plan.left:
                only = (plan.left, plan.by_columns)
                frame = next_moments(analysed, portfolio, sources, lists, entities, inputs, *only)
            return _beside(frame, moments)
    return next_moments(analysed, portfolio, sources, lists, entities, inputs)


def _beside(frame: pl.DataFrame, moments: Mapping[str, int]) -> pl.DataFrame:
    """Add moments to those of the columns; if both have one, the earlier."""
    there = {name: moment for name, moment in frame.row(0, named=True).items() if moment is not None}
    firsts = {name: min(moment, there.get(name, moment)) for name, moment in moments.items()}
    return frame.with_columns(**{name: pl.lit(moment, pl.Int64) for name, moment in firsts.items()})


def _is_readable(row: Mapping[str, Any]) -> bool:
    """Check whether everything of an entity could be read, and no number is NaN."""
    return all(value == value for value in row.values()) and not any(  # noqa: PLR0124 (NaN is not itself)
        value is not None for name, value in row.items() if name.endswith(error_of(""))
    )


def _many_in(portfolio: Portfolio) -> frozenset[str]:
    """Name the sources with so many facts that queries read them faster."""
    rows = portfolio.transactions
    return frozenset({"transactions"} if isinstance(rows, pl.DataFrame) and len(rows) > MOST_PLAIN_ROWS else ())
