"""Hashes, without a database: of the entries in the audit log's chain, and of the texts that decide.

`docs/audit.md` describes the bytes of an entry for programs that verify a log on their own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, Protocol

from fivefold.domain.canonical import canonical_json
from fivefold.domain.errors import ConflictError

FORMAT = 1
"""Version of the hashed bytes, raised by any change of them."""

GENESIS = "0" * 64
"""The previous hash of the first entry."""

HASHED = (
    "organisation_id",
    "number",
    "at_us",
    "actor",
    "action",
    "subject_kind",
    "subject_id",
    "details",
    "bulk_count",
    "bulk_digest",
    "before_hash",
    "after_hash",
    "previous_hash",
)
"""The columns of an entry that are hashed: all but the hash itself."""

Side = Literal["before", "after"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One call of a use case, as recorded. Only *before* and *after* hold personal data.

    Attributes:
        organisation_id: the organisation whose chain it belongs to.
        at_us: the time, in microseconds.
        actor: who acted: `token:12`, `cli:NAME` (an account of the machine) or `system`.
        action: what was done, such as `token.created`.
        subject_kind: the kind of the subject, such as `token`.
        subject_id: the subject's internal number; None for a call about many.
        details: context that is useful without the values, and is never erased.
        before: values before the change; None if there were none.
        after: values after the change; None if there are none.
        bulk_count: for a call about many: their number.
        bulk_digest: for a call about many: `digest_of` them.
    """

    organisation_id: int
    at_us: int
    actor: str
    action: str
    subject_kind: str
    subject_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    bulk_count: int | None = None
    bulk_digest: str | None = None


def hash_of_entry(columns: Mapping[str, Any]) -> str:
    """Hash an entry's columns: SHA-256 of canonical JSON, in hexadecimal.

    ValueError or TypeError if a column holds a value that no entry can have.
    """
    hashed = {"format": FORMAT, **{name: columns[name] for name in HASHED}}
    return sha256(canonical_json(hashed).encode()).hexdigest()


def hash_of_value(salt: str, side: Side, text: str) -> str:
    r"""Hash a value before or after the change, in canonical JSON: SHA-256 of three lines, in hexadecimal.

    The salt protects values with few possibilities (a name, a date) from being found by trial.

    >>> hash_of_value("00ff", "before", '{"label":""}') == sha256(b'00ff\nbefore\n{"label":""}').hexdigest()
    True
    """
    return sha256(f"{salt}\n{side}\n{text}".encode()).hexdigest()


def digest_of(rows: Iterable[Any]) -> str:
    r"""Hash the rows of a call about many: SHA-256 over each row's canonical JSON and a line feed, in hexadecimal.

    >>> digest_of([1, {"id": "a"}]) == sha256(b'1\n{"id":"a"}\n').hexdigest()
    True
    """
    digest = sha256()
    for row in rows:  # a whole number is its own canonical form, and there may be many
        digest.update(f"{row if type(row) is int else canonical_json(row)}\n".encode())
    return digest.hexdigest()


class StoredText(Protocol):
    """A version of a ruleset, a policy, a flow or a group: its canonical form, and its hash when it was committed.

    Approvals and decisions check that the two agree. Assessments do not: for these, `fivefold audit verify` finds a
    changed ruleset or group.
    """

    number: int
    canonical: str
    content_hash: str


def unchanged_canonical(row: StoredText, name: str) -> str:
    """Return a version's canonical form, by which it decides; *name* is for people.

    ConflictError if its hash differs from the stored one: the text was changed.
    """
    if sha256(row.canonical.encode()).hexdigest() != row.content_hash:
        raise ConflictError(
            f"version {row.number} of {name} decides nothing: its text has another hash than it was committed with,"
            " so it was changed; `fivefold audit verify` names what was"
        )
    return row.canonical
