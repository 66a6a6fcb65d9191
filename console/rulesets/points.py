"""Points learnt from cases: asked for, every change with its reason, and what they are worth."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address
from fivefold.domain.clock import DAY_US, day_text, parse_moment
from fivefold.domain.paging import Page
from fivefold.usecases.rulesets.overview import RulesetLine, read_ruleset
from fivefold.usecases.rulesets.points.jobs import PointsJobLine, PointsWanted, list_points_jobs, request_points

ASKED: Final = 5
"""Of those that were asked for, so many are on a page: each may have a table of a hundred lines."""
USUAL_DAYS: Final = 180
"""What is offered: half a year of cases."""


@dataclass(frozen=True, kw_only=True)
class PointsPage:
    """The points that were asked for a ruleset.

    Attributes:
        as_of: the day that is offered.
        jobs: the newest first.
    """

    ruleset: RulesetLine
    address: str
    as_of: str
    jobs: Page[PointsJobLine]
    next: str | None


def show_points(visit: Visit) -> Rendered:
    """Show the points that were asked for, with the verdict on each and every change."""
    family = visit.parts["family"]
    ruleset = read_ruleset(visit, family)
    jobs = list_points_jobs(visit, family, visit.part("points", ASKED))
    page = PointsPage(
        ruleset=ruleset,
        address=address("rulesets", family),
        as_of=day_text(visit.now() // DAY_US * DAY_US - USUAL_DAYS * DAY_US),
        jobs=jobs,
        next=visit.next_of("points", jobs),
    )
    return Rendered(template="rulesets/points.html", title=text("Points of {name}", name=family), page=page)


def ask_for_points(visit: Visit) -> Answer:
    """Ask for points, learnt from cases; what is under way is not begun again."""
    family = visit.parts["family"]
    read_ruleset(visit, family)
    learn = visit.form.get("learn_as_of", "").strip()
    wanted = PointsWanted(
        as_of_us=parse_moment(visit.typed("as_of", text("Judged as of")), text("Judged as of")),
        learn_as_of_us=parse_moment(learn, text("Learnt as of")) if learn else None,
    )
    _, is_new = request_points(visit, family, wanted)
    return Redirect(visit.path, "points-asked" if is_new else "points-under-way")
