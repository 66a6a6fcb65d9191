"""Named groups: their numbers of members, the members, and a version's text until it determines the members."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from fivefold.charts.series import Sparkline, sparkline
from fivefold.console.decisions.proposing import BesideVersion, TextKind, comparison, editor_page, propose_typed
from fivefold.console.queue.place import QueueBar, queue_bar
from fivefold.console.rulesets.text import TextLine, numbered_lines, typed_document
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address, existing_number
from fivefold.domain.clock import DAY_US, parse_moment
from fivefold.domain.paging import Page
from fivefold.usecases.audit.search import VersionEnd
from fivefold.usecases.groups import versions
from fivefold.usecases.groups.members import (
    DaySize,
    GroupMemberLine,
    GroupMove,
    GroupNow,
    groups_now,
    list_members,
    list_moves,
    sizes_of,
)
from fivefold.usecases.groups.versions import GroupLine, GroupView

GROUPS: Final = "/console/groups"
SHOWN_DAYS: Final = 14
"""How many of the last sizes are in the table beside the line."""
SHORT_LIST: Final = 10
READS_LEVELS: Final = "GET /v1/entities/{type}/{external_id}/risk"
READS_VERSIONS: Final = "GET /v1/groups/{group}/versions"
GROUP: Final = TextKind(
    versions=partial(versions.groups_of_organisation, with_aml=True),
    active=versions.active_number,
    show=versions.show_group,
    check=versions.check_group,
    name_of=versions.name_of_group,
    propose=versions.propose_group,
)


@dataclass(frozen=True, kw_only=True)
class GroupsPage:
    """The groups by name."""

    groups: tuple[GroupNow, ...]


@dataclass(frozen=True, kw_only=True)
class GroupPage:
    """One group.

    Attributes:
        line: its sizes by day; None before the first count.
        days: the last of them, the latest first.
        by_day: only the days of members and moves are shown, not the times.
        moves: the latest entries and exits.
        versions: the newest first; empty for people who may not see them.
        ended: how the retired ones ended, by number; empty for the same people.
    """

    group: GroupNow
    address: str
    line: Sparkline | None
    days: tuple[DaySize, ...]
    by_day: bool
    members: Page[GroupMemberLine]
    next: str | None
    moves: Page[GroupMove]
    next_moves: str | None
    versions: Page[GroupLine]
    next_versions: str | None
    ended: Mapping[int, VersionEnd]


@dataclass(frozen=True, kw_only=True)
class GroupVersionPage:
    """One version of a group.

    Attributes:
        lines: its text, with the doubts at each line.
        compared: with another version.
        bar: the item of the queue that the person came for.
        is_own: the person wrote it, so they can withdraw it, not refuse it.
        ended: who retired or refused it; None if no person did.
    """

    group: GroupView
    address: str
    lines: tuple[TextLine, ...]
    compared: BesideVersion
    bar: QueueBar | None
    is_own: bool
    ended: VersionEnd | None


def sees_aml(visit: Visit) -> bool:
    """Check whether a person may know of groups against money laundering."""
    return visit.may(READS_LEVELS)


def show_groups(visit: Visit) -> Rendered:
    """List the groups with their present sizes."""
    page = GroupsPage(groups=groups_now(visit, with_aml=sees_aml(visit)))
    return Rendered(template="groups/groups.html", title=text("Groups"), page=page)


def show_group(visit: Visit) -> Rendered:
    """Show the past and present sizes of a group, its members, and the latest entries and exits."""
    name, with_aml = visit.parts["group"], sees_aml(visit)
    sees_versions = visit.may(READS_VERSIONS)
    members = list_members(visit, name, visit.part("members"), with_aml=with_aml)
    moves = list_moves(visit, name, visit.part("moves", SHORT_LIST, beside=True), with_aml=with_aml)
    part = visit.part("versions", SHORT_LIST, beside=True)
    its_versions = (
        versions.groups_of_organisation(visit, name, part, with_aml=with_aml) if sees_versions else Page[GroupLine]()
    )
    sizes = sizes_of(visit, name, with_aml=with_aml)
    days = [parse_moment(each.day) // DAY_US for each in sizes]
    counted = dict(zip(days, sizes, strict=True))
    span = range(days[0], days[-1] + 1) if days else range(0)
    member_counts = [float(counted[day].members) if day in counted else None for day in span]
    page = GroupPage(
        group=next(each for each in groups_now(visit, with_aml=with_aml) if each.name == name),
        address=address("groups", name),
        line=sparkline(span, member_counts) if member_counts else None,
        days=sizes[: -SHOWN_DAYS - 1 : -1],
        by_day=not with_aml,
        members=members,
        next=visit.next_of("members", members),
        moves=moves,
        next_moves=visit.next_of("moves", moves, beside=True),
        versions=its_versions,
        next_versions=visit.next_of("versions", its_versions, beside=True),
        ended=versions.how_versions_ended(visit, name) if sees_versions else {},
    )
    return Rendered(template="groups/group.html", title=name, page=page)


def show_version(visit: Visit) -> Rendered:
    """Show a version beside the one in force, or beside the one before if it is in force itself."""
    name, number = visit.version_of("group")
    group = versions.show_group(visit, name, number)
    page = GroupVersionPage(
        group=group,
        address=address("groups", name, "versions", str(number)),
        lines=numbered_lines(group.document, group.doubts),
        compared=comparison(visit, GROUP, group),
        bar=queue_bar(visit),
        is_own=group.written_by == visit.actor.name,
        ended=versions.how_versions_ended(visit, name).get(number),
    )
    title = text("{group} version {number}", group=name, number=number)
    return Rendered(template="groups/version.html", title=title, page=page)


def show_editor(visit: Visit) -> Rendered:
    """Show the text of the version in the address, or an empty one; typed text stays and is checked."""
    name, number = visit.query.get("group", ""), visit.query.get("version", "")
    begun = existing_number(number, text("version")) if name else None
    page = editor_page(visit, GROUP, name, begun)
    return Rendered(template="groups/editor.html", title=text("New version of a group"), page=page)


def check(visit: Visit) -> Answer:
    """Check the typed text; nothing is stored."""
    typed_document(visit)
    return show_editor(visit)


def propose(visit: Visit) -> Answer:
    """Propose the typed text as the next version of its group; another person has to approve it."""
    line = propose_typed(visit, GROUP)
    return Redirect(address("groups", line.name, "versions", str(line.number)), "group-proposed")


def approve(visit: Visit) -> Answer:
    """Let a version of another person determine the members, after a look at what it changes."""
    name, number = visit.version_of("group")
    versions.show_group(visit, name, number)
    reason = visit.confirmed_reason(text("confirm that you have checked what changes"))
    versions.approve_group(visit, name, number, reason, visit.shown_number("active"), visit.shown_hash())
    return Redirect(visit.path + visit.trail, "group-approved")


def retire(visit: Visit) -> Answer:
    """Refuse or withdraw a waiting version, or retire the one in force."""
    name, number = visit.version_of("group")
    versions.show_group(visit, name, number)
    reason = visit.typed("reason", text("Reason"))
    versions.retire_group(visit, name, number, reason, visit.shown_state(), visit.shown_hash())
    return Redirect(visit.path + visit.trail, "group-retired")
