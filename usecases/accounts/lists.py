"""Named lists of an organisation: versions that are added, never changed, each in force from a moment on.

A new version touches everyone of a type whose active rulesets read the list: who is on it, and to whom such a ruleset
applies, is only known after an assessment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any, Final

from pydantic import ValidationError
from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.domain.text import hidden_in
from fivefold.flows.groups.analysis import analyse_canonical_group
from fivefold.risk.compiler.analysis import Analysed, analyse_canonical
from fivefold.risk.facts.portfolio import ListVersion, NamedList
from fivefold.risk.language.documents import MOST_NODES
from fivefold.risk.language.messages import problem_of
from fivefold.risk.language.purposes import strictest
from fivefold.store.accounts.lists import list_rows
from fivefold.store.accounts.organisation import lock_organisation
from fivefold.store.audit.chain import digest_of
from fivefold.store.groups.groups import active_canonicals
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.levels.markings import mark_everybody
from fivefold.store.rulesets.rulesets import all_active_versions
from fivefold.store.tables.entities import EntityType, ListVersionRow
from fivefold.usecases.accounts.purposes import checked_purpose
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import storable
from fivefold.usecases.shared.inputs import checked_moment

MOST_MEMBERS = MOST_NODES - 100
"""The most members of a version: a proposal is a document, which has a few more names and values."""


@schema("ListVersion")
@dataclass(frozen=True, kw_only=True)
class ListLine:
    """A version of a list.

    Attributes:
        since_us: it is in force from here until the next version.
        members: the number of members.
        purpose: aml, commercial or both; None if the version declares none.
    """

    name: str
    title: str
    source: str
    since_us: Annotated[Moment, shown_as("since")]
    members: int
    purpose: str | None = None


@dataclass(frozen=True)
class ListPut:
    """The result of adding versions to a list.

    Attributes:
        versions: the added ones.
        touched: how many entities will be assessed again.
    """

    versions: tuple[ListLine, ...]
    touched: int


def lists_of(session: Session, organisation_id: int, readers: Iterable[Analysed[Any]]) -> dict[str, NamedList]:
    """Return the lists that rulesets, groups or policies name; all lists if one is missing, as the refusal names them.

    A list may have many members: something that names no list reads none.
    """
    names = {name for reader in readers for name in reader.lists}
    lists = named_lists(session, organisation_id, *names) if names else {}
    return named_lists(session, organisation_id) if names - lists.keys() else lists


def named_lists(session: Session, organisation_id: int, *names: str) -> dict[str, NamedList]:
    """Return all lists of an organisation by name, or some, each with all its versions, as rulesets are assessed.

    Every version keeps its own source; title and source of the list are those of its newest version. A list is `aml` if
    one of its versions is, including future ones; without a declared purpose it is None.
    """
    rows = list_rows(session, organisation_id, *names)
    return {name: _named_list(list(group)) for name, group in groupby(rows, key=lambda row: row.name)}


def _named_list(rows: Sequence[ListVersionRow]) -> NamedList:
    versions = tuple(ListVersion(since=row.since_us, members=tuple(row.members), source=row.source) for row in rows)
    newest, purposes = rows[-1], [row.purpose for row in rows if row.purpose is not None]
    purpose = strictest(map(checked_purpose, purposes)) if purposes else None
    return NamedList(name=newest.name, title=newest.title, source=newest.source, purpose=purpose, versions=versions)


def list_lists(context: Context, part: Part = WHOLE) -> Page[ListLine]:
    """List all versions of all lists: by name, the oldest version first."""
    with context.reading() as session:
        return list_rows(session, context.organisation_id, part=part).map(_line)


def list_version(
    name: str, since_us: int, members: Sequence[str], title: str, source: str, purpose: str | None = None
) -> NamedList:
    """Read one version of a list; ConfigError if the name, a member, a text or the purpose is invalid."""
    if isinstance(members, str) or not all(isinstance(member, str) for member in members):
        raise ConfigError(f"members of the list {name} must be a list of text")
    if len(members) > MOST_MEMBERS:
        raise ConfigError(f"the list {name} has {len(members):,} members; a version may have {MOST_MEMBERS:,}")
    _refuse_unseen(name, members)
    version: dict[str, Any] = {
        "since": checked_moment(since_us, "since_us"),
        "members": tuple(members),
        "source": source,
    }
    try:
        valid_purpose = None if purpose is None else checked_purpose(purpose)
        return NamedList(
            name=name, title=title, source=source, purpose=valid_purpose, versions=(ListVersion(**version),)
        )
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ConfigError(f"list {name}: {'.'.join(map(str, fault['loc']))} {problem_of(fault, ())}") from None


def _refuse_unseen(name: str, members: Iterable[str]) -> None:
    for member in members:
        if hidden := hidden_in(member):  # texts are compared exactly, so that it would match nothing
            raise ConfigError(f"list {name}: {member[:40]!r} has {hidden}; it must have none")


def missing_versions(session: Session, organisation_id: int, document: NamedList) -> NamedList | None:
    """Return a list with only those of its versions that are not stored yet; None if all are.

    ConflictError if a stored version differs.
    """
    rows = [_row(organisation_id, document, version, 0) for version in document.versions]
    new = {row.since_us for row in _new_rows(rows, list_rows(session, organisation_id, document.name))}
    missing = tuple(version for version in document.versions if version.since in new)
    return document.model_copy(update={"versions": missing}) if missing else None


_WAY_OUT: Final = (
    "; if a clock that was ahead dated it, put the list under another name, and let the rulesets read that one"
)


def put_list_in(session: Session, context: Context, document: NamedList, now_us: int, *, marks: bool = True) -> ListPut:
    """Add versions of a list, later than all existing ones; the entities that they touch become due, part by part.

    Called once the change is approved, in its transaction. Without *marks* no entity becomes due, and `touched` is 0.

    Raises:
        ConfigError: a member cannot be stored.
        ConflictError: an existing version is as late, or later.
    """
    new = [_row(context.organisation_id, document, version, now_us) for version in document.versions]
    for version in document.versions:
        _refuse_unseen(document.name, version.members)
    lock_organisation(session, context.organisation_id)
    there = list_rows(session, context.organisation_id, document.name)
    if there and new[0].since_us <= there[-1].since_us:
        raise ConflictError(
            f"the list {document.name} has a version since {day_text(there[-1].since_us)};"
            f" another one must be later, not since {day_text(new[0].since_us)}"
            f"{_WAY_OUT if there[-1].since_us > now_us else ''}"
        )
    session.add_all(new)
    session.flush()
    touched_count = sum(
        mark_everybody(session, session.get_one(EntityType, type_id), Reason.LIST, new[0].since_us, now_us)
        for type_id in _types_reading(session, context.organisation_id, document.name)
        if marks
    )
    _record(session, context, new, touched_count)
    return ListPut(tuple(map(_line, new)), touched_count)


def _row(organisation_id: int, document: NamedList, version: ListVersion, now_us: int) -> ListVersionRow:
    """Make the row of a version; ConfigError for a text that cannot be stored."""
    source = version.source or document.source
    members = list(dict.fromkeys(version.members))
    for text in (*members, document.title, source):
        if not text or not storable(text):
            raise ConfigError(
                f"list {document.name}: {text!r} cannot be stored; it must be text without NUL, and not empty"
            )
    return ListVersionRow(
        organisation_id=organisation_id,
        name=document.name,
        since_us=version.since,
        title=document.title,
        source=source,
        members=members,
        created_us=now_us,
        purpose=document.purpose,
    )


def _new_rows(rows: Sequence[ListVersionRow], there: Sequence[ListVersionRow]) -> list[ListVersionRow]:
    """Return the rows that are not stored yet; ConflictError if a stored version differs."""
    stored_rows = {row.since_us: row for row in there}
    for row in rows:
        if row.since_us in stored_rows and stored_rows[row.since_us].members != row.members:
            raise ConflictError(
                f"the list {row.name} has a version since {day_text(row.since_us)} with other members;"
                " a version is never changed: add a later one"
            )
        if row.since_us in stored_rows and row.purpose not in {None, stored_rows[row.since_us].purpose}:
            raise ConflictError(
                f"the list {row.name} has a version since {day_text(row.since_us)} whose purpose is not"
                f" {row.purpose}; a version is never changed: add a later one"
            )
    return [row for row in rows if row.since_us not in stored_rows]


def _types_reading(session: Session, organisation_id: int, name: str) -> list[int]:
    """Find the types with a ruleset or a group in force that reads a list."""
    type_ids = {
        type_id
        for type_id, version in all_active_versions(session, organisation_id)
        if name in analyse_canonical(version.canonical).lists
    }
    type_ids |= {
        type_id
        for type_id, canonical in active_canonicals(session, organisation_id)
        if name in analyse_canonical_group(canonical).lists
    }
    return sorted(type_ids)


def _record(session: Session, context: Context, new: Sequence[ListVersionRow], touched_count: int) -> None:
    """Record the new versions; members, who may be people, and texts only as a digest that is hashed with salt."""
    context.record(
        session,
        "list.put",
        ("list", new[0].name),
        after={
            "members": [digest_of(row.members) for row in new],
            "words": [
                digest_of([row.title, row.source, *([] if row.purpose is None else [row.purpose])]) for row in new
            ],
        },
        details={
            "since_us": [row.since_us for row in new],
            "created_us": [row.created_us for row in new],
            "touched": touched_count,
        },
    )


def _line(row: ListVersionRow) -> ListLine:
    """Write a version as it is listed."""
    return row_as(ListLine, row, members=len(row.members))
