"""The future never leaks: what happens after the test as-of changes no model, and after its window no figure."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fivefold.domain.clock import DAY_US, from_microseconds, to_microseconds
from fivefold.training.config import SnapshotSettings
from fivefold.training.retrain import TrainingResult
from tests.training.conftest import Learn

TEST = to_microseconds(pl.date_range(pl.date(2024, 7, 1), pl.date(2024, 7, 1), eager=True)[0])
ENDS = TEST + 90 * DAY_US


def before(moment: int) -> pl.Expr:
    return pl.col("transaction_date") <= from_microseconds(moment).replace(tzinfo=None)


@pytest.fixture
def outcome(learn: Learn, file: Path) -> TrainingResult:
    return learn(file, test_as_of=TEST)


def figures(outcome: TrainingResult) -> dict[str, float]:
    return outcome.evaluation.registered_metrics()


def test_rows_after_the_test_window_change_neither_the_model_nor_a_figure(
    outcome: TrainingResult, learn: Learn, frame: pl.DataFrame
) -> None:
    cut = learn(frame.filter(before(ENDS)), test_as_of=TEST)
    assert len(frame.filter(~before(ENDS))) > 1_000
    assert cut.model.content_hash == outcome.model.content_hash
    assert figures(cut) == figures(outcome)


def garbage(frame: pl.DataFrame, after: int) -> pl.DataFrame:
    """Make wild rows of known customers, and of new ones, later than a moment."""
    random = np.random.default_rng(5)
    wild = frame.sample(3_000, seed=5, with_replacement=True).with_columns(
        user_balance=pl.Series(random.normal(scale=1e7, size=3_000)),
        transaction_amount=pl.Series(random.normal(scale=1e7, size=3_000)),
        transaction_date=pl.Series(after + 1 + random.integers(0, 80 * DAY_US, 3_000)).cast(pl.Datetime("us")),
        transaction_id=pl.concat_str(pl.lit("wild_"), pl.int_range(3_000).cast(pl.String)),
    )
    newcomers = wild.with_columns(user_id=pl.col("user_id") + "_new")
    return pl.concat([frame, wild, newcomers])


@pytest.mark.parametrize("most_rows", [1_000_000, 700])
def test_garbage_after_the_test_window_changes_neither_the_model_nor_a_figure(
    learn: Learn, frame: pl.DataFrame, most_rows: int
) -> None:
    snapshots = SnapshotSettings(most=6, most_rows=most_rows)
    clean = learn(frame, test_as_of=TEST, snapshots=snapshots)
    spoilt = learn(garbage(frame, ENDS), test_as_of=TEST, snapshots=snapshots)
    assert spoilt.model.content_hash == clean.model.content_hash
    assert figures(spoilt) == figures(clean)


def test_rows_inside_the_test_window_change_the_figures_only(
    outcome: TrainingResult, learn: Learn, frame: pl.DataFrame
) -> None:
    spoilt = learn(garbage(frame.filter(before(TEST) | ~before(ENDS)), TEST), test_as_of=TEST)
    assert spoilt.model.booster.model_to_string() == outcome.model.booster.model_to_string()
    assert spoilt.model.content_hash == outcome.model.content_hash
    changed = {name for name, value in figures(outcome).items() if figures(spoilt)[name] != value}
    assert {"model_normalised_gini", "persistence_normalised_gini", "segment_top_value_mean"} <= changed
    kept = {"test_customers", *(name for name in figures(outcome) if name.startswith("stability"))}
    assert not kept & changed


def test_rows_before_the_test_as_of_do_change_the_model(
    outcome: TrainingResult, learn: Learn, frame: pl.DataFrame
) -> None:
    spoilt = learn(garbage(frame, TEST - 100 * DAY_US), test_as_of=TEST)
    assert spoilt.model.content_hash != outcome.model.content_hash


def test_the_order_of_rows_within_customers_changes_nothing(
    outcome: TrainingResult, learn: Learn, frame: pl.DataFrame
) -> None:
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1).sort("user_id", maintain_order=True)
    assert learn(shuffled, test_as_of=TEST).model.content_hash == outcome.model.content_hash
