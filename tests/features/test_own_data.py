"""Files as people have them: other names, semicolons, gzip, columns that are missing, rows in no order."""

import gzip
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import ConfigError, FileFormatError, InvalidDataError
from fivefold.domain.money import Rate, RateTable
from fivefold.features import schema as c
from fivefold.features.column_names import how_to_rename
from fivefold.features.histories import Histories, missing_values
from fivefold.features.indicator_matrix import catalogue, indicator_matrix, select_columns
from fivefold.features.indicators import CATALOGUE
from fivefold.features.reading import sources
from fivefold.features.reading.frames import histories_in_memory
from fivefold.features.reading.sources import absent_columns, read_histories, require_columns
from fivefold.features.reading.text_files import ColumnMap, MappedFile
from fivefold.features.reading.validate import TransactionReader
from fivefold.features.schema import CATEGORIES
from tests.features.oracle.equality import same
from tests.features.oracle.strategies import row
from tests.features.reading.test_tables import arrow

RATES = RateTable("EUR", date(2024, 7, 1), {"USD": Rate(0.5, date(2024, 7, 1))}, "test")
ROWS = [("a", "2024-01-02", 10.0, 10.0), ("b", "2024-01-03", 5.0, 5.0), ("a", "2024-01-01", 7.0, 7.0)]
NAMES = ("kunde", "tag", "betrag", "saldo")
MAP = ColumnMap.read(["kunde=user_id", "tag=transaction_date", "betrag=transaction_amount", "saldo=user_balance"])


def written(path: Path, rows: list[tuple[str, str, float, float]] | None = None) -> Path:
    frame = pl.DataFrame(rows or ROWS, schema=list(NAMES), orient="row")
    text = {"csv": lambda: frame.write_csv(separator=";"), "json": frame.write_ndjson}
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text["csv" if ".csv" in path.name else "json"]().encode()))
    elif path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        path.write_text(text["csv" if path.suffix == ".csv" else "json"]())
    return path


def told(found: Histories) -> list[object]:
    return [found.user_ids.to_pylist(), found.offsets.tolist(), found.amount.tolist(), found.created.tolist()]


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz", "r.jsonl", "r.jsonl.gz", "r.parquet"])
def test_every_form_of_the_same_rows_is_the_same(tmp_path: Path, name: str) -> None:
    found = read_histories(MappedFile(written(tmp_path / name), MAP), RATES)
    first, second = parse_moment("2024-01-01"), parse_moment("2024-01-03")
    assert told(found) == [["a", "b"], [0, 2, 3], [7.0, 10.0, 5.0], [first, first, second]]
    assert set(found.category.tolist()) == {CATEGORIES["WEB"]}
    assert {RATES.codes[code] for code in found.currency.tolist()} == {"EUR"}


def test_a_column_that_is_there_is_read(tmp_path: Path) -> None:
    text = "user_id,transaction_date,transaction_amount,user_balance,transaction_currency\na,2024-01-01,10,10,USD\n"
    (tmp_path / "r.csv").write_text(text)
    found = read_histories(tmp_path / "r.csv", RATES)
    assert found.amount.tolist() == [5.0]
    assert {RATES.codes[code] for code in found.currency.tolist()} == {"USD"}


@pytest.mark.parametrize("name", ["r.csv", "r.parquet"])
def test_of_a_file_the_header_alone_is_looked_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def read_rows(*_: object) -> None:
        raise AssertionError("rows were read")

    path = written(tmp_path / name)
    for reader in ("read_csv", "ParquetTables"):
        monkeypatch.setattr(sources, reader, read_rows)
    require_columns(MappedFile(path, MAP), RATES)
    with pytest.raises(FileFormatError, match="user_id"):
        require_columns(path, RATES)


JULY = parse_moment("2024-07-01")
READ_BALANCES = [made.name for made in CATALOGUE.indicators if "balance" in made.parameters]


