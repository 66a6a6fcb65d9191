"""What was proposed lately for rulesets: points learnt from cases, and thresholds of each quarter."""

from collections.abc import Sequence
from dataclasses import dataclass

from fivefold.console.visit import Visit
from fivefold.usecases.rulesets.points.jobs import PointsJobLine, list_recent_points
from fivefold.usecases.rulesets.threshold_reviews import RecentReview, list_recent_reviews

SHOWN = 8
"""Of points, and of thresholds."""


@dataclass(frozen=True, kw_only=True)
class ProposedChanges:
    """Points and thresholds that were proposed, or are under way; the latest first."""

    points: Sequence[PointsJobLine]
    thresholds: Sequence[RecentReview]


def proposed(visit: Visit, rulesets: Sequence[str] | None = None) -> ProposedChanges | None:
    """Read what was proposed for some rulesets, or for all; None for a person who does not see rulesets."""
    if not visit.may("GET /v1/rulesets/{family}/points"):
        return None
    return ProposedChanges(
        points=list_recent_points(visit, SHOWN, rulesets), thresholds=list_recent_reviews(visit, SHOWN, rulesets)
    )
