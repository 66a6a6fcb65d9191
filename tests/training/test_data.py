"""The passes over the data: one digest whatever the format, one sample whatever the order."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from fivefold.domain.clock import DAY_US, from_microseconds, to_microseconds
from fivefold.domain.errors import InvalidDataError, NotEnoughDataError
from fivefold.features.indicator_matrix import catalogue, indicator_matrix
from fivefold.features.reading import sources
from fivefold.features.reading.sources import read_histories
from fivefold.training import data
from fivefold.training.config import SnapshotSettings, TrainingConfig
from fivefold.training.data import SourceSummary, TrainingRows, TransactionSource, training_rows
from fivefold.training.dates import Dates, choose_dates
from fivefold.training.target import realised_values


@pytest.fixture
def overview_of(config: TrainingConfig) -> Any:
    def summary(source: Any) -> SourceSummary:
        return TransactionSource(source, config.rate_table()).summary()

    return summary


def taken(source: Any, config: TrainingConfig) -> tuple[TrainingRows, Dates, SourceSummary]:
    portfolio = TransactionSource(source, config.rate_table())
    summary = portfolio.summary(config.seed)
    dates = choose_dates(config, summary.period)
    return training_rows(portfolio, dates, config, summary), dates, summary


def test_the_overview_tells_what_there_is(overview_of: Any, file: Path, frame: pl.DataFrame) -> None:
    found = overview_of(file)
    assert found.rows == len(frame)
    assert found.customers == frame["user_id"].n_unique() == 400
    assert found.period.first == to_microseconds(frame["transaction_date"].min())
    assert found.period.last == to_microseconds(frame["transaction_date"].max())


def test_the_digest_is_of_the_content_not_of_the_format(
    overview_of: Any, file: Path, rows: pa.Table, frame: pl.DataFrame, tmp_path: Path
) -> None:
    pyarrow.csv.write_csv(rows, tmp_path / "rows.csv")
    frame.with_columns(pl.col(pl.Datetime).dt.to_string("iso:strict")).write_ndjson(tmp_path / "rows.ndjson")
    digests = {
        name: overview_of(source).digest
        for name, source in {
            "Parquet": file,
            "CSV": tmp_path / "rows.csv",
            "JSON": tmp_path / "rows.ndjson",
            "Arrow": rows,
            "Polars": frame,
        }.items()
    }
    assert len(set(digests.values())) == 1, digests


def test_the_digest_does_not_depend_on_how_many_rows_are_read_at_once(
    overview_of: Any, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = overview_of(file)
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 999)
    streamed = overview_of(file)
    assert (streamed.digest, streamed.period, streamed.customers) == (
        at_once.digest,
        at_once.period,
        at_once.customers,
    )


def test_the_digest_does_not_depend_on_the_order_of_the_customers(overview_of: Any, frame: pl.DataFrame) -> None:
    found = overview_of(frame).digest
    for other in (frame.reverse(), frame.sample(fraction=1.0, shuffle=True, seed=5)):
        assert other["user_id"][0] != frame["user_id"][0]
        assert overview_of(other).digest == found


def test_a_whole_customer_more_or_twice_over_has_another_digest(overview_of: Any, frame: pl.DataFrame) -> None:
    """Numbers that are added up would not tell two equal customers from none, were they put together otherwise."""
    one = frame.filter(pl.col("user_id") == frame["user_id"][0])
    named = [one.with_columns(user_id=pl.lit(name)) for name in ("a", "b", "c", "d")]
    digests = {overview_of(pl.concat(named[:count])).digest for count in range(1, 5)}
    assert len(digests | {overview_of(pl.concat(named[1:3])).digest}) == 5


def in_row_7(name: str, value: object) -> pl.Expr:
    return pl.when(pl.int_range(pl.len()) == 7).then(pl.lit(value)).otherwise(name).alias(name)


@pytest.mark.parametrize(
    "change",
    [
        in_row_7("user_balance", 0.01),
        in_row_7("transaction_amount", 0.01),
        in_row_7("transaction_state", "FAILED"),
        in_row_7("transaction_currency", "GBP"),
        in_row_7("user_created", datetime(2020, 1, 1)),  # noqa: DTZ001 (no zone means UTC)
        in_row_7("transaction_date", datetime(2023, 1, 2)),  # noqa: DTZ001 (as above)
        pl.when(pl.col("user_category") == "WEB").then(pl.lit("API")).otherwise(pl.lit("WEB")).alias("user_category"),
        pl.col("user_id") + "x",
    ],
)
def test_any_other_content_has_another_digest(overview_of: Any, frame: pl.DataFrame, change: pl.Expr) -> None:
    assert overview_of(frame.with_columns(change)).digest != overview_of(frame).digest


def test_rows_moved_from_one_customer_to_the_next_have_another_digest(overview_of: Any, frame: pl.DataFrame) -> None:
    few = frame.head(2).with_columns(transaction_date=pl.lit(frame["transaction_date"][0]), transaction_id=None)
    texts = [["a", "b"], ["ab", "c"], ["a", "bc"], ["a", "a"]]
    digests = {overview_of(few.with_columns(user_id=pl.Series(ids))).digest for ids in texts}
    assert len(digests) == len(texts)


def test_repeats_that_are_left_out_are_counted(overview_of: Any, frame: pl.DataFrame, tmp_path: Path) -> None:
    twice = pl.concat([frame, frame.head(7)]).sort("user_id", maintain_order=True)
    twice.write_parquet(tmp_path / "twice.parquet")
    for source in (twice, tmp_path / "twice.parquet"):
        found = overview_of(source)
        assert (found.rows, found.quality.removed) == (len(frame), 7)
        assert found.digest == overview_of(frame).digest
    assert overview_of(frame).quality.removed == 0


def test_data_before_1970_have_their_period_too(overview_of: Any, frame: pl.DataFrame) -> None:
    long_ago = frame.with_columns(pl.col("transaction_date").dt.offset_by("-60y"))
    found = overview_of(long_ago)
    assert found.period.last == to_microseconds(long_ago["transaction_date"].max()) < 0


def test_an_empty_source_is_not_enough(overview_of: Any, frame: pl.DataFrame, tmp_path: Path) -> None:
    pq.write_table(frame.head(0).to_arrow(), tmp_path / "empty.parquet")
    for source in (tmp_path / "empty.parquet", []):
        with pytest.raises(NotEnoughDataError, match="the source has no rows"):
            overview_of(source)


def test_bad_rows_are_found_before_anything_is_learnt(overview_of: Any, frame: pl.DataFrame) -> None:
    bad = frame.with_columns(user_balance=pl.when(pl.int_range(pl.len()) == 5).then(float("nan")).otherwise(1.0))
    with pytest.raises(InvalidDataError, match="row 5: user_balance"):
        overview_of(bad)


def test_a_row_for_each_customer_known_at_each_date(file: Path, config: TrainingConfig) -> None:
    found, dates, _ = taken(file, config)
    histories = read_histories(file, config.rate_table())
    assert found.share == 1.0
    assert len(found.matrix) == len(found.values) == len(found.as_of)
    assert found.matrix.shape[1] == len(catalogue().names)
    for date in dates.training.tolist():
        matrix, seen = indicator_matrix(histories, date)
        at_date = found.as_of == date
        assert found.matrix[at_date].tobytes() == matrix[seen > 0].tobytes()
        values = realised_values(histories, np.array([date]), 90, config.value)[seen > 0, 0]
        assert found.values[at_date].tobytes() == values.tobytes()


def test_streamed_and_in_memory_give_the_same_rows(
    file: Path, frame: pl.DataFrame, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_memory, _, _ = taken(frame, config)
    monkeypatch.setattr(sources, "ROWS_A_BATCH", 1_500)
    streamed, _, _ = taken(file, config)
    for name in ("matrix", "values", "as_of"):
        assert getattr(streamed, name).tobytes() == getattr(in_memory, name).tobytes()


def test_a_source_in_memory_is_read_once_and_a_file_at_each_pass(
    file: Path, frame: pl.DataFrame, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fivefold.training import data

    reads: list[object] = []

    def counted(source: Any, *given: Any, **more: Any) -> Any:
        reads.append(source)
        return sources.stream_histories(source, *given, **more)

    monkeypatch.setattr(data, "stream_histories", counted)
    for source, times in ((frame, 1), (file, 3)):
        reads.clear()
        portfolio = TransactionSource(source, config.rate_table())
        counts = [sum(part.customers for part in portfolio.batches("again")) for _ in range(3)]
        assert counts == [400] * 3
        assert len(reads) == times


def sampled(source: Any, config: TrainingConfig, most_rows: int, seed: int = 1) -> set[tuple[int, bytes]]:
    few = config.model_copy(update={"snapshots": SnapshotSettings(most=6, most_rows=most_rows), "seed": seed})
    found, _, _ = taken(source, few)
    return {(date, row.tobytes()) for date, row in zip(found.as_of.tolist(), found.matrix, strict=True)}


def test_the_sample_does_not_depend_on_the_order_of_the_customers(frame: pl.DataFrame, config: TrainingConfig) -> None:
    backwards = frame.sort("user_id", descending=True, maintain_order=True)
    assert backwards["user_id"][0] != frame["user_id"][0]
    one, other = sampled(frame, config, 800), sampled(backwards, config, 800)
    assert one == other
    assert one < sampled(frame, config, 10**6)


def test_the_sample_is_of_whole_customers_and_about_as_large_as_asked(file: Path, config: TrainingConfig) -> None:
    everything, _, _ = taken(file, config)
    few = config.model_copy(update={"snapshots": SnapshotSettings(most=6, most_rows=800)})
    found, dates, _ = taken(file, few)
    assert 0.8 * 800 < len(found.values) < 1.2 * 800
    last = found.as_of == dates.training[-1]
    assert last.sum() == pytest.approx(found.share * (everything.as_of == dates.training[-1]).sum(), rel=0.25)


def test_the_share_of_a_sample_is_of_the_customers_however_many_dates_each_is_known_at(
    frame: pl.DataFrame, config: TrainingConfig
) -> None:
    few = config.model_copy(update={"snapshots": SnapshotSettings(most=6, most_rows=800)})
    _, dates, _ = taken(frame, config)
    late = pl.col("transaction_date") > from_microseconds(int(dates.training[-2])).replace(tzinfo=None)
    newcomers = frame.filter(late).with_columns(user_id=pl.col("user_id") + "_new")
    found, dates, summary = taken(pl.concat([frame, newcomers]), few)
    known = summary.first_rows <= dates.training[-1]
    last = found.as_of == dates.training[-1]
    assert found.share == last.sum() / known.sum()
    assert found.share != pytest.approx(len(found.values) / found.windows.known_customers[:-1].sum(), abs=0.001)


def test_another_seed_takes_another_sample(file: Path, config: TrainingConfig) -> None:
    assert sampled(file, config, 800, seed=1) != sampled(file, config, 800, seed=2)


def test_a_larger_sample_holds_the_smaller_one(file: Path, config: TrainingConfig) -> None:
    assert sampled(file, config, 300) < sampled(file, config, 900)


def test_customers_who_came_later_change_no_sample(frame: pl.DataFrame, config: TrainingConfig) -> None:
    test = config.model_copy(update={"test_as_of": to_microseconds(frame["transaction_date"].max()) - 200 * DAY_US})
    newcomers = frame.filter(pl.col("transaction_date") >= pl.col("transaction_date").max() - pl.duration(days=20))
    more = pl.concat([frame, newcomers.with_columns(user_id=pl.col("user_id") + "_new")])
    assert sampled(more, test, 800) == sampled(frame, test, 800)


def test_a_sample_of_nobody_is_not_enough(file: Path, config: TrainingConfig) -> None:
    with pytest.raises(NotEnoughDataError):
        sampled(file, config, 1)


@pytest.mark.parametrize(
    "pass_of",
    [
        lambda portfolio: portfolio.made_of("a pass", 1, 1, lambda piece: piece.customers),
        lambda portfolio: portfolio.batches("a pass"),
    ],
)
def test_what_a_pass_was_read_into_is_given_back_at_its_end(
    pass_of: Callable[[TransactionSource], Iterator[object]],
    file: Path,
    config: TrainingConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Arrow and the C library keep hundreds of megabytes otherwise, beside all that comes after the pass."""
    given_back: list[tuple[str, int]] = []
    pool = SimpleNamespace(release_unused=lambda: given_back.append(("Arrow", len(seen))))
    library = SimpleNamespace(malloc_trim=lambda _: given_back.append(("C", len(seen))))
    portfolio, seen = TransactionSource(file, config.rate_table()), list[object]()
    monkeypatch.setattr("fivefold.training.data.pa.default_memory_pool", lambda: pool)
    monkeypatch.setattr(data, "ctypes", SimpleNamespace(CDLL=lambda _: library))
    monkeypatch.setattr(data, "sys", SimpleNamespace(platform="linux"))
    for each in pass_of(portfolio):
        seen.append(each)
        assert not given_back
    assert given_back == [("Arrow", len(seen)), ("C", len(seen))]