def values_of(histories: Histories, as_of: int = JULY) -> pl.DataFrame:
    values, _ = indicator_matrix(histories, as_of)
    return pl.DataFrame(values, schema=list(CATALOGUE.names)).with_columns(user_id=pl.Series(histories.user_ids))


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.parquet"])
@pytest.mark.parametrize("empty", [False, True])
def test_customer_date_and_amount_are_enough_and_what_reads_a_balance_is_undefined(
    tmp_path: Path, name: str, empty: bool
) -> None:
    whole = read_histories(MappedFile(written(tmp_path / f"whole-{name}"), MAP), RATES)
    nothing = [pl.lit(None, pl.Float64).alias("saldo")] if empty else []
    frame = pl.DataFrame(ROWS, schema=list(NAMES), orient="row").drop("saldo").with_columns(*nothing)
    path = tmp_path / name
    {".csv": frame.write_csv, ".jsonl": frame.write_ndjson, ".parquet": frame.write_parquet}[path.suffix](path)
    names = ["kunde=user_id", "tag=transaction_date", "betrag=transaction_amount", *(["saldo=user_balance"] * empty)]
    found = read_histories(MappedFile(path, ColumnMap.read(names)), RATES)
    assert found.absent == (c.BALANCE, c.CURRENCY, c.CATEGORY, c.CREATED, c.STATE)
    assert told(found) == told(whole)
    values, others = values_of(found), [name for name in CATALOGUE.names if name not in READ_BALANCES]
    assert values.select(others).equals(values_of(whole).select(others))
    assert values.select(pl.col(READ_BALANCES).is_nan().all()).row(0) == (True,) * len(READ_BALANCES)
    assert list(catalogue(found.absent).names) == others
    assert select_columns(indicator_matrix(found, JULY)[0], found.absent).shape == (2, len(others))
    assert missing_values(found, JULY) == []  # a column that is not there at all is told once, elsewhere


def test_a_missing_balance_hides_from_its_moment_on_what_reads_balances_and_nothing_else() -> None:
    """One of a's rows has no balance. Before it all was known; b is known as ever."""
    rows = [
        {"user_id": user, "transaction_date": day, "transaction_amount": 5.0, "transaction_currency": "EUR",
         "user_balance": balance, "user_category": "WEB", "user_created": "2024-01-01"}
        for user, day, balance in (("a", "2024-05-01", 5.0), ("a", "2024-06-01", None), ("b", "2024-05-01", 5.0))
    ]  # fmt: skip
    with pytest.raises(InvalidDataError, match="row 1: user_balance is missing"):
        read_histories(rows, RATES)
    found = read_histories(rows, RATES, nullable=True)
    early, late = values_of(found, parse_moment("2024-05-31")), values_of(found)
    assert early["balance_last"].to_list() == [5.0, 5.0]
    assert [str(value) for value in late["balance_last"]] == ["nan", "5.0"]
    assert late["deposit_sum_90d"].to_list() == [10.0, 5.0]
    assert late["account_age"].is_finite().all()
    assert [str(each) for each in missing_values(found, JULY)] == [
        "user_balance is missing in rows of 1 customer, such as that of 'a' at 2024-06-01"
    ]
    assert missing_values(found, parse_moment("2024-05-31")) == missing_values(found, JULY, [c.CREATED]) == []
    assert missing_values(found.take(np.array([1])), JULY) == missing_values(found.select(1, 2), JULY) == []


def test_a_value_that_cannot_be_read_is_wrong_where_nothing_would_not_be() -> None:
    row = {"user_id": "a", "transaction_date": "2024-05-01", "transaction_amount": 5.0, "transaction_currency": "EUR"}
    rows = [{**row, "user_balance": None, "user_category": None, "user_created": None}]
    assert len(missing_values(read_histories(rows, RATES, nullable=True), JULY)) == 3
    for wrong in ({"user_balance": "much"}, {"user_category": "FAX"}, {"user_created": "soon"}):
        with pytest.raises(InvalidDataError, match=next(iter(wrong))):
            read_histories([{**rows[0], **wrong}], RATES, nullable=True)
    with pytest.raises(InvalidDataError, match="transaction_amount is missing"):
        read_histories([{**rows[0], "transaction_amount": None}], RATES, nullable=True)


def test_files_of_a_folder_lack_the_same_columns(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"user_id": ["a", "b"], "transaction_date": ["2024-05-01"] * 2, "transaction_amount": [1.0, 2.0]}
    )
    frame.head(1).write_parquet(tmp_path / "a.parquet")
    frame.tail(1).with_columns(user_category=pl.lit("WEB")).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(FileFormatError, match=r"a\.parquet has no column user_category, which .*b\.parquet has"):
        read_histories(tmp_path, RATES)


