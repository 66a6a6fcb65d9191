"""The gate: whether a new model may replace the champion. Pure functions of figures, of one origin or several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isfinite

from fivefold.domain.clock import day_text
from fivefold.domain.money import words_apart
from fivefold.domain.text import apart_from, confidence_text, count_text, whole_percent
from fivefold.training.config import GateSettings
from fivefold.training.judging.compare import Comparisons, RivalComparison
from fivefold.training.judging.evaluate import BASELINES, CHAMPION, MODEL, Evaluation
from fivefold.training.judging.metrics import SegmentStep
from fivefold.training.origins.rolling import GINI, Rolling


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


def gate_verdict(
    evaluation: Evaluation, gate: GateSettings, incomparable: str | None, holes: str = "", *, currency: str
) -> GateVerdict:
    """Decide by normalised Gini and calibration on the same out-of-time window.

    The lower bound of the difference to every baseline, and to the champion if there is one, must be above the margin:
    a difference that may be chance keeps the champion. Predicted money must not surely be off by more than the gate
    allows, nor surely further off than the champion's: the error that chance alone adds is subtracted. The mean
    realised value must not surely fall from one segment to the next. *incomparable* is the reason why the champion
    cannot be compared; *holes* names the rows that the window lacks: with holes, no model passes. Values are in
    *currency*.
    """
    gini = {name: metrics.normalised_gini for name, metrics in evaluation.by_name.items()}
    compared, sure = evaluation.comparisons, confidence_text(evaluation.comparisons.confidence)
    rivals = [*BASELINES, *([CHAMPION] if CHAMPION in gini else [])]
    beaten = {name: compared.gini[name].low > gate.margin for name in rivals}
    reasons = [_reason(name, gini, compared.gini[name], gate.margin, sure, beaten=beaten[name]) for name in rivals]
    calibrated = _calibrated(evaluation.calibration_error, compared, gate, reasons)
    reasons += _segments(compared.segments, confidence_text(gate.confidence), currency)
    falls = any(step.surely_falls for step in compared.segments)
    if evaluation.coverage is None:
        reasons.append("no interval was judged on this window")
    if incomparable:
        reasons.append(f"not comparable with the champion: {incomparable}")
    if holes:
        reasons.append(f"{holes}: is the export whole? A window with holes does not show who paused")
    reasons.append(_times(compared.times_judged))
    promote = all(beaten.values()) and calibrated and not falls and not incomparable and not holes
    return GateVerdict(promote, incomparable is None, tuple(reasons))


def _reason(
    rival: str, gini: Mapping[str, float], comparison: RivalComparison, margin: float, confidence: str, *, beaten: bool
) -> str:
    """Describe whether the model beats a rival, and by how much."""
    if not isfinite(comparison.difference):
        return f"normalised Gini is not defined where all customers are worth the same, so it does not beat {rival}"
    ranks = f"normalised Gini {gini[MODEL]:.4f} {'beats' if beaten else 'does not beat'} {rival} {gini[rival]:.4f}"
    low = apart_from(comparison.low, margin, 4, "+")
    text = f"{ranks}: {comparison.difference:+z.4f}, at least {low} with {confidence} confidence"
    return text if beaten else f"{text}, which must be above {margin:g}"


def _calibrated(error: float, compared: Comparisons, gate: GateSettings, reasons: list[str]) -> bool:
    """Add the reasons about predicted money, and check whether it is calibrated; it is if a bound is undefined."""
    sure = confidence_text(compared.money_confidence)
    off = compared.calibration > gate.most_calibration_error
    reasons.append(_money(error, compared.calibration, gate.most_calibration_error, sure))
    worse = compared.calibration_worse is not None and compared.calibration_worse.low > 0
    if worse and compared.calibration_worse is not None:
        low = apart_from(compared.calibration_worse.low, 0, 4, "+")
        reasons.append(
            f"predicted money is further off than the champion's: calibration error "
            f"{compared.calibration_worse.difference:+z.4f}, at least {low} with "
            f"{sure} confidence"
        )
    return not off and not worse


def _money(error: float, least: float, allowed: float, sure: str) -> str:
    """Describe how far predicted money is off (*error*), and if that is more than *allowed*, how far it surely is.

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


def _segments(steps: Sequence[SegmentStep], sure: str, currency: str) -> list[str]:
    """List each segment that was not worth more than the one below it, and whether that may be chance."""
    if not steps:
        return ["all customers are in one segment, so no mean realised value is compared with another"]
    reasons = []
    for step in steps:
        lower = words_apart(step.lower_mean, step.upper_mean, currency)
        upper = words_apart(step.upper_mean, step.lower_mean, currency)
        means = f"from {lower} {currency} in {step.lower} to {upper} {currency} in {step.upper}"
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


