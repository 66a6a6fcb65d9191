"""The gate: whether a new model may replace the champion. A pure function of the evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from fivefold.domain.text import apart_from, confidence_text, whole_percent
from fivefold.training.config import GateSettings
from fivefold.training.judging.compare import Comparisons, RivalComparison
from fivefold.training.judging.evaluate import BASELINES, CHAMPION, MODEL, Evaluation
from fivefold.training.judging.metrics import SegmentStep


@dataclass(frozen=True)
class GateVerdict:
    """The verdict of the gate.

    Attributes:
        promote: the challenger may become champion without a person's decision.
        comparable: champion and challenger were judged on the same window, fairly to both.
        reasons: one sentence for each criterion.
    """

    promote: bool
    comparable: bool
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(self.reasons)


def gate_verdict(evaluation: Evaluation, gate: GateSettings, incomparable: str | None) -> GateVerdict:
    """Decide by normalised Gini and calibration on the same out-of-time window.

    The lower bound of the difference to every baseline, and to the champion where there is one, must be above the
    margin: a difference that may be chance keeps the champion. Predicted money must not surely be off by more than the
    gate allows, nor surely further off than the champion's: what chance alone adds to such an error is taken away. The
    mean realised value must not surely fall from one segment to the next. *incomparable* is the reason why the champion
    cannot be compared.
    """
    gini = {name: metrics.normalised_gini for name, metrics in evaluation.by_name.items()}
    compared, sure = evaluation.comparisons, confidence_text(evaluation.comparisons.confidence)
    rivals = [*BASELINES, *([CHAMPION] if CHAMPION in gini else [])]
    beaten = {name: compared.gini[name].low > gate.margin for name in rivals}
    reasons = [_reason(name, gini, compared.gini[name], gate.margin, sure, beaten=beaten[name]) for name in rivals]
    calibrated = _calibrated(evaluation.calibration_error, compared, gate, reasons)
    reasons += _segments(compared.segments, confidence_text(gate.confidence))
    falls = any(step.surely_falls for step in compared.segments)
    if evaluation.coverage is None:
        reasons.append("no interval was judged on this window")
    if incomparable:
        reasons.append(f"not comparable with the champion: {incomparable}")
    reasons.append(_times(compared.times_judged))
    promote = all(beaten.values()) and calibrated and not falls and not incomparable
    return GateVerdict(promote, incomparable is None, tuple(reasons))


def _reason(
    rival: str, gini: Mapping[str, float], comparison: RivalComparison, margin: float, confidence: str, *, beaten: bool
) -> str:
    """Say whether the model beats a rival, and by how much."""
    if not isfinite(comparison.difference):
        return f"normalised Gini is not defined where all customers are worth the same, so it does not beat {rival}"
    ranks = f"normalised Gini {gini[MODEL]:.4f} {'beats' if beaten else 'does not beat'} {rival} {gini[rival]:.4f}"
    text = f"{ranks}: {comparison.difference:+.4f}, at least {comparison.low:+.4f} with {confidence} confidence"
    return text if beaten else f"{text}, which must be above {margin:g}"


def _calibrated(error: float, compared: Comparisons, gate: GateSettings, reasons: list[str]) -> bool:
    """Add the reasons about predicted money; a bound that cannot be computed counts as calibrated."""
    sure = confidence_text(compared.money_confidence)
    off = compared.calibration > gate.most_calibration_error
    reasons.append(_money(error, compared.calibration, gate.most_calibration_error, sure))
    worse = compared.calibration_worse is not None and compared.calibration_worse.low > 0
    if worse and compared.calibration_worse is not None:
        reasons.append(
            f"predicted money is further off than the champion's: calibration error "
            f"{compared.calibration_worse.difference:+.4f}, at least {compared.calibration_worse.low:+.4f} with "
            f"{sure} confidence"
        )
    return not off and not worse


def _money(error: float, least: float, allowed: float, sure: str) -> str:
    """Say how far predicted money is off (*error*), and where that is more than *allowed*, how far it surely is.

    >>> _money(0.114, 0.02, 0.25, "95 %")
    'predicted money is off by 11.4 % of the realised; 25 % is allowed'
    """
    most = whole_percent(allowed)
    if not (isfinite(error) and isfinite(least)):
        return "how far predicted money is surely off cannot be computed, so it does not count"
    off, surely = (apart_from(100 * share, 100 * allowed, 1) for share in (error, least))
    if least > allowed:
        return f"predicted money is off by at least {surely} % of the realised ({sure} confidence); {most} is allowed"
    if error > allowed:
        return (
            f"predicted money is off by {off} % of the realised, which is above the {most} that is allowed, but surely "
            f"only by {surely} % ({sure} confidence)"
        )
    return f"predicted money is off by {off} % of the realised; {most} is allowed"


def _segments(steps: Sequence[SegmentStep], sure: str) -> list[str]:
    """Name each segment that was not worth more than the one below it, and say whether that may be chance."""
    if not steps:
        return ["all customers are in one segment, so no mean realised value is compared with another"]
    reasons = []
    for step in steps:
        means = f"from {step.lower_mean:,.2f} in {step.lower} to {step.upper_mean:,.2f} in {step.upper}"
        if step.surely_falls:
            reasons.append(f"mean realised value surely falls {means} ({sure} confidence)")
        elif not step.rises:
            reasons.append(f"mean realised value does not rise {means}, and does not surely fall ({sure} confidence)")
    return reasons or ["mean realised value rises from segment to segment"]


def _times(times_judged: int) -> str:
    if times_judged == 1:
        return "this window was judged on for the first time"
    return (
        f"this window was judged on {times_judged} times, and the confidence that beating others asks for grows with "
        "each: a later window judges better than another try"
    )
