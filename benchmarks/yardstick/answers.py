"""The answers of methods: kept in a file for each window and method, so that a run which was stopped goes on."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import polars as pl

from benchmarks.yardstick.protocol import Method, Prediction, ProtocolError, Task, Window, aligned, answer
from fivefold.domain.clock import day_text


@dataclass(frozen=True)
class AnswerFolder:
    """Answers in a folder: a table of predictions and what was said of them, by window and method.

    Attributes:
        folder: of one data set; in it a folder for each window, named by its day and the digest of what may be seen,
            so that other data have other answers.
    """

    folder: Path

    def ask(self, name: str, method: Method, window: Window, say: Callable[[str], None] = print) -> Prediction:
        """Give a method's answer for a window: the one that was kept, or a new one, which is kept."""
        place = self.folder / f"{window.day}-{window.task.summary.digest[:8]}"
        table, notes = (place / f"{slug(name)}{end}" for end in (".parquet", ".json"))
        if notes.is_file():
            stored = json.loads(notes.read_text(encoding="utf-8"))
            values = aligned(name, pl.read_parquet(table), window.task.customers)
            return Prediction(values, stored["money"], tuple(stored["reasons"]), stored["report"])
        begun = time.monotonic()
        prediction = answer(name, method, window.task)
        seconds = round(time.monotonic() - begun, 1)
        prediction = replace(prediction, report=prediction.report | {"seconds": seconds})
        place.mkdir(parents=True, exist_ok=True)
        as_asked(window.task).with_columns(predicted=pl.Series(prediction.values)).write_parquet(table)
        to_store = {key: value for key, value in asdict(prediction).items() if key != "values"}
        notes.write_text(json.dumps(to_store, indent=1), encoding="utf-8")  # last: it says that the table is whole
        reasons = "".join(f"; {reason}" for reason in prediction.reasons)
        say(f"{self.folder.name} {window.day} {name}: {seconds} s{reasons}")
        return prediction


def as_asked(task: Task) -> pl.DataFrame:
    """Give the customers of a task in their order, in the column `customer`."""
    return pl.DataFrame({"customer": task.customers.to_pylist()})


def slug(name: str) -> str:
    """Write a name for a file.

    >>> slug("BG/NBD × Gamma-Gamma")
    'bg-nbd-gamma-gamma'
    """
    plain = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in name)
    return "-".join(plain.lower().split())


def from_files(name: str, folder: Path) -> Method:
    """Make a method of another's predictions: `folder/SET/WINDOW.csv`, with `customer` and `predicted` (money)."""

    def read(task: Task) -> Prediction:
        path = folder / task.config.name / f"{day_text(task.dates.test)}.csv"
        if not path.is_file():
            raise ProtocolError(f"{name} has no predictions at {path}")
        return Prediction(aligned(f"{name} ({path})", pl.read_csv(path, infer_schema=False), task.customers))

    return read
