"""Membership of a group: the entities for which its condition holds, and when time alone may change that.

One entity is a batch of one. Each example of a group is evaluated as an entity of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.flows.examples import levels_given, strange_levels
from fivefold.flows.groups.analysis import AnalysedGroup
from fivefold.flows.groups.language import UNKNOWN, Group
from fivefold.risk.compiler.conditions import Compiler
from fivefold.risk.compiler.value_types import InputColumn, column_for
from fivefold.risk.engine.assess import timed_entities
from fivefold.risk.engine.program import compiled_once
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import ENTITY, NamedList, Portfolio, members_at
from fivefold.risk.facts.resolution import lazy_sources, moments_ahead, resolve_inputs
from fivefold.risk.governance.examples.facts import (
    LINKED,
    everybody,
    portfolio_of,
    strange_fields,
    strange_links,
    strange_words,
)
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import input_key

HOLDS, NEXT = "holds", "next_us"
"""Columns: whether the condition holds, null if that is unknown; the first moment after as-of at which time alone may
change it, null for never."""


@dataclass(frozen=True, eq=False)  # an expression has no equality
class GroupProgram:
    """A compiled group.

    Attributes:
        analysed: the group.
        holds: the condition, over a column for each input, named by its key; null where unknown.
    """

    analysed: AnalysedGroup
    holds: pl.Expr


def compile_group(analysed: AnalysedGroup, lists: Mapping[str, Sequence[str]], base: str) -> GroupProgram:
    """Compile a group; InvalidRulesetError names all its faults.

    Args:
        analysed: the group.
        lists: the members of every list that it names.
        base: the currency of money.
    """
    analysed.require_usable()
    inputs = {input_key(each): column_for(each, analysed.names, base) for each in analysed.inputs}

    def resolve(rule_input: LanguageModel) -> InputColumn:
        return inputs[input_key(rule_input)]

    return GroupProgram(analysed, Compiler(resolve, lists).condition(analysed.group.condition).alias(HOLDS))


group_program_for = compiled_once(compile_group)


def look_at_members(analysed: AnalysedGroup, portfolio: Portfolio, as_of: int, *, ahead: bool = False) -> pl.DataFrame:
    """Evaluate the condition of a group for each entity.

    Args:
        analysed: the group.
        portfolio: what is known, each entity once; with `levels` if the condition reads one.
        as_of: the moment (microseconds).
        ahead: whether to compute `next_us`, the moment when time alone may change the result; else it is null.

    Returns:
        `entity_id`, `holds` and `next_us`, in the order of the entities.

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


_GIVEN = (*(word for word in LINKED if word not in {"previous", "peers"}), "level")


@dataclass(frozen=True)
class GroupExampleResult:
    """The result of one example: the expected and the actual membership, both in words."""

    name: str
    expected: str
    actual: str

    @property
    def passed(self) -> bool:
        """Whether both are the same."""
        return self.expected == self.actual


def run_group_examples(
    analysed: AnalysedGroup, lists: Mapping[str, NamedList], as_of: int
) -> tuple[GroupExampleResult, ...]:
    """Evaluate all examples of a group; *as_of* is for those that name no moment (microseconds).

    Raises:
        InvalidRulesetError: the group cannot be used, or an example gives something that the group does not have.
    """
    analysed.require_usable()
    group = analysed.group
    problems = list(check_group_examples(group))
    if problems:
        raise InvalidRulesetError(problems, f"the examples of {group.name}")
    people, links = everybody(group)
    everyone = portfolio_of(people, group, Needs.of(analysed).facts, as_of)
    everyone = replace(
        everyone,
        entities=everyone.entities.head(len(group.examples)),
        lists=lists,
        levels=levels_given(group),
        links=links,
        everyone=everyone.entities,
    )
    results = []
    for number, example in enumerate(group.examples):
        own = replace(everyone, entities=everyone.entities.filter(pl.col(ENTITY) == str(number)))
        holds = look_at_members(analysed, own, as_of if example.as_of is None else example.as_of)[HOLDS][0]
        expected = None if example.member == UNKNOWN else bool(example.member)
        results.append(GroupExampleResult(example.name, _word(expected), _word(holds)))
    return tuple(results)


def _word(holds: bool | None) -> str:
    return UNKNOWN if holds is None else "a member" if holds else "no member"


def check_group_examples(group: Group) -> Iterator[Finding]:
    """Find what examples give that the group does not have."""
    for example in group.examples:
        yield from strange_fields(example, {*group.fields, *_GIVEN})
        yield from strange_links(example, group)
        yield from strange_words(example, group)
        yield from strange_levels(example, group.levels)
