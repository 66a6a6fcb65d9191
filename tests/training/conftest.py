"""One small simulated portfolio and one registry with two runs on it, for all tests of training."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fivefold.training.retrain as retraining
from fivefold.features.partitions import Engine
from fivefold.features.reading.tables import Source
from fivefold.features.reading.text_files import MappedFile
from fivefold.models.registry import Registry
from fivefold.training.config import GateSettings, SnapshotSettings, TrainingConfig, TreeSettings
from fivefold.training.data import TransactionSource
from fivefold.training.on_engine import EngineFile
from fivefold.training.retrain import TrainingResult, retrain
from fivefold.training.simulation.simulator import Simulation, simulate
from tests.mlflow_address import kept_address
from tests.models.making import new_registry

RATES = "currency,date,rate\nUSD,2024-01-01,0.92\nGBP,2024-01-01,1.16\nSEK,2024-01-01,0.088\nPLN,2024-01-01,0.23\n"
FAST = TreeSettings(threads=1, rounds=40, leaves=15, min_rows_in_leaf=20)
SURE_OF_FEW = GateSettings(confidence=0.9)
"""The first try is asked for 95 %: the customers of the tests are too few for more."""

Learn = Callable[..., TrainingResult]


@dataclass(frozen=True)
class Runs:
    """The same training, run twice on one registry: the first is champion, the second ties with it."""

    registry: Registry
    first: TrainingResult
    second: TrainingResult


@pytest.fixture(autouse=True)
def keep_mlflow_address() -> Iterator[None]:
    """Give MLflow's global address back as it was."""
    with kept_address():
        yield


@pytest.fixture(scope="session")
def rows() -> pa.Table:
    """The transactions of 400 customers in 2023 and 2024."""
    return pa.concat_tables(simulate(Simulation(customers=400, seed=3)))


@pytest.fixture(scope="session")
def frame(rows: pa.Table) -> pl.DataFrame:
    """The same as a frame of Polars."""
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    return frame


@pytest.fixture(scope="session")
def folder(rows: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the transactions as a file, and the rates that they need."""
    made = tmp_path_factory.mktemp("portfolio")
    pq.write_table(rows, made / "transactions.parquet")
    (made / "rates.csv").write_text(RATES, encoding="utf-8")
    return made


@pytest.fixture(scope="session")
def file(folder: Path) -> Path:
    return folder / "transactions.parquet"


@pytest.fixture(scope="session")
def config(folder: Path) -> TrainingConfig:
    return TrainingConfig(
        rates=folder / "rates.csv",
        rates_on=date(2024, 6, 30),
        snapshots=SnapshotSettings(most=6),
        trees=FAST,
        gate=SURE_OF_FEW,
    )


@pytest.fixture(scope="session")
def portfolio(file: Path, config: TrainingConfig) -> TransactionSource:
    return TransactionSource(file, config.rate_table())


@pytest.fixture(scope="session")
def runs(file: Path, config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    registry = new_registry(tmp_path_factory.mktemp("runs"), config.name)
    return Runs(registry, retrain(file, config, registry), retrain(file, config, registry))


class NoRegistry:
    """A registry without a champion, for runs that keep nothing."""

    def champion(self) -> None:
        return None

    def judging(self) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture
def learn(config: TrainingConfig, monkeypatch: pytest.MonkeyPatch) -> Learn:
    """Give `retrain` without its end: nothing is drawn, registered or promoted."""
    monkeypatch.setattr(retraining, "register", lambda *_: 1)
    monkeypatch.setattr(retraining, "times_judged", lambda *_: 1)

    def run(
        source: Source, tune_trials: int = 0, *, engine: Engine | None = None, refit: bool = False, **changes: object
    ) -> TrainingResult:
        read = source if engine is None else EngineFile(engine, MappedFile(Path(str(source))))
        return retrain(
            read, config.model_copy(update=changes), NoRegistry(), tune_trials=tune_trials, refit_after=refit,
            promote_by=lambda *_: None,
        )  # fmt: skip

    return run
