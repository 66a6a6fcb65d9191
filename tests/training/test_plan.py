"""What a run looks at before it learns: wrong dates, thin windows, repeats, rows that come late."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from fivefold.domain.clock import DAY_US, from_microseconds, to_microseconds
from fivefold.domain.errors import ConfigError, InvalidDataError, NotEnoughDataError
from fivefold.features.indicator_matrix import catalogue, indicator_matrix
from fivefold.features.reading.sources import read_histories
from fivefold.training.config import CheckSettings, TrainingConfig, TreeSettings, ValueSettings
from fivefold.training.data import TransactionSource, sampling_keys, training_rows
from fivefold.training.dates import choose_dates
from fivefold.training.plan import TrainingPlan, has_rates_of, make_plan
from fivefold.training.target import realised_values
from tests.training.conftest import Learn

NOW = to_microseconds(datetime(2025, 1, 10))  # noqa: DTZ001 (no zone means UTC)

Planned = Callable[..., TrainingPlan]


@pytest.fixture
def plan(config: TrainingConfig) -> Planned:
    def planned(source: Any, **changes: Any) -> TrainingPlan:
        changed = config.model_copy(update=changes)
        return make_plan(TransactionSource(source, changed.rate_table(), NOW), changed)

    return planned


def with_row(frame: pl.DataFrame, day: str, position: int = 100) -> pl.DataFrame:
    """Date one row of one customer otherwise."""
    wrong = pl.lit(day).str.to_datetime(time_unit="us")
    number = pl.int_range(pl.len())
    dates = pl.when(number == position).then(wrong).otherwise("transaction_date").alias("transaction_date")
    return frame.with_columns(dates)


def test_one_row_dated_2029_is_refused_by_number_and_moves_no_window(frame: pl.DataFrame, plan: Planned) -> None:
    with pytest.raises(
        InvalidDataError, match=r"row 100: transaction_date is in the future; allowed: a time up to 2025"
    ):
        plan(with_row(frame, "2029-03-01"))


def test_a_row_of_tomorrow_is_taken_as_in_serving(frame: pl.DataFrame, plan: Planned) -> None:
    tomorrow = from_microseconds(NOW + DAY_US).replace(tzinfo=None).isoformat()
    assert plan(with_row(frame, tomorrow)).summary.period.last == NOW + DAY_US


def test_a_file_is_refused_as_well_and_names_every_row(frame: pl.DataFrame, plan: Planned, tmp_path: Path) -> None:
    with_row(with_row(frame, "2029-03-01"), "2031-01-01", 105).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(InvalidDataError, match=r"2 problems in .*rows.parquet(.|\n)*rows 101, 106"):
        plan(tmp_path / "rows.parquet")


def test_one_late_row_that_is_not_in_the_future_is_refused_with_the_day_on_which_the_data_really_end(
    frame: pl.DataFrame, plan: Planned, config: TrainingConfig
) -> None:
    """The data end with 2024; a single row of April 2026 would have moved the test window to January 2026."""
    changed = with_row(frame, "2026-04-01")
    later = make_plan(TransactionSource(changed, config.rate_table(), to_microseconds(datetime(2026, 5, 1))), config)  # noqa: DTZ001 (as above)
    with pytest.raises(NotEnoughDataError) as caught:
        later.check()
    said = str(caught.value)
    assert "the test window 2026-01-01 to 2026-04-01 has 1 known customer with a settled row; it needs 30" in said
    assert "has 1 row, and windows of 90 days before it, but for those with hardly a row, usually " in said
    assert "is the export whole? The bulk of the data ends on 2024-12-" in said
    assert "The bulk of the data ends on 2025-" in said or "The bulk of the data ends on 2024-12" in said
    assert "give test_as_of: 202" in said
    assert plan(frame).refusals == ()


def test_a_handful_of_customers_is_no_portfolio(frame: pl.DataFrame, plan: Planned, learn: Learn) -> None:
    one = frame.filter(pl.col("user_id") == frame["user_id"][0])
    said = " ".join(plan(one).refusals)
    assert "has 1 known customer;" in said
    assert "a percentile needs 100 (checks.least_customers)" in said
    with pytest.raises(NotEnoughDataError, match="nothing was learnt from these data:"):
        learn(one)


def test_the_least_can_be_set(frame: pl.DataFrame, plan: Planned) -> None:
    some = frame.filter(pl.col("user_id").is_in(frame["user_id"].unique(maintain_order=True).head(60)))
    assert plan(some).refusals
    assert plan(some, checks=CheckSettings(least_customers=10, least_active=5)).refusals == ()


def test_every_row_twice_without_an_identifier_is_refused(frame: pl.DataFrame, plan: Planned) -> None:
    bare = frame.drop("transaction_id")
    twice = pl.concat([bare, bare]).sort("user_id", "transaction_date", maintain_order=True)
    found = plan(twice)
    assert found.summary.quality.repeated == len(frame)
    assert "(50.0 %) repeat another row of their customer in everything" in found.refusals[0]
    assert "remove the repeats, add transaction_id" in found.refusals[0]
    allowed = plan(twice, checks=CheckSettings(most_repeated_share=0.6))
    assert allowed.refusals == ()
    assert "repeat another row" in allowed.warnings[0]
    assert plan(bare).summary.quality.repeated == 0
    few = plan(pl.concat([bare, bare[:2]]).sort("user_id", "transaction_date", maintain_order=True))
    assert few.refusals == ()
    (warned,) = (text for text in few.warnings if "repeat another row" in text)
    assert warned.startswith(f"2 of {len(bare) + 2:,} rows (<0.1 %) repeat another row"), "few are named, too"


def test_every_row_twice_with_identifiers_counts_once(frame: pl.DataFrame, plan: Planned) -> None:
    found = plan(pl.concat([frame, frame]).sort("user_id", "transaction_date", maintain_order=True))
    assert found.summary.rows == len(frame)
    assert found.refusals == found.warnings == ()


def test_repeats_are_seen_where_rows_have_no_identifier_in_every_kind_of_source(
    frame: pl.DataFrame, file: Path, config: TrainingConfig, tmp_path: Path
) -> None:
    few = frame.head(50)
    twice = pl.concat([few, few]).sort("user_id", "transaction_date", maintain_order=True)
    bare, empty = twice.drop("transaction_id"), twice.with_columns(transaction_id=pl.lit(None, pl.String))
    ours = twice.rename({"transaction_id": "parent_transaction_id"})
    for name, table in {"bare": bare, "empty": empty, "ours": ours, "with": twice}.items():
        table.write_csv(tmp_path / f"{name}.csv")
        table.write_parquet(tmp_path / f"{name}.parquet")

    def repeated(source: Any) -> int:
        return TransactionSource(source, config.rate_table(), NOW).summary().quality.repeated

    def spelt(table: pl.DataFrame) -> list[dict[str, Any]]:
        return table.with_columns(pl.col(pl.Datetime).dt.to_string("iso:strict")).to_dicts()

    lacking = [bare, empty, ours, empty.to_arrow(), spelt(empty)]
    lacking += [tmp_path / f"{name}.{suffix}" for name in ("bare", "empty", "ours") for suffix in ("csv", "parquet")]
    having = [twice, twice.to_arrow(), spelt(twice), tmp_path / "with.csv", tmp_path / "with.parquet"]
    assert [repeated(source) for source in lacking] == [len(few)] * len(lacking)
    assert [repeated(source) for source in having] == [0] * len(having)
    assert read_histories(file, config.rate_table()).identified, "rows in order are read in another way"
    partly = twice.with_columns(transaction_id=pl.when(pl.int_range(pl.len()) > 1).then("transaction_id"))
    assert repeated(partly) == 1, "the other rows that repeat one are removed"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"user_balance": pl.lit(0.0)}, "every balance is 0"),
        ({"user_created": pl.lit(datetime(2025, 1, 1))}, "customers have user_created more than a day after"),  # noqa: DTZ001 (as above)
        ({"transaction_state": pl.lit("PENDING")}, "100.0 % of the rows are pending or failed"),
        ({"transaction_currency": pl.lit("USD")}, "no amount is in the base currency EUR; the most frequent are USD"),
    ],
)
def test_what_is_doubtful_is_said(frame: pl.DataFrame, plan: Planned, change: dict[str, pl.Expr], says: str) -> None:
    assert says in " ".join(plan(frame.with_columns(**change)).warnings)


def test_one_customer_with_most_of_the_rows_is_said(frame: pl.DataFrame, plan: Planned) -> None:
    first = frame.filter(pl.col("user_id") == frame["user_id"][0]).drop("transaction_id")
    many = pl.concat([first.with_columns(transaction_amount=pl.lit(float(number))) for number in range(400)])
    assert "one customer has" in " ".join(
        plan(pl.concat([many, frame.drop("transaction_id").slice(len(first))])).warnings
    )


def test_the_plan_counts_customers_and_rows_of_every_window(frame: pl.DataFrame, plan: Planned) -> None:
    windows = plan(frame).rows.windows
    moments = frame.with_columns(at=pl.col("transaction_date").dt.epoch("us"))
    for number, as_of in enumerate(windows.as_of.tolist()):
        within = moments.filter((pl.col("at") > as_of) & (pl.col("at") <= as_of + 90 * DAY_US))
        assert windows.rows[number] == len(within)
        known = moments.filter(pl.col("at") <= as_of)["user_id"].unique()
        settled = within.filter(pl.col("transaction_state").fill_null("COMPLETED").is_in(["COMPLETED", "SUCCEEDED"]))
        assert windows.active[number] == settled.filter(pl.col("user_id").is_in(known.implode()))["user_id"].n_unique()
        assert windows.known_customers[number] == len(known)


def test_the_plan_is_shown_before_anything_is_fitted(
    learn: Learn, file: Path, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fivefold.training import retrain as retraining

    seen: list[TrainingPlan] = []

    def fitting(*_: object) -> None:
        raise AssertionError("fitted before the plan was shown" if not seen else "fitted")

    monkeypatch.setattr(retraining, "fit", fitting)
    with pytest.raises(AssertionError, match=r"^fitted$"):
        retraining.retrain(file, config, _NoChampion(), show=seen.append)
    assert seen[0].dates.test == to_microseconds(datetime(2024, 10, 2))  # noqa: DTZ001 (no zone means UTC)


class _NoChampion:
    def champion(self) -> None:
        return None


def test_a_settlement_lag_leaves_the_last_days_out_of_windows_and_indicators(
    file: Path, frame: pl.DataFrame, config: TrainingConfig
) -> None:
    lagged = config.model_copy(update={"settlement_lag_days": 5})
    portfolio = TransactionSource(file, config.rate_table())
    summary = portfolio.summary()
    plain, late = (choose_dates(one, summary.period) for one in (config, lagged))
    assert plain.test - late.test == 5 * DAY_US
    found = training_rows(portfolio, late, lagged, summary)
    histories = read_histories(file, config.rate_table())
    for moment in late.training.tolist():
        matrix, seen = indicator_matrix(histories, moment - 5 * DAY_US)
        values = realised_values(histories, np.array([moment]), 90, config.value)[seen > 0, 0]
        at = found.as_of == moment
        assert found.matrix[at].tobytes() == matrix[seen > 0].tobytes()
        assert found.values[at].tobytes() == values.tobytes()


def test_rows_that_are_still_to_arrive_change_nothing_under_a_settlement_lag(learn: Learn, frame: pl.DataFrame) -> None:
    """The same model and figures come out whether the rows of the last five days have arrived or not."""
    ends = frame["transaction_date"].max()
    assert isinstance(ends, datetime)
    test = to_microseconds(ends) - 100 * DAY_US
    whole = learn(frame, settlement_lag_days=5, test_as_of=test)
    missing = learn(
        frame.filter(pl.col("transaction_date") <= ends - timedelta(days=5)), settlement_lag_days=5, test_as_of=test
    )
    assert missing.model.content_hash == whole.model.content_hash
    assert missing.evaluation.registered_metrics() == whole.evaluation.registered_metrics()
    assert whole.model.settlement_lag_us == 5 * DAY_US


def test_a_sample_depends_on_identifiers_and_seed_alone() -> None:
    """Known answers: no library's hash, no order and no machine may change who is sampled."""
    ids = ["user_1", "user_2", "größer", ""]
    assert sampling_keys(pa.array(ids), 1)[:2].round(6).tolist() == [0.083482, 0.244517]
    backwards = sampling_keys(pa.array(ids[::-1]), 1)[::-1]
    assert sampling_keys(pa.array(ids), 1).tolist() == backwards.tolist()
    assert sampling_keys(pa.array(ids), 2).tolist() != backwards.tolist()


