"""The common columns of drafts and versions of rulesets, flows, policies and groups."""

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from fivefold.store.audit.history import SALT_CHARACTERS, new_salt
from fivefold.store.sql.json_text import JSONText
from fivefold.store.tables.accounts import HASH_CHARACTERS

PROPOSED, ACTIVE, RETIRED = "proposed", "active", "retired"
"""The states of a version that is proposed."""


class DraftColumns:
    """The columns of an editable text; `editors` are in the order of their first edits."""

    document: Mapped[str] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(Integer)
    editors: Mapped[list[str]] = mapped_column(JSONText())
    edited_us: Mapped[int] = mapped_column(BigInteger)


class VersionColumns:
    """The columns of every version.

    Attributes:
        number: from 1, in each ruleset, flow, policy or group.
        document: the text as it was written.
        canonical: the form by which it decides; `content_hash` is its SHA-256.
    """

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    number: Mapped[int] = mapped_column(Integer)
    document: Mapped[str] = mapped_column(Text)
    canonical: Mapped[str] = mapped_column(Text)
    content_hash: Mapped[str] = mapped_column(String(HASH_CHARACTERS))
    salt: Mapped[str | None] = mapped_column(String(SALT_CHARACTERS), default=new_salt)


class CommittedColumns(VersionColumns):
    """The columns of a version that was committed from a draft, and never changes.

    Attributes:
        tests: the results of its examples.
        editors: who wrote it; none of them may activate it.
    """

    content_hash: Mapped[str] = mapped_column(String(HASH_CHARACTERS), index=True)
    tests: Mapped[dict[str, Any]] = mapped_column(JSONText())
    editors: Mapped[list[str]] = mapped_column(JSONText())
    committed_by: Mapped[str] = mapped_column(Text)
    committed_us: Mapped[int] = mapped_column(BigInteger)


class ProposedColumns(VersionColumns):
    """The columns of a version that one person proposes and another approves: proposed, active or retired."""

    state: Mapped[str] = mapped_column(String(10))
    written_by: Mapped[str] = mapped_column(Text)
    written_us: Mapped[int] = mapped_column(BigInteger)
    approved_by: Mapped[str | None] = mapped_column(Text)
    approved_us: Mapped[int | None] = mapped_column(BigInteger)