@pytest.mark.parametrize("form", ["text", "typed", "zoned"])
def test_what_is_half_a_microsecond_after_as_of_does_not_count(form: str) -> None:
    """At exactly as-of counts; 500 nanoseconds later does not, and a window leaves out what opened it."""
    texts = pl.Series("transaction_date", ["2024-07-01T00:00:00.000000000", "2024-07-01T00:00:00.000000500"])
    column = {
        "text": texts,
        "typed": texts.str.to_datetime(time_unit="ns"),
        "zoned": texts + "Z",
    }[form]
    frame = pl.DataFrame({"user_id": ["a", "a"], "transaction_date": column}).with_columns(
        transaction_amount=1.0, transaction_currency=pl.lit("EUR"), user_balance=1.0, user_category=pl.lit("WEB"),
        user_created=pl.lit("2024-01-01"),
    )  # fmt: skip
    found = read_histories(frame, RATES)
    _, seen = indicator_matrix(found, JULY)
    assert seen.tolist() == [1]
    assert indicator_matrix(found, JULY + 1)[1].tolist() == [2]


def test_rows_of_a_call_must_still_be_whole() -> None:
    row = {"user_id": "a", "transaction_date": "2024-01-01", "transaction_amount": 1.0, "user_balance": 1.0}
    with pytest.raises(InvalidDataError, match="user_category is missing"):
        histories_in_memory([row], TransactionReader(RATES))


