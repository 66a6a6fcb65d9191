"""Search of an organisation's audit log: page by page, or by actor, subject, action and time.

It also finds when and why versions of groups and of policies ceased to decide.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.accounts.tokens import find_member_named, names_of_members
from fivefold.store.audit.log import EntryFilters, entries_among, entries_with_values, latest_entries
from fivefold.store.ingest.entities import names_of_entities
from fivefold.store.tables.audit import AuditEntry
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context

_MEMBER = "member:"


EVERY = EntryFilters()


@schema("Entry")
@dataclass(frozen=True, kw_only=True)
class EntryShown:
    """An entry: who did what, to which subject, when. Values before and after are not shown.

    Attributes:
        subject_id: internal number of the subject; None for many, whose number is `bulk_count`.
        hash: of the entry, which includes that of the one before.
    """

    number: int
    at_us: Annotated[Moment, shown_as("at")]
    actor: str
    action: str
    subject_kind: str
    subject_id: str | None
    bulk_count: int | None
    details: Mapping[str, Any]
    hash: str


@schema("EntryFound")
@dataclass(frozen=True, kw_only=True)
class EntryFound(EntryShown):
    """An entry: who did what, to which subject, when; `actor_name` is the member's name. Values are not shown.

    Attributes:
        actor_name: the name of a member; None for programs and accounts of the machine.
        subject_name: the name of the member who is the subject; None for other subjects.
    """

    actor_name: str | None
    subject_name: str | None


def search_entries(context: Context, filters: EntryFilters = EVERY, part: Part = WHOLE) -> Page[EntryFound]:
    """List entries, those of the latest moment first; ConfigError for the number of a subject without its kind."""
    if filters.subject_id is not None and filters.subject_kind is None:
        number = repr(filters.subject_id[:40])
        raise ConfigError(f"the number {number} is given without a kind; say of what it is the number, such as member")
    with context.reading() as session:
        of = context.organisation_id
        actor = None if filters.actor is None else actor_named(session, of, filters.actor)
        page = entries_among(session, of, replace(filters, actor=actor), part)
        touched = {f"{entry.subject_kind}:{entry.subject_id}" for entry in page} | {entry.actor for entry in page}
        names = names_of_actors(session, of, touched)
        return page.map(lambda entry: _with_names(entry, names))


def entities_touched(context: Context, entries: Iterable[EntryFound]) -> dict[str, tuple[str, str]]:
    """Return type and name of the entities that entries are about, by their number in the log."""
    numbers = {entry.subject_id for entry in entries if entry.subject_kind == "entity" and entry.subject_id}
    entity_ids = [int(number) for number in numbers if number.isascii() and number.isdecimal()]
    with context.reading() as session:
        names = names_of_entities(session, context.organisation_id, entity_ids)
    return {str(number): name for number, name in names.items()}


def actor_named(session: Session, organisation_id: int, who: str) -> str:
    """Return an actor as in the log: a member given by name becomes member:NUMBER; anything else stays."""
    if ":" in who:
        return who
    member = find_member_named(session, organisation_id, who)
    return who if member is None else f"{_MEMBER}{member.id}"


def names_of_actors(session: Session, organisation_id: int, actors: Iterable[str | None]) -> Mapping[str | None, str]:
    """Return the names of members by the names that they act under, such as member:3; others have none."""
    numbers = {actor: number for actor in actors if actor and (number := _member_number(actor))}
    names = names_of_members(session, organisation_id, sorted(set(numbers.values())))
    return {actor: names[number] for actor, number in numbers.items() if number in names}


def _member_number(actor: str) -> int | None:
    """Return the number of an actor that is a member; None for others.

    >>> _member_number("member:3"), _member_number("token:12")
    (3, None)
    """
    number = actor.removeprefix(_MEMBER)
    return int(number) if actor.startswith(_MEMBER) and number.isdecimal() else None


def _with_names(entry: AuditEntry, names: Mapping[str | None, str]) -> EntryFound:
    """Describe an entry with the names of members."""
    return row_as(
        EntryFound,
        entry,
        actor_name=names.get(entry.actor),
        subject_name=names.get(f"{entry.subject_kind}:{entry.subject_id}"),
        details=json.loads(entry.details),
    )


def list_entries(context: Context, part: Part) -> Page[EntryShown]:
    """List entries, the newest first."""
    with context.reading() as session:
        return latest_entries(session, context.organisation_id, part).map(_entry_line)


def _entry_line(entry: AuditEntry) -> EntryShown:
    """Describe an entry."""
    return row_as(EntryShown, entry, details=json.loads(entry.details))


@dataclass(frozen=True, kw_only=True)
class VersionEnd:
    """How a version came to decide no more, or was refused.

    Attributes:
        actor: who retired it, refused it, or approved the version in its place.
        reason: what they said; None where the log has it no more.
        was_active: it decided until then.
        replaced_by: the number of the version in its place; None where it was retired or refused.
    """

    at_us: int
    actor: str
    reason: str | None
    was_active: bool
    replaced_by: int | None


def ends_of_versions(
    session: Session, organisation_id: int, kind: Literal["group", "policy"], subject_ids: Collection[int]
) -> Mapping[int, VersionEnd]:
    """Find how the versions of one group or policy ended, by their numbers; *subject_ids* as the log has them."""
    ends = {}
    actions = (f"{kind}.retired", f"{kind}.approved")
    for entry, after in entries_with_values(session, organisation_id, kind, map(str, subject_ids), actions):
        about = json.loads(entry.details)
        is_approval = entry.action == f"{kind}.approved"
        ended = about.get("replaced") if is_approval else about["version"]
        if ended is not None:
            ends[ended] = VersionEnd(
                at_us=entry.at_us,
                actor=entry.actor,
                reason=json.loads(after or "{}").get("reason"),
                was_active=is_approval or about.get("was") == "active",
                replaced_by=about["version"] if is_approval else None,
            )
    return ends