def amounts(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("transaction_currency") == "EUR").select(
        "user_id", "transaction_date", "transaction_amount"
    )


def test_customer_date_and_amount_are_enough_and_what_is_taken_for_the_rest_is_said(
    frame: pl.DataFrame, plan: Planned, tmp_path: Path
) -> None:
    amounts(frame).write_csv(tmp_path / "own.csv")
    made = plan(tmp_path / "own.csv")
    without = "no user_balance: trained without 16 balance indicators"
    assert made.assumptions == (
        f"{without}, and the yearly margin of 0.02 is left out of the value",
        "no transaction_state: every row counts as settled",
        "no transaction_currency: every amount is taken as EUR",
        "no user_category: every row is taken as WEB",
        "no user_created: an account is taken as opened with its first row",
    )
    assert made.config.definition()["yearly_margin"] == 0
    assert made.warnings == ()
    assert made.rows.matrix.shape[1] == len(catalogue().names) - 16 == len(catalogue(made.summary.absent).names)
    assert not np.isnan(made.rows.matrix).all(axis=0).any()
    assert (made.rows.values >= 0).all()


def test_nothing_is_assumed_of_a_whole_file(file: Path, plan: Planned, config: TrainingConfig) -> None:
    made = plan(file)
    assert (made.assumptions, made.summary.absent, made.config) == ((), (), config)


