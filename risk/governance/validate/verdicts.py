"""Verdicts: compares measures with acceptance limits, unless there are too few labels."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from enum import StrEnum

from fivefold.domain.text import apart_from, percent
from fivefold.risk.governance.validate.measures import LEAST_CONFIRMED, Capture, LevelRow, answer_by_interval
from fivefold.risk.governance.validate.ranking import CONFIDENCE, ConfidenceInterval, Ranking, share


@dataclass(frozen=True, kw_only=True)
class AcceptanceLimits:
    """The limits that a ruleset must reach. Source: the guide for EU banks that docs/rules-governance.md names.

    Attributes:
        gini: the Gini of the total must be above this.
        recalibrate: a lower Gini starts a recalibration.
        capture: the least share of the confirmed in the top two levels.
        misses: a larger share of the confirmed below these levels starts a recalibration.
        shares: the least and the largest share of each level, lowest level first; for rulesets of four levels.
        confirmed: with fewer labels there is no verdict.
    """

    gini: float = 0.65
    recalibrate: float = 0.60
    capture: float = 0.80
    misses: float = 0.20
    shares: tuple[tuple[float, float], ...] = ((0.60, 0.70), (0.20, 0.25), (0.08, 0.12), (0.02, 0.05))
    confirmed: int = LEAST_CONFIRMED

    @property
    def why_so_many(self) -> str:
        """Explain why fewer labels give no verdict."""
        interval = share(round(self.capture * self.confirmed), self.confirmed)
        assert interval is not None
        return (
            f"at least {self.confirmed} are needed: with these the {percent(CONFIDENCE, 0)} interval of a capture of "
            f"{percent(self.capture, 0)} goes from {percent(interval.low, 0)} to {percent(interval.high, 0)}, "
            "with fewer it is wider still"
        )


class VerdictAnswer(StrEnum):
    """The answer of a verdict. RECALIBRATE: so far below the limit that work must start."""

    MET = "met"
    NOT_MET = "not met"
    RECALIBRATE = "recalibrate"
    TOO_FEW = "too few labels"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, kw_only=True)
class LimitVerdict:
    """One acceptance limit, and whether it is reached.

    Attributes:
        what: the measure.
        floor: the limit, in words.
        measured: the measured figure, in words.
        answer: the verdict.
        sure: the whole interval gives the same answer; otherwise the verdict may be chance.
        because: what a reader must also know; may be empty.
    """

    what: str
    floor: str
    measured: str
    _: KW_ONLY
    answer: VerdictAnswer
    sure: bool
    because: str = ""


def interval_words(
    interval: ConfidenceInterval, *, percent: bool = False, beside: Sequence[float] = (), decimals: int = 3
) -> str:
    """Write an estimate with its interval, with enough digits to distinguish them from the numbers *beside*.

    As a percentage they have one decimal, otherwise *decimals*.

    >>> interval_words(ConfidenceInterval(0.7, 0.65, 0.75))
    '0.700 (0.650 to 0.750)'
    >>> interval_words(ConfidenceInterval(0.8, 0.7, 0.88), percent=True)
    '80.0 % (70.0 to 88.0 %)'
    >>> interval_words(ConfidenceInterval(0.6497, 0.61, 0.69), beside=(0.65, 0.6))
    '0.6497 (0.610 to 0.690)'
    """
    values = interval.estimate, interval.low, interval.high
    if percent:
        one, low, high = (apart_from(100 * value, [100 * bound for bound in beside], 1) for value in values)
        return f"{one} % ({low} to {high} %)"
    one, low, high = (apart_from(value, beside, decimals) for value in values)
    return f"{one} ({low} to {high})"


def verdicts(
    ranking: Ranking | None,
    capture: Capture | None,
    confirmed: int,
    levels: tuple[LevelRow, ...],
    floors: AcceptanceLimits,
) -> tuple[LimitVerdict, ...]:
    """Judge what was measured.

    Args:
        ranking: the ranking by total of those assessed in full; None if it could not be measured.
        capture: the share of the confirmed in the top levels; None if no entity is confirmed.
        confirmed: the number of labels.
        levels: the portfolio by level.
        floors: the acceptance limits.
    """
    measured = [_gini(ranking, floors), *_capture(capture, floors)]
    if confirmed < floors.confirmed:
        few = f"{confirmed} are confirmed; {floors.why_so_many}"
        measured = [_without_answer(each, few) for each in measured]
    return (*measured, *_shares(levels, floors))


def _without_answer(verdict: LimitVerdict, because: str) -> LimitVerdict:
    return replace(verdict, answer=VerdictAnswer.TOO_FEW, sure=True, because=because)


def _gini(ranking: Ranking | None, floors: AcceptanceLimits) -> LimitVerdict:
    """Judge the Gini of those assessed in full, if enough of them are confirmed, and as many are not."""
    limit = f"above {floors.gini}; recalibrate below {floors.recalibrate}"
    if ranking is None:
        return LimitVerdict(
            what="Gini of the total", floor=limit, measured="not measured", answer=VerdictAnswer.TOO_FEW, sure=True
        )
    interval, others = ranking.gini, ranking.entities - ranking.confirmed

    def answer_to(gini: float) -> VerdictAnswer:
        if gini > floors.gini:
            return VerdictAnswer.MET
        return VerdictAnswer.NOT_MET if gini >= floors.recalibrate else VerdictAnswer.RECALIBRATE

    answer, sure = answer_by_interval(interval, answer_to)
    words = interval_words(interval, beside=(floors.gini, floors.recalibrate))
    verdict = LimitVerdict(what="Gini of the total", floor=limit, measured=words, answer=answer, sure=sure)
    if min(ranking.confirmed, others) >= floors.confirmed:
        return verdict
    return _without_answer(
        verdict,
        f"of those assessed in full {ranking.confirmed:,} are confirmed and {others:,} are not; at least "
        f"{floors.confirmed} of each are needed",
    )


def _capture(capture: Capture | None, floors: AcceptanceLimits) -> list[LimitVerdict]:
    names = "the top levels" if capture is None else " and ".join(capture.top)
    captured_name, misses = f"Confirmed in {names}", f"Confirmed below {names}"
    limits = f"at least {percent(floors.capture, 0)}", f"more than {percent(floors.misses, 0)} starts a recalibration"
    if capture is None:
        return [
            LimitVerdict(what=what, floor=floor, measured="not measured", answer=VerdictAnswer.TOO_FEW, sure=True)
            for what, floor in zip((captured_name, misses), limits, strict=True)
        ]
    captured, missed = capture.captured, capture.missed
    reached, sure_reached = answer_by_interval(captured, lambda share: share >= floors.capture)
    few_missed, sure_missed = answer_by_interval(missed, lambda share: share <= floors.misses)
    least_missed = 1 - capture.possible
    top_share, prevalence = percent(capture.top_share), percent(capture.prevalence)
    room = f"{top_share} of the portfolio is in {names}, and {prevalence} of it is confirmed"
    return [
        LimitVerdict(
            what=captured_name,
            floor=limits[0],
            measured=interval_words(captured, percent=True, beside=(floors.capture,)),
            answer=VerdictAnswer.UNREACHABLE
            if capture.possible < floors.capture
            else VerdictAnswer.MET
            if reached
            else VerdictAnswer.NOT_MET,
            sure=capture.possible < floors.capture or sure_reached,
            because=f"{room}, so at most {percent(capture.possible, beside=(floors.capture,))} can be captured",
        ),
        LimitVerdict(
            what=misses,
            floor=limits[1],
            measured=interval_words(missed, percent=True, beside=(floors.misses,)),
            answer=VerdictAnswer.UNREACHABLE
            if least_missed > floors.misses
            else VerdictAnswer.MET
            if few_missed
            else VerdictAnswer.RECALIBRATE,
            sure=least_missed > floors.misses or sure_missed,
            because=f"{room}, so at least {percent(least_missed, beside=(floors.misses,))} must be missed",
        ),
    ]


def _shares(levels: tuple[LevelRow, ...], floors: AcceptanceLimits) -> list[LimitVerdict]:
    levels_named = [row for row in levels if not row.level.startswith("(")]
    if len(levels_named) != len(floors.shares):
        return []
    return [
        LimitVerdict(
            what=f"Portfolio in {row.level}",
            floor=f"{100 * least:g} to {100 * most:g} %",
            measured=percent(row.share, beside=(least, most)),
            answer=VerdictAnswer.MET if least <= row.share <= most else VerdictAnswer.NOT_MET,
            sure=True,
        )
        for row, (least, most) in zip(levels_named, floors.shares, strict=True)
    ]
