"""The choice among presets: it sees nothing after the test as-of, is repeatable, and keeps what a person set."""

from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fivefold.training.presets.choose as choosing
from fivefold.domain.clock import DAY_US, from_microseconds, to_microseconds
from fivefold.domain.text import percent
from fivefold.training.config import CheckSettings, SnapshotSettings, TrainingConfig, TreeSettings
from fivefold.training.data import TransactionSource
from fivefold.training.presets.choose import TIE, PresetChoice, PresetTrial, choose_preset
from fivefold.training.presets.named import PRESETS, Preset
from fivefold.training.report.preset_card import sampled_text
from tests.depth import SHARED_FIXTURES, examples

TEST = to_microseconds(datetime(2024, 10, 2))  # noqa: DTZ001 (no zone means UTC)
FEW = (
    PRESETS[0],
    Preset("leaves", "3 leaves", trees={"leaves": 3}),
    Preset("close", "dates 45 days apart", snapshots={"spacing_days": 45, "most": 3}),
)
LEARNT = CheckSettings(least_customers=20, least_active=10)

Chosen = Callable[..., PresetChoice]


@pytest.fixture(scope="module")
def frame(rows: pa.Table) -> pl.DataFrame:
    whole = pl.from_arrow(rows)
    assert isinstance(whole, pl.DataFrame)
    return whole.filter(pl.col("user_id").is_in(whole["user_id"].unique(maintain_order=True).head(120).implode()))


@pytest.fixture(scope="module")
def small(config: TrainingConfig) -> TrainingConfig:
    trees = TreeSettings(threads=1, rounds=4, min_rows_in_leaf=10)
    return config.model_copy(update={"trees": trees, "snapshots": SnapshotSettings(), "checks": LEARNT})


def chosen(
    frame: pl.DataFrame, config: TrainingConfig, presets: tuple[Preset, ...] = FEW, test: int = TEST
) -> PresetChoice:
    source = TransactionSource(frame, config.rate_table())
    return choose_preset(source, config, source.summary(config.seed), test, presets)


@pytest.fixture(scope="module")
def whole(frame: pl.DataFrame, small: TrainingConfig) -> PresetChoice:
    return chosen(frame, small)


def test_every_preset_is_tried_on_the_same_windows_which_end_by_the_test_as_of(
    whole: PresetChoice, small: TrainingConfig
) -> None:
    horizon = small.horizon_days * DAY_US
    assert whole.origins == (TEST - 3 * horizon, TEST - 2 * horizon, TEST - horizon)
    for each in FEW:
        trials = whole.of(each.name)
        assert tuple(trial.origin for trial in trials) == whole.origins
        assert [trial.customers for trial in trials] == [trial.customers for trial in whole.of("standard")]
        assert {trial.rounds for trial in trials} == {4}
    assert whole.of("close")[0].rows < whole.of("standard")[0].rows
    assert whole.of("leaves")[0].rows == whole.of("standard")[0].rows


@settings(max_examples=examples(12), deadline=None, suppress_health_check=SHARED_FIXTURES)
@given(
    kept=st.integers(0, 4),
    factor=st.sampled_from([-3.0, 0.0, 0.01, 1000.0]),
    newcomers=st.integers(0, 3),
    later_days=st.integers(1, 90),
)
def test_nothing_after_the_test_as_of_changes_the_choice(
    frame: pl.DataFrame,
    small: TrainingConfig,
    whole: PresetChoice,
    kept: int,
    factor: float,
    newcomers: int,
    later_days: int,
) -> None:
    """Rows of the test window go, come, or have other amounts, and other people come with them."""
    at = from_microseconds(TEST).replace(tzinfo=None)
    before, after = frame.filter(pl.col("transaction_date") <= at), frame.filter(pl.col("transaction_date") > at)
    after = after.gather_every(kept + 1).with_columns(pl.col("transaction_amount") * factor)
    strange = before.head(newcomers).with_columns(
        user_id="new_" + pl.col("transaction_id"),
        transaction_id="later_" + pl.col("transaction_id"),
        transaction_date=pl.lit(at + timedelta(days=later_days)).cast(pl.Datetime("us")),
        user_created=pl.lit(at).cast(pl.Datetime("us")),
    )
    changed = pl.concat([before, after, strange]).sort("user_id", "transaction_date", maintain_order=True)
    assert chosen(changed, small) == whole


def test_a_row_just_before_the_test_as_of_does_change_what_was_found(
    frame: pl.DataFrame, small: TrainingConfig, whole: PresetChoice
) -> None:
    """The property above could hold of a choice that reads nothing: this one shows that it reads up to the as-of."""
    at = from_microseconds(TEST).replace(tzinfo=None)
    last = (pl.col("transaction_date") <= at) & (pl.col("transaction_date") > at - timedelta(days=30))
    changed = frame.with_columns(
        transaction_amount=pl.when(last).then(pl.col("transaction_amount") * 50).otherwise("transaction_amount")
    )
    found = chosen(changed, small)
    assert found.of("standard")[-1] != whole.of("standard")[-1]
    assert found.of("standard")[:-1] == whole.of("standard")[:-1]


