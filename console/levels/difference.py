"""What changed since the assessment before: the second waterfall of a customer's page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from fivefold.charts.bars import Bar, waterfall_bars
from fivefold.charts.text.numbers import typeset
from fivefold.console.texts import text
from fivefold.domain.breakdown import Breakdown, Contribution
from fivefold.risk.language.quantities import TOTAL_DIGITS
from fivefold.usecases.levels.explain import FiredRule
from fivefold.usecases.portfolio.current_levels import DecidedBy
from fivefold.usecases.portfolio.differences import AssessmentDifference, FactorChange, compare_assessments
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class ChangeHalf:
    """An assessment beside the one before.

    Attributes:
        changed: factors that gave other points, another case or another floor, or that could be computed in one of the
            two alone; the largest first.
        saw_other_values: how many others looked at other values and gave the same.
        rulesets: what decides now and what did before, in words; empty where that is the same.
        bars: lead from one total to the other; none where it is equal.
    """

    difference: AssessmentDifference
    changed: tuple[FactorChange, ...]
    saw_other_values: int
    rulesets: str
    bars: tuple[Bar, ...]

    @property
    def gave_other(self) -> int:
        """Count the factors that gave other points, another case or another floor."""
        return sum(map(_gave_other, self.changed))

    @property
    def same(self) -> int:
        """Count the factors that gave the same for the same values."""
        listed = len(self.changed) + self.saw_other_values
        return (self.difference.unchanged or 0) + len(self.difference.factors or ()) - listed


def change_since_before(context: Context, assessment: str | None) -> ChangeHalf | None:
    """Compare an assessment with the one before; None for the first one, and for none."""
    if assessment is None or int(assessment.partition(".")[2]) == 1:
        return None
    difference = compare_assessments(context, assessment)
    base, changes = difference.earlier.score, difference.factors or ()
    points = [(_title(factor), factor.points) for factor in changes]
    bars = points_waterfall(base, points, difference.later.score or "0") if base else ()
    changed = tuple(factor for factor in changes if _gave_other(factor) or factor.problem is not None)
    others = [factor for factor in changes if factor not in changed]
    return ChangeHalf(
        difference=difference,
        changed=changed,
        saw_other_values=sum(map(_saw_other, others)),
        rulesets=_rulesets(difference, changed),
        bars=bars,
    )


def _title(factor: FactorChange) -> str:
    rule = factor.later or factor.earlier
    return factor.title if rule is None else marked_title(rule)


def marked_title(rule: FiredRule) -> str:
    """Give the title of a rule as pictures have it: what it gave for something not known is not taken for a hit."""
    return text("{title} (not known)", title=rule.title) if rule.unknown else rule.title


def _gave_other(factor: FactorChange) -> bool:
    earlier, later = factor.earlier, factor.later
    if earlier is None or later is None:
        return earlier is not later
    return (earlier.points, earlier.case, earlier.floor) != (later.points, later.case, later.floor)


def _saw_other(factor: FactorChange) -> bool:
    earlier, later = factor.earlier, factor.later
    return earlier is not None and later is not None and earlier.values != later.values


def _rulesets(difference: AssessmentDifference, changed: Sequence[FactorChange]) -> str:
    """Say that another version decides; of its thresholds only that the same points lead to another level."""
    earlier, later = difference.earlier, difference.later
    if earlier.decided_by == later.decided_by:
        return ""
    before = _version(earlier.decided_by)
    if earlier.decided_by and later.decided_by and earlier.decided_by.name == later.decided_by.name:
        before = text("version {number}", number=earlier.decided_by.version)
    sentence = text("{now} decides now, {before} did before.", now=_version(later.decided_by), before=before)
    same_points = difference.points == "0" and not changed and earlier.decided_by and later.decided_by
    if same_points and earlier.rules_level != later.rules_level:
        sentence += " " + text("The same points now give another level.")
    return sentence[0].upper() + sentence[1:] if later.decided_by is None else sentence


def _version(decided_by: DecidedBy | None) -> str:
    if decided_by is None:
        return text("no ruleset")
    return text("{name} version {number}", name=decided_by.name, number=decided_by.version)


def points_waterfall(base: str, points: Sequence[tuple[str, str]], total: str | None = None) -> tuple[Bar, ...]:
    """Lead from a score by the exact points of rules, each with its title, to another; nothing where there are none.

    The bars of both scores begin at 0. *base* and *total* are written as they are given, and a total that is not is
    exact: no number is on another side of a threshold than it is.

    >>> [bar.number for bar in points_waterfall("0", (("a", "30.9975"), ("b", "-12.5")))]
    ['0', '+30.9975', '−12.5', '18.4975']
    """
    parts = tuple(
        Contribution(title, "", None, "points", float(number), "") for title, number in points if float(number)
    )
    if not parts:
        return ()
    breakdown = Breakdown(float(base), parts)
    ends = (0.0, breakdown.base, breakdown.total)
    bars = waterfall_bars(
        breakdown,
        base_label=text("Score before"),
        total_label=text("Score"),
        axis=(min(ends), max(ends)),
        origin=0.0,
        decimals=TOTAL_DIGITS,
    )
    first, *steps, last = (replace(bar, number=_without_zeros(bar.number)) for bar in bars)
    first = replace(first, number=_apart(base))
    return (first, *steps, last if total is None else replace(last, number=_apart(total)))


def _without_zeros(number: str) -> str:
    return number.rstrip("0").rstrip(".")


def _apart(score: str) -> str:
    return typeset(f"{Decimal(score):,}")
