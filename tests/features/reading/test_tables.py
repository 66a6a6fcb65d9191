"""Every format that can hold transactions gives the same histories, bit for bit."""

import csv
import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from fivefold.domain.errors import FivefoldError, InvalidDataError
from fivefold.features import schema as c
from fivefold.features.histories import Histories
from fivefold.features.reading.sources import read_histories
from tests.depth import examples
from tests.features.oracle.equality import same
from tests.features.oracle.strategies import AS_OFS, RATES, Row, ledgers, row

TEXT = (c.USER_ID, c.STATE, c.CURRENCY, c.CATEGORY, c.CREATED, c.DATE, c.TRANSACTION_ID)
SCHEMA = pa.schema([(name, pa.string() if name in TEXT else pa.float64()) for name in c.COLUMNS])


def read(source: Any) -> Histories:
    return read_histories(source, RATES)


def arrow(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMA)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def as_csv(rows: list[Row], folder: Path) -> Path:
    path = folder / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, c.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_json_lines(rows: list[Row], folder: Path) -> Path:
    return written(folder / "rows.jsonl", "\n\n".join(json.dumps(taken) for taken in rows) + "\n")


def as_parquet(rows: list[Row], folder: Path) -> Path:
    pq.write_table(arrow(rows), folder / "rows.parquet")
    return folder / "rows.parquet"


def as_parquet_folder(rows: list[Row], folder: Path) -> Path:
    for number, taken in enumerate(rows):  # every row a file of its own
        (folder / "lake" / "year=2024").mkdir(parents=True, exist_ok=True)
        pq.write_table(arrow([taken]), folder / "lake" / "year=2024" / f"part-{number:05}.parquet")
    return folder / "lake"


def with_times(rows: list[Row], kind: pa.DataType) -> pa.Table:
    """Dates as typed columns instead of text."""
    table = arrow(rows)
    for name in (c.CREATED, c.DATE):
        moments = table[name].cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.timestamp("us", kind.tz)).cast(kind)
        table = table.set_column(table.column_names.index(name), name, moments)
    return table


def dictionaries(rows: list[Row]) -> pa.Table:
    table = arrow(rows)
    return pa.table({name: table[name].dictionary_encode() if name in TEXT else table[name] for name in c.COLUMNS})


def pandas_tz(rows: list[Row]) -> pd.DataFrame:
    frame = with_times(rows, pa.timestamp("us")).to_pandas()
    return frame.assign(
        **{name: frame[name].dt.tz_localize("UTC").dt.tz_convert("Asia/Kathmandu") for name in TEXT[4:6]}
    )


FORMS: dict[str, Callable[[list[Row], Path], Any]] = {
    "json": lambda rows, folder: written(folder / "rows.json", json.dumps(rows)),
    "json lines": as_json_lines,
    "csv": as_csv,
    "parquet": as_parquet,
    "parquet of dictionaries": lambda rows, folder: (
        pq.write_table(dictionaries(rows), folder / "d.parquet") or folder / "d.parquet"
    ),
    "parquet of categories": lambda rows, folder: (
        pl.from_arrow(arrow(rows))
        .with_columns(pl.col(pl.String).cast(pl.Categorical))
        .write_parquet(folder / "c.parquet")
        or folder / "c.parquet"
    ),
    "arrow": lambda rows, _: arrow(rows),
    "arrow in chunks": lambda rows, _: pa.concat_tables([arrow([taken]) for taken in rows] or [arrow([])]),
    "arrow large text": lambda rows, _: arrow(rows).cast(
        pa.schema([(f.name, pa.large_string() if f.name in TEXT else f.type) for f in SCHEMA])
    ),
    "arrow views of text": lambda rows, _: arrow(rows).cast(
        pa.schema([(f.name, pa.string_view() if f.name in TEXT else f.type) for f in SCHEMA])
    ),
    "arrow dictionaries": lambda rows, _: dictionaries(rows),
    "arrow dictionaries in chunks": lambda rows, _: pa.concat_tables(
        [dictionaries([taken]) for taken in rows] or [dictionaries([])]
    ),
    "arrow runs": lambda rows, _: pa.table(
        {name: pc.run_end_encode(column) for name, column in zip(c.COLUMNS, arrow(rows).columns, strict=True)}
    ),
    "arrow times in microseconds": lambda rows, _: with_times(rows, pa.timestamp("us")),
    "arrow times in nanoseconds": lambda rows, _: with_times(rows, pa.timestamp("ns")),
    "arrow times with a zone": lambda rows, _: with_times(rows, pa.timestamp("us", "America/New_York")),
    "polars": lambda rows, _: pl.from_arrow(arrow(rows)),
    "polars categories": lambda rows, _: pl.from_arrow(arrow(rows)).with_columns(
        pl.col(pl.String).cast(pl.Categorical)
    ),
    "polars times": lambda rows, _: pl.from_arrow(with_times(rows, pa.timestamp("us", "Asia/Tokyo"))),
    "pandas": lambda rows, _: pd.DataFrame(rows, columns=c.COLUMNS),
    "pandas index": lambda rows, _: pd.DataFrame(rows, columns=c.COLUMNS).set_index(c.CURRENCY),
    "pandas index of two": lambda rows, _: pd.DataFrame(rows, columns=c.COLUMNS).set_index([c.USER_ID, c.STATE]),
    "pandas objects": lambda rows, _: pd.DataFrame(rows, columns=c.COLUMNS, dtype=object),
    "pandas categories": lambda rows, _: arrow(rows).to_pandas().astype(dict.fromkeys(TEXT, "category")),
    "pandas arrow types": lambda rows, _: arrow(rows).to_pandas(types_mapper=pd.ArrowDtype),
    "pandas times": lambda rows, _: with_times(rows, pa.timestamp("us")).to_pandas(),
    "pandas times with a zone": lambda rows, _: pandas_tz(rows),
}


