"""What the gate asks of several origins, beside what it asks of the last. A pure function of the figures."""

from math import ceil

from fivefold.domain.clock import day_text
from fivefold.domain.text import count_text
from fivefold.training.config import GateSettings
from fivefold.training.judging.evaluate import BASELINES, CHAMPION, MODEL
from fivefold.training.judging.gate import GateVerdict
from fivefold.training.origins.rolling import GINI, Rolling


def with_origins(verdict: GateVerdict, rolling: Rolling | None, gate: GateSettings) -> GateVerdict:
    """Add to a verdict on the last origin what all origins say; it stays as it is where there is one origin alone.

    Each baseline must be beaten at so many of the origins as the gate asks for, the worst origin must reach its least
    normalised Gini, and the mean must not be too far below the champion's, over the origins whose window the champion
    did not learn from. What is refused names the origins and their figures.
    """
    if rolling is None:
        return verdict
    checks = [*(_beats(rolling, name, gate) for name in BASELINES), _worst(rolling, gate), _champion(rolling, gate)]
    reasons = tuple(text for _, text in checks if text)
    return GateVerdict(
        verdict.promote and all(passed for passed, _ in checks),
        verdict.comparable,
        (*verdict.reasons, *reasons, *_times(rolling)),
    )


def _beats(rolling: Rolling, rival: str, gate: GateSettings) -> tuple[bool, str]:
    """Count the origins at which the model is above a baseline; where either has no figure it is not."""
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
    """Compare the means with the champion's, where it was judged; where it was nowhere, nothing is asked."""
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
    passed = less.estimate >= -gate.most_below_champion
    over = f"over {count_text(less.origins, 'origin')} normalised Gini is {less.estimate:+.4f} from the champion's"
    if passed:
        return True, over + aside
    each_one = [one for one in rolling.differences if one.rival == CHAMPION and one.figure == GINI and one.moment]
    lowest = min(each_one, key=lambda one: one.estimate)
    return False, (
        f"{over}, and may be {-gate.most_below_champion:g} at the least (gate.most_below_champion); lowest at "
        f"{day_text(lowest.moment or 0)}, {lowest.estimate:+.4f}{aside}"
    )


def _places(count: int) -> str:
    return "at origin" if count == 1 else "at origins"


def _times(rolling: Rolling) -> tuple[str, ...]:
    """Say how often the windows before the last were judged on; of the last the verdict itself says it."""
    again = [each for each in rolling.origins[:-1] if each.times_judged > 1]
    named = ", ".join(f"{day_text(each.moment)} {each.times_judged} times" for each in again)
    return (f"judged on before: the windows from {named}",) if again else ()


def _figure(value: float | None) -> str:
    return "no figure" if value is None else f"{value:.4f}"