def test_the_choice_is_the_same_each_time(frame: pl.DataFrame, small: TrainingConfig, whole: PresetChoice) -> None:
    assert chosen(frame, small) == whole
    assert chosen(frame, small).config == whole.config


def test_the_rows_of_a_choice_are_bounded_and_the_sample_is_the_same_each_time(
    frame: pl.DataFrame, small: TrainingConfig, whole: PresetChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "MOST_ROWS", 600)
    found = chosen(frame, small)
    dates = 24 + 3  # at the most; every customer has a row at each
    assert max(trial.customers for trial in found.trials) < max(trial.customers for trial in whole.trials)
    assert max(trial.rows for trial in found.trials) <= 600
    assert max(trial.customers for trial in found.trials) * dates > 300
    assert chosen(frame, small) == found


def test_a_window_has_as_many_customers_as_there_are_not_as_many_as_were_sampled(
    frame: pl.DataFrame, small: TrainingConfig, whole: PresetChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "MOST_ROWS", 600)
    known, active = [], []
    for origin in whole.origins:
        first, last = (from_microseconds(moment).replace(tzinfo=None) for moment in (origin, origin + 90 * DAY_US))
        customers = frame.filter(pl.col("transaction_date") <= first)["user_id"].unique()
        known.append(len(customers))
        within = (pl.col("transaction_date") > first) & (pl.col("transaction_date") <= last)
        counts = within & pl.col("transaction_state").is_in(["COMPLETED", "SUCCEEDED"])
        active.append(frame.filter(counts & pl.col("user_id").is_in(customers.implode()))["user_id"].n_unique())
    checks = CheckSettings(least_customers=min(known), least_active=min(active))
    found = chosen(frame, small.model_copy(update={"checks": checks}))
    assert found.origins == whole.origins
    assert 0 < max(trial.customers for trial in found.trials) < min(known)
    assert 0 < found.share < 1 == whole.share
    assert sampled_text(found) == f", a sample of {percent(found.share)} of all"
    assert sampled_text(whole) == ""
    for stricter in ({"least_customers": min(known) + 1}, {"least_active": min(active) + 1}):
        less = chosen(frame, small.model_copy(update={"checks": checks.model_copy(update=stricter)}))
        assert len(less.origins) < len(whole.origins)


def trials_of(**marks: list[float]) -> Callable[..., list[PresetTrial]]:
    def trials(*_: object) -> list[PresetTrial]:
        return [
            PresetTrial(
                preset=name,
                origin=number,
                customers=100,
                rows=1000,
                rounds=7,
                normalised_gini=mark,
                top_decile_capture=mark,
            )
            for name, found in marks.items()
            for number, mark in enumerate(found)
        ]

    return trials


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ({"standard": [0.5, 0.5], "leaves": [0.5, 0.5], "close": [0.5, 0.5]}, "standard"),
        ({"standard": [0.5, 0.5], "leaves": [0.5, 0.5 + 2 * TIE], "close": [0.5, 0.5]}, "standard"),
        ({"standard": [0.5, 0.5], "leaves": [0.5, 0.5 + 2.1 * TIE], "close": [0.5, 0.5]}, "leaves"),
        ({"standard": [0.5, 0.5], "leaves": [0.6, 0.6], "close": [0.6, 0.6 + TIE]}, "leaves"),
        ({"standard": [0.5, 0.5], "leaves": [0.6, 0.6], "close": [0.7, 0.6]}, "close"),
        ({"standard": [0.5], "leaves": [0.5 + 0.75 * TIE], "close": [0.5 + 1.5 * TIE]}, "leaves"),
        ({"standard": [0.5], "leaves": [0.5 - TIE / 2], "close": [0.5 + 1.5 * TIE]}, "close"),
        ({"standard": [0.5], "leaves": [float("nan")], "close": [0.5]}, "standard"),
        ({"standard": [0.9, 0.1], "leaves": [0.3, 0.3], "close": [0.8, 0.19]}, "standard"),
    ],
)
def test_a_tie_goes_to_the_simpler_preset(
    marks: dict[str, list[float]],
    expected: str,
    frame: pl.DataFrame,
    small: TrainingConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choosing, "_trials", trials_of(**marks))
    found = chosen(frame, small)
    assert found.preset == expected
    assert found.config == next(each for each in FEW if each.name == expected).over(small)
    assert found.reason.startswith(expected)


