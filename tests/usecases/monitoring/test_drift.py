"""Drift: counts of workers and days put together, and compared with the reference."""

from math import log
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.features.histories import Integers
from fivefold.models.drift import LEAST_CUSTOMERS, SHIFTED, STABLE, DriftReference
from fivefold.store.tables.accounts import DriftCount
from fivefold.usecases.monitoring.drift import ColumnDrift, keep_counts, measure_drift

NAMES = ("first", "second")
DAY = "2026-11-20"
random = np.random.default_rng(5)
MATRIX = random.normal(size=(1_000, 2))
SCORES = random.uniform(1, 5, 1_000)
REFERENCE = DriftReference.of(NAMES, MATRIX, SCORES)


def counted(matrix: Any, scores: Any) -> Integers:
    counts = REFERENCE.empty()
    REFERENCE.count(counts, matrix, scores)
    return counts


def keep(engine: Engine, counts: Integers, worker: str = "w", version: int = 1, day: str = DAY) -> None:
    keep_counts(engine, worker, "value", version, day, counts)


def measured(engine: Engine, version: int = 1, since: str = DAY) -> dict[str, ColumnDrift]:
    return {drift.name: drift for drift in measure_drift(engine, REFERENCE, "value", version, since)}


def plain_index(expected: list[int], actual: list[int]) -> float:
    """Siddiqi's formula, a bucket at a time; an empty bucket stands for a ten-thousandth."""
    total = 0.0
    for before, after in zip(expected, actual, strict=True):
        share_before = max(before / sum(expected), 1e-4)
        share_after = max(after / sum(actual), 1e-4)
        total += (share_after - share_before) * log(share_after / share_before)
    return total


def test_where_nothing_was_counted_nothing_is_known(engine: Engine) -> None:
    found = measured(engine)
    assert set(found) == {"first", "second", "score"}
    assert all((drift.index, drift.verdict, drift.customers) == (None, "unknown", 0) for drift in found.values())


@pytest.mark.parametrize(("customers", "verdict"), [(LEAST_CUSTOMERS - 1, "unknown"), (LEAST_CUSTOMERS, "stable")])
def test_too_few_customers_are_unknown(engine: Engine, customers: int, verdict: str) -> None:
    keep(engine, counted(MATRIX[:customers], SCORES[:customers]))
    found = measured(engine)
    assert {drift.verdict for drift in found.values()} == {verdict}
    assert {drift.customers for drift in found.values()} == {customers}
    assert all((drift.index is None) is (verdict == "unknown") for drift in found.values())


def test_the_same_portfolio_has_not_drifted(engine: Engine) -> None:
    keep(engine, counted(MATRIX, SCORES))
    assert [(drift.index, drift.verdict) for drift in measured(engine).values()] == [(0.0, "stable")] * 3


def test_the_index_is_that_of_the_formula(engine: Engine) -> None:
    matrix = MATRIX * np.array([1.5, 0.9]) + np.array([0.3, 0.0])
    matrix[:100, 1] = np.nan
    counts = counted(matrix, SCORES**0.9)
    keep(engine, counts)
    found = measured(engine)
    for number, name in enumerate((*NAMES, "score")):
        expected = plain_index(REFERENCE.counts[number].tolist(), counts[number].tolist())
        assert found[name].index == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("shift", "verdict"), [(0.1, "stable"), (0.4, "moving"), (1.0, "shifted")])
def test_a_shift_is_told_from_a_little_movement(engine: Engine, shift: float, verdict: str) -> None:
    keep(engine, counted(MATRIX + shift, SCORES))
    drift = measured(engine)["first"]
    assert drift.verdict == verdict
    assert drift.index is not None
    assert (drift.index >= STABLE, drift.index >= SHIFTED) == (verdict != "stable", verdict == "shifted")


def test_the_furthest_comes_first(engine: Engine) -> None:
    keep(engine, counted(MATRIX + np.array([0.0, 2.0]), SCORES))
    assert [drift.name for drift in measure_drift(engine, REFERENCE, "value", 1, DAY)] == ["second", "first", "score"]


def test_workers_and_days_are_put_together_and_versions_are_not(engine: Engine) -> None:
    parts = {("w", DAY): slice(0, 300), ("x", DAY): slice(300, 900), ("w", "2026-11-21"): slice(900, 1_000)}
    for (worker, day), part in parts.items():
        keep(engine, counted(MATRIX[part], SCORES[part]), worker, day=day)
    keep(engine, counted(MATRIX + 9, SCORES), version=2)
    keep(engine, counted(MATRIX + 9, SCORES), day="2026-11-19")
    keep_counts(engine, "w", "another", 1, DAY, counted(MATRIX + 9, SCORES))
    assert [(drift.index, drift.customers) for drift in measured(engine).values()] == [(0.0, 600)] * 3, (
        "x alone saw 600 different ones"
    )
    assert measured(engine, since="2026-11-21")["first"].customers == 100
    assert measured(engine, version=2)["first"].verdict == "shifted"


def test_few_customers_of_many_days_and_workers_stay_too_few(engine: Engine) -> None:
    """They may be the same ones."""
    for number in range(20):
        keep(engine, counted(MATRIX[:100] + 9, SCORES[:100]), f"w{number % 2}", day=f"2026-11-{20 + number // 2}")
    assert {(drift.verdict, drift.customers) for drift in measured(engine).values()} == {("unknown", 100)}


def test_what_a_worker_keeps_again_replaces_what_it_kept(engine: Engine) -> None:
    for customers in (600, 800):
        keep(engine, counted(MATRIX[:customers], SCORES[:customers]))
    assert measured(engine)["score"].customers == 800


def test_only_counts_are_stored(engine: Engine) -> None:
    counts = counted(MATRIX, SCORES)
    keep(engine, counts)
    with Session(engine) as session:
        (kept,) = session.scalars(select(DriftCount))
        assert (kept.worker, kept.model, kept.version, kept.day) == ("w", "value", 1, DAY)
        assert kept.counts == counts.tolist()
