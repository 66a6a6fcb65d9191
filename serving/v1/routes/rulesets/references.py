"""What workers compute for a ruleset, over HTTP: references for peers, and points learnt from cases."""

from typing import Annotated

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import LARGEST, WHOLE, MomentGiven, RequestModel, Text
from fivefold.usecases.changes import reference_fit, references
from fivefold.usecases.changes.reference_fit import ReferenceShown, ReferenceState
from fivefold.usecases.changes.references import ReferenceJobLine
from fivefold.usecases.rulesets import points_jobs
from fivefold.usecases.rulesets.points_jobs import PointsJobLine, PointsWanted


class ReferenceWanted(RequestModel):
    """The version of the ruleset whose peers are counted."""

    version: Annotated[int, Field(ge=1, le=LARGEST), WHOLE]


class VersionAt(RequestModel):
    """The version in force at a moment; without one that of now, or the first to come."""

    at: MomentGiven | None = None


def request_reference(context: RequestContext, family: Text, body: ReferenceWanted) -> ReferenceJobLine:
    """Ask for a reference portfolio of everyone on whom a ruleset decides. A worker builds it.

    It is then proposed as a version of the ruleset's list, and another person approves it. One that waits or runs for
    the same version is given instead of another one.
    """
    return references.request_reference(context, family, body.version)[0]


def list_references(context: RequestContext, family: Text, query: PageQuery) -> Page[ReferenceJobLine]:
    """List the reference portfolios that were asked for a ruleset, the newest first, and how far each is."""
    return references.list_reference_jobs(context, family, query.part)


def read_reference_state(context: RequestContext, family: Text) -> ReferenceState | None:
    """Tell how a ruleset stands with its reference portfolio: old, of too few peers, or without what is read.

    Nothing is answered where it places nothing among peers.
    """
    return reference_fit.read_reference_state(context, family)


def read_reference(context: RequestContext, name: Text, query: VersionAt) -> ReferenceShown:
    """Show a version of a reference portfolio: moment and currency of its numbers, and the peers of each group."""
    return reference_fit.read_reference_version(context, name, query.at)


class PointsGiven(RequestModel):
    """As of when customers are judged, as of which earlier moment they are learnt from, and until when cases count."""

    as_of: MomentGiven
    learn_as_of: MomentGiven | None = None
    until: MomentGiven | None = None


def request_points(context: RequestContext, family: Text, body: PointsGiven) -> PointsJobLine:
    """Ask for points of a ruleset's newest version, learnt from confirmed cases; a worker leaves at most a draft.

    Nothing is in force by that. One that waits or runs for the ruleset is given instead of another one.
    """
    wanted = PointsWanted(as_of_us=body.as_of, learn_as_of_us=body.learn_as_of, until_us=body.until)
    return points_jobs.request_points(context, family, wanted)[0]


def list_points(context: RequestContext, family: Text, query: PageQuery) -> Page[PointsJobLine]:
    """List the points that were asked for a ruleset, the newest first: every change, and what they are worth."""
    return points_jobs.list_points_jobs(context, family, query.part)
