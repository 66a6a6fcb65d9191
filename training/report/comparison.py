"""The comparison that is stored with a version: the version and the one that it was judged against, on one window."""

from dataclasses import dataclass
from math import isfinite

import numpy as np
import polars as pl

from fivefold.domain.segments import SEGMENTS
from fivefold.features.histories import Floats
from fivefold.models.comparison import (
    Advantage,
    CalibrationGroup,
    IndicatorEffect,
    RankQuality,
    SegmentGroup,
    SegmentMove,
    VersionComparison,
    VersionSide,
)
from fivefold.models.explain import explain
from fivefold.models.value_model import ValueModel
from fivefold.training.judging.evaluate import Evaluation
from fivefold.training.judging.gate import GateVerdict
from fivefold.training.judging.metrics import calibration_error, calibration_table, segment_table
from fivefold.training.judging.predictions import WindowPredictions

EXPLAINED_CUSTOMERS = 2_000
DECIMALS = 6


@dataclass(frozen=True)
class Rival:
    """The version that another one is judged against, with what it predicts for the customers of the window."""

    number: int
    model: ValueModel
    predicted: Floats


def compare_versions(
    model: ValueModel,
    test_window: WindowPredictions,
    evaluation: Evaluation,
    verdict: GateVerdict,
    rival: Rival | None,
    served: ValueModel | None = None,
) -> VersionComparison:
    """Compare a version with its rival, on the customers of the window that it was judged on.

    *served* is the registered model, which may be a refit of *model*; all figures are of *model*.
    """
    segments = model.segments_of(model.curve.score(test_window.predicted))
    compared = evaluation.comparisons
    explained = test_window.matrix[:EXPLAINED_CUSTOMERS]
    return VersionComparison(
        as_of_us=model.test_as_of,
        until_us=model.test_window_ends,
        customers=evaluation.customers,
        explained=len(explained),
        currency=model.currency,
        quality={
            name: RankQuality(**{metric: _finite(value) for metric, value in vars(metrics).items()})
            for name, metrics in evaluation.by_name.items()
        },
        advantages={
            name: Advantage(difference=one.difference, low=one.low)
            for name, one in compared.gini.items()
            if isfinite(one.difference) and isfinite(one.low)
        },
        confidence=compared.confidence,
        times_judged=compared.times_judged,
        lift={
            name: [round(share, DECIMALS) for share in evaluation.lift.filter(pl.col("name") == name)["value_share"]]
            for name in evaluation.lift["name"].unique(maintain_order=True)
        },
        version=_side(None, evaluation.calibration, evaluation.segments),
        rival=None if rival is None else _rival_side(rival, test_window),
        moves=[] if rival is None else _moves(rival, segments, test_window),
        effects=_effects(model, None if rival is None else rival.model, explained),
        promote=verdict.promote,
        reasons=verdict.reasons,
        refitted_until_us=None if served is None or served is model else served.test_as_of,
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or not isfinite(value) else value


def _side(number: int | None, calibration: pl.DataFrame, segments: pl.DataFrame) -> VersionSide:
    return VersionSide(
        version=number,
        calibration=[CalibrationGroup(**row) for row in calibration.to_dicts()],
        calibration_error=_finite(calibration_error(calibration)),
        segments=[SegmentGroup(**row) for row in segments.to_dicts()],
    )


def _rival_side(rival: Rival, test_window: WindowPredictions) -> VersionSide:
    by_rival = rival.model.segments_of(rival.model.curve.score(rival.predicted))
    return _side(
        rival.number,
        calibration_table(rival.predicted, test_window.realised),
        segment_table(by_rival, test_window.realised),
    )


def _moves(rival: Rival, segments: np.ndarray, test_window: WindowPredictions) -> list[SegmentMove]:
    by_rival = rival.model.segments_of(rival.model.curve.score(rival.predicted))
    return [
        SegmentMove(
            before=before,
            after=after,
            customers=int(there.sum()),
            predicted_mean=float(test_window.predicted[there].mean()),
            realised_mean=float(test_window.realised[there].mean()),
        )
        for before in SEGMENTS
        for after in SEGMENTS
        if (there := (by_rival == before) & (segments == after)).any()
    ]


def _effects(model: ValueModel, rival: ValueModel | None, matrix: Floats) -> list[IndicatorEffect]:
    """Return each indicator's mean absolute points; a rival, if any, has the same indicators."""
    own = np.abs(explain(model, matrix, threads=0).points).mean(axis=0)
    theirs = None if rival is None else np.abs(explain(rival, matrix, threads=0).points).mean(axis=0)
    effects = [
        IndicatorEffect(
            name=indicator.name,
            label=indicator.label,
            family=indicator.family,
            points=float(own[place]),
            rival=None if theirs is None else float(theirs[place]),
        )
        for place, indicator in enumerate(model.catalogue.indicators)
    ]
    return sorted(effects, key=lambda effect: (-effect.points, effect.name))
