"""A named group as a document: the condition of membership, and what applies if it is unknown."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from fivefold.risk.language.base import WHEN_USED, Identifier, Name, Words
from fivefold.risk.language.calculations import MOST_CALCULATIONS
from fivefold.risk.language.fields import Definition, LevelNames
from fivefold.risk.language.policy import PolicyCalculation, PolicyCondition
from fivefold.risk.language.purposes import DecisionPurposes
from fivefold.risk.language.reading import read_text
from fivefold.risk.language.ruleset import MOST_LINK_TYPES, GivenExample, LinkType

GROUP_TAG: Final = "group:"
"""The prefix of tags that make an entity a member of a group kept by flows."""
UNKNOWN = "unknown"
"""What an example expects if the facts do not decide."""
MOST_LETTERS_KEPT: Final = 74
"""The most characters in the name of a group kept by flows: its tag has 80 at most."""
_OF_CONDITIONS: Final = {
    *("fields", "transaction_fields", "case_fields", "reference"),
    *("links", "purposes", "calculate", "on_unknown", "examples"),
}
_CONDITION: Final[TypeAdapter[PolicyCondition]] = TypeAdapter(PolicyCondition, config=WHEN_USED)


class GroupExample(GivenExample):
    """An invented entity, and whether the condition holds for it.

    Attributes:
        given: as in all examples, and `level` (in_force, rules, status and source by name, or the level in force).
        member: true, false, or unknown.
    """

    member: Annotated[bool, Field(strict=True)] | Literal["unknown"]


def tag_of_group(name: str) -> str:
    """Return the tag that makes an entity a member of a group kept by flows.

    >>> tag_of_group("campaign")
    'group:campaign'
    """
    return f"{GROUP_TAG}{name}"


class Group(Definition):
    """Entities of one type that a condition holds for, or that flows put there.

    Attributes:
        name: the name of all its versions.
        purpose: what membership is used for; a group for commerce may read nothing that is `aml`.
        levels: the names of levels, lowest first.
        links: the types of links between entities that inputs may follow.
        purposes: what the data that it reads were gathered for.
        calculate: named numbers that the condition may read.
        when: the condition of membership; None if flows keep the group.
        kept_by: `flows` if only actions of flows decide who is a member.
        on_unknown: what an entity becomes if the facts do not decide: it stays as it was, or is in, or out.
        examples: the expected results of the condition, checked by `fivefold groups test`.
    """

    word = "group"
    name: Identifier = Field(alias="group")
    title: Words
    rationale: Words | None = None
    levels: LevelNames
    links: Annotated[dict[Name, LinkType], Field(default_factory=dict, max_length=MOST_LINK_TYPES)]
    purposes: DecisionPurposes = DecisionPurposes()
    calculate: Annotated[dict[Name, PolicyCalculation], Field(default_factory=dict, max_length=MOST_CALCULATIONS)]
    when: PolicyCondition | None = None
    kept_by: Literal["flows"] | None = None
    on_unknown: Literal["keep", "in", "out"] = "keep"
    examples: tuple[GroupExample, ...] = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.when is None) is (self.kept_by is None):
            raise ValueError("must have one of the two: when, what holds of a member; or kept_by: flows")
        words = sorted(self.model_fields_set & _OF_CONDITIONS)
        if self.kept_by is not None and words:
            raise ValueError(f"is kept by flows, so it reads nothing; leave out {', '.join(words)}")
        if self.kept_by is not None and len(self.name) > MOST_LETTERS_KEPT:
            raise ValueError(f"is kept by flows, so its name has {MOST_LETTERS_KEPT} letters at most")
        return self

    @property
    def condition(self) -> PolicyCondition:
        """The condition of membership; for a group kept by flows, that the entity has the group's tag."""
        if self.when is not None:
            return self.when
        return _CONDITION.validate_python({"tag": tag_of_group(self.name), "is": "present"})

    @property
    def named_parts(self) -> dict[str, list[dict[str, str]]]:
        """The names of examples."""
        return {"examples": [{"name": example.name} for example in self.examples]}


def read_group(text: str, source: str = "the group") -> Group:
    """Read a group from YAML or JSON; InvalidRulesetError, with the lines, names everything that does not fit."""
    return read_text(Group, text, source)
