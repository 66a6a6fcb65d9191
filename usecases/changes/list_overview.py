"""An overview of lists: the version in force and who added it, the readers of the list, and waiting changes."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Page, Part
from fivefold.domain.text import perhaps
from fivefold.risk.compiler.analysis import analyse_canonical, analyse_canonical_policy
from fivefold.risk.facts.portfolio import read_list
from fivefold.store.accounts.lists import (
    ListProposal,
    ListRow,
    ListVersionLine,
    count_list_versions,
    entries_of_list,
    list_entries,
    list_proposals,
    list_states,
    list_version_lines,
)
from fivefold.store.changes.proposals import PROPOSED
from fivefold.store.decisions import active_policies
from fivefold.store.rulesets.rulesets import all_active_versions, rulesets_of_versions
from fivefold.store.tables.audit import AuditEntry
from fivefold.usecases.accounts.flows_in_force import standing_flows
from fivefold.usecases.accounts.list_members import ListContent, ListDifference, compare_with_stored, difference
from fivefold.usecases.accounts.purposes import purposes_of_lists
from fivefold.usecases.changes.contents import ListVersionsAdded
from fivefold.usecases.changes.reference_fit import PeerGroupLine, peer_groups
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context


class ReaderKind(StrEnum):
    """The kinds of readers of a list."""

    RULESET = "ruleset"
    POLICY = "policy"
    FLOW = "flow"


@schema("ListReader")
@dataclass(frozen=True, kw_only=True)
class ListReader:
    """A reader of a list that decides now: the active version of a ruleset, of a policy, or of a flow."""

    kind: ReaderKind
    name: str
    version: int


@schema("ListState")
@dataclass(frozen=True, kw_only=True)
class ListState:
    """An overview of a list.

    Attributes:
        title: of its newest version; so is the source.
        versions: their number, including future ones.
        newest_us: when the newest version begins; later than now if it lies ahead.
        since_us: when the version in force began; None before the first one.
        members: the number of its members.
        put_by: who added the newest version, or approved it; None if the audit log does not say.
        put_us: when that was.
        readers: the readers that decide now.
        purpose: `aml` if one of its versions declares it, or none declares any.
    """

    name: str
    title: str
    source: str
    versions: int
    newest_us: Annotated[Moment, shown_as("newest")]
    since_us: Annotated[Moment | None, shown_as("since")]
    members: int | None
    put_by: str | None
    put_us: Annotated[Moment | None, shown_as("put_at")]
    readers: tuple[ListReader, ...]
    purpose: str


class VersionTime(StrEnum):
    """A version's position in time."""

    PAST = "past"
    IN_FORCE = "in_force"
    TO_COME = "to_come"


@schema("ListVersionState")
@dataclass(frozen=True, kw_only=True)
class ListVersionState:
    """A version of a list and who added it.

    Attributes:
        since_us: it is in force from here until the next version.
        members: the number of its members.
        time: whether it is in force, was, or will be.
        put_by: who added it, or approved it; None if the audit log does not say.
        put_us: when that was.
        proposal: the number of the change; None if one person sufficed. So are who proposed it, and why.
    """

    since_us: Annotated[Moment, shown_as("since")]
    title: str
    source: str
    members: int
    time: VersionTime
    put_by: str | None
    put_us: Annotated[Moment | None, shown_as("put_at")]
    proposal: int | None
    proposed_by: str | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class WaitingVersion:
    """A change of a list that waits for another person."""

    proposal: int
    proposed_by: str
    proposed_us: int
    reason: str


def list_list_states(context: Context, part: Part) -> Page[ListState]:
    """List the overviews of all lists, by name."""
    with context.reading() as session:
        page = list_states(session, context.organisation_id, context.now(), part)
        entries = list_entries(session, context.organisation_id, [row.name for row in page])
        readers = _readers(session, context.organisation_id) if page else {}
        purposes = purposes_of_lists(session, context.organisation_id)
        return page.map(lambda row: _state(row, entries.get(row.name), readers, purposes[row.name]))


def read_list_state(context: Context, name: str) -> ListState:
    """Show the overview of one list; NotFoundError if there is none of that name."""
    with context.reading() as session:
        row = _row(session, context, name)
        entries = list_entries(session, context.organisation_id, [name])
        purpose = purposes_of_lists(session, context.organisation_id)[name]
        return _state(row, entries.get(name), _readers(session, context.organisation_id), purpose)


def list_version_states(context: Context, name: str, part: Part) -> Page[ListVersionState]:
    """List the versions of a list, the newest first; NotFoundError if there is no list of that name."""
    with context.reading() as session:
        of, row = context.organisation_id, _row(session, context, name)
        page = list_version_lines(session, of, name, part)
        first_us = min((line.created_us for line in page), default=0)
        entries = _entries_by_version(entries_of_list(session, of, name, first_us))
        proposals = _proposals_by_version(_proposals(session, of, name))
    now = context.now()
    return page.map(lambda line: _version(line, row, now, entries.get(line.since_us), proposals.get(line.since_us)))