def with_origins(verdict: GateVerdict, rolling: Rolling | None, gate: GateSettings) -> GateVerdict:
    """Extend a verdict on the last origin by the figures of all origins; it stays unchanged for a single origin.

    Each baseline must be beaten at the share of the origins that the gate requires. The worst origin must reach the
    gate's least normalised Gini. The mean must not be too far below the champion's, over the origins whose window the
    champion did not learn from. A refusal names the origins and their figures.
    """
    if rolling is None:
        return verdict
    checks = [*(_beats(rolling, name, gate) for name in BASELINES), _worst(rolling, gate), _champion(rolling, gate)]
    reasons = tuple(text for _, text in checks if text)
    return GateVerdict(
        verdict.promote and all(passed for passed, _ in checks),
        verdict.comparable,
        (*verdict.reasons, *reasons, *_earlier_times(rolling)),
    )


def _beats(rolling: Rolling, rival: str, gate: GateSettings) -> tuple[bool, str]:
    """Check whether the model beats a baseline at enough origins; without a figure of both, it does not beat it."""
    count = len(rolling.origins)
    needed = ceil(gate.least_beaten_share * count - 1e-9)
    mine, theirs = rolling.values(MODEL, GINI), rolling.values(rival, GINI)
    lost = [
        each.moment
        for each in rolling.origins
        if not mine.get(each.moment, float("nan")) > theirs.get(each.moment, float("nan"))
    ]
    beaten = count - len(lost)
    text = f"beats {rival} at {beaten} of {count_text(count, 'origin')}"
    where = ", ".join(f"{day_text(at)} ({_figure(mine.get(at))} against {_figure(theirs.get(at))})" for at in lost)
    if lost:
        text += f", not at {where}"
    if beaten < needed:
        text += f"; {needed} are asked for (gate.least_beaten_share)"
    return beaten >= needed, text


def _worst(rolling: Rolling, gate: GateSettings) -> tuple[bool, str]:
    values = rolling.values(MODEL, GINI)
    unknown = [each.moment for each in rolling.origins if each.moment not in values]
    if unknown:
        return False, f"normalised Gini is not defined at origin {day_text(unknown[0])}"
    moment, worst = min(values.items(), key=lambda one: one[1])
    text = f"the worst origin is {day_text(moment)} with normalised Gini {worst:.4f}"
    passed = worst >= gate.least_gini
    return passed, text if passed else f"{text}, which must be {gate.least_gini:g} or more (gate.least_gini)"


def _champion(rolling: Rolling, gate: GateSettings) -> tuple[bool, str]:
    """Compare the mean with the champion's over the origins at which it was judged; without any, the model passes."""
    left_out = [each for each in rolling.origins if each.champion_left_out]
    aside = (
        f"; not counted {_places(len(left_out))} {', '.join(day_text(each.moment) for each in left_out)}: "
        f"{left_out[0].champion_left_out}"
        if left_out
        else ""
    )
    less = rolling.difference(CHAMPION, GINI)
    if less is None:
        return True, f"the champion is compared at no origin{aside}" if left_out else ""
    least = 0 - gate.most_below_champion  # 0 where none is allowed, as -0.0 would be written -0
    estimate = apart_from(less.estimate, least, 4, "+")
    over = f"over {count_text(less.origins, 'origin')} normalised Gini is {estimate} from the champion's"
    if less.estimate >= least:
        return True, over + aside
    each_one = [one for one in rolling.differences if one.rival == CHAMPION and one.figure == GINI and one.moment]
    lowest = min(each_one, key=lambda one: one.estimate)
    return False, (
        f"{over}, and may be {least:g} at the least (gate.most_below_champion); lowest at "
        f"{day_text(lowest.moment or 0)}, {lowest.estimate:+z.4f}{aside}"
    )


def _places(count: int) -> str:
    return "at origin" if count == 1 else "at origins"


def _earlier_times(rolling: Rolling) -> tuple[str, ...]:
    """State how often the windows before the last were judged on; the verdict itself has it for the last."""
    again = [each for each in rolling.origins[:-1] if each.times_judged > 1]
    named = ", ".join(f"{day_text(each.moment)} {each.times_judged} times" for each in again)
    return (f"judged on before: the windows from {named}",) if again else ()


def _figure(value: float | None) -> str:
    return "no figure" if value is None else f"{value:.4f}"