def grouped(ledger: list[Row]) -> list[Row]:
    """Rows of one customer adjacent, as Parquet needs them."""
    users = list(dict.fromkeys(taken["user_id"] for taken in ledger))
    return sorted(ledger, key=lambda taken: users.index(taken["user_id"]))


@pytest.mark.parametrize("form", FORMS)
def test_every_source_gives_the_same_bits(form: str) -> None:
    @settings(max_examples=examples(20))
    @given(ledgers(AS_OFS[1], max_rows=12))
    def check(ledger: list[Row]) -> None:
        rows = [*grouped(ledger), row(user_id="zoe", transaction_id="1")]
        with TemporaryDirectory() as folder:
            assert same(read(FORMS[form](rows, Path(folder))), read(rows))

    check()


def test_a_folder_of_a_file_for_each_row_gives_the_same_bits(tmp_path: Path) -> None:
    rows = grouped([row(user_id=user, user_balance=float(place)) for place, user in enumerate("abcab" * 3)])
    assert same(read(as_parquet_folder(rows, tmp_path)), read(rows))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_frames_with_times_of_every_unit(unit: str, zone: str | None) -> None:
    rows = [row(), row(transaction_date="1969-12-31T23:59:59")]
    table = with_times(rows, pa.timestamp(unit, zone))
    frames = [table, table.to_pandas()] if unit == "s" else [table, table.to_pandas(), pl.from_arrow(table)]
    for frame in frames:
        assert same(read(frame), read(rows))


def test_frames_with_dates() -> None:
    rows = [row(transaction_date="2024-06-30")]
    dates = arrow(rows)
    for name in (c.CREATED, c.DATE):
        dates = dates.set_column(dates.column_names.index(name), name, dates[name].cast(pa.date32()))
    for frame in (dates, dates.to_pandas(), pl.from_arrow(dates)):
        assert same(read(frame), read(rows))


def test_frames_with_numbers_of_other_types() -> None:
    rows = [row(user_balance=7.0, transaction_amount=-3.25)]
    table = arrow(rows)
    for balance in (pa.array([7]), pa.array([7], pa.uint8()), pa.array([Decimal("7.00")])):
        assert same(read(table.set_column(table.column_names.index(c.BALANCE), c.BALANCE, balance)), read(rows))


def test_frames_with_identifiers_that_are_whole_numbers() -> None:
    rows = [row(user_id=str(number % 3), transaction_id=str(number)) for number in range(12)]
    frame = pl.from_arrow(arrow(rows)).with_columns(pl.col(c.USER_ID, c.TRANSACTION_ID).cast(pl.Int64))
    for source in (frame, frame.to_pandas(), frame.to_arrow()):
        assert same(read(source), read(rows))


