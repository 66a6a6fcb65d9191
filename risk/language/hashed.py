"""A document that is known by what it says: one canonical form, and the hash of that."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.canonical import canonical_form


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
        """Copy the document, perhaps changed; what was computed of the original is not copied with it."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("canonical", "content_hash"):
            copied.__dict__.pop(name, None)
        return copied
