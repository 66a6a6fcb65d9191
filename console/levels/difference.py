"""What changed since the assessment before: the second waterfall of a customer's page."""

from collections.abc import Sequence
from dataclasses import dataclass

from fivefold.charts.bars import Bar, waterfall_bars
from fivefold.console.texts import text
from fivefold.domain.breakdown import Breakdown, Contribution
from fivefold.usecases.portfolio.differences import AssessmentDifference, compare_assessments
from fivefold.usecases.shared.context import Context


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
    base, changes = difference.earlier.score, difference.factors or ()
    bars = points_waterfall(float(base), [(factor.title, factor.points) for factor in changes]) if base else ()
    return ChangeHalf(difference=difference, bars=bars)


def points_waterfall(base: float, points: Sequence[tuple[str, str]]) -> tuple[Bar, ...]:
    """Lead from a score by the exact points of rules, each with its title, to another; nothing where there are none.

    The bars of both scores begin at 0.
    """
    parts = tuple(
        Contribution(title, "", None, "points", float(number), "") for title, number in points if float(number)
    )
    if not parts:
        return ()
    breakdown = Breakdown(base, parts)
    ends = (0.0, base, breakdown.total)
    return waterfall_bars(
        breakdown,
        base_label=text("Score before"),
        total_label=text("Score"),
        axis=(min(ends), max(ends)),
        origin=0.0,
    )