@pytest.mark.parametrize("name", c.ABSENT)
@pytest.mark.parametrize("kind", [pa.string(), pa.null()])
def test_a_column_without_any_value_is_absent_in_grouped_parquet_too(
    name: str, kind: pa.DataType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = arrow([row(user_id=user) for user in "aab"]).drop_columns([name])
    pq.write_table(rows.append_column(name, pa.nulls(3, kind)), tmp_path / "rows.parquet")
    assert absent_columns(tmp_path / "rows.parquet") == (name,)
    small = read_histories(tmp_path / "rows.parquet", RATES)
    monkeypatch.setattr(sources, "PARQUET_ROWS_SORTED", -1)
    assert same(read_histories(tmp_path / "rows.parquet", RATES), small)
    assert small.absent == (name,)
    some = pa.array([None, None, row()[name]])
    pq.write_table(rows.append_column(name, some), tmp_path / "some.parquet")
    with pytest.raises(InvalidDataError, match=f"{name} is missing"):
        read_histories(tmp_path / "some.parquet", RATES)


def test_what_is_missing_is_named_with_how_to_say_it(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="has no column user_id, transaction_amount, transaction_date"):
        read_histories(written(tmp_path / "r.parquet"), RATES)
    with pytest.raises(FileFormatError, match="such as --map customer_id=user_id"):
        read_histories(written(tmp_path / "r.csv"), RATES)
    with pytest.raises(FileFormatError, match="has no column konto to map"):
        read_histories(MappedFile(tmp_path / "r.csv", ColumnMap.read(["konto=user_id"])), RATES)


def test_a_pair_that_is_the_wrong_way_round_gets_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("konto,wann\na,2024-05-01\n")
    with pytest.raises(FileFormatError, match=r"; the file's column comes first in a pair: konto=user_id$"):
        read_histories(MappedFile(tmp_path / "r.csv", ColumnMap.read(["user_id=konto"])), RATES)


def test_a_needed_column_that_a_pair_takes_away_is_named_with_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("user_id,transaction_date,transaction_amount\na,2024-05-01,1\n")
    pairs = ColumnMap.read(["user_id=Kunde"])
    with pytest.raises(FileFormatError) as caught:
        read_histories(MappedFile(tmp_path / "r.csv", pairs), RATES)
    assert str(caught.value) == (
        f"{tmp_path / 'r.csv'} has the column user_id, which user_id=Kunde gives another name; leave that pair out, "
        "or give the column that is user_id, its name first, as in customer_id=user_id"
    )


def test_a_header_that_is_nearly_ours_gets_the_options_to_paste(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("User_ID;Transaction Date;Betrag;user_balance\na;2024-01-01;1;1\n")
    with pytest.raises(FileFormatError) as caught:
        read_histories(tmp_path / "r.csv", RATES)
    assert str(caught.value).endswith("such as --map User_ID=user_id --map 'Transaction Date=transaction_date'")


def test_names_that_end_alike_are_taken_for_ours_and_needed_ones_come_first(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("category,amount,customer_id,date\nWEB,1,a,2024-01-01\n")
    with pytest.raises(FileFormatError) as caught:
        read_histories(tmp_path / "r.csv", RATES)
    assert str(caught.value).endswith(
        "user_balance, transaction_currency, user_category, user_created, transaction_state, transaction_id may be "
        "there. A column of another name is given by --map, such as --map customer_id=user_id --map "
        "amount=transaction_amount --map date=transaction_date --map category=user_category"
    )
    (tmp_path / "r.csv").write_text("customer,date,amount\na,2024-01-01,1\n")
    with pytest.raises(FileFormatError, match="such as --map customer=user_id --map amount=transaction_amount --map"):
        read_histories(tmp_path / "r.csv", RATES)
    (tmp_path / "r.csv").write_text("client_id,account_id,when,how_much\na,b,2024-01-01,1\n")
    with pytest.raises(FileFormatError, match=r"such as --map client_id=user_id$"):
        read_histories(tmp_path / "r.csv", RATES)


def test_a_column_cannot_be_mapped_to_a_name_that_nothing_reads(tmp_path: Path) -> None:
    path = written(tmp_path / "r.csv")
    with pytest.raises(ConfigError, match="kunde=user_idd: user_idd is not a column that is read; perhaps user_id was"):
        MappedFile(path, ColumnMap.read(["kunde=user_idd"]))
    with pytest.raises(ConfigError, match="xyz is not a column that is read; they are user_id, "):
        MappedFile(path, ColumnMap.read(["kunde=xyz"]))
    assert MappedFile(path, ColumnMap.read(["user_id=former_id", "kunde=user_id"]))  # makes way for the other


def test_rows_are_numbered_as_in_a_spreadsheet(tmp_path: Path) -> None:
    path = written(tmp_path / "r.csv", [*ROWS, ("c", "soon", 1.0, 1.0)])
    with pytest.raises(InvalidDataError, match="row 5: transaction_date is 'soon'"):
        read_histories(MappedFile(path, MAP), RATES)


@pytest.mark.parametrize("pairs", [["a"], ["=b"], ["a="], ["a=b", "a=c"], ["a=b", "c=b"]])
def test_a_map_that_cannot_be_is_refused(pairs: list[str]) -> None:
    with pytest.raises(ConfigError):
        ColumnMap.read(pairs)


@pytest.mark.parametrize(
    ("names", "proposed"),
    [
        ("trans_id account_id date type operation amount balance k_symbol", ["account_id", "date", "amount"]),  # Berka
        ("customer_id date quantity amount", ["customer_id", "date", "amount"]),  # CDNOW
        ("id Created_date_(UTC) Amount Currency Customer_ID Status", ["Customer_ID", "Created_date_(UTC)", "Amount"]),
        ("balance_transaction_id created currency gross customer_id", ["customer_id", "created", None]),  # Stripe
        ("Date Transaction_Type Num Name Amount Balance", [None, "Date", "Amount"]),  # QuickBooks
        (
            "id created_at amount currency status links.customer",
            ["links.customer", "created_at", "amount"],
        ),  # GoCardless
        ("transaction_id account_id amount iso_currency_code date", ["account_id", "date", "amount"]),  # Plaid
        ("user_id amount transaction_dt created_at", [None, "transaction_dt", "amount"]),  # the nearer name is meant
    ],
)
def test_columns_of_real_exports_are_proposed(names: str, proposed: list[str | None]) -> None:
    said = how_to_rename(names.split(), [], in_file=False)
    for own, theirs in zip((c.USER_ID, c.DATE, c.AMOUNT), proposed, strict=True):
        assert (f"{theirs} to {own}" in said) if theirs else f" to {own}" not in said
    assert "Transaction_Type" not in said
