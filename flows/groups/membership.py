"""For whom the condition of a group holds, and when time alone may change that: one entity is a batch of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from fivefold.flows.groups.analysis import AnalysedGroup
from fivefold.risk.compiler.conditions import Compiler
from fivefold.risk.compiler.value_types import InputColumn, column_for
from fivefold.risk.engine.assess import timed_entities
from fivefold.risk.engine.program import compiled_once
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import ENTITY, Portfolio, members_at
from fivefold.risk.facts.resolution import lazy_sources, moments_ahead, resolve_inputs
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import input_key

HOLDS, NEXT = "holds", "next_us"
"""Columns: whether the condition holds, null where that is unknown; the first moment after as-of at which time alone
may change it, null for never."""

SCHEMA: Final = {ENTITY: pl.String, HOLDS: pl.Boolean, NEXT: pl.Int64}


@dataclass(frozen=True, eq=False)  # an expression has no equality
class GroupProgram:
    """A compiled group.

    Attributes:
        analysed: the group.
        holds: the condition, of a column for each input by its key; null where it is unknown.
    """

    analysed: AnalysedGroup
    holds: pl.Expr


def compile_group(analysed: AnalysedGroup, lists: Mapping[str, Sequence[str]], base: str) -> GroupProgram:
    """Compile a group; InvalidRulesetError names all that is wrong with it.

    Args:
        analysed: the group.
        lists: the members of every list that it names.
        base: the currency that money is in.
    """
    analysed.require_usable()
    inputs = {input_key(each): column_for(each, analysed.names, base) for each in analysed.inputs}

    def resolve(rule_input: LanguageModel) -> InputColumn:
        return inputs[input_key(rule_input)]

    return GroupProgram(analysed, Compiler(resolve, lists).condition(analysed.group.condition).alias(HOLDS))


group_program_for = compiled_once(compile_group)


def look_at_members(analysed: AnalysedGroup, portfolio: Portfolio, as_of: int, *, ahead: bool = False) -> pl.DataFrame:
    """Tell for whom the condition of a group holds.

    Args:
        analysed: the group.
        portfolio: what is known; no entity twice. With `levels`, where the condition reads one.
        as_of: the moment (microseconds).
        ahead: tell as well when time alone may change it; otherwise `next_us` is null.

    Returns:
        `entity_id`, `holds`, `next_us`, in the rows of the entities.

    Raises:
        InvalidRulesetError: the group cannot be used, or something that it reads (a list, a frame) is missing.
    """
    analysed.require_usable()
    versions = members_at(portfolio.lists, analysed.lists, as_of, analysed.references)
    members = {name: version.members for name, version in versions.items()}
    entities, needs = timed_entities(portfolio, as_of), Needs.of(analysed)
    sources = lazy_sources(needs, portfolio)
    inputs = resolve_inputs(needs, portfolio, sources, members, entities)
    program = group_program_for(analysed, versions, portfolio.rates.base)
    truths = inputs.select(ENTITY, program.holds)
    moments = entities.select(ENTITY)
    if ahead:
        moments = moments_ahead(analysed, portfolio, sources, members, entities, inputs)
    first = pl.min_horizontal(pl.lit(None, pl.Int64), *moments.columns[1:])
    return truths.hstack(moments.select(pl.col(ENTITY), first.alias(NEXT))[[NEXT]])
