"""What changed since the assessment before: the second waterfall of a customer's page."""

from dataclasses import dataclass

from fivefold.charts.bars import Bar, waterfall_bars
from fivefold.console.texts import text
from fivefold.domain.breakdown import Breakdown, Contribution
from fivefold.usecases.portfolio.differences import AssessmentDifference, compare_assessments
from fivefold.usecases.shared.context import Context

PLOT_WIDTH = 360.0


@dataclass(frozen=True, kw_only=True)
class ChangeHalf:
    """An assessment beside the one before; `bars` lead from one total to the other, and are none where it is equal."""

    difference: AssessmentDifference
    bars: tuple[Bar, ...]


def change_since_before(context: Context, assessment: str | None) -> ChangeHalf | None:
    """Compare an assessment with the one before; None for the first one, and for none."""
    if assessment is None or int(assessment.partition(".")[2]) == 1:
        return None
    difference = compare_assessments(context, assessment)
    parts = tuple(
        Contribution(factor.title, "", None, "points", float(factor.points), "")
        for factor in difference.factors or ()
        if float(factor.points)
    )
    bars = _bars(float(difference.earlier.score), parts) if difference.earlier.score and parts else ()
    return ChangeHalf(difference=difference, bars=bars)


def _bars(base: float, parts: tuple[Contribution, ...]) -> tuple[Bar, ...]:
    breakdown = Breakdown(base, parts)
    low, high = sorted((base, breakdown.total))
    return waterfall_bars(
        breakdown,
        width=PLOT_WIDTH,
        base_label=text("Score before"),
        total_label=text("Score"),
        axis=(min(0.0, low), max(0.0, high)),
        origin=0.0,
    )
