"""Compare two value models on the same customers: who changes segment and why; rank, lift and calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl

from fivefold.charts.text.numbers import signed_points
from fivefold.domain.clock import CLOCK_SLACK_US, DAY_US, day_text, now_microseconds
from fivefold.domain.errors import ConfigError, NotEnoughDataError
from fivefold.domain.money import RateTable
from fivefold.domain.segments import SEGMENTS
from fivefold.features.histories import Floats, Histories, Integers
from fivefold.models.explain import explain
from fivefold.models.reach import absences
from fivefold.models.value_model import Scores
from fivefold.models.value_model import ValueModel as TrainedModel
from fivefold.notebook.known import known_customers, warn_of_rows
from fivefold.notebook.transactions import AnyTransactions, Moment, checked_histories, frame_html, moment_of, source_of
from fivefold.notebook.value import ValueModel
from fivefold.training.config import TrainingConfig, ValueSettings
from fivefold.training.dates import DataPeriod, is_window_covered
from fivefold.training.judging.bootstrap import PredictedOrder, draws
from fivefold.training.judging.metrics import calibration_error, calibration_table, lift_curve, rank_metrics
from fivefold.training.target import floor_at_zero, realised_values

CHAMPION, CHALLENGER = SIDES = ("champion", "challenger")
CONFIDENCE = 0.95
"""The confidence of the intervals of the differences."""
MOST_EXPLAINED = 1_000
"""How many customers, those whose score differs most, have their change explained by indicator."""
MOVED_BY = 3
"""How many indicators are named for each of them."""
BASE = "base"
_SEED = 1
_RESAMPLED = ("normalised_gini", "top_decile_capture")
"""Figures whose difference has an interval. A calibration error is a sum of absolute distances. A resample of the
customers moves each tenth, which makes the distances larger on average, most for the better model. So the quantiles of
resamples lie to one side of the difference, and are not an interval of it."""
_SHOWN = ("expected_value", "score", "category")


@dataclass(frozen=True)
class ModelComparison:
    """Two models on the same customers; a notebook shows the tables.

    The realised values are unknown if the window is not over, the data end before it does, or the data lack a column
    that a model was trained with. Then `not_judged` gives the reason, and `quality`, `differences`, `lift` and
    `calibration` are empty.

    Attributes:
        customers: by `user_id`: the predictions of each model; `expected_value_change` (money) and `score_change`, the
            challenger less the champion; and `realised`, the money that they were worth.
        moves: numbers of customers, by the champion's segment (rows) and the challenger's (columns).
        effects: by `user_id`, for at most 1,000 customers who change segment, the largest change of score first: what
            the `base` and each indicator add to the change, in points; a row adds up to the change. If the models have
            own indicators from different files, an indicator that both declare has a column for each model.
        quality: by model: normalised Gini, top-decile capture, Spearman, calibration error.
        differences: by figure: the challenger less the champion, and the 95 % interval from `low` to `high`, by paired
            bootstrap of the customers. The calibration error has no interval (NaN), as resamples make its sum of
            distances larger; Spearman has no row.
        lift: by share of the customers, from the best down: the share of all value that they hold, for each model.
        calibration: by tenth of the customers and model: predicted and realised money.
        not_judged: why the models are not judged; empty if they are.
    """

    customers: pd.DataFrame
    moves: pd.DataFrame
    effects: pd.DataFrame
    quality: pd.DataFrame
    differences: pd.DataFrame
    lift: pd.DataFrame
    calibration: pd.DataFrame
    not_judged: str

    def changed(self) -> pd.DataFrame:
        """Return the customers whose segment differs, the largest change of score first.

        `moved_by` names the largest effects on the change, in points; empty for customers outside `effects`.
        """
        moved = _moved(self.customers)
        words = {user_id: _words(row) for user_id, row in self.effects.iterrows()}
        return moved.assign(moved_by=[words.get(user_id, "") for user_id in moved.index])

    def __repr__(self) -> str:
        """Describe how well each model ranks, and how many customers change segment."""
        moved = f"{len(_moved(self.customers)):,} change segment"
        if self.not_judged:
            return f"<{len(self.customers):,} customers: {moved}; {self.not_judged}>"
        gini = self.quality["normalised_gini"]
        ranks = ", ".join(f"{side} {gini[side]:.4f}" for side in SIDES)
        return f"<normalised Gini of {len(self.customers):,} customers: {ranks}; {moved}>"

    def _repr_html_(self) -> str:
        """Show in a notebook how well each model ranks, and which customers move."""
        judged = () if self.not_judged else (self.quality, self.differences)
        tenths = () if self.not_judged else (self.calibration,)
        return "".join(frame_html(frame) for frame in (*judged, self.moves, *tenths, self.changed()))


def compare(
    champion: ValueModel,
    challenger: ValueModel,
    transactions: AnyTransactions,
    *,
    as_of: Moment,
    columns: Mapping[str, str] | None = None,
    rates: RateTable | None = None,
) -> ModelComparison:
    """Compare two models, and judge them on a window that neither learnt from.

    Args:
        champion: the first model.
        challenger: the second model, with the same horizon, fees, margin, currency and limits of segments.
        transactions: whole histories. The models are not judged if these end before the window does or lack a column
            that a model was trained with, or if the window is not over. Python warnings are those of
            `ValueModel.score` for either model.
        as_of: the moment from which both predict; the window is the horizon after it.
        columns: as in `read_transactions`.
        rates: the rates by which both read every amount; by default those of the models, which must be the same for
            every currency in the transactions.

    Raises:
        ConfigError: the models predict different things, have different segments or rates, one of them learnt from
            the window, or no customer has a row by then.
        InvalidDataError: rows have bad values, or are dated more than a day ahead of now, as in training.
        NotEnoughDataError: the window is known, and no customer is worth anything in it.
    """
    for side, model in zip(SIDES, (champion, challenger), strict=True):
        if not isinstance(model, ValueModel):
            raise ConfigError(f"{side} is {model!r}; it must be a model, such as fivefold.ValueModel.load(3)")
    when, models = moment_of(as_of), (champion.trained, challenger.trained)
    _refuse_incomparable(models, when)
    if rates is not None and rates.base != models[0].currency:
        raise ConfigError(f"rates are into {rates.base}, and the models predict {models[0].currency}; give such rates")
    now, source, table = now_microseconds(), source_of(transactions, columns), rates or models[0].rates
    read = {
        absent: checked_histories(source, table, latest=now + CLOCK_SLACK_US, absent=absent)
        for absent in dict.fromkeys(model.absent for model in models)
    }
    whole = read[min(read, key=len)]
    if rates is None:
        _refuse_other_rates(models, whole)
    warn_of_rows([(model, read[model.absent]) for model in models], when)
    sides = [_side(model, read[model.absent], when) for model in models]
    both = sides[0].user_ids.intersection(sides[1].user_ids)
    first, second = (side.only(both) for side in sides)
    customers = _predictions(first, second)
    config = _config_of(models[0])
    not_judged = _columns_not_there(models, whole.absent) or _why_not_judged(config, whole, when, now)
    if not not_judged:
        customers["realised"] = _realised(config, whole, when).reindex(both).to_numpy()
    tables = _judged(customers) if not not_judged else (pd.DataFrame(),) * 4
    return ModelComparison(customers, _moves(customers), _effects(customers, first, second), *tables, not_judged)


@dataclass(frozen=True)
class _Side:
    """One model with the customers that it scores, and their n x F indicators."""

    model: TrainedModel
    user_ids: pd.Index
    matrix: Floats

    def only(self, user_ids: pd.Index) -> "_Side":
        return _Side(self.model, user_ids, self.matrix[self.user_ids.get_indexer(user_ids)])

    def scores(self) -> Scores:
        return self.model.scores(self.matrix)

    def points(self, places: Integers, new_names: Mapping[str, str]) -> pd.DataFrame:
        """Return the base and the points of every indicator for some customers; *new_names* renames some columns."""
        explanations = explain(self.model, self.matrix[places])
        names = [new_names.get(name, name) for name in self.model.catalogue.names]
        table = pd.DataFrame(explanations.points, index=self.user_ids[places], columns=names)
        table.insert(0, BASE, explanations.base)
        return table


def _side(model: TrainedModel, histories: Histories, when: int) -> _Side:
    customers = known_customers(model, histories, when)
    return _Side(model, customers.user_ids, customers.matrix)


def _refuse_incomparable(models: tuple[TrainedModel, TrainedModel], when: int) -> None:
    first, second = models
    for what, one, other in (
        ("currency", first.currency, second.currency),
        ("horizon in days", first.horizon_days, second.horizon_days),
        ("definition of value", dict(first.definition), dict(second.definition)),
        ("limits of the segments", tuple(first.cut_points), tuple(second.cut_points)),
    ):
        if one != other:
            raise ConfigError(
                f"the two models cannot be compared: the {what} of the champion is {one}, and of the challenger {other}"
            )
    for side, model in zip(SIDES, models, strict=True):
        if model.test_as_of > when:
            raise ConfigError(
                f"as_of is {day_text(when)}, and the {side} learnt from what happened until "
                f"{day_text(model.test_as_of)}: give that day, or a later one"
            )


def _refuse_other_rates(models: tuple[TrainedModel, TrainedModel], histories: Histories) -> None:
    """Raise ConfigError if the models' rates differ for a currency of the histories, read by the champion's rates."""
    first, second = (model.rates for model in models)
    for code in (first.codes[number] for number in np.unique(histories.currency).tolist()):
        one, other = first.per_unit(code), second.per_unit(code) if code in second.positions else "not known"
        if one != other:
            raise ConfigError(
                f"the two models cannot be compared: the rate of {code} of the champion is {one}, and of the "
                f"challenger {other}; give rates=, by which both read every amount"
            )


def _config_of(model: TrainedModel) -> TrainingConfig:
    """Return the training settings that define a customer's value and its window."""
    return TrainingConfig(
        horizon_days=model.horizon_days,
        settlement_lag_days=model.settlement_lag_us // DAY_US,
        value=ValueSettings(**{name: model.definition[name] for name in ValueSettings.model_fields}),
    )