@pytest.mark.parametrize("kind", [pl.Int128, pl.UInt128])
def test_frames_with_whole_numbers_that_arrow_does_not_have(kind: type[pl.DataType]) -> None:
    rows = [row(user_id="7", transaction_amount=5.0, user_balance=12.0)]
    wide = pl.from_arrow(arrow(rows)).with_columns(pl.col("user_id", "transaction_amount", "user_balance").cast(kind))
    assert same(read(wide), read(rows))
    other = pl.from_arrow(arrow(rows)).with_columns(note=pl.lit(1, kind))
    assert same(read(other), read(rows))
    with pytest.raises(InvalidDataError, match=r"row 0: transaction_date is '20240630'"):
        read(wide.with_columns(transaction_date=pl.lit(20240630, kind)))


def test_missing_in_pandas_is_missing_however_it_is_written() -> None:
    frame = pd.DataFrame([row(transaction_id="t")] * 4).assign(transaction_id=["t", None, float("nan"), pd.NA])
    assert read(frame).rows == 4
    with pytest.raises(InvalidDataError, match="row 1: user_balance is missing"):
        read(frame.assign(user_balance=[1.0, float("nan"), 2.0, 3.0]))


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        (c.BALANCE, "x", "is 'x'"),
        (c.AMOUNT, True, "is True"),
        (c.USER_ID, 5, "is 5"),
        (c.DATE, 5, "is 5"),
        (c.CURRENCY, "\ud800", "is '\\ud800'"),
        (c.AMOUNT, 2**70, "is 1.1805916207174113e+21"),
    ],
)
def test_a_pandas_column_of_mixed_types_names_the_row(field: str, value: Any, problem: str) -> None:
    frame = pd.DataFrame([row()] * 3).astype({field: object})
    frame.loc[1, field] = value
    with pytest.raises(InvalidDataError) as caught:
        read(frame)
    assert [(found.row, found.field, found.problem) for found in caught.value.problems] == [(1, field, problem)]


@pytest.mark.parametrize("absent", [None, pd.NaT])
def test_a_time_among_dates_of_a_pandas_column_is_not_taken_for_its_date(absent: Any) -> None:
    day, moment = date(2024, 1, 1), datetime(2024, 1, 1, 17)  # noqa: DTZ001 (a time without a zone is in UTC)
    frame = pd.DataFrame([row()] * 2)
    assert read(frame.assign(transaction_date=pd.Series([day, day], dtype=object)))
    for mixed in ([day, moment], [moment, day], [day, pd.Timestamp(moment)]):
        with pytest.raises(InvalidDataError, match=r"row 0: transaction_date is "):
            read(frame.assign(transaction_date=pd.Series(mixed, dtype=object)))
    with pytest.raises(InvalidDataError, match=r"^[^;]*row 1: transaction_date is missing") as refusal:
        read(frame.assign(transaction_date=pd.Series([day, absent], dtype=object)))
    assert "row 0" not in str(refusal.value)


def test_a_pandas_column_of_a_type_that_arrow_does_not_know_names_its_rows() -> None:
    with pytest.raises(InvalidDataError, match=r"row 0: transaction_amount is .*1\+2j"):
        read(pd.DataFrame([row()] * 2).assign(transaction_amount=[1 + 2j, 3j]))


def test_other_columns_of_a_pandas_frame_may_hold_anything() -> None:
    frame = pd.DataFrame([row()] * 2).assign(note=[1, "x"], index=[object(), None])
    frame[0] = [{}, []]
    assert same(read(frame), read([row()] * 2))


def test_the_index_of_a_pandas_frame_does_not_matter() -> None:
    frame = pd.DataFrame([row(), row(user_id="bob"), row()])
    assert same(read(frame.set_index(pd.Index([7, 7, 7]))), read(frame))
    assert same(read(frame[frame.user_id == "ann"]), read([row(), row()]))


def test_nan_in_polars_is_named() -> None:
    with pytest.raises(InvalidDataError, match="row 0: user_balance is nan"):
        read(pl.DataFrame([row(user_balance=float("nan"))]))


@settings(max_examples=examples(30))
@given(ledgers(AS_OFS[1], max_rows=6))
def test_whatever_is_refused_is_refused_as_an_error_of_ours(ledger: list[Row]) -> None:
    for form in ("csv", "json", "arrow", "polars", "pandas"):
        rows = [*ledger, row(transaction_currency="XXX")]
        with TemporaryDirectory() as folder, pytest.raises(FivefoldError, match="'XXX'"):
            read(FORMS[form](rows, Path(folder)))
