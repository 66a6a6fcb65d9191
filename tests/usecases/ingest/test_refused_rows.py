"""The file of refused rows: a spreadsheet runs nothing of it, and an import reads what stood in the first file."""

import csv
import tempfile
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fivefold.domain.errors import Problem
from fivefold.features.reading.text_files import ColumnMap
from fivefold.usecases.ingest.file_parts import (
    REFUSED_REASON,
    REFUSED_ROW,
    ImportPart,
    RefusedRows,
    parts,
    refused_rows,
)
from tests.depth import examples

RUNS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
TEXTS = st.text(st.sampled_from("='+-@\t\n\uff1d\uff0b\uff0d\uff20a;,\" 5."), max_size=6)


def _write(path: Path, rows: list[tuple[str, ...]], separator: str = ",") -> ImportPart:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=separator, lineterminator="\n").writerows(rows)
    (part,) = parts(path, 100)
    return part


def _refuse(part: ImportPart, path: Path, source: Path) -> ImportPart:
    problems = {place: [Problem(place, "a", "is =1", "none")] for place in range(len(part.rows))}
    RefusedRows(source, path).add(*refused_rows(part, problems))
    (again,) = parts(path, 100)
    return again


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5), st.sampled_from(",;"))
def test_a_refused_file_says_what_the_first_one_said_however_often_it_is_refused(
    rows: list[tuple[str, str]], separator: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, once, twice = (Path(folder) / name for name in ("a.csv", "b.csv", "c.csv"))
        first = _write(source, [("name", "=other"), *(("x" + a, b) for a, b in rows)], separator)
        refused = _refuse(first, once, source)
        assert_frame_equal(refused.rows.drop(REFUSED_ROW, REFUSED_REASON), first.rows)
        again = _refuse(refused, twice, once)
        assert_frame_equal(again.rows.drop(REFUSED_ROW, REFUSED_REASON), first.rows)
        raw = pl.read_csv(twice, infer_schema=False, separator=separator)
        for text in [*raw.columns, *(text for column in raw for text in column if text)]:
            assert not text.startswith(RUNS) or text.lstrip("+-").replace(".", "", 1).isdigit(), text


def test_a_torn_line_is_written_without_formulas_too(tmp_path: Path) -> None:
    source, refused = tmp_path / "a.csv", tmp_path / "b.csv"
    source.write_text("a,b\n=1+1,2,3\n", encoding="utf-8")
    (first,) = parts(source, 100)
    again = _refuse(first, refused, source)
    assert refused.read_text(encoding="utf-8").splitlines()[1].startswith("'=1+1,2,")
    assert again.rows["a"].to_list() == ["=1+1"]


def test_a_number_that_an_export_gave_decimals_is_refused_in_a_mapped_column(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text("buchung,user_id\n901.0,7\n902,7\n", encoding="utf-8")
    (part,) = parts(source, 100, names=ColumnMap.read(["buchung=transaction_id"]))
    assert (part.rows["buchung"].to_list(), part.torn["buchung"].to_list()) == (["902"], ["901.0"])
    assert part.torn_rows[0].problem.startswith("has decimals in transaction_id")


def test_an_apostrophe_of_another_file_stays(tmp_path: Path) -> None:
    part = _write(tmp_path / "a.csv", [("a", "b"), ("'=1", "'x")])
    assert part.rows.rows() == [("'=1", "'x")]
