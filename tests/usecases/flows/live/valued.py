"""A value that tests can tell: it follows from how many payments there were; all else is what a worker does."""

import numpy as np
import polars as pl
import pytest

from fivefold.features.histories import Histories
from fivefold.models.value_model import ValueModel
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.language.expressions import VALUES
from fivefold.usecases.levels.value_scores import EntityScorer
from tests.models.making import model_of_amounts
from tests.usecases.banks import Bank

SEGMENTS = ("medium", "top")
SCORES = {"medium": 2.5, "top": 4.5}


def segment_of(payments: int) -> str | None:
    """Give the segment by how many payments there were; None before the first, when there is no value."""
    return SEGMENTS[payments % 2] if payments else None


def _predicted(model: ValueModel, histories: Histories, as_of: int) -> pl.DataFrame:
    """Predict as `risk.facts.value_inputs.value_frame` does, by the number of rows alone."""
    del model
    customers = np.repeat(np.arange(len(histories.user_ids)), np.diff(histories.offsets))
    counts = np.bincount(customers[np.asarray(histories.time) <= as_of], minlength=len(histories.user_ids)).tolist()
    rows = []
    for user, count in zip(histories.user_ids.to_pylist(), counts, strict=True):
        if (segment := segment_of(count)) is not None:
            score = SCORES[segment]
            rows.append((user, score, segment, score * 10, score * 5, score * 20))
    kinds = [pl.String if name == "segment" else pl.Float64 for name in VALUES]
    return pl.DataFrame(rows, schema={ENTITY: pl.String, **dict(zip(VALUES, kinds, strict=True))}, orient="row")


def give_value(bank: Bank, patched: pytest.MonkeyPatch) -> None:
    """Let the bank's workers ask a value model, whose prediction alone is told by the test."""
    bank.valuer = EntityScorer(model_of_amounts(), "value", 1)
    patched.setattr("fivefold.usecases.levels.value_scores.value_frame", _predicted)
