"""The base classes of every part of a ruleset: frozen models that refuse words outside the language."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter

from fivefold.risk.language.quantities import json_number

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=80)]
"""Names that people write in files and read in breakdowns: cash-out, country-of-residence."""
IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)
"""Validates one identifier by itself."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=80)]
"""Names of fields, as columns have them: country, opened_on."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=80)]
"""Names of tags and screenings, as people gave them."""

Words = Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
"""Text written for people."""


@dataclass(frozen=True)
class NameOf:
    """Marks a reference to an existing name, so that a form can offer the choices.

    Attributes:
        of: the kind of thing named: `steps`, `actions`, `levels` or `answers` of the document, or `zones` of the tz
            database. `persons`, `outside` and `stops` are steps too: those that ask a person or the outside, and those
            at which a run can stop. `policies`, `rulesets`, `flows`, `groups`, `sources` and `models` are of the
            organisation.
    """

    of: str


class MayBeEmpty:
    """Marks a word that is required and may be empty, so that a form can write it empty."""


WHEN_USED = ConfigDict(defer_build=True)
"""Builds Pydantic's schema at first use: a condition's schema contains every form that it can nest."""


class LanguageModel(BaseModel):
    """A part of a ruleset."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True, **WHEN_USED)


def canonical_form(part: LanguageModel) -> str:
    """Write a part in its one canonical form: defaults left out, keys sorted, numbers plain, ASCII.

    Order of keys, comments, spelled-out defaults and the form of numbers (31 or 31.0) make no difference.
    """
    content = part.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return json.dumps(_plain(content), sort_keys=True, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below) for below in value]
    return json_number(value) if isinstance(value, Decimal) else value


class ContentHashed(LanguageModel):
    """A whole document of the language."""

    @cached_property
    def canonical(self) -> str:
        """The document's one canonical form, which its reader reads back."""
        return canonical_form(self)

    @cached_property
    def content_hash(self) -> str:
        """The SHA-256 of the canonical form, in hexadecimal."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the document, perhaps changed, without the values cached for the original."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("canonical", "content_hash"):
            copied.__dict__.pop(name, None)
        return copied
