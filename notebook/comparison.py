"""Two value models side by side on the same customers: rank, lift, calibration, and who changes segment."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import polars as pl

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import ConfigError, NotEnoughDataError
from fivefold.domain.segments import SEGMENTS
from fivefold.features.histories import Floats
from fivefold.features.reading.sources import read_histories
from fivefold.models.scoring import score_histories
from fivefold.models.value_model import ValueModel as TrainedModel
from fivefold.notebook.transactions import AnyTransactions, Moment, frame_html, moment_of, source_of
from fivefold.notebook.value import ValueModel
from fivefold.training.config import ValueSettings
from fivefold.training.judging.metrics import calibration_table, lift_curve, rank_metrics
from fivefold.training.target import floor_at_zero, realised_values

SIDES = ("champion", "challenger")


@dataclass(frozen=True)
class ModelComparison:
    """Two models on the same customers, over a window whose end is known; a notebook shows the tables.

    Attributes:
        customers: by `user_id`: what each model predicts, and what they were worth: `realised`, money.
        quality: by model: normalised Gini, top-decile capture, Spearman.
        lift: by share of the customers, from the best down: the share of all value that they hold, for each model.
        calibration: by tenth of the customers and model: predicted and realised money.
        moves: from the champion's segment (rows) to the challenger's (columns), customers.
    """

    customers: pd.DataFrame
    quality: pd.DataFrame
    lift: pd.DataFrame
    calibration: pd.DataFrame
    moves: pd.DataFrame

    def changed(self) -> pd.DataFrame:
        """Give the customers whose segment differs, those whose score differs most first."""
        frame = self.customers
        moved = frame[frame["champion_category"] != frame["challenger_category"]]
        size = (moved["challenger_score"] - moved["champion_score"]).abs()
        return moved.loc[size.sort_values(ascending=False, kind="stable").index]

    def __repr__(self) -> str:
        """Say how well each ranks, and how many change segment."""
        gini = self.quality["normalised_gini"]
        ranks = ", ".join(f"{side} {gini[side]:.4f}" for side in SIDES)
        return (
            f"<normalised Gini of {len(self.customers):,} customers: {ranks}; {len(self.changed()):,} change segment>"
        )

    def _repr_html_(self) -> str:
        """Show in a notebook how well each ranks, and who moves."""
        return "".join(frame_html(frame) for frame in (self.quality, self.moves, self.calibration))


def compare(
    champion: ValueModel,
    challenger: ValueModel,
    transactions: AnyTransactions,
    *,
    as_of: Moment,
    columns: Mapping[str, str] | None = None,
) -> ModelComparison:
    """Judge two models on what came after a moment that neither may have learnt from.

    Args:
        champion: one of them.
        challenger: the other one; it must predict the same: horizon, fees, margin and currency.
        transactions: whole histories, until the end of the window at least.
        as_of: both predict from what was known then; the window is the horizon after it.
        columns: as in `read_transactions`.

    Raises:
        ConfigError: the models predict different things, one of them learnt from the window, or the data end
            before it does.
        NotEnoughDataError: nobody has a row by then, or nobody is worth anything in the window.
    """
    when, models = moment_of(as_of), (champion.trained, challenger.trained)
    _refuse_incomparable(models, when)
    source = source_of(transactions, columns)
    tables = []
    for side, model in zip(SIDES, models, strict=True):
        histories = read_histories(source, model.rates, absent=model.absent)
        table = score_histories(model, histories, when).table
        tables.append(table.select("user_id", *(pl.col(name).alias(f"{side}_{name}") for name in _SHOWN)))
    until = when + models[0].horizon_days * DAY_US
    if not histories.rows or int(histories.time.max()) < until - DAY_US:
        raise ConfigError(f"the window ends on {day_text(until)}, and the data end before; give an earlier as_of")
    days = models[0].horizon_days
    fees = ValueSettings(**{name: models[0].definition[name] for name in ValueSettings.model_fields})
    realised = realised_values(histories, np.array([when], dtype=np.int64), days, fees)[:, 0]
    worth = pl.DataFrame({"user_id": histories.user_ids.to_pylist(), "realised": floor_at_zero(realised)})
    joined = tables[0].join(tables[1], on="user_id", maintain_order="left").join(worth, on="user_id")
    return _laid_out(joined)


_SHOWN = ("expected_value", "score", "category")


def _refuse_incomparable(models: tuple[TrainedModel, TrainedModel], when: int) -> None:
    first, second = models
    if dict(first.definition) != dict(second.definition):
        raise ConfigError(
            f"the two models predict different things: {dict(first.definition)} and {dict(second.definition)}"
        )
    for side, model in zip(SIDES, models, strict=True):
        if model.test_as_of > when:
            raise ConfigError(
                f"as_of is {day_text(when)}, and the {side} learnt from what happened until "
                f"{day_text(model.test_as_of)}: give that day, or a later one"
            )


def _laid_out(joined: pl.DataFrame) -> ModelComparison:
    realised = joined["realised"].to_numpy()
    if not len(realised) or not (realised > 0).any():
        raise NotEnoughDataError("nobody with a row by then is worth anything in the window, so nothing can be judged")
    predicted: dict[str, Floats] = {side: joined[f"{side}_expected_value"].to_numpy() for side in SIDES}
    quality = {side: vars(rank_metrics(values, realised)) for side, values in predicted.items()}
    lift = pl.concat([lift_curve(side, values, realised) for side, values in predicted.items()])
    calibration = [
        calibration_table(values, realised).with_columns(model=pl.lit(side)) for side, values in predicted.items()
    ]
    moves = joined.group_by("champion_category", "challenger_category").len().to_pandas()
    table = moves.pivot_table(
        index="champion_category", columns="challenger_category", values="len", fill_value=0, aggfunc="sum"
    )
    return ModelComparison(
        customers=joined.to_pandas().set_index("user_id"),
        quality=pd.DataFrame.from_dict(quality, orient="index"),
        lift=lift.to_pandas().pivot_table(index="customer_share", columns="name", values="value_share"),
        calibration=pl.concat(calibration).to_pandas().set_index(["decile", "model"]).sort_index(),
        moves=table.reindex(index=SEGMENTS, columns=SEGMENTS, fill_value=0).astype(int),
    )
