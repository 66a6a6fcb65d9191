"""Work for tests of Spark, in a module that its workers can import; and the driver of a cluster, as a program."""

import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pyarrow as pa

from fivefold.domain.settings import read_settings
from fivefold.features import schema as c
from fivefold.features.histories import Histories
from fivefold.features.partitions import Result
from fivefold.features.reading.sources import file_reader
from fivefold.features.reading.text_files import MappedFile
from tests.features.equality import Contents, by_user
from tests.features.strategies import RATES


def contents(parts: Iterator[Histories], *, seconds: float = 0.0) -> Iterator[Result]:
    """Give the customers' rows as they are, so that every bit can be compared; *seconds* of rest after each part."""
    for part in parts:
        yield Result(pa.table({c.USER_ID: part.user_ids}), msgspec.msgpack.encode(by_user(part)))
        time.sleep(seconds)


def joined(results: list[Result]) -> Contents:
    """Join the customers of all partitions; none may be in two."""
    users = [user for result in results for user in result.table[c.USER_ID].to_pylist()]
    assert len(users) == len(set(users))
    parts = (msgspec.msgpack.decode(result.note, type=Contents) for result in results)
    return {user: rows for part in parts for user, rows in part.items()}


def drive(master: str, source: Path, folder: Path, seconds: float) -> Contents:
    """Read a file on a cluster, slowly, in eight partitions."""
    from fivefold.features.spark import SparkEngine, open_session

    session = open_session(read_settings(), master)
    session.conf.set("spark.sql.shuffle.partitions", "8")
    session.conf.set("spark.sql.adaptive.enabled", "false")
    file = MappedFile(source)
    try:
        results = SparkEngine(session, folder).run(file, file_reader(file, RATES), partial(contents, seconds=seconds))
        return joined(list(results))
    finally:
        session.stop()


if __name__ == "__main__":
    _, the_master, the_source, the_folder, the_output = sys.argv
    found = drive(the_master, Path(the_source), Path(the_folder), seconds=2.0)
    Path(the_output).write_text(json.dumps(found), encoding="utf-8")