def test_a_value_that_is_a_margin_on_balances_alone_needs_balances(
    frame: pl.DataFrame, plan: Planned, tmp_path: Path
) -> None:
    amounts(frame).write_csv(tmp_path / "own.csv")
    with pytest.raises(ConfigError, match="the data have no user_balance; give deposit_fee or withdrawal_fee"):
        plan(tmp_path / "own.csv", value=ValueSettings(deposit_fee=0, withdrawal_fee=0))


@pytest.mark.parametrize(("sign", "said"), [(1, "every row is a deposit"), (-1, "every row is a withdrawal")])
def test_amounts_of_one_sign_are_doubted(
    frame: pl.DataFrame, plan: Planned, tmp_path: Path, sign: int, said: str
) -> None:
    amounts(frame).with_columns(pl.col("transaction_amount").abs() * sign).write_csv(tmp_path / "own.csv")
    assert [said in warning for warning in plan(tmp_path / "own.csv").warnings].count(True) == 1
    without = {"deposit_fee": 0.0} if sign < 0 else {"withdrawal_fee": 0.0}
    assert not [
        said in warning for warning in plan(tmp_path / "own.csv", value=ValueSettings(**without)).warnings
    ].count(True)


@pytest.mark.parametrize(
    ("name", "without", "says"),
    [
        ("deposit_sum_90", [], "'deposit_sum_90' is not an indicator; perhaps deposit_sum_90d was meant"),
        (
            "balance_mean_90d",
            ["user_balance", "transaction_currency", "user_category"],
            "balance_mean_90d cannot be computed from data without user_balance$",
        ),
    ],
)
def test_a_limit_on_the_trees_that_names_nothing_is_refused_before_anything_is_fitted(
    frame: pl.DataFrame, plan: Planned, name: str, without: list[str], says: str
) -> None:
    with pytest.raises(ConfigError, match=f"trees.monotone: {says}"):
        plan(frame.drop(without), trees=TreeSettings(monotone={name: "increasing"}))


