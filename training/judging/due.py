"""Whether predictions whose horizon has passed show that a model is due for training, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isnan
from typing import Literal, Self

from fivefold.domain.clock import day_text
from fivefold.domain.text import apart_from, count_text, percent, whole_percent
from fivefold.training.config import DueSettings
from fivefold.training.judging.coverage import coverage_bounds, is_beyond, is_surely_off
from fivefold.training.judging.realised import Realised, RealisedDay

_ENDS = ("low", "high")


@dataclass(frozen=True)
class DueVerdict:
    """The verdict on a version.

    Attributes:
        state: `due`; `holds` if every figure is within its bounds, or chance may have moved it out; `waiting` if no
            prediction's horizon has passed yet; `unknown` if the data are too few or lack the realised values, or the
            model learnt from the time after all predictions.
        reasons: one sentence for each figure that is surely out of bounds; else the reason for the state. A version
            that holds also has one for each figure, and one for later predictions, that could not be judged.
    """

    state: Literal["due", "holds", "waiting", "unknown"]
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        words = {"due": "due for training, because", "holds": "it holds:", "waiting": "it is too early to say:"}
        words["unknown"] = "not known whether it holds:"
        return f"{words[self.state]} {'; '.join(self.reasons)}"

    def by_version(self, number: int) -> Self:
        """Return the verdict with reasons that name their version, which has the same trees as the judged one."""
        reasons = tuple(f"version {number}, which has the same trees: {reason}" for reason in self.reasons)
        return replace(self, reasons=reasons)


def due_verdict(
    realised: Realised, due: DueSettings, card_gini: float | None, lacking: Mapping[int, str] | None = None
) -> DueVerdict:
    """Judge a version by the latest day with realised values of enough customers.

    Earlier days are not pooled with it: a model that was right for a year and has been wrong for a month is wrong.

    Args:
        realised: the predictions of the version against realised values.
        due: the bounds.
        card_gini: normalised Gini of the model card; None if it has none.
        lacking: by day, why rows seem to be missing in its horizon; empty if they do not.
    """
    if not realised.days:
        return _without_days(realised)
    enough = [day for day in realised.days if day.gone <= day.customers >= due.least_customers]
    day = (enough or realised.days)[-1]
    if day.gone > day.customers:
        of = f"of the {count_text(day.gone + day.customers, 'customer')} predicted on {day_text(day.day_us)}"
        gone = f"{day.gone:,} {of} {'is' if day.gone == 1 else 'are'}"
        return DueVerdict("unknown", (f"{gone} not in the data: are these the same customers?",))
    if day.customers < due.least_customers:
        few = f"the predictions of {day_text(day.day_us)} are of {count_text(day.customers, 'customer')}, and below "
        return DueVerdict("unknown", (f"{few}{due.least_customers:,} chance alone moves the figures",))
    if reason := (lacking or {}).get(day.day_us):
        return DueVerdict("unknown", (f"{reason}: is the export whole?",))
    reasons = [one for one in (_money(day, due), _coverage(day, due), _gini(day, due, card_gini)) if one]
    if reasons:
        return DueVerdict("due", tuple(reasons))
    within = f"of the predictions of {day_text(day.day_us)} no figure is surely out of its bounds"
    return DueVerdict("holds", (within, *_not_judged(day, due, card_gini), *_uncovered(realised)))


def _not_judged(day: RealisedDay, due: DueSettings, card_gini: float | None) -> list[str]:
    """List the figures that could not be judged, and why: a figure that was not judged is not known to be right."""
    reasons = []
    if day.whole["ratio"] is None:
        reasons.append("the money is not judged, for all of the predicted is 0")
    if day.level_percent is None:
        reasons.append("the intervals are not judged, for the predictions have none")
    elif day.interval_customers < due.least_customers:
        reasons.append(
            "the intervals are not judged, for "
            f"{count_text(day.interval_customers, 'customer has', 'customers have')} one of {day.level_percent} %, "
            f"the level of most, and below {due.least_customers:,} chance alone moves the share"
        )
    if card_gini is None:
        reasons.append("the ranking is not judged, for the card has no normalised Gini")
    elif isnan(day.gini_high):
        reasons.append("the ranking is not judged, for the normalised Gini of values that are all the same is unknown")
    return reasons


def _uncovered(realised: Realised) -> list[str]:
    """Count the later predictions whose horizon the data do not cover: nothing else shows an export that stopped."""
    if not realised.uncovered:
        return []
    return [
        count_text(
            realised.uncovered,
            "later prediction is not judged, for the data end before its horizon does",
            "later predictions are not judged, for the data end before their horizons do",
        )
    ]


def _without_days(realised: Realised) -> DueVerdict:
    if realised.uncovered:
        return DueVerdict(
            "unknown",
            (f"the data do not reach to the end of {count_text(realised.uncovered, 'horizon')} that passed",),
        )
    if realised.waiting:
        return DueVerdict("waiting", (f"the horizon of {count_text(realised.waiting, 'prediction')} has not passed",))
    if realised.learnt:
        return DueVerdict("unknown", (f"all predictions are {learnt_words(realised)}",))
    return DueVerdict("waiting", ("there are no predictions by it",))


def learnt_words(realised: Realised) -> str:
    """Explain why predictions cannot judge a model: it learnt from the time after them.

    >>> learnt_words(Realised((), learnt=3, learnt_until=0))
    'as of moments before 1970-01-01, and it learnt from what came until then'
    """
    return f"as of moments before {day_text(realised.learnt_until)}, and it learnt from what came until then"


def _money(day: RealisedDay, due: DueSettings) -> str:
    whole = day.whole
    if whole["ratio"] is None or not is_beyond(abs(whole["ratio"] - 1), due.most_off_share):
        return ""
    if whole["ratio_low"] is None:
        return "nothing of the predicted money was realised"
    if whole["ratio_low"] <= 1 <= whole["ratio_high"]:
        return ""
    bound = 1 + due.most_off_share if whole["ratio"] > 1 else 1 - due.most_off_share
    ratio, low, high = apart_from(whole["ratio"], bound, 2), *(apart_from(whole[f"ratio_{end}"], 1, 2) for end in _ENDS)
    return (
        f"realised money is {ratio} of the predicted (surely {low} to {high}), and "
        f"{whole_percent(due.most_off_share)} off is allowed"
    )


def _coverage(day: RealisedDay, due: DueSettings) -> str:
    share = day.whole["covered_share"]
    if share is None or day.level_percent is None or day.interval_customers < due.least_customers:
        return ""
    bounds = coverage_bounds(day.level_percent, day.most_held_share, day.interval_customers, due)
    if not is_surely_off(share, bounds):
        return ""
    low, high = (percent(min(bound, 1.0)) for bound in bounds)
    return (
        f"intervals of {day.level_percent} % held {percent(share, beside=bounds)} of the values, and the settings and "
        f"chance allow {low} to {high}"
    )


def _gini(day: RealisedDay, due: DueSettings, card: float | None) -> str:
    if card is None or isnan(day.gini_high) or not is_beyond(card - day.gini_high, due.most_gini_fall):
        return ""
    high = apart_from(day.gini_high, card - due.most_gini_fall, 4)
    return (
        f"normalised Gini is {day.metrics.normalised_gini:.4f} (surely below {high}), on the card "
        f"{card:.4f}; a fall by {due.most_gini_fall:g} is allowed"
    )
