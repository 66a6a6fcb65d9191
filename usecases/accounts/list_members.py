"""Members of lists: those of a version, and the differences between two versions or from an unsaved one."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, NoReturn
from unicodedata import normalize

from fivefold.domain.errors import NotFoundError
from fivefold.domain.likeness import alike_among
from fivefold.domain.paging import WHOLE, Key, Page, Part, page_among
from fivefold.domain.text import perhaps
from fivefold.store.accounts.lists import list_purposes, list_row_at, list_row_since
from fivefold.store.portfolio.words import spellings_of, unaccented
from fivefold.store.tables.entities import ListVersionRow
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context

_BESIDE_A_LETTER: Final = re.compile(r"(?<=[^\W\d_]) | (?=[^\W\d_])")


class MemberChangeKind(StrEnum):
    """The kind of a difference between two versions: a changed member is the same one in another spelling."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


_IN_ORDER: Final = (MemberChangeKind.REMOVED, MemberChangeKind.CHANGED, MemberChangeKind.ADDED)
"""Removed members come before added ones, as people do not read a long list to its end."""


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
        member: as in the later version; as in the earlier one if it was removed.
        before: as in the earlier version; None if it was added or removed.
    """

    change: MemberChangeKind
    member: str
    before: str | None = None


@dataclass(frozen=True, kw_only=True)
class MembersShown:
    """The members of one version that match a search.

    Attributes:
        since_us: the version is in force from here until the next one.
        of: the number of all members of the version.
        found: the number of matches; `members` are some of them, in the order of their characters.
    """

    since_us: Annotated[Moment, shown_as("since")]
    title: str
    source: str
    of: int
    found: int
    members: Page[ListMember]


@dataclass(frozen=True, kw_only=True)
class ListContent:
    """A version of a list: since when it is in force, its title, its source, and its members."""

    since_us: int
    title: str
    source: str
    members: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class ListDifference:
    """The difference between two versions.

    Attributes:
        since_us: of the earlier one; None if there is none, so that all members were added.
        title_before: its title; None if it is the same, or there is no earlier one.
        source_before: its source; as above.
        same: how many members both have.
        alike: members of the later version that a person cannot tell apart.
        changes: some of the differences: removed members, then those spelled otherwise, then added ones; each in the
            order of the characters.
    """

    since_us: int | None
    title_before: str | None
    source_before: str | None
    added: int
    changed: int
    removed: int
    same: int
    alike: tuple[tuple[str, ...], ...]
    changes: Page[MemberChange]


def list_members(context: Context, name: str, since_us: int | None, text: str = "", part: Part = WHOLE) -> MembersShown:
    """List the members of a version that contain a text, ignoring case and accents, umlauts by either spelling.

    Without a moment it is the version in force; before the first one is in force, the first. NotFoundError if there is
    no such list or version.
    """
    with context.reading() as session:
        of, now = context.organisation_id, context.now()
        if since_us is not None:
            row = list_row_since(session, of, name, since_us)
        else:
            version = list_row_at(session, of, name, now) or list_row_at(session, of, name, first=True)
            row = version or _refuse(name, list_purposes(session, of))
    needles = spellings_of(text.strip())
    matches = sorted(member for member in row.members if any(needle in unaccented(member) for needle in needles))
    members = page_among(matches, lambda member: (member,), part)
    return MembersShown(
        since_us=row.since_us,
        title=row.title,
        source=row.source,
        of=len(row.members),
        found=len(matches),
        members=members.map(lambda member: ListMember(member=member)),
    )


def compare_versions(context: Context, name: str, since_us: int, against_us: int | None, part: Part) -> ListDifference:
    """Return the changes of a version against another one, or against the previous one if there is one.

    NotFoundError if there is no such list or version.
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
    """Return the changes that an unsaved version would make to the newest one, or to the newest before a moment."""
    with context.reading() as session:
        at_us = None if before_us is None else before_us - 1
        before = list_row_at(session, context.organisation_id, name, at_us)
    return difference(None if before is None else _content(before), content, part)


def difference(before: ListContent | None, after: ListContent, part: Part) -> ListDifference:
    """Return the differences between two versions."""
    olds = () if before is None else before.members
    changes = member_changes(olds, after.members)
    counts = {kind: sum(change.change is kind for change in changes) for kind in MemberChangeKind}
    return ListDifference(
        since_us=None if before is None else before.since_us,
        title_before=None if before is None or before.title == after.title else before.title,
        source_before=None if before is None or before.source == after.source else before.source,
        added=counts[MemberChangeKind.ADDED],
        changed=counts[MemberChangeKind.CHANGED],
        removed=counts[MemberChangeKind.REMOVED],
        same=len({*olds} & {*after.members}),
        alike=tuple(alike_among(after.members)),
        changes=page_among(changes, _place, part),
    )


def _content(row: ListVersionRow) -> ListContent:
    return row_as(ListContent, row)


def member_changes(before: Sequence[str], after: Sequence[str]) -> list[MemberChange]:
    """Return the differences of members: removed ones first, then those in another spelling, then added ones.

    >>> [(each.change.value, each.member, each.before) for each in member_changes(["IR", "kp"], ["KP", "MM"])]
    [('removed', 'IR', None), ('changed', 'KP', 'kp'), ('added', 'MM', None)]
    """
    only_after, only_before = sorted({*after} - {*before}), sorted({*before} - {*after})
    spelled = {_respelt(member): member for member in only_before}
    changes, respelt = [], set[str]()
    for member in only_after:
        was = spelled.pop(_respelt(member), None)
        kind = MemberChangeKind.ADDED if was is None else MemberChangeKind.CHANGED
        changes.append(MemberChange(change=kind, member=member, before=was))
        respelt |= {was} if was is not None else set()
    changes += [
        MemberChange(change=MemberChangeKind.REMOVED, member=member) for member in only_before if member not in respelt
    ]
    return sorted(changes, key=_place)


def _place(change: MemberChange) -> Key:
    return (_IN_ORDER.index(change.change), change.member)


def _refuse(name: str, names: Iterable[str]) -> NoReturn:
    raise NotFoundError(f"there is no list {name!r}{perhaps(name, names)}")


def _respelt(member: str) -> str:
    """Return a member without the differences between spellings: case, accents, white space beside a letter.

    Digits and signs stay, as 10.5 is neither 105 nor -10.5, and so does the white space between them, as 1 23 is not
    12 3. In doubt two members differ: one is removed, and one added.

    >>> _respelt("Zoë  Straße 5"), _respelt("A+"), _respelt("1  23"), _respelt("10²")
    ('zoestrasse5', 'a+', '1 23', '10²')
    """
    words = " ".join(normalize("NFC", member).split())
    return _BESIDE_A_LETTER.sub("", "".join(unaccented(each) if each.isalpha() else each for each in words))
