"""The explanation: TreeSHAP contributions of the margin, carried along the score curve into points.

Method: Lundberg et al., "From local explanations to global understanding with explainable AI for trees" (2020),
as LightGBM computes it (`pred_contrib`). The margin's contributions add up to margin - expected margin; one factor
for each customer turns them into points that add up to score - base.
"""

from dataclasses import dataclass, replace
from math import fsum, isnan
from typing import Any

import numpy as np

from fivefold.domain.breakdown import Breakdown, Contribution
from fivefold.domain.clock import day_text
from fivefold.domain.money import rounded_words
from fivefold.domain.segments import score_text
from fivefold.domain.text import percent
from fivefold.features.catalogue.indicator import Indicator
from fivefold.features.consistency import LEAST_DAYS
from fivefold.features.histories import Floats
from fivefold.models.trees.text import LOG_LINK
from fivefold.models.value_model import Intervals, Scores, ValueModel

_SLOPE_STEP = 1e-3
_NO_DIFFERENCE = 1e-9
"""Below this share of the contributions' size, (score - base) / (margin - expected margin) is 0 / 0."""
_TOLD_TIE = 0.01
"""A sentence tells the share of customers with the same prediction from so many on."""


@dataclass(frozen=True)
class Explanations:
    """Points of n customers for F indicators: base + sum of a row's points = that customer's score.

    Attributes:
        base: the score at TreeSHAP's expected margin, one for all.
        points: n x F points.
        scores: what is explained.
        matrix: n x F indicator values.
        indicators: the F indicators.
        cut_points: of the model, between the segments.
    """

    base: float
    points: Floats
    scores: Scores
    matrix: Floats
    indicators: tuple[Indicator, ...]
    cut_points: tuple[float, ...]


def explain(model: ValueModel, matrix: Floats, threads: int = 1) -> Explanations:
    """Explain the scores of n x F indicators, within 1e-9, by so many threads; 0 is one for each processor."""
    scores = model.scores(matrix)
    if not len(matrix):
        other = explain(model, np.full((1, matrix.shape[1]), np.nan))  # the base is the same for all
        return replace(other, points=np.empty(matrix.shape), scores=scores, matrix=matrix)
    shap = np.asarray(model.booster.predict(matrix, pred_contrib=True, num_threads=threads))
    shap, expected = shap[:, :-1], shap[:1, -1]
    base = float(_score_at(model, expected)[0])
    points = shap * _factors(model, shap, expected, scores.score - base)[:, None]
    # The rounding error goes to the largest contribution, so that the sum is exact.
    largest = np.abs(points).argmax(axis=1)
    for row, column in enumerate(largest.tolist()):
        points[row, column] += fsum((scores.score[row], -base, *(-points[row]).tolist()))
    return Explanations(base, points, scores, matrix, model.catalogue.indicators, model.cut_points)


def gain_shares(model: ValueModel) -> Floats:
    """Return each indicator's share of the gain of all splits in training, F values; all 0 if nothing was split."""
    gain: Floats = np.asarray(model.booster.feature_importance("gain"), dtype=np.float64)
    shares: Floats = gain / max(gain.sum(), np.finfo(float).tiny)
    return shares


def breakdown(explanations: Explanations, row: int, currency: str) -> Breakdown:
    """Return one customer's explanation as the shared `Breakdown`: all indicators, largest first."""
    parts = [
        contribution(indicator, float(value), float(points), currency)
        for indicator, value, points in zip(
            explanations.indicators, explanations.matrix[row], explanations.points[row], strict=True
        )
    ]
    largest_first = Breakdown(explanations.base, tuple(parts)).largest_first()
    return Breakdown(explanations.base, largest_first, explanations.cut_points)


def intervals(model: ValueModel, explanations: Explanations, level_percent: int | None) -> Intervals:
    """Return the intervals of the explained customers, at a level, by default the model's own."""
    consistency = model.consistency_of(explanations.matrix)
    return model.intervals_of(explanations.scores.expected_value, consistency, level_percent)


def sentence(model: ValueModel, explanations: Explanations, row: int, level_percent: int | None = None) -> str:
    """Describe one customer's score, segment, money with its interval, and place, for people.

    *level_percent* is the level of the interval, the model's own by default.
    """
    scores = explanations.scores
    between = intervals(model, explanations, level_percent).text(row, model.currency)
    money = f"{rounded_words(scores.expected_value[row], model.currency)} {model.currency}"
    return (
        f"score {score_text(scores.score[row], model.cut_points)}, {scores.category[row]}, "
        f"worth {money} in {model.horizon_days} days"
        f"{f' ({between})' if between else ''}, "
        f"{_place_text(model, float(scores.expected_value[row]))}"
    )


