"""Training on many workers: the model, the digest and every figure of one process, in the same order of customers."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from fivefold.domain.errors import InvalidDataError, ModelError
from fivefold.features.histories import concatenate
from fivefold.features.reading.text_files import MappedFile
from fivefold.training import data
from fivefold.training.config import GateSettings, SnapshotSettings, TrainingConfig
from fivefold.training.data import TransactionSource
from fivefold.training.on_engine import EngineFile, EngineSource
from fivefold.training.retrain import TrainingResult
from tests.features.oracle.equality import same
from tests.features.own import example, one
from tests.features.spark.split_engine import SplitEngine
from tests.training.conftest import Learn


@pytest.fixture(scope="module")
def mixed(rows: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The transactions in no order: the rows of a customer are anywhere."""
    path = tmp_path_factory.mktemp("mixed") / "rows.parquet"
    pq.write_table(rows.take(pa.array(np.random.default_rng(5).permutation(len(rows)))), path)
    return path


@pytest.fixture
def engine(tmp_path: Path) -> SplitEngine:
    (tmp_path / "shared").mkdir()
    return SplitEngine(tmp_path / "shared")


def assert_same_run(one_: TrainingResult, many: TrainingResult) -> None:
    """Compare everything that a run registers or reports."""
    assert many.model.content_hash == one_.model.content_hash
    ours, theirs = many.lineage, one_.lineage
    assert ours.summary.digest == theirs.summary.digest
    assert ours.summary.quality == theirs.summary.quality
    assert ours.summary.first_rows.tobytes() == theirs.summary.first_rows.tobytes()
    assert ours.summary.sampling_keys.tobytes() == theirs.summary.sampling_keys.tobytes()
    for name in ("matrix", "values", "as_of"):
        assert getattr(ours.rows, name).tobytes() == getattr(theirs.rows, name).tobytes(), name
    for name in ("known_customers", "rows", "active"):
        assert getattr(ours.rows.windows, name).tolist() == getattr(theirs.rows.windows, name).tolist()
    assert (ours.rows.share, ours.warnings, ours.source) == (theirs.rows.share, theirs.warnings, theirs.source)
    assert many.evaluation.by_name == one_.evaluation.by_name
    assert_frame_equal(many.evaluation.segments, one_.evaluation.segments, check_exact=True)
    assert str(many.verdict) == str(one_.verdict)


def test_a_run_on_workers_is_the_run_of_one_process(
    mixed: Path, engine: SplitEngine, learn: Learn, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = learn(mixed)

    def read_here(*_: Any, **__: Any) -> None:
        raise AssertionError("the rows are read by this process")

    monkeypatch.setattr(data, "stream_histories", read_here)
    assert_same_run(alone, learn(mixed, engine=engine))


def test_grouped_rows_keep_the_order_of_their_file(file: Path, config: TrainingConfig, engine: SplitEngine) -> None:
    rates = config.rate_table()
    alone, split = TransactionSource(file, rates), EngineSource(EngineFile(engine, MappedFile(file)), rates)
    assert split.summary().digest == alone.summary().digest
    whole = concatenate(list(alone.batches("")))
    parts = list(split.batches(""))
    assert len(parts) > 3
    first = 0
    for part in parts:  # money is converted as it is read, or as it comes from where it is kept
        assert same(part, whole.select(first, first + part.customers))
        first += part.customers
    assert first == whole.customers


def test_repeats_among_rows_of_which_some_have_an_identifier_are_counted_alike(
    rows: pa.Table, config: TrainingConfig, engine: SplitEngine, tmp_path: Path
) -> None:
    """Whether a row has one is known of the row: where batches begin and end makes no difference."""
    few = rows.slice(0, 3000)
    draw = np.random.default_rng(3)
    has = pa.array(draw.random(len(few)) < 0.9)
    column = pc.if_else(has, few["transaction_id"], pa.scalar(None, pa.string()))
    some = few.set_column(few.column_names.index("transaction_id"), "transaction_id", column)
    twice = some.take(pa.array(np.sort(np.concatenate([np.arange(len(some))] * 2))))
    path = tmp_path / "twice.parquet"
    pq.write_table(twice, path)
    alone = TransactionSource(path, config.rate_table()).summary().quality
    split = EngineSource(EngineFile(engine, MappedFile(path)), config.rate_table()).summary().quality
    in_memory = TransactionSource(twice, config.rate_table()).summary().quality
    assert alone == split == in_memory
    assert alone.repeated == len(few) - np.count_nonzero(has)
    assert alone.rows == len(few) + alone.repeated


def test_a_sample_origins_a_refit_and_own_indicators_are_the_same(
    mixed: Path,
    engine: SplitEngine,
    learn: Learn,
    config: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pieces of a few customers are cut elsewhere on workers: their bounds make no difference."""
    monkeypatch.setattr(data, "CELLS_AT_ONCE", 5_000)
    (tmp_path / "bank.py").write_text(example().text, encoding="utf-8")
    changes: dict[str, Any] = {
        "indicators": tmp_path / "bank.py",
        "origins": 2,
        "snapshots": SnapshotSettings(most=3, most_rows=700),
        "gate": GateSettings(confidence=0.51, most_calibration_error=1.0),
    }
    alone, split = learn(mixed, refit=True, **changes), learn(mixed, engine=engine, refit=True, **changes)
    assert alone.lineage.rows.share < 1
    assert alone.lineage.refit is not None
    assert_same_run(alone, split)
    assert split.lineage.rolling is not None
    assert alone.lineage.rolling is not None
    assert split.lineage.rolling.differences == alone.lineage.rolling.differences


def test_errors_are_those_of_one_process(rows: pa.Table, engine: SplitEngine, learn: Learn, tmp_path: Path) -> None:
    place = rows.column_names.index("user_balance")
    balances = rows["user_balance"].to_pylist()
    balances[7] = balances[1234] = None
    bad = tmp_path / "bad.parquet"
    pq.write_table(rows.set_column(place, "user_balance", pa.array(balances)), bad)
    messages = []
    for on in (None, engine):
        with pytest.raises(InvalidDataError) as refused:
            learn(bad, engine=on)
        messages.append(str(refused.value))
    assert messages[0] == messages[1]
    assert "rows 8, 1235: user_balance is missing" in messages[0]


def test_an_own_indicator_that_ends_with_an_error_is_named_from_a_worker(
    mixed: Path, engine: SplitEngine, learn: Learn, config: TrainingConfig, tmp_path: Path
) -> None:
    amount = float(next(iter(TransactionSource(mixed, config.rate_table()).batches(""))).amount[-1])
    own = one(f"return 0.0 / (0.0 if len(amount) > 0 and amount[-1] == {amount!r} else 1.0)")
    (tmp_path / own.name).write_text(own.text, encoding="utf-8")
    messages = []
    for on in (None, engine):
        with pytest.raises(ModelError, match=r"bank\.py: indicator mine of .* ended with ZeroDivisionError") as refused:
            learn(mixed, engine=on, indicators=tmp_path / own.name)
        messages.append(str(refused.value))
    assert messages[0] == messages[1]
