"""Points learnt from cases over HTTP: asked for, and shown with what they are worth."""

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import MomentGiven, RequestModel, Text
from fivefold.usecases.rulesets.points import jobs
from fivefold.usecases.rulesets.points.jobs import PointsJobLine, PointsWanted


class PointsGiven(RequestModel):
    """As of when customers are judged, as of which earlier moment they are learnt from, and until when cases count."""

    as_of: MomentGiven
    learn_as_of: MomentGiven | None = None
    until: MomentGiven | None = None


def request_points(context: RequestContext, family: Text, body: PointsGiven) -> PointsJobLine:
    """Ask for points of a ruleset's newest version, learnt from confirmed cases. A worker leaves them as a draft.

    Nothing is in force by that. One that waits or runs for the ruleset is given instead of another one.
    """
    wanted = PointsWanted(as_of_us=body.as_of, learn_as_of_us=body.learn_as_of, until_us=body.until)
    return jobs.request_points(context, family, wanted)[0]


def list_points(context: RequestContext, family: Text, query: PageQuery) -> Page[PointsJobLine]:
    """List the points that were asked for a ruleset, the newest first: every change, and what they are worth."""
    return jobs.list_points_jobs(context, family, query.part)