def test_a_month_that_an_export_lost_is_named_before_anything_is_learnt(frame: pl.DataFrame, plan: Planned) -> None:
    lost = (pl.col("transaction_date") >= datetime(2024, 3, 1)) & (pl.col("transaction_date") < datetime(2024, 4, 1))  # noqa: DTZ001 (as above)
    (gap,) = (text for text in plan(frame.filter(~lost)).warnings if "the data lack rows" in text)
    assert "from 2024-03-01 to 2024-03-31 (31 days): if the export is not whole" in gap
    assert not any("the data lack rows" in text for text in plan(frame).warnings)


@pytest.mark.parametrize(
    ("line", "is_same"),
    [
        ("USD,2024-12-30,0.95", False),  # of the day whose rate was the newest of the data
        ("USD,2024-12-31,0.95", True),  # of the last day of the data, and it had not come yet
        ("USD,2025-01-02,0.95", True),  # of a day after the data, which end with 2024
        ("JPY,2024-12-30,0.006", True),  # there is no row in it
    ],
)
@pytest.mark.parametrize("release", ["this", "earlier"])
def test_rates_that_were_corrected_are_others_and_rates_that_came_since_are_not(
    rows: pa.Table, plan: Planned, config: TrainingConfig, tmp_path: Path, line: str, *, is_same: bool, release: str
) -> None:
    assert config.rates is not None
    kept = config.rates.read_text(encoding="utf-8")
    newest = "".join(f"{code},2024-12-30,0.9\n" for code in ("USD", "GBP", "SEK", "PLN"))

    def with_rates(text: str, day: int) -> TrainingPlan:
        (tmp_path / "rates.csv").write_text(f"{kept}{text}", encoding="utf-8")
        return plan(rows, rates=tmp_path / "rates.csv", rates_on=date(2025, 1, day))

    before = with_rates(newest, 9).summary.rates
    assert before is not None
    changed = newest.replace("USD,2024-12-30,0.9\n", f"{line}\n") if "USD,2024-12-30" in line else f"{newest}{line}\n"
    later = with_rates(changed, 10)
    if release == "this":
        assert has_rates_of(later, before.digest, before.days_text()) == is_same
    else:  # it kept no days: the rates of the last day of the data are compared
        assert has_rates_of(later, before.digest, None) == (is_same and "2024-12-31" not in line)


