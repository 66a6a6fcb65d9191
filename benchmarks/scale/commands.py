"""The commands that are measured, in the order in which a user runs them, and the same on Spark."""

import os
import sys
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from benchmarks.scale.process import Usage, take
from fivefold.domain.settings import read_settings
from fivefold.training.simulation.simulator import SCHEMA

ROOT = Path(__file__).resolve().parents[2]
FIVEFOLD = (sys.executable, "-m", "fivefold.cli.main")
CONFIG = "seed: 7\n"
"""Written, so that no presets are tried: a run without a configuration fits each of them several times."""
AS_OF = "2024-12-31"

ON_SPARK = "score --engine spark"


class Files:
    """The files of one size.

    Attributes:
        simulated: by customers, as the simulator writes them.
        exported: the same rows by time, as a bank exports them.
        ordered: what `fivefold sort` makes of that.
    """

    def __init__(self, folder: Path) -> None:
        """Name them in a folder."""
        self.folder = folder
        self.simulated, self.exported = folder / "simulated.parquet", folder / "exported.parquet"
        self.ordered, self.config = folder / "ordered.parquet", folder / "config.yaml"
        (folder / "var").mkdir()  # where models go; the compiled kernel is that of this machine
        (folder / "var" / "kernels").symlink_to(read_settings().var.resolve() / "kernels")

    @property
    def environment(self) -> dict[str, str]:
        """The folder of models, idle threads that wait without work, and where Python finds this package."""
        return {"FIVEFOLD_VAR": str(self.folder / "var"), "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}

    def count(self) -> tuple[int, int]:
        """Count rows and customers."""
        ((customers,),) = duckdb.sql(f"SELECT count(DISTINCT user_id) FROM '{self.ordered}'").fetchall()
        return pq.read_metadata(self.ordered).num_rows, int(customers)


def make_ordered(files: Files, rows: int) -> dict[str, Usage]:
    """Simulate, and sort what a bank would export; only the ordered rows stay."""
    usage = {"simulate": _fivefold(files, "simulate", "--rows", str(rows), "-o", str(files.simulated))}
    _export(files)
    files.simulated.unlink()
    usage["sort"] = _fivefold(files, "sort", str(files.exported), "-o", str(files.ordered))
    files.exported.unlink()
    return usage


def score_twice(files: Files, *, on_spark: bool) -> dict[str, Usage]:
    """Score the ordered rows by the champion of the files, and again on Spark where that is asked for."""
    usage = {"score": _score(files, "scores.parquet")}
    if on_spark:
        master = f"local[{os.cpu_count()}]"
        usage[ON_SPARK] = _score(files, "spark.parquet", "--engine", "spark", "--spark-master", master)
        _require_equal(files)
    return usage


def _score(files: Files, name: str, *options: str) -> Usage:
    return _fivefold(files, "score", str(files.ordered), "--as-of", AS_OF, "-o", str(files.folder / name), *options)


def _fivefold(files: Files, *arguments: str) -> Usage:
    return take([*FIVEFOLD, *arguments], files.environment, files.folder)


def _export(files: Files) -> None:
    """Order the rows by time; that is no part of the product, and not measured."""
    names = ", ".join(SCHEMA.names)
    with duckdb.connect(config={"memory_limit": "4GB", "temp_directory": str(files.folder / "duckdb")}) as connection:
        ordered = f"SELECT {names} FROM '{files.simulated}' ORDER BY transaction_date, transaction_id"
        connection.execute(f"COPY ({ordered}) TO '{files.exported}' (FORMAT parquet, COMPRESSION zstd)")


def _require_equal(files: Files) -> None:
    """Refuse to write a page about scores of Spark that are not those of one process, bit for bit."""
    one, other = (duckdb.sql(f"SELECT * FROM '{files.folder / name}.parquet'") for name in ("scores", "spark"))
    if different := len(one.except_(other).fetchall()) + len(other.except_(one).fetchall()):
        raise SystemExit(f"Spark gives other scores in {different:,} rows")
