"""Purposes of data, and of rulesets, policies, actions and lists."""

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field

from fivefold.risk.language.base import Identifier, Label, LanguageModel, Name

Purpose = Literal["aml", "commercial", "both"]
"""Against money laundering, for commerce, or for both. What is for both serves commerce, so it may not read `aml`."""
PURPOSE_PHRASES: Mapping[Purpose, str] = {"aml": "aml", "commercial": "commerce", "both": "aml and commerce"}
"""The words for each purpose in a sentence."""


class Purposes(LanguageModel):
    """What data were gathered for; that of which nothing is said is `aml`.

    Attributes:
        fields: the fields of the entity, by name.
        transaction_fields: the declared fields of transactions, by name; those that every transaction has are for both.
        tags: the tags, by name.
        links: the links, by type; the data that are read of linked entities have purposes of their own.
    """

    fields: dict[Name, Purpose] = Field(default_factory=dict)
    transaction_fields: dict[Name, Purpose] = Field(default_factory=dict)
    tags: dict[Label, Purpose] = Field(default_factory=dict)
    links: dict[Name, Purpose] = Field(default_factory=dict)


class DecisionPurposes(Purposes):
    """What data were gathered for, the level among them.

    Attributes:
        level: the purpose of the rulesets that decide on the type; `aml` by default.
    """

    level: Purpose = "aml"


class PolicyPurposes(DecisionPurposes):
    """What data were gathered for, and what actions are for.

    Attributes:
        actions: the actions with another purpose than the policy, by name.
    """

    actions: dict[Identifier, Purpose] = Field(default_factory=dict)


def strictest(purposes: Iterable[Purpose | None]) -> Purpose:
    """Combine several purposes of the same data: `aml` if one of them is, or all are None.

    >>> strictest(["both", None]), strictest(["both", "aml"]), strictest([None]), strictest(["both", "commercial"])
    ('both', 'aml', 'aml', 'commercial')
    """
    there = [each for each in purposes if each is not None]
    if not there or "aml" in there:
        return "aml"
    return "commercial" if "commercial" in there else "both"
