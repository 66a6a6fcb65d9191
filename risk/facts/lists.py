"""Named lists: dated versions of sets of words, such as the FATF's countries."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated

from pydantic import Field, model_validator

from fivefold.domain.clock import day_text
from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.risk.language.base import Identifier, LanguageModel, Words
from fivefold.risk.language.documents.reader import Document
from fivefold.risk.language.durations import MomentText
from fivefold.risk.language.reading import validate_document


class ListVersion(LanguageModel):
    """The members from one moment on.

    Attributes:
        since: it is in force from here until the next version.
        members: all of them, not only what changed.
        source: where they were published.
    """

    since: MomentText
    members: tuple[str, ...]
    source: Words | None = None


class NamedList(LanguageModel):
    """A list and all its versions, oldest first."""

    name: Identifier = Field(alias="list")
    title: Words
    source: Words
    versions: Annotated[tuple[ListVersion, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _rising(self) -> "NamedList":
        if any(later.since <= earlier.since for earlier, later in pairwise(self.versions)):
            raise ValueError("its versions must stand in order of their dates, each later than the one before")
        return self

    def in_force(self, as_of: int) -> ListVersion | None:
        """Find the version in force at a moment (microseconds); None before the first."""
        begun = [version for version in self.versions if version.since <= as_of]
        return begun[-1] if begun else None


def read_list(text: str, source: str = "the list") -> NamedList:
    """Read a list from YAML or JSON; InvalidRulesetError, with the line, where the text is not a list."""
    return validate_document(NamedList, Document(text, source), source)


def members_at(lists: Mapping[str, NamedList], names: Sequence[str], as_of: int) -> dict[str, ListVersion]:
    """Find the versions in force of every list that is needed.

    Raises:
        InvalidRulesetError: one is missing, or had no version yet: nobody is assessed without it.
    """
    versions: dict[str, ListVersion] = {}
    problems = []
    for name in names:
        version = lists[name].in_force(as_of) if name in lists else None
        if version is not None:
            versions[name] = version
        elif name in lists:
            begins = day_text(lists[name].versions[0].since)
            problems.append(Finding(f"list {name}", f"has no version before {begins}; as-of is {day_text(as_of)}"))
        else:
            problems.append(Finding(f"list {name}", f"is missing; there are {', '.join(sorted(lists)) or 'none'}"))
    if problems:
        raise InvalidRulesetError(problems, "what the ruleset needs")
    return versions