def _place_text(model: ValueModel, expected_value: float) -> str:
    """Say how much of the reference has a lower prediction: the percentile is more, as half of the ties count in it."""
    customers = model.curve.customers
    below, equal = model.curve.below_and_equal(expected_value)
    # Never rounded up: it says "more than".
    share = "all" if below == customers else f"{100 * below // customers} %"
    text = f"more than {share} of the customers known on {day_text(model.test_as_of)}"
    return f"{text}, as much as {percent(equal / customers)} of them" if equal >= _TOLD_TIE * customers else text


def consistency_sentence(consistency: float) -> str:
    """Describe a customer's consistency for people; NaN means that it is not known.

    >>> consistency_sentence(0.614)
    'Consistency, how regular and steady the payments are: 0.61 of 1.'
    >>> consistency_sentence(float("nan")).partition(": ")[2]
    'not known; it takes 180 days of history, and three events and money that moved in the last 365 days.'
    """
    takes = f"it takes {LEAST_DAYS} days of history, and three events and money that moved in the last 365 days"
    words = f"not known; {takes}" if isnan(consistency) else f"{consistency:.2f} of 1"
    return f"Consistency, how regular and steady the payments are: {words}."


def explanation_content(
    model: ValueModel, explanations: Explanations, row: int, level_percent: int | None = None
) -> dict[str, Any]:
    """Return everything behind one customer's score as plain data, for JSON in the service and at the terminal.

    The interval has the requested level, by default the model's own; it is None if the model has no intervals.
    """
    parts = breakdown(explanations, row, model.currency)
    consistency = float(model.consistency_of(explanations.matrix[row : row + 1])[0])
    return {
        "expected_value": float(explanations.scores.expected_value[row]),
        "interval": intervals(model, explanations, level_percent).row(row),
        "consistency": None if isnan(consistency) else consistency,
        "currency": model.currency,
        "horizon_days": model.horizon_days,
        "percentile": float(explanations.scores.percentile[row]),
        "reference_date": day_text(model.test_as_of),
        "base": parts.base,
        "contributions": [
            {
                "indicator": part.name,
                "family": part.family,
                "value": part.value,
                "unit": part.unit,
                "points": part.points,
                "sentence": part.sentence,
            }
            for part in parts.contributions
        ],
        "families": parts.families(),
    }


def contribution(
    indicator: Indicator, value: float, points: float, currency: str, *, tells_value: bool = True
) -> Contribution:
    """Write what an indicator adds to the score.

    Args:
        indicator: of the catalogue.
        value: in the unit of the indicator; NaN where it is undefined.
        points: added to the score.
        currency: of money.
        tells_value: without it the value is left out, of the sentence too.
    """
    verb = "raises the score by" if points > 0 else "lowers the score by"
    effect = f"{verb} {abs(points):.3f}" if points else "does not change the score"
    text = value_text(value, indicator.unit, currency) if tells_value else ""
    meaning = indicator.meaning.rstrip(".")
    return Contribution(
        indicator.name,
        indicator.family,
        None if isnan(value) or not tells_value else value,
        indicator.unit.replace("money", currency),
        points,
        f"{meaning}: {text}; {effect}." if tells_value else f"{meaning}: {effect}.",
        indicator.label,
        text,
    )


def value_text(value: float, unit: str, currency: str) -> str:
    """Write an indicator's value for people.

    >>> value_text(1234.5, "money", "EUR"), value_text(0.25, "share", "EUR"), value_text(float("nan"), "days", "EUR")
    ('1,234.50 EUR', '25.0 %', 'undefined')
    >>> [value_text(-1e-17, unit, "EUR") for unit in ("money", "share", "days", "ratio", "count")]  # zero has no sign
    ['0.00 EUR', '0.0 %', '0.0 days', '0.00', '0']
    """
    if isnan(value):
        return "undefined"
    if unit in {"money", "money per day"}:
        return f"{rounded_words(value, currency)} {unit.replace('money', currency)}"
    if unit == "share":
        return f"{100 * value:z.1f} %"
    if unit == "days":
        return f"{value:z,.1f} days"
    if unit == "ratio":
        return f"{value:z.2f}"
    return f"{value:z,.0f}"


def _score_at(model: ValueModel, margins: Floats) -> Floats:
    return model.curve.score(np.exp(margins) if model.objective in LOG_LINK else np.maximum(margins, 0.0))


def _factors(model: ValueModel, shap: Floats, expected: Floats, differences: Floats) -> Floats:
    """Points for each unit of margin, one factor a customer: the chord of the score curve, or its slope."""
    sums = np.array([fsum(row) for row in shap.tolist()])
    size = np.abs(shap).sum(axis=1)
    around = _score_at(model, np.concatenate([expected - _SLOPE_STEP, expected + _SLOPE_STEP]))
    slope = (around[1] - around[0]) / (2 * _SLOPE_STEP)
    flat = np.abs(sums) <= _NO_DIFFERENCE * size
    return np.where(flat, slope, differences / np.where(flat, 1.0, sums))
