"""Named groups: their versions are for publishers, as they show every threshold; members for all who may know them.

Roles that may not know levels see no group made against money laundering, nor that there is one. For other groups they
see only the day on which a member entered or left, as members move when a level is computed.
"""

from dataclasses import dataclass

from fivefold.domain.paging import Page
from fivefold.serving.v1.errors import Place, places_of
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import (
    Number,
    Reason,
    ReasonIfAny,
    RequestModel,
    RetirementReason,
    Seen,
    SeenHash,
    Text,
)
from fivefold.usecases.groups import members, versions
from fivefold.usecases.groups.members import DaySize, EntityGroup, GroupMemberLine, GroupMove, GroupNow
from fivefold.usecases.groups.versions import GroupLine
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.api_fields import schema


class GroupGiven(RequestModel):
    """A group as it is written, in YAML or JSON."""

    document: Text


class GroupProposed(GroupGiven):
    """The same, why, and why it is proposed although there are doubts, where there are.

    `expected_newest`: the newest version when the text was begun; without it that is not checked.
    """

    reason: Reason
    accept_warnings: ReasonIfAny = ""
    expected_newest: Seen | None = None


class GroupApproved(RequestModel):
    """Why; `expected_active` is the version that was in force when this one was looked at; not checked without it."""

    reason: Reason
    expected_active: Seen | None = None
    expected_hash: SeenHash | None = None


@schema("GroupDocument")
@dataclass(frozen=True, kw_only=True)
class GroupDocument(GroupLine):
    """A version of a group as it was written, and what is doubtful in it."""

    document: str
    doubts: list[Place]


def _with_aml(context: RequestContext) -> bool:
    return context.role is not Role.COMMERCIAL


def list_groups(context: RequestContext) -> list[GroupNow]:
    """List the groups, by name: which version says who is a member, and how many there are now."""
    return list(members.groups_now(context, with_aml=_with_aml(context)))


def check_group(context: RequestContext, body: GroupGiven) -> list[Place]:
    """Look through a group as proposing it does, and change nothing: faults and doubts, each with its line."""
    return places_of(versions.check_group(context, body.document))


def propose_group(context: RequestContext, body: GroupProposed) -> GroupLine:
    """Propose a version of a group, which says who is a member once another person approves it."""
    arguments = (body.document, body.reason, body.accept_warnings, body.expected_newest)
    return versions.propose_group(context, *arguments)


def list_group_versions(context: RequestContext, group: Text, query: PageQuery) -> Page[GroupLine]:
    """List the versions of a group, the newest first."""
    return versions.groups_of_organisation(context, group, query.part, with_aml=_with_aml(context))


def read_group(context: RequestContext, group: Text, number: Number) -> GroupDocument:
    """Show a version of a group as it was written, and what is doubtful in it."""
    shown = versions.show_group(context, group, number)
    return GroupDocument(**{**vars(shown), "doubts": places_of(shown.doubts)})


def approve_group(context: RequestContext, group: Text, number: Number, body: GroupApproved) -> GroupLine:
    """Let a version that another person proposed say who is a member, in place of the one before."""
    return versions.approve_group(context, group, number, body.reason, body.expected_active, body.expected_hash)


def retire_group(context: RequestContext, group: Text, number: Number, body: RetirementReason) -> GroupLine:
    """Refuse a proposed version, or retire the active one, so that its members leave."""
    return versions.retire_group(context, group, number, body.reason, body.expected_state, body.expected_hash)


def list_group_members(context: RequestContext, group: Text, query: PageQuery) -> Page[GroupMemberLine]:
    """List the members of a group, in the order in which they came to the platform."""
    return members.list_members(context, group, query.part, with_aml=_with_aml(context))


def list_group_moves(context: RequestContext, group: Text, query: PageQuery) -> Page[GroupMove]:
    """List who entered a group and who left it, the latest first."""
    return members.list_moves(context, group, query.part, with_aml=_with_aml(context))


def read_group_sizes(context: RequestContext, group: Text) -> list[DaySize]:
    """Give how many members a group had on each day of the last 400 on which a worker counted them."""
    return list(members.sizes_of(context, group, with_aml=_with_aml(context)))


def list_groups_of_entity(context: RequestContext, type_: Text, external_id: Text) -> list[EntityGroup]:
    """List the groups that an entity is a member of, by name."""
    return list(members.groups_of_entity(context, type_, external_id, with_aml=_with_aml(context)))
