"""Named lists, such as countries; rulesets read them by name."""

from typing import Literal

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import MomentGiven, ReasonIfAny, RequestModel, ResponseModel, Text
from fivefold.usecases.accounts import list_members as members
from fivefold.usecases.accounts import lists
from fivefold.usecases.accounts.list_members import ListMember, MemberChange
from fivefold.usecases.accounts.lists import ListLine
from fivefold.usecases.changes import asks, list_overview
from fivefold.usecases.changes.list_overview import ListState, ListVersionState
from fivefold.usecases.changes.proposals import ProposalLine


class ListVersionGiven(RequestModel):
    """A version of a list: its members, and from when on it is in force, later than all versions that are there.

    `reason` is needed once anything decides: then the version is proposed. `purpose` says what the list was made for;
    one of which nobody says anything is `aml`.
    """

    since: MomentGiven
    members: list[Text]
    title: Text
    source: Text
    reason: ReasonIfAny = ""
    purpose: Literal["aml", "commercial", "both"] | None = None


class ListPut(ResponseModel):
    """The versions that were added, and how many entities are assessed again by that; or the proposal to add them."""

    versions: tuple[ListLine, ...]
    touched: int
    proposal: ProposalLine | None


def list_lists(context: RequestContext, query: PageQuery) -> Page[ListLine]:
    """List all versions of all lists: by name, the oldest version first."""
    return lists.list_lists(context, query.part)


def add_list_version(context: RequestContext, name: Text, body: ListVersionGiven) -> ListPut:
    """Add a version of a list, or propose it once anything decides; those that are there never change."""
    arguments = (name, body.since, body.members, body.title, body.source)
    outcome = asks.put_list_version(context, *arguments, reason=body.reason, purpose=body.purpose)
    done = outcome.result if isinstance(outcome.result, lists.ListPut) else lists.ListPut((), 0)
    return ListPut.of({**vars(done), "proposal": outcome.proposal})


class PageOfMembers(PageQuery):
    """Members of the version that began at `since`, without it of the one in force; those that have `text` in them."""

    since: MomentGiven | None = None
    text: Text = ""


class PageOfChanges(PageQuery):
    """What the version that began at `since` changes in the one that began at `against`; by default the one before."""

    since: MomentGiven
    against: MomentGiven | None = None


def list_list_states(context: RequestContext, query: PageQuery) -> Page[ListState]:
    """List where each list stands: what is in force, who added it, and what reads it; by name."""
    return list_overview.list_list_states(context, query.part)


def list_versions_of_list(context: RequestContext, name: Text, query: PageQuery) -> Page[ListVersionState]:
    """List the versions of a list with who added them, the newest first."""
    return list_overview.list_version_states(context, name, query.part)


def list_list_members(context: RequestContext, name: Text, query: PageOfMembers) -> Page[ListMember]:
    """List the members of a version, in the order of their characters."""
    return members.list_members(context, name, query.since, query.text, query.part).members


def list_member_changes(context: RequestContext, name: Text, query: PageOfChanges) -> Page[MemberChange]:
    """List who was removed from a list from one version to another, who is spelled otherwise, and who was added."""
    return members.compare_versions(context, name, query.since, query.against, query.part).changes
