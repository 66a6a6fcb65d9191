"""A refit: the settings of a judged model learn again from everything up to today; both models are compared."""

from dataclasses import dataclass

import numpy as np

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import PromotionRefusedError
from fivefold.domain.text import percent
from fivefold.models.curve import ScoreCurve
from fivefold.models.value_model import ValueModel
from fivefold.training.config import TreeSettings
from fivefold.training.data import TransactionSource, training_rows
from fivefold.training.dates import Dates, dates_before
from fivefold.training.fit import build_model, fit, measure_intervals
from fivefold.training.judging.predictions import predict_reference
from fivefold.training.plan import TrainingPlan


@dataclass(frozen=True, kw_only=True)
class Refit:
    """A model that learnt from everything up to today, after another with its settings had passed the gate.

    Attributes:
        model: the model that serves; its reference is the customers known at the last moment of the data.
        dates: the dates learnt from; `test` is the moment of its reference, which nothing was judged on.
        rows: number of rows learnt from.
        moved_share: share of its reference customers whom the judged model puts in another segment, by the judged
            model's curve of the same customers.
        curve_distance: the largest difference in the percentile (0 to 1) of an amount between these two curves.
        reference_distance: the same between its curve and the judged model's own: it includes how far the portfolio
            moved.
        judged_hash: content hash of the judged model, whose figures are registered.
        judged_as_of: the test as-of (microseconds) of that model.
    """

    model: ValueModel
    dates: Dates
    rows: int
    moved_share: float
    curve_distance: float
    reference_distance: float
    judged_hash: str
    judged_as_of: int


def refit(portfolio: TransactionSource, plan: TrainingPlan, trees: TreeSettings, judged: ValueModel) -> Refit:
    """Learn again, with the settings of a judged model, from every window that is over by the last moment of the data.

    Args:
        portfolio: the transactions.
        plan: the plan of the run that judged it.
        trees: the settings of the judged model's trees, with their number of rounds.
        judged: the model that passed the gate.

    Raises:
        PromotionRefusedError: by their curves more customers than `gate.most_moved_share` are in different segments.
    """
    config, summary = plan.config, plan.summary
    today = (summary.period.last - plan.dates.lag_us) // DAY_US * DAY_US
    dates = dates_before(config, summary.period.first, today)
    rows = training_rows(portfolio, dates, config, summary)
    rounds = trees.rounds or 0
    fitted = fit(rows, trees, config.seed, rounds)
    reference = predict_reference(portfolio, dates, config.seed, fitted.booster_, judged.booster, summary.absent)
    intervals = measure_intervals(rows, dates, trees, config.seed, rounds, config.interval)
    model = build_model(fitted, reference, portfolio, config, dates, summary.absent, intervals)
    own, theirs = (
        model.segments_of(ScoreCurve.of(predicted).score(predicted))
        for predicted in (reference.predicted, reference.by_judged)
    )
    moved, most = float((own != theirs).mean()), config.gate.most_moved_share
    if moved > most:
        raise PromotionRefusedError(
            f"the refitted model is too far from the judged one: by their score curves {percent(moved)} of the "
            f"customers known on {day_text(today)} are in different segments, and {percent(most)} may be "
            "(gate.most_moved_share)"
        )
    return Refit(
        model=model,
        dates=dates,
        rows=len(rows.values),
        moved_share=moved,
        curve_distance=curve_distance(ScoreCurve.of(reference.by_judged), model.curve),
        reference_distance=curve_distance(judged.curve, model.curve),
        judged_hash=judged.content_hash,
        judged_as_of=judged.test_as_of,
    )


def curve_distance(one: ScoreCurve, other: ScoreCurve) -> float:
    """Return the largest difference between the percentiles (0 to 1) of two curves, over all amounts of money.

    >>> low, high = ScoreCurve.of(np.array([1.0, 2.0, 3.0, 4.0])), ScoreCurve.of(np.array([2.0, 3.0, 4.0, 5.0]))
    >>> curve_distance(low, high)
    0.25
    """
    amounts = np.concatenate([one.values, other.values])
    return float(np.abs(one.percentile(amounts) - other.percentile(amounts)).max())