def _columns_not_there(models: tuple[TrainedModel, TrainedModel], absent: Sequence[str]) -> str:
    """Return a sentence on models that were trained with columns that the data lack; empty if neither was."""
    lacking = {
        side: replaced
        for side, model in zip(SIDES, models, strict=True)
        if (replaced := "; ".join(absences(absent, model.absent, model.currency)))
    }
    texts = [
        f"the {side} does not say that it was trained without what the data lack ({replaced})"
        for side, replaced in lacking.items()
    ]
    return f"not judged, for {', and '.join(texts)}" if texts else ""


def _why_not_judged(config: TrainingConfig, histories: Histories, when: int, now: int) -> str:
    """Return why the values of the window are unknown, by the same rule as in training; empty if they are known."""
    until, lag_days = when + config.horizon_days * DAY_US, config.settlement_lag_days
    if until > now:
        return f"not judged, for the window ends on {day_text(until)}, which is not over"
    if is_window_covered(config, DataPeriod(int(histories.time.min()), int(histories.time.max())), when):
        return ""
    late = f" or within {lag_days} days after (settlement_lag_days)" if lag_days else ""
    return f"not judged, for the window ends on {day_text(until)}, and the data end before{late}"


def _predictions(first: _Side, second: _Side) -> pd.DataFrame:
    table = pd.DataFrame(index=first.user_ids)
    for name, scores in zip(SIDES, (first.scores(), second.scores()), strict=True):
        for column in _SHOWN:
            values = getattr(scores, column)
            table[f"{name}_{column}"] = values.astype(object) if column == "category" else values
    for column in ("expected_value", "score"):
        table[f"{column}_change"] = table[f"{CHALLENGER}_{column}"] - table[f"{CHAMPION}_{column}"]
    return table


