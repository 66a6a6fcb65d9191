"""Drift: recently scored customers against those that the model learnt from, compared by counts alone."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US, day_text
from fivefold.features.histories import Integers
from fivefold.models.drift import LEAST_CUSTOMERS, DriftReference, stability_index, stability_verdict
from fivefold.models.value_model import ValueModel
from fivefold.store.monitoring import drift_counts as watching
from fivefold.store.sql.database import reading, writing

_NAME_CHARACTERS = 170


@dataclass(frozen=True)
class ColumnDrift:
    """How far one column has drifted.

    Attributes:
        index: the population stability index; None where `customers` are too few.
        verdict: `stable`, `moving`, `shifted` or `unknown`.
        customers: how many different customers were scored at least: the most that one worker counted in one week.
            Other workers and weeks may have counted the same ones.
    """

    name: str
    index: float | None
    verdict: str
    customers: int


def drift_key(name: str, model: ValueModel) -> str:
    """Return the key under which a model's customers are counted; in a rebuilt registry its number may be another's.

    Earlier releases counted answers by day, under keys without the last word: these are not added to customers.
    """
    return f"{name[:_NAME_CHARACTERS]}@{model.content_hash[:16]} weekly"


def week_of(at_us: int) -> str:
    """Return the Monday of a moment's week, such as 2026-11-16: customers are counted once a week."""
    day = at_us // DAY_US
    return day_text((day - (day + 3) % 7) * DAY_US)[:10]  # 1970-01-01 was a Thursday


def keep_counts(engine: Engine, worker: str, model: str, version: int, day: str, counts: Integers) -> None:
    """Store a worker's counts of the week that begins on a day, in place of its earlier counts of that week."""
    with writing(engine) as session:
        watching.store_counts(session, worker, model, version, day, counts.tolist())


def measure_drift(
    engine: Engine, reference: DriftReference, model: str, version: int, since_day: str
) -> list[ColumnDrift]:
    """Compare all counts since a day (such as 2026-11-20) with the reference, the largest drift first."""
    with reading(engine) as session:
        counts_kept = watching.counts_since(session, model, version, since_day)
    each = [np.array(counts, dtype=np.int64) for counts in counts_kept]
    total = sum(each, reference.empty())
    customers = max((int(counts[-1].sum()) for counts in each), default=0)
    text = [
        _drift(name, expected, counted, customers)
        for name, expected, counted in zip(reference.names, reference.counts, total, strict=True)
    ]
    return sorted(text, key=lambda drift: (-(drift.index or 0.0), drift.name))


def _drift(name: str, expected: Integers, counted: Integers, customers: int) -> ColumnDrift:
    index = stability_index(expected, counted) if customers >= LEAST_CUSTOMERS else None
    return ColumnDrift(name, index, stability_verdict(index), customers)