def test_rates_as_of_a_day_that_was_asked_for_are_others_than_those_of_the_last_day(
    rows: pa.Table, plan: Planned
) -> None:
    early, last = plan(rows, rates_on=date(2024, 6, 30)), plan(rows, rates_on=date(2025, 1, 9))
    assert early.summary.rates is not None
    assert last.summary.rates is not None
    assert has_rates_of(early, early.summary.rates.digest, early.summary.rates.days_text())
    assert not has_rates_of(last, early.summary.rates.digest, early.summary.rates.days_text())
    assert not has_rates_of(early, last.summary.rates.digest, last.summary.rates.days_text())


def test_a_file_without_rates_by_the_last_day_of_the_data_has_a_digest(
    rows: pa.Table, plan: Planned, tmp_path: Path
) -> None:
    """The table of the European Central Bank needs a rate of another base, and begins after the data."""
    table = "Date,USD,GBP,SEK,PLN\n2025-01-02,1.04,0.83,11.4,4.3\n"
    (tmp_path / "rates.csv").write_text(table, encoding="utf-8")
    options = {"rates": tmp_path / "rates.csv", "base_currency": "USD"}
    before, later = (plan(rows, rates_on=date(2025, 1, day), **options) for day in (2, 9))
    assert before.summary.rates is not None
    assert has_rates_of(later, before.summary.rates.digest, before.summary.rates.days_text())
