"""One origin: the settings learn as of it and are judged on the window after it, as in a run with that test as-of."""

from collections.abc import Mapping
from dataclasses import dataclass

from fivefold.domain.clock import day_text
from fivefold.domain.errors import NotEnoughDataError
from fivefold.features.histories import Floats
from fivefold.models.value_model import ValueModel
from fivefold.training.config import TrainingConfig, TreeSettings
from fivefold.training.data import SourceSummary, TransactionSource, training_rows
from fivefold.training.dates import Dates
from fivefold.training.fit import find_rounds, fit, validation_fold
from fivefold.training.judging.evaluate import MODEL, Evaluation, predictions_of
from fivefold.training.judging.metrics import Metrics, calibration_error, calibration_table, rank_metrics
from fivefold.training.judging.predictions import WindowPredictions, predict_test_window


@dataclass(frozen=True, kw_only=True)
class JudgedOrigin:
    """The result of the settings as of one moment.

    Attributes:
        dates: the dates learnt from; `test` is the origin.
        rows: number of rows learnt from.
        rounds: number of rounds found on the last of these dates.
        times_judged: how often the window, or a part of it, was judged on under this name, this time included.
        champion_left_out: why the champion is not judged here; empty if it is, or without a champion.
        predictions: predictions for n customers, by name.
        realised: what they were worth in the window, 0 or more.
        by_name: metrics of each prediction.
        calibration_error: calibration error of the model, see `metrics.calibration_error`.
    """

    dates: Dates
    rows: int
    rounds: int
    times_judged: int
    champion_left_out: str
    predictions: Mapping[str, Floats]
    realised: Floats
    by_name: Mapping[str, Metrics]
    calibration_error: float

    @property
    def moment(self) -> int:
        """The origin, microseconds."""
        return self.dates.test

    @property
    def customers(self) -> int:
        """Number of customers in the window."""
        return len(self.realised)


def judge_origin(
    portfolio: TransactionSource,
    config: TrainingConfig,
    summary: SourceSummary,
    dates: Dates,
    trees: TreeSettings,
    champion: ValueModel | None,
    champion_left_out: str,
    times_judged: int,
) -> JudgedOrigin:
    """Learn as of an origin, and judge on the window after it; later data are not used.

    Args:
        portfolio: the transactions.
        config: the settings, which are those of every origin.
        summary: the summary of the transactions.
        dates: the dates to learn from, and the origin.
        trees: the settings of the trees at every origin; without a number of rounds, it is found as of this one.
        champion: the champion, which learnt nothing of the window; None if it is not judged.
        champion_left_out: why it is not judged; empty if it is, or without a champion.
        times_judged: see `JudgedOrigin`.

    Raises:
        NotEnoughDataError: nothing can be learnt or judged there; it names the origin.
    """
    try:
        rows = training_rows(portfolio, dates, config, summary)
        rounds = find_rounds(validation_fold(rows, dates), trees, config.seed)
        fitted = fit(rows, trees, config.seed, rounds)
        window = predict_test_window(portfolio, dates, config, fitted.booster_, champion, summary.absent)
    except NotEnoughDataError as error:
        raise NotEnoughDataError(f"origin {day_text(dates.test)}: {error}") from None
    predictions = predictions_of(window)
    return JudgedOrigin(
        dates=dates,
        rows=len(rows.values),
        rounds=rounds,
        times_judged=times_judged,
        champion_left_out=champion_left_out,
        predictions=predictions,
        realised=window.realised,
        by_name={name: rank_metrics(predicted, window.realised) for name, predicted in predictions.items()},
        calibration_error=calibration_error(calibration_table(predictions[MODEL], window.realised)),
    )


def last_origin(
    dates: Dates, rows: int, rounds: int, window: WindowPredictions, evaluation: Evaluation, champion_left_out: str
) -> JudgedOrigin:
    """Return the origin of the registered model, from measurements that exist already."""
    return JudgedOrigin(
        dates=dates,
        rows=rows,
        rounds=rounds,
        times_judged=evaluation.comparisons.times_judged,
        champion_left_out=champion_left_out,
        predictions=predictions_of(window),
        realised=window.realised,
        by_name=evaluation.by_name,
        calibration_error=evaluation.calibration_error,
    )