def _realised(config: TrainingConfig, histories: Histories, when: int) -> pd.Series:
    values = realised_values(histories, np.array([when], dtype=np.int64), config.horizon_days, config.value)[:, 0]
    return pd.Series(floor_at_zero(values), index=pd.Index(histories.user_ids.to_pylist(), dtype="object"))


def _moves(customers: pd.DataFrame) -> pd.DataFrame:
    table = pd.crosstab(customers[f"{CHAMPION}_category"], customers[f"{CHALLENGER}_category"])
    return table.reindex(index=SEGMENTS, columns=SEGMENTS, fill_value=0).astype(int)


def _moved(customers: pd.DataFrame) -> pd.DataFrame:
    moved = customers[customers[f"{CHAMPION}_category"] != customers[f"{CHALLENGER}_category"]]
    return moved.loc[moved["score_change"].abs().sort_values(ascending=False, kind="stable").index]


def _effects(customers: pd.DataFrame, first: _Side, second: _Side) -> pd.DataFrame:
    """Split the changes of score by indicator; an indicator that a model does not read adds nothing to its score."""
    places = customers.index.get_indexer(_moved(customers).index[:MOST_EXPLAINED])
    different = _names_of_two_texts(first.model, second.model)
    before, after = (
        side.points(places, {BASE: f"{BASE} (indicator)", **{name: f"{name} ({of})" for name in different}})
        for side, of in ((first, CHAMPION), (second, CHALLENGER))
    )
    effects = after.subtract(before, fill_value=0.0)
    return effects[[*dict.fromkeys([*before.columns, *after.columns])]]


