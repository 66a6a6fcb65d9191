"""Named lists, such as countries; rulesets read them by name."""

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import MomentGiven, RequestModel, ResponseModel, Text
from fivefold.usecases.accounts import lists
from fivefold.usecases.accounts.lists import ListLine
from fivefold.usecases.changes import asks
from fivefold.usecases.changes.proposals import ProposalLine


class ListVersionGiven(RequestModel):
    """A version of a list: its members, and from when on it is in force, later than all versions that are there.

    `reason` is needed once anything decides: then the version is proposed.
    """

    since: MomentGiven
    members: list[Text]
    title: Text
    source: Text
    reason: Text = ""


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
    outcome = asks.put_list_version(context, *arguments, reason=body.reason)
    done = outcome.result if isinstance(outcome.result, lists.ListPut) else lists.ListPut((), 0)
    return ListPut.of({**vars(done), "proposal": outcome.proposal})
