"""Members of lists: who is on a version, and what differs between two versions or from one that is being written."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part, page_among
from fivefold.store.accounts.lists import list_row_at, list_row_since
from fivefold.store.tables.entities import ListVersionRow
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context


class Change(StrEnum):
    """What became of a member: a change is the same member in another spelling."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@schema("ListMember")
@dataclass(frozen=True, kw_only=True)
class ListMember:
    """A member of a version of a list."""

    member: str


@schema("ListMemberChange")
@dataclass(frozen=True, kw_only=True)
class MemberChange:
    """A member that only one of two versions has, or that they spell differently.

    Attributes:
        change: added, changed or removed.
        member: as the later version has it; as the earlier one where it was removed.
        before: how the earlier version spells it; None where it was added or removed.
    """

    change: Change
    member: str
    before: str | None = None


@dataclass(frozen=True, kw_only=True)
class MembersShown:
    """The members of one version that were looked for.

    Attributes:
        since_us: the version is in force from here until the next one.
        of: how many the version has in all.
        found: how many were found; `members` are some of them, in the order of their characters.
    """

    since_us: Annotated[Moment, shown_as("since")]
    title: str
    source: str
    of: int
    found: int
    members: Page[ListMember]


@dataclass(frozen=True, kw_only=True)
class ListContent:
    """What a version says: from when on, under which title, by which source, and who is on it."""

    since_us: int
    title: str
    source: str
    members: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class ListDifference:
    """What differs between two versions.

    Attributes:
        since_us: of the earlier one; None where there is none, so that all members were added.
        title_before: its title; None where it is the same, or there is no earlier one.
        source_before: its source; as above.
        same: how many members both have.
        changes: some of the differences, by kind, and then in the order of the characters.
    """

    since_us: int | None
    title_before: str | None
    source_before: str | None
    added: int
    changed: int
    removed: int
    same: int
    changes: Page[MemberChange]


def list_members(
    context: Context, name: str, since_us: int | None = None, text: str = "", part: Part = WHOLE
) -> MembersShown:
    """List the members of a version that have a text in them, without regard to case and accents; all for no text.

    Without a moment it is the version in force; before the first one is in force, the first. NotFoundError where there
    is no such list or version.
    """
    with context.reading() as session:
        of, now = context.organisation_id, context.now()
        if since_us is not None:
            row = list_row_since(session, of, name, since_us)
        else:
            row = list_row_at(session, of, name, now) or _found(list_row_at(session, of, name, first=True), name)
    wanted = _plain(text.strip())
    found = sorted(member for member in row.members if wanted in _plain(member)) if wanted else sorted(row.members)
    members = page_among(found, lambda member: (member,), part)
    return MembersShown(
        since_us=row.since_us,
        title=row.title,
        source=row.source,
        of=len(row.members),
        found=len(found),
        members=members.map(lambda member: ListMember(member=member)),
    )


def compare_versions(
    context: Context, name: str, since_us: int, against_us: int | None = None, part: Part = WHOLE
) -> ListDifference:
    """Return what changed in a version: from another one, or from the one before it, where there is one.

    NotFoundError where there is no such list or version.
    """
    with context.reading() as session:
        row = list_row_since(session, context.organisation_id, name, since_us)
        if against_us is not None:
            before: ListVersionRow | None = list_row_since(session, context.organisation_id, name, against_us)
        else:
            before = list_row_at(session, context.organisation_id, name, since_us - 1)
    return difference(None if before is None else _content(before), _content(row), part)


def compare_with_stored(
    context: Context, name: str, content: ListContent, before_us: int | None = None, part: Part = WHOLE
) -> ListDifference:
    """Return what a version that is not stored would change in the newest one, or in the newest before a moment."""
    with context.reading() as session:
        at_us = None if before_us is None else before_us - 1
        before = list_row_at(session, context.organisation_id, name, at_us)
    return difference(None if before is None else _content(before), content, part)


def difference(before: ListContent | None, after: ListContent, part: Part = WHOLE) -> ListDifference:
    """Return what differs between two versions."""
    olds = () if before is None else before.members
    changes = member_changes(olds, after.members)
    counts = {kind: sum(change.change is kind for change in changes) for kind in Change}
    return ListDifference(
        since_us=None if before is None else before.since_us,
        title_before=None if before is None or before.title == after.title else before.title,
        source_before=None if before is None or before.source == after.source else before.source,
        added=counts[Change.ADDED],
        changed=counts[Change.CHANGED],
        removed=counts[Change.REMOVED],
        same=len({*olds} & {*after.members}),
        changes=page_among(changes, lambda change: (change.change.value, change.member), part),
    )


def _content(row: ListVersionRow) -> ListContent:
    return ListContent(since_us=row.since_us, title=row.title, source=row.source, members=row.members)


def member_changes(before: Sequence[str], after: Sequence[str]) -> list[MemberChange]:
    """Return how the members differ: those added first, then those in another spelling, then those removed.

    >>> [(each.change.value, each.member, each.before) for each in member_changes(["IR", "kp"], ["KP", "MM"])]
    [('added', 'MM', None), ('changed', 'KP', 'kp'), ('removed', 'IR', None)]
    """
    added, removed = sorted({*after} - {*before}), sorted({*before} - {*after})
    spelled = {_letters(member): member for member in removed}
    changes, kept = [], set[str]()
    for member in added:
        was = spelled.pop(_letters(member), None)
        kind = Change.ADDED if was is None else Change.CHANGED
        changes.append(MemberChange(change=kind, member=member, before=was))
        kept |= {was} if was is not None else set()
    changes += [MemberChange(change=Change.REMOVED, member=member) for member in removed if member not in kept]
    return sorted(changes, key=lambda change: (change.change.value, change.member))


def _found(row: ListVersionRow | None, name: str) -> ListVersionRow:
    if row is None:
        raise NotFoundError(f"there is no list {name!r}")
    return row


def _plain(text: str) -> str:
    """Return a text without case and accents."""
    if text.isascii():
        return text.casefold()
    spread = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in spread if not unicodedata.combining(character))


def _letters(member: str) -> str:
    """Return its letters and digits alone; what has none of them stays as it is."""
    return "".join(filter(str.isalnum, _plain(member))) or member
