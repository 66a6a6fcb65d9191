"""Texts that decide, as they are stored: one whose hash is another was changed beside the program."""

from hashlib import sha256
from typing import Protocol

from fivefold.domain.errors import ConflictError


class StoredText(Protocol):
    """A version of a ruleset, a policy or a flow: its canonical form, and the hash that it was committed with."""

    number: int
    canonical: str
    content_hash: str


def unchanged_canonical(row: StoredText, name: str) -> str:
    """Return the canonical form by which a version decides; *name* is for people.

    ConflictError if its hash is another than the stored one: the text was changed.
    """
    if sha256(row.canonical.encode()).hexdigest() != row.content_hash:
        raise ConflictError(
            f"version {row.number} of {name} decides nothing: its text has another hash than it was committed with,"
            " so it was changed; `fivefold audit verify` names what was"
        )
    return row.canonical
