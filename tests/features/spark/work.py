"""Work for tests of Spark, in a module that its workers can import; and the driver of a cluster, as a program."""

import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from fivefold.domain.settings import read_settings
from fivefold.features import schema as c
from fivefold.features.histories import Histories
from fivefold.features.partitions import FileWork, Result, Work
from fivefold.features.reading.sources import file_reader
from fivefold.features.reading.text_files import MappedFile
from fivefold.features.reading.validate import TransactionReader
from fivefold.training.config import SnapshotSettings, TrainingConfig, TreeSettings
from fivefold.training.data import TransactionSource
from fivefold.training.fit import fit
from fivefold.training.judging.predictions import predict_test_window
from fivefold.training.on_engine import EngineFile, EngineSource
from fivefold.training.plan import make_plan
from tests.features.oracle.equality import Contents, by_user
from tests.features.oracle.strategies import RATES

if TYPE_CHECKING:
    from fivefold.features.spark import SparkEngine


def contents(parts: Iterator[Histories], *, seconds: float = 0.0) -> Iterator[Result]:
    """Give the customers' rows as they are, so that every bit can be compared; *seconds* of rest after each part."""
    for part in parts:
        yield Result(pa.table({c.USER_ID: part.user_ids}), msgspec.msgpack.encode(by_user(part)))
        time.sleep(seconds)


def letters(path: Path) -> Iterator[Result]:
    """Give a result for each letter of a file."""
    for letter in path.read_text(encoding="utf-8"):
        yield Result(pa.table({"letter": [letter]}), letter.encode())


def joined(results: list[Result]) -> Contents:
    """Join the customers of all partitions; none may be in two."""
    users = [user for result in results for user in result.table[c.USER_ID].to_pylist()]
    assert len(users) == len(set(users))
    parts = (msgspec.msgpack.decode(result.note, type=Contents) for result in results)
    return {user: rows for part in parts for user, rows in part.items()}


@contextmanager
def engine_of(master: str, folder: Path) -> Iterator["SparkEngine"]:
    """Give a cluster as an engine that cuts everything in eight partitions."""
    from fivefold.features.spark import SparkEngine, open_session

    session = open_session(read_settings(), master)
    session.conf.set("spark.sql.shuffle.partitions", "8")
    session.conf.set("spark.sql.adaptive.enabled", "false")
    try:
        yield SparkEngine(session, folder)
    finally:
        session.stop()


def drive(master: str, source: Path, folder: Path, seconds: float) -> Contents:
    """Read a file on a cluster, slowly."""
    file = MappedFile(source)
    with engine_of(master, folder) as engine:
        results = engine.run(file, file_reader(file, RATES), partial(contents, seconds=seconds))
        return joined(list(results))


def slowly(file: Path, *, work: FileWork, seconds: float) -> Iterator[Result]:
    """Do the work on a file, and rest."""
    yield from work(file)
    time.sleep(seconds)


@dataclass(frozen=True)
class SlowEngine:
    """An engine that rests after each file that is worked on."""

    engine: "SparkEngine"
    seconds: float

    @property
    def folder(self) -> Path:
        return self.engine.folder

    def run(self, source: MappedFile, reader: TransactionReader, work: Work) -> Iterator[Result]:
        return self.engine.run(source, reader, work)

    def keep(self, source: MappedFile, reader: TransactionReader) -> list[Path]:
        return self.engine.keep(source, reader)

    def run_each(self, files: Sequence[Path], work: FileWork) -> Iterator[Result]:
        return self.engine.run_each(files, partial(slowly, work=work, seconds=self.seconds))


def learn(master: str, source: Path, folder: Path, seconds: float) -> dict[str, str]:
    """Compute the rows to learn from on a cluster, slowly, and fit: give the digests of what comes of it."""
    file = MappedFile(source)
    with engine_of(master, folder) as engine:
        return learnt(EngineSource(EngineFile(SlowEngine(engine, seconds), file), LEARNING.rate_table()))


LEARNING = TrainingConfig(
    snapshots=SnapshotSettings(most=3), trees=TreeSettings(threads=1, rounds=20, leaves=7, min_rows_in_leaf=20)
)


def learnt(portfolio: TransactionSource) -> dict[str, str]:
    """Give the digests of the data, of the matrix and of trees that learnt from it."""
    plan = make_plan(portfolio, LEARNING)
    trees = fit(plan.rows, LEARNING.trees, LEARNING.seed, 20).booster_
    window = predict_test_window(portfolio, plan.dates, LEARNING, trees, None)
    arrays = (plan.rows.matrix, plan.rows.values, plan.rows.as_of, window.predicted, window.realised, window.matrix)
    whole = hashlib.sha256(b"".join(array.tobytes() for array in arrays))
    return {"data": plan.summary.digest, "arrays": whole.hexdigest(), "trees": trees.model_to_string()}


DRIVERS = {"read": drive, "learn": learn}

if __name__ == "__main__":
    _, the_driver, the_master, the_source, the_folder, the_output = sys.argv
    found = DRIVERS[the_driver](the_master, Path(the_source), Path(the_folder), seconds=2.0)
    Path(the_output).write_text(json.dumps(found), encoding="utf-8")
