"""When time alone may change a group: a link begins or ends, or something moves of one of those linked."""

from collections.abc import Callable

import polars as pl

from fivefold.risk.compiler.value_types import inputs_of_group
from fivefold.risk.facts.aggregates import ROW
from fivefold.risk.facts.groups.links import Links
from fivefold.risk.facts.groups.values import Moment, entities_at, in_group
from fivefold.risk.facts.moments.steps import AT
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio
from fivefold.risk.language.expressions import Linked
from fivefold.risk.language.ruleset import LinkType

Firsts = Callable[[pl.DataFrame], pl.DataFrame]
"""Gives `entity_id` and `@at`, the first moment at which anything moves that a group reads, for some entities."""


def group_moments(
    each: Linked, entities: pl.DataFrame, portfolio: Portfolio, declared: LinkType, firsts: Firsts
) -> pl.LazyFrame:
    """Give `@row` and `@at` of when a group may come to something else; perhaps too early, and never late.

    That the days pass of those linked, of which its number is made, is not such a moment.

    Args:
        each: the input.
        entities: `entity_id` and `as_of`.
        portfolio: where the links are.
        declared: how they are read.
        firsts: tells when what is read of those linked moves.
    """
    links, group = portfolio.links, each.linked
    assert isinstance(links, Links)  # what is read is there
    moments: list[Moment] = list(zip(entities[ENTITY].to_list(), entities[AS_OF].to_list(), strict=True))
    members = [
        in_group(group, entity, links.neighbourhood(entity, as_of, group, declared)) for entity, as_of in moments
    ]
    needed = list({(one, as_of): None for (_, as_of), there in zip(moments, members, strict=True) for one in there})
    moved: dict[Moment, int] = {}
    for frame in entities_at(portfolio, needed) if any(inputs_of_group(group)) else ():
        as_ofs = dict(frame.select(ENTITY, AS_OF).iter_rows())
        moved |= {(one, as_ofs[one]): at for one, at in firsts(frame).iter_rows()}
    rows = []
    for row, ((entity, as_of), there) in enumerate(zip(moments, members, strict=True)):
        later = [at for one in there if (at := moved.get((one, as_of))) is not None]
        link = links.next_change(entity, as_of, group, declared)
        later += [] if link is None else [link]
        if later:
            rows.append((row, min(later)))
    return pl.DataFrame(rows, schema={ROW: pl.UInt32, AT: pl.Int64}, orient="row").lazy()
