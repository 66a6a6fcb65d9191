"""Examples beside a group: each is looked at as an entity of its own, and compared with what it expects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import polars as pl

from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.flows.examples import levels_given, strange_levels
from fivefold.flows.groups.analysis import AnalysedGroup
from fivefold.flows.groups.language import UNKNOWN, Group
from fivefold.flows.groups.membership import HOLDS, look_at_members
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import ENTITY, NamedList
from fivefold.risk.governance.examples.facts import (
    LINKED,
    everybody,
    portfolio_of,
    strange_fields,
    strange_links,
    strange_words,
)

_GIVEN = (*(word for word in LINKED if word not in {"previous", "peers"}), "level")


@dataclass(frozen=True)
class GroupExampleResult:
    """What became of one example: what it expects and what the condition comes to, both as words."""

    name: str
    expected: str
    actual: str

    @property
    def passed(self) -> bool:
        """True where both are the same."""
        return self.expected == self.actual


def run_group_examples(
    analysed: AnalysedGroup, lists: Mapping[str, NamedList], as_of: int
) -> tuple[GroupExampleResult, ...]:
    """Look at all examples of a group and compare; *as_of* is for those that name no moment (microseconds).

    Raises:
        InvalidRulesetError: the group cannot be used, or an example gives something that is not there.
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
