"""The audit log as use cases write it, and as people read it. `usecases.audit.verify` proves it whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import replacing
from fivefold.store.audit import chain_reading as audit_reading
from fivefold.store.audit import log as audit
from fivefold.store.audit.bound_rows import Digests
from fivefold.store.audit.chain import Entry, digest_of
from fivefold.store.audit.history import new_salt, seal
from fivefold.store.sql.database import reading
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.api_fields import row_as
from fivefold.usecases.shared.context import entry_of


def bulk_of(count: int, rows: Digests) -> tuple[int, str]:
    """Return the number of subjects of a call, and one digest over the salted digests of its rows."""
    return count, digest_of([{table: dict(digests) for table, digests in rows.items()}])


def record_rows(
    session: Session, actor: Actor, about: tuple[str, str, int], lines: Sequence[str], details: Mapping[str, Any]
) -> None:
    """Record a call that wrote many rows, with a seal over their content: `audit verify` compares them.

    Args:
        session: in the use case's transaction.
        actor: who acted, and for which organisation.
        about: the action, the kind of the rows, and the batch of the rows.
        lines: of all rows, as `store.audit.history` writes them.
        details: as for `record`.
    """
    audit.append(session, entry_of_rows(session, actor, about, lines, details))


def entry_of_rows(
    session: Session, actor: Actor, about: tuple[str, str, int], lines: Sequence[str], details: Mapping[str, Any]
) -> Entry:
    """Make the entry that `record_rows` adds."""
    action, kind, batch = about
    sealed = seal(lines, new_salt())
    return entry_of(
        session,
        actor,
        action,
        (kind, None),
        after={"salt": sealed.salt, "marks": sealed.marks},
        details={**details, "batch": batch},
        bulk=(len(lines), sealed.digest),
    )


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExportedHead(_Part):
    """The last entry of one organisation's chain when the heads were exported."""

    organisation_id: int
    organisation: str
    number: int = Field(ge=0)
    hash: str = Field(pattern="^[0-9a-f]{64}$")


class ExportedHeads(_Part):
    """The heads of all chains, to be stored where writers of the database have no access.

    Attributes:
        exported_us: when, microseconds.
    """

    exported_us: int
    heads: tuple[ExportedHead, ...]


def export_heads(engine: Engine, path: Path) -> ExportedHeads:
    """Write the heads of all chains to a JSON file."""
    with audit_reading.snapshot(engine) as connection:
        exported_heads = [ExportedHead(**vars(head)) for head in audit_reading.heads(connection)]
    exported = ExportedHeads(exported_us=now_microseconds(), heads=tuple(exported_heads))
    with replacing(path) as unfinished:
        unfinished.write_text(exported.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return exported


def read_heads(path: Path) -> ExportedHeads:
    """Read exported heads; ConfigError if the file holds none."""
    try:
        return ExportedHeads.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "".join(f"{step}: " for step in first["loc"])
        raise ConfigError(
            f"{path} does not hold heads as `fivefold audit heads` writes them: {place}{first['msg']}"
        ) from None


@dataclass(frozen=True, kw_only=True)
class EntryLine:
    """An entry in a list, without values."""

    organisation: str
    number: int
    at_us: int
    actor: str
    action: str
    subject: str
    details: str


def list_entries(engine: Engine, count: int, organisation: str | None = None) -> list[EntryLine]:
    """List the last entries, of one organisation or of all, the oldest first."""
    with reading(engine) as session:
        return [
            row_as(
                EntryLine,
                entry,
                organisation=name,
                subject=f"{entry.subject_kind} {entry.subject_id or f'× {entry.bulk_count}'}",
            )
            for entry, name in audit.latest(session, count, organisation)
        ]
