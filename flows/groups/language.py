"""A named group as a document: by what condition an entity is a member, and what it is where that is unknown."""

from typing import Annotated, Literal

from pydantic import Field

from fivefold.risk.language.base import Identifier, Name, Words
from fivefold.risk.language.calculations import MOST_CALCULATIONS
from fivefold.risk.language.fields import Definition, LevelNames
from fivefold.risk.language.policy import PolicyCalculation, PolicyCondition
from fivefold.risk.language.purposes import DecisionPurposes
from fivefold.risk.language.reading import read_text
from fivefold.risk.language.ruleset import MOST_LINK_TYPES, GivenExample, LinkType

UNKNOWN = "unknown"
"""What an example expects where the facts do not decide."""


class GroupExample(GivenExample):
    """An invented entity, and whether the condition holds for it.

    Attributes:
        given: besides, `level` (in_force, rules, status and source by name, or the name of the one in force).
        member: true, false, or unknown.
    """

    member: Annotated[bool, Field(strict=True)] | Literal["unknown"]


class Group(Definition):
    """Entities of one type that a condition holds for.

    Attributes:
        name: of all its versions.
        purpose: what membership is used for; a group for commerce may read nothing that is `aml`.
        levels: names, lowest first.
        links: the types of links between entities that inputs may follow.
        purposes: what the data that it reads were gathered for.
        calculate: named numbers that the condition may read.
        when: what must hold of a member.
        on_unknown: what an entity becomes where the facts do not decide: it stays what it was, or is in, or out.
        examples: what the condition must come to, run by `fivefold groups test`.
    """

    word = "group"
    name: Identifier = Field(alias="group")
    title: Words
    rationale: Words | None = None
    levels: LevelNames
    links: Annotated[dict[Name, LinkType], Field(default_factory=dict, max_length=MOST_LINK_TYPES)]
    purposes: DecisionPurposes = DecisionPurposes()
    calculate: Annotated[dict[Name, PolicyCalculation], Field(default_factory=dict, max_length=MOST_CALCULATIONS)]
    when: PolicyCondition
    on_unknown: Literal["keep", "in", "out"] = "keep"
    examples: tuple[GroupExample, ...] = ()

    @property
    def named_parts(self) -> dict[str, list[dict[str, str]]]:
        """The names of examples."""
        return {"examples": [{"name": example.name} for example in self.examples]}


def read_group(text: str, source: str = "the group") -> Group:
    """Read a group from YAML or JSON; InvalidRulesetError, with the lines, names everything that does not fit."""
    return read_text(Group, text, source)