def _names_of_two_texts(first: TrainedModel, second: TrainedModel) -> set[str]:
    """Return the names of own indicators that the models declare in different texts, as they possibly differ."""
    if first.own is None or second.own is None or first.own.digest == second.own.digest:
        return set()
    return set(first.own.catalogue.names) & set(second.own.catalogue.names)


def _words(effects: pd.Series) -> str:
    largest = effects.loc[effects.abs().sort_values(ascending=False, kind="stable").index][:MOVED_BY]
    return ", ".join(f"{name} {signed_points(points, 3)}" for name, points in largest.items() if points)


def _judged(customers: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the quality of each model, the differences, the lift and the calibration."""
    realised = customers["realised"].to_numpy()
    if not len(realised) or not (realised > 0).any():
        raise NotEnoughDataError("nobody with a row by then is worth anything in the window, so nothing can be judged")
    predicted: dict[str, Floats] = {side: customers[f"{side}_expected_value"].to_numpy() for side in SIDES}
    tenths = {side: calibration_table(values, realised) for side, values in predicted.items()}
    quality = pd.DataFrame.from_dict(
        {
            side: vars(rank_metrics(values, realised)) | {"calibration_error": calibration_error(tenths[side])}
            for side, values in predicted.items()
        },
        orient="index",
    )
    lift = pl.concat([lift_curve(side, values, realised) for side, values in predicted.items()])
    calibration = pl.concat([table.with_columns(model=pl.lit(side)) for side, table in tenths.items()])
    return (
        quality,
        _differences(quality, predicted, realised),
        lift.to_pandas().pivot_table(index="customer_share", columns="name", values="value_share"),
        calibration.to_pandas().set_index(["decile", "model"]).sort_index(),
    )


def _differences(quality: pd.DataFrame, predicted: Mapping[str, Floats], realised: Floats) -> pd.DataFrame:
    """Judge both models on the same resamples of the customers, as the gate does; return differences and intervals."""
    best = PredictedOrder(realised, realised)
    ranked = [PredictedOrder(predicted[side], realised) for side in SIDES]
    rows = []
    for times in draws(len(realised), _SEED):
        gini, top = best.gini(times), best.top_value(times)
        figures = [(one.gini(times) / (gini or np.nan), one.top_value(times) / (top or np.nan)) for one in ranked]
        rows.append(np.subtract(figures[1], figures[0]))
    less = (1.0 - CONFIDENCE) / 2.0
    ends = pd.DataFrame(rows, columns=[*_RESAMPLED]).quantile([less, 1.0 - less]).set_axis(["low", "high"])
    names = [*_RESAMPLED, "calibration_error"]
    difference = quality.loc[CHALLENGER, names] - quality.loc[CHAMPION, names]
    return pd.DataFrame({"difference": difference}).join(ends.T)