@pytest.mark.parametrize("days", [100, 200, 269])
def test_with_too_little_history_small_trees_are_taken_and_that_is_said(
    days: int, frame: pl.DataFrame, small: TrainingConfig
) -> None:
    first = from_microseconds(TEST - days * DAY_US).replace(tzinfo=None)
    few = frame.filter(pl.col("transaction_date") > first)
    found = chosen(few, small, PRESETS)
    assert (found.preset, found.trials, found.config) == ("small-trees", (), PRESETS[1].over(small))
    assert chosen(few, small).preset == "standard"  # where small trees are not among the presets
    assert found.reason == (
        "the history before 2024-10-02 is too short to try presets: that needs three windows of 90 days, one to judge "
        "on, one to find the number of rounds and one to learn from"
    )


@pytest.mark.parametrize(
    ("changes", "dates", "days", "horizon"),
    [({"horizon_days": 170}, 12, 165, 170), ({"snapshots": SnapshotSettings(most=6)}, 6, 75, 90)],
)
def test_a_preset_whose_dates_span_less_than_a_horizon_is_left_out_and_the_others_are_tried(
    changes: dict[str, object], dates: int, days: int, horizon: int, frame: pl.DataFrame, small: TrainingConfig
) -> None:
    found = chosen(frame, small.model_copy(update=changes), PRESETS)
    assert found.trials
    assert "recent" not in {each.name for each in found.presets} | {each.preset for each in found.trials}
    assert found.reason.startswith(f"{found.preset}: ")
    assert found.reason.endswith(
        f"; recent cannot be tried: its last {dates} dates, 15 days apart, span {days} days, and to find its number of "
        f"rounds they must span the horizon of {horizon}"
    )


def test_where_one_preset_is_left_or_none_that_is_said(frame: pl.DataFrame, small: TrainingConfig) -> None:
    trees = TreeSettings(threads=1, rounds=4, min_rows_in_leaf=10, leaves=5, learning_rate=0.1, tweedie_power=1.3)
    one = chosen(frame, small.model_copy(update={"trees": trees, "snapshots": SnapshotSettings(most=6)}), PRESETS)
    assert (one.preset, one.trials) == ("standard", ())
    assert one.reason.startswith("it alone is left to choose; recent cannot be tried: ")
    none = chosen(frame, small.model_copy(update={"snapshots": SnapshotSettings(most=2)}), PRESETS)
    assert (none.preset, none.trials) == ("small-trees", ())
    assert none.reason.startswith("no preset can be tried; standard cannot be tried: its last 2 dates, 30 days apart")
    assert none.config == PRESETS[1].over(small.model_copy(update={"snapshots": SnapshotSettings(most=2)}))


def test_a_history_of_three_windows_gives_one_origin(frame: pl.DataFrame, small: TrainingConfig) -> None:
    first = from_microseconds(TEST - 275 * DAY_US).replace(tzinfo=None)
    found = chosen(frame.filter(pl.col("transaction_date") > first), small)
    assert found.origins == (TEST - 90 * DAY_US,)
    assert "on 1 earlier window" in found.reason


def test_with_too_few_customers_small_trees_are_taken_and_that_is_said(
    frame: pl.DataFrame, small: TrainingConfig
) -> None:
    found = chosen(frame, small.model_copy(update={"checks": CheckSettings(least_customers=1000)}), PRESETS)
    assert (found.preset, found.trials) == ("small-trees", ())
    assert "too few customers" in found.reason
    assert "1,000 (checks.least_customers)" in found.reason


def test_what_a_person_set_is_kept_by_every_preset_and_what_comes_to_the_same_is_tried_once(
    frame: pl.DataFrame, small: TrainingConfig
) -> None:
    mine = small.model_copy(update={"trees": TreeSettings(threads=1, rounds=4, min_rows_in_leaf=10, leaves=5)})
    found = chosen(frame, mine)
    assert [each.name for each in found.presets] == ["standard", "close"]
    assert found.config.trees.leaves == 5
    fixed = mine.model_copy(update={"snapshots": SnapshotSettings(spacing_days=60, most=4)})
    nothing_left = chosen(frame, fixed)
    assert (nothing_left.preset, nothing_left.trials, nothing_left.config) == ("standard", (), fixed)
    assert "leave nothing to choose" in nothing_left.reason


def test_a_settlement_lag_holds_at_every_origin(frame: pl.DataFrame, small: TrainingConfig) -> None:
    """Who is known only by rows of the last days before an origin is not predicted for."""
    found = chosen(frame, small.model_copy(update={"settlement_lag_days": 30}))
    plain = chosen(frame, small)
    for one, days in ((found, 30), (plain, 0)):
        for trial in one.of("standard"):
            seen = from_microseconds(trial.origin - days * DAY_US).replace(tzinfo=None)
            assert trial.customers == frame.filter(pl.col("transaction_date") <= seen)["user_id"].n_unique()
    assert [trial.customers for trial in found.trials] != [trial.customers for trial in plain.trials]