def waiting_versions(context: Context, name: str) -> tuple[WaitingVersion, ...]:
    """List the waiting changes of a list, the newest first; the list itself need not exist yet."""
    with context.reading() as session:
        proposals = _proposals(session, context.organisation_id, name)
    return tuple(
        WaitingVersion(proposal=each.id, proposed_by=each.proposed_by, proposed_us=each.proposed_us, reason=each.reason)
        for each in proposals
        if each.state == PROPOSED
    )


def count_versions(context: Context, name: str) -> int:
    """Count the versions of a list, future ones too; 0 if no list has that name."""
    with context.reading() as session:
        return count_list_versions(session, context.organisation_id, name)


def _row(session: Session, context: Context, name: str) -> ListRow:
    rows = list_states(session, context.organisation_id, context.now(), name=name)
    if not rows:
        names = [row.name for row in list_states(session, context.organisation_id, context.now())]
        raise NotFoundError(f"there is no list {name!r}{perhaps(name, names)}")
    return rows[0]


def _readers(session: Session, organisation_id: int) -> Mapping[str, tuple[ListReader, ...]]:
    """Find the readers of each list that decide now."""
    versions = [version for _, version in all_active_versions(session, organisation_id)]
    names = rulesets_of_versions(session, [version.id for version in versions])
    readers = defaultdict[str, list[ListReader]](list)
    for version in versions:
        name, number = names[version.id]
        for each in analyse_canonical(version.canonical).lists:
            readers[each].append(ListReader(kind=ReaderKind.RULESET, name=name, version=number))
    for policy in active_policies(session, organisation_id):
        for each in analyse_canonical_policy(policy.canonical).lists:
            readers[each].append(ListReader(kind=ReaderKind.POLICY, name=policy.name, version=policy.number))
    for standing in standing_flows(session, organisation_id):
        for each in standing.analysed.lists if standing.acting else ():
            entries = ListReader(kind=ReaderKind.FLOW, name=standing.flow.name, version=standing.version.number)
            readers[each].append(entries)
    return {name: tuple(entries) for name, entries in readers.items()}


def _state(
    row: ListRow, entry: AuditEntry | None, readers: Mapping[str, tuple[ListReader, ...]], purpose: str
) -> ListState:
    """Combine a list with the entry of its newest version and its readers."""
    return ListState(
        **row._asdict(),
        put_by=None if entry is None else entry.actor,
        put_us=None if entry is None else entry.at_us,
        readers=readers.get(row.name, ()),
        purpose=purpose,
    )


def _proposals(session: Session, organisation_id: int, name: str) -> Sequence[ListProposal]:
    content = ListVersionsAdded(name, "")
    return list_proposals(session, organisation_id, content.kind, content.subject)


def _entries_by_version(entries: Sequence[AuditEntry]) -> dict[int, AuditEntry]:
    return {since_us: entry for entry in entries for since_us in json.loads(entry.details)["since_us"]}


def _proposals_by_version(proposals: Sequence[ListProposal]) -> dict[int, ListProposal]:
    """Return the proposals that added versions, by when these begin."""
    return {version["since_us"]: each for each in proposals if each.result for version in each.result["versions"]}


def _version(
    line: ListVersionLine, row: ListRow, now_us: int, entry: AuditEntry | None, proposal: ListProposal | None
) -> ListVersionState:
    """Combine a version with the entry and the proposal that added it."""
    is_to_come, is_in_force = line.since_us > now_us, line.since_us == row.since_us
    return ListVersionState(
        since_us=line.since_us,
        title=line.title,
        source=line.source,
        members=line.members,
        time=VersionTime.TO_COME if is_to_come else VersionTime.IN_FORCE if is_in_force else VersionTime.PAST,
        put_by=None if entry is None else entry.actor,
        put_us=None if entry is None else entry.at_us,
        proposal=None if proposal is None else proposal.id,
        proposed_by=None if proposal is None else proposal.proposed_by,
        reason=None if proposal is None else proposal.reason,
    )


@dataclass(frozen=True, kw_only=True)
class ProposedVersion:
    """A version of a list that a change adds, and its differences from the one before.

    Attributes:
        groups: the groups of peers, if it is a reference portfolio; otherwise empty.
    """

    since_us: int
    title: str
    source: str
    members: int
    difference: ListDifference
    groups: tuple[PeerGroupLine, ...]


def proposed_versions(context: Context, document: str, part_of: Callable[[int], Part]) -> tuple[ProposedVersion, ...]:
    """Describe each version that a proposed change adds, or added; *document* is its list.

    *part_of* returns the part of the differences to show for the version that begins at a moment.
    """
    named_list = read_list(document)
    contents = [
        ListContent(
            since_us=version.since,
            title=named_list.title,
            source=version.source or named_list.source,
            members=tuple(dict.fromkeys(version.members)),
        )
        for version in named_list.versions
    ]
    since_us = contents[0].since_us
    first = compare_with_stored(context, named_list.name, contents[0], since_us, part_of(since_us))
    later = (difference(before, after, part_of(after.since_us)) for before, after in pairwise(contents))
    return tuple(
        ProposedVersion(
            since_us=content.since_us,
            title=content.title,
            source=content.source,
            members=len(content.members),
            difference=changes,
            groups=peer_groups(context, named_list.name, content.members),
        )
        for content, changes in zip(contents, [first, *later], strict=True)
    )
