"""Apache Spark on this machine gives the bits of one process, wherever batches end and in any zone."""

import ast
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from py4j.protocol import Py4JJavaError, Py4JNetworkError
from pyspark.errors import PySparkException

from fivefold.domain.errors import ConfigError, FileFormatError, FivefoldError, InvalidDataError, ModelError
from fivefold.domain.settings import read_settings
from fivefold.features import kept, partitions
from fivefold.features import schema as c
from fivefold.features import spark as adapter
from fivefold.features.histories import concatenate
from fivefold.features.indicator_matrix import warm
from fivefold.features.kept import read_kept
from fivefold.features.reading.columns import ErrorCollector
from fivefold.features.reading.frames import table_from_rows
from fivefold.features.reading.sources import file_reader, read_histories
from fivefold.features.reading.text_files import ColumnMap, MappedFile
from fivefold.features.spark import SparkEngine, open_session
from fivefold.models.scoring import sources as scoring
from fivefold.models.scoring.histories import Scoring
from fivefold.models.scoring.sources import score_on_engine, score_source
from fivefold.training import on_engine
from fivefold.training.simulation.simulator import Simulation, simulate
from tests.depth import DEPTH
from tests.features.oracle.equality import Contents, by_user, same
from tests.features.oracle.strategies import AS_OFS, RATES, Row, ledgers, row
from tests.features.spark.work import contents, joined, letters
from tests.models import making

ROOT = Path(__file__).parents[3]
needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="Spark takes Java, and there is none here")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    """One session for all tests here: in New York, and with batches of one row and one byte."""
    warm()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))  # the workers import `work`
        session = open_session(read_settings(), "local[2]")
    session.conf.set("spark.sql.session.timeZone", "America/New_York")
    session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "1")
    session.conf.set("spark.sql.execution.arrow.maxBytesPerBatch", "1")
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield SparkEngine(session, tmp_path_factory.mktemp("shared"), rows_at_once=1)
    session.stop()


def written(folder: Path, tables: list[pa.Table]) -> MappedFile:
    folder.mkdir(parents=True, exist_ok=True)
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"{number}.parquet")
    return MappedFile(folder)


def read_by(engine: SparkEngine, file: MappedFile) -> Contents:
    return joined(list(engine.run(file, file_reader(file, RATES), contents)))


def refusal(work: Any) -> FivefoldError:
    with pytest.raises(FivefoldError) as caught:
        work()
    return caught.value


MOMENTS = {
    "text": lambda texts: texts,
    "naive": lambda texts: texts.cast(pa.timestamp("us")),
    "milliseconds": lambda texts: texts.cast(pa.timestamp("us")).cast(pa.timestamp("ms"), safe=False),
    "zoned": lambda texts: texts.cast(pa.timestamp("us")).cast(pa.timestamp("us", "Asia/Tokyo")),
    "nanoseconds": lambda texts: texts.cast(pa.timestamp("us")).cast(pa.timestamp("ns")),
    "days": lambda texts: texts.cast(pa.timestamp("us")).cast(pa.date32(), safe=False),
}


@needs_java
@settings(max_examples=3 if DEPTH == "quick" else 12)
@given(ledger=ledgers(AS_OFS[0]).filter(bool), kind=st.sampled_from(sorted(MOMENTS)), files=st.integers(1, 3))
def test_drawn_rows_have_the_bits_of_one_process(
    engine: SparkEngine, ledger: list[Row], kind: str, files: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table = table_from_rows(sorted(ledger, key=lambda row: row["user_id"]), ErrorCollector())
    for name in (c.DATE, c.CREATED):
        table = table.set_column(table.column_names.index(name), name, MOMENTS[kind](table[name]))
    cuts = [len(ledger) * number // files for number in range(files + 1)]
    parts = [table.slice(cuts[number], cuts[number + 1] - cuts[number]) for number in range(files)]
    file = written(tmp_path_factory.mktemp("drawn"), parts)
    assert read_by(engine, file) == by_user(read_histories(file, RATES))


@needs_java
def test_kept_histories_stand_in_the_order_of_one_process(engine: SparkEngine, tmp_path: Path) -> None:
    """The rows of two files are in no order, and the first row of a customer may be in the second file."""
    table = pa.concat_tables(simulate(Simulation(customers=40, seed=12)))
    table = table.take(pa.array(np.random.default_rng(3).permutation(len(table))))
    half = len(table) // 2
    file = written(tmp_path / "rows", [table.slice(0, half), table.slice(half)])
    parts = [read_kept(path) for path in engine.keep(file, file_reader(file, making.RATES))]
    assert len(parts) > 1
    assert same(concatenate(parts), read_histories(file, making.RATES))
    files = [tmp_path / name for name in ("b", "a", "c")]
    for path in files:
        path.write_text(path.name * 3, encoding="utf-8")
    assert [bytes(result.note) for result in engine.run_each(files, letters)] == [b"b", b"b", b"b", b"a", b"a", b"a",
                                                                                  b"c", b"c", b"c"]  # fmt: skip
    assert list(engine.run_each([], letters)) == []


@needs_java
def test_scores_have_the_bits_of_one_process(engine: SparkEngine, tmp_path: Path) -> None:
    table = pa.concat_tables(simulate(Simulation(customers=60, seed=11)))
    half = len(table) // 2
    names = [{c.USER_ID: "the customer.s"}.get(name, name) for name in table.column_names]
    parts = [table.slice(0, half), table.slice(half)]
    folder = tmp_path / "p[1] {ä}+%20"  # Spark would read some of it as a pattern, and write some of it otherwise
    file = replace(
        written(folder, [part.rename_columns(names) for part in parts]), names=ColumnMap({"the customer.s": c.USER_ID})
    )
    model = replace(making.value_model(), intervals=making.interval_table())
    how = Scoring(making.AS_OF, explained=True, compare_as_of=making.AS_OF - 10**13, level_percent=70)
    by_spark = list(score_on_engine(engine, model, file, how))
    alone = list(score_source(model, file, how))
    assert len(by_spark) == 60  # batches of one row were joined to whole customers, one at a time
    one, many = (pl.concat([batch.table for batch in batches]).sort("user_id") for batches in (alone, by_spark))
    assert_frame_equal(many, one, check_exact=True)
    assert sum(batch.left_out for batch in by_spark) == sum(batch.left_out for batch in alone) > 0
    assert frozenset().union(*(batch.currencies for batch in by_spark)) == alone[0].currencies
    assert max(batch.newest or 0 for batch in by_spark) == alone[0].newest


@needs_java
def test_nan_and_nothing_are_told_apart_with_the_rows_of_the_file(engine: SparkEngine, tmp_path: Path) -> None:
    rows = [row(user_id=f"u{number // 3}", transaction_id=str(number)) for number in range(30)]
    rows[4] |= {"user_balance": float("nan")}
    rows[11] |= {"user_balance": None}
    rows[17] |= {"transaction_id": "15", "transaction_amount": 5}
    rows[29] |= {"user_category": "APP"}
    table = table_from_rows(rows, ErrorCollector())
    file = written(tmp_path / "bad", [table.slice(0, 10), table.slice(10)])
    by_spark = refusal(lambda: read_by(engine, file))
    alone = refusal(lambda: read_histories(file, RATES))
    assert isinstance(by_spark, InvalidDataError)
    assert str(by_spark) == str(alone)
    assert [problem.row for problem in by_spark.problems] == [4, 11, 17, 29]


@needs_java
@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("ms", "Asia/Tokyo"), pa.timestamp("ns")])
def test_a_moment_out_of_range_is_written_as_by_one_process(
    kind: pa.TimestampType, engine: SparkEngine, tmp_path: Path
) -> None:
    table = table_from_rows([row(), row(user_id="bob")], ErrorCollector())
    moments = pa.array([-3 * 10**9, 10**9], pa.timestamp("s")).cast(kind)  # in 1874, and in 2001
    file = written(tmp_path / "old", [table.set_column(table.column_names.index(c.DATE), c.DATE, moments)])
    by_spark, alone = (
        str(refusal(work)) for work in (lambda: read_by(engine, file), lambda: read_histories(file, RATES))
    )
    assert by_spark == alone
    assert "transaction_date is 1874-12-0" in alone


@needs_java
def test_a_worker_whose_model_is_another_refuses(engine: SparkEngine, tmp_path: Path) -> None:
    file = written(tmp_path / "rows", [table_from_rows([row()], ErrorCollector())])
    making.value_model().save(tmp_path / "model")
    work = scoring._ScoringWork(tmp_path / "model", "another", Scoring(making.AS_OF))
    with pytest.raises(ModelError, match="is not the model that was registered"):
        list(engine.run(file, file_reader(file, making.RATES), work))


@needs_java
def test_files_that_differ_are_refused(engine: SparkEngine, tmp_path: Path) -> None:
    """Spark would take the columns of one file for those of all, and a state that another has for none."""
    with_state = table_from_rows([row(transaction_state="FAILED")], ErrorCollector())
    without = table_from_rows([row(user_id="bob", transaction_state=...)], ErrorCollector())
    file = written(tmp_path / "rows", [without, with_state])
    with pytest.raises(FileFormatError, match=r"0\.parquet has no column transaction_state, which .*1\.parquet has"):
        read_by(engine, file)
    place = with_state.column_names.index("transaction_amount")
    narrow = with_state.set_column(place, "transaction_amount", pa.array([5], pa.int32()))
    file = written(tmp_path / "types", [with_state, narrow])
    with pytest.raises(
        FileFormatError, match=r"1\.parquet has the column transaction_amount as int32, and .*0\.parquet"
    ):
        read_by(engine, file)


@needs_java
def test_files_that_differ_in_what_changes_no_value_are_read_as_in_one_process(
    engine: SparkEngine, tmp_path: Path
) -> None:
    """Text in another form, columns in another order, and one in one file alone that nobody reads."""
    table = pa.concat_tables(simulate(Simulation(customers=20, seed=13)))
    half = len(table) // 2
    large = [each.with_type(pa.large_string()) if pa.types.is_string(each.type) else each for each in table.schema]
    place = table.column_names.index("transaction_currency")
    large[place] = large[place].with_type(pa.dictionary(pa.int8(), pa.string()))  # as categories of pandas are
    second = table.slice(half).cast(pa.schema(large)).select(table.column_names[::-1])
    second = second.append_column("note", pa.array([1] * len(second)))
    for number, tables in enumerate(([table.slice(0, half), second], [second, table.slice(0, half)])):
        file = written(tmp_path / f"rows-{number}", tables)
        by_spark = joined(list(engine.run(file, file_reader(file, making.RATES), contents)))
        assert by_spark == by_user(read_histories(file, making.RATES))


@needs_java
def test_a_file_without_a_value_has_no_type_as_in_one_process(engine: SparkEngine, tmp_path: Path) -> None:
    """Such as pandas writes: a column of nulls alone, and a file of an empty day. The numbers of rows stay the same."""
    table = pa.concat_tables(simulate(Simulation(customers=20, seed=13)))
    half = len(table) // 2
    nothing = pa.table({name: pa.nulls(0) for name in table.column_names})
    place = table.column_names.index("transaction_state")
    first = table.slice(0, half).set_column(place, "transaction_state", pa.nulls(half))
    for number, tables in enumerate(([nothing, first, table.slice(half)], [table.slice(half), nothing, first])):
        file = written(tmp_path / f"rows-{number}", tables)
        by_spark = joined(list(engine.run(file, file_reader(file, making.RATES), contents)))
        assert by_spark == by_user(read_histories(file, making.RATES))
    place = table.column_names.index(c.AMOUNT)
    file = written(tmp_path / "wrong", [table.slice(0, 7), table.slice(7, 1).set_column(place, c.AMOUNT, pa.nulls(1))])
    messages = {str(refusal(lambda: read_by(engine, file))), str(refusal(lambda: read_histories(file, RATES)))}
    assert len(messages) == 1
    assert "row 8: transaction_amount is missing" in messages.pop()


@needs_java
def test_columns_that_nobody_reads_have_any_type(engine: SparkEngine, tmp_path: Path) -> None:
    """Spark has no type for a time of day, half a float or an identifier in 16 bytes, and for nanoseconds a setting."""
    table = table_from_rows([row()], ErrorCollector())
    table = table.append_column("clock", pa.array([1], pa.time64("ns")))
    table = table.append_column("half", pa.array([1.0], pa.float16()))
    table = table.append_column("event", pa.array([bytes(16)], pa.uuid()))
    table = table.append_column("loaded", pa.array([1], pa.timestamp("ns")))
    file = written(tmp_path / "rows", [table])
    engine.session.conf.unset("spark.sql.legacy.parquet.nanosAsLong")
    assert read_by(engine, file) == by_user(read_histories(file, RATES))


@needs_java
@pytest.mark.parametrize("name", ["_0.parquet", ".0.parquet"])
def test_a_hidden_file_is_left_out_as_by_one_process(name: str, engine: SparkEngine, tmp_path: Path) -> None:
    file = written(tmp_path / "rows", [table_from_rows([row()], ErrorCollector())])
    pq.write_table(table_from_rows([row(user_id="bob")], ErrorCollector()), file.path / name)
    assert list(read_by(engine, file)) == [row()["user_id"]]
    with pytest.raises(FileFormatError, match=f"{name} would be left out by Spark"):
        read_by(engine, MappedFile(file.path / name))


@needs_java
def test_what_spark_would_read_as_other_rows_is_refused(engine: SparkEngine, tmp_path: Path) -> None:
    below = tmp_path / "transaction_currency=USD"
    written(below, [table_from_rows([row()], ErrorCollector()).drop_columns(["transaction_currency"])])
    with pytest.raises(FileFormatError, match="has the column transaction_currency in the names of folders"):
        read_by(engine, MappedFile(tmp_path))
    write_deltalake(str(tmp_path / "table"), table_from_rows([row()], ErrorCollector()))
    with pytest.raises(FileFormatError, match="is a table, or in an object store, which Spark does not read here"):
        read_by(engine, MappedFile(tmp_path / "table"))


@needs_java
def test_names_of_folders_are_columns_as_in_one_process(engine: SparkEngine, tmp_path: Path) -> None:
    """Otherwise failed transactions count as money, and dollars as euros."""
    table = table_from_rows([row()], ErrorCollector())
    written(tmp_path / "a" / "status=FAILED", [table.drop_columns(["transaction_state"])])
    file = MappedFile(tmp_path / "a")
    messages = {str(refusal(lambda: read_by(engine, file))), str(refusal(lambda: read_histories(file, RATES)))}
    assert len(messages) == 1
    assert "has no column transaction_state, and has status" in messages.pop()
    written(tmp_path / "b" / "ccy=USD", [table.drop_columns([c.CURRENCY])])
    file = MappedFile(tmp_path / "b", ColumnMap({"ccy": c.CURRENCY}))
    with pytest.raises(FileFormatError, match="has the column ccy in the names of folders"):
        read_by(engine, file)


@needs_java
def test_the_same_file_under_two_names_is_read_once_as_by_one_process(engine: SparkEngine, tmp_path: Path) -> None:
    file = written(tmp_path / "rows", [table_from_rows([row(), row(user_id="bob")], ErrorCollector())])
    (file.path / "1.parquet").symlink_to(file.path / "0.parquet")
    assert read_histories(file, RATES).rows == 2
    assert read_by(engine, file) == by_user(read_histories(file, RATES))


@needs_java
def test_unsigned_customers_and_a_column_without_values_are_as_in_one_process(
    engine: SparkEngine, tmp_path: Path
) -> None:
    table = table_from_rows([row(user_id=str(number)) for number in (5, 5, 7)], ErrorCollector())
    table = table.set_column(0, table.column_names[0], pa.array([5, 5, 7], pa.uint64()))
    nothing = pa.nulls(3, pa.string())
    table = table.set_column(table.column_names.index(c.CURRENCY), c.CURRENCY, nothing)
    file = written(tmp_path / "rows", [table])
    assert table.column_names[0] == c.USER_ID
    assert read_by(engine, file) == by_user(read_histories(file, RATES))


@needs_java
def test_names_that_are_one_to_spark_are_refused(engine: SparkEngine, tmp_path: Path) -> None:
    table = table_from_rows([row()], ErrorCollector())
    file = written(tmp_path / "rows", [table.append_column("User_Id", table[c.USER_ID])])
    with pytest.raises(FileFormatError, match="has the columns user_id and User_Id, which are one to Spark"):
        read_by(engine, file)
    twice = pa.table([*table.columns, table[c.BALANCE]], [*table.column_names, c.BALANCE])
    with pytest.raises(FileFormatError, match="has more than one column user_balance"):
        read_by(engine, written(tmp_path / "twice", [twice]))


def test_a_server_that_does_not_answer_is_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"no server of Spark Connect answers at 127\.0\.0\.1:9: "):
        open_session(read_settings(), "sc://127.0.0.1:9")


@needs_java
def test_what_lacks_a_column_is_refused_as_by_one_process(engine: SparkEngine, tmp_path: Path) -> None:
    table = table_from_rows([row()], ErrorCollector()).drop_columns([c.AMOUNT])
    file = written(tmp_path / "rows", [table])
    messages = {str(refusal(lambda: read_by(engine, file))), str(refusal(lambda: read_histories(file, RATES)))}
    assert len(messages) == 1
    assert "has no column transaction_amount" in messages.pop()


@needs_java
def test_a_column_without_values_that_is_required_is_refused_before_workers_start(
    engine: SparkEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_from_rows([row()], ErrorCollector())
    nothing = table.set_column(table.column_names.index(c.BALANCE), c.BALANCE, pa.nulls(1, pa.float64()))
    file = written(tmp_path / "rows", [nothing])
    alone = str(refusal(lambda: read_histories(file, RATES, absent=())))
    monkeypatch.setattr(adapter, "_collected", lambda *_: pytest.fail("workers started"))
    assert str(refusal(lambda: list(engine.run(file, file_reader(file, RATES, absent=()), contents)))) == alone
    assert "has no column user_balance" in alone


@needs_java
def test_a_balance_that_is_absent_stays_unknown(engine: SparkEngine, tmp_path: Path) -> None:
    rows = [row(user_id=user, transaction_amount=number) for number, user in enumerate("aabbc")]
    table = table_from_rows(rows, ErrorCollector()).drop_columns([c.BALANCE, c.CATEGORY, c.CREATED, c.CURRENCY])
    file = written(tmp_path / "rows", [table])
    assert read_by(engine, file) == by_user(read_histories(file, RATES))


@needs_java
def test_no_warning_leaves_it(engine: SparkEngine, tmp_path: Path) -> None:
    file = written(tmp_path / "rows", [table_from_rows([row()], ErrorCollector())])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(read_by(engine, file)) == ["ann"]


@needs_java
def test_nothing_but_whole_results_is_left_in_the_folder(engine: SparkEngine, tmp_path: Path) -> None:
    file = written(tmp_path / "rows", [table_from_rows([row()], ErrorCollector())])
    read_by(engine, file)
    assert {path.suffix for path in engine.folder.iterdir()} <= {".arrow", ""}
    assert not list(engine.folder.glob(".*"))


class JavaError(Py4JJavaError):  # type: ignore[misc]  # Py4J ships no types
    """An error of Java with this text; a real one asks Java for it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


LOST = "Job aborted due to stage failure: all workers are lost"
UNREAD = "An error occurred while calling o1.x.\n: a.B: unreadable\n\tat a.C\nCaused by: no codec\n\t... 1 more\n"
PYTHON = 'An exception was thrown:\nTraceback (most recent call last):\n  File "a.py"\nImportError: no fivefold\n'


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (PySparkException(f"{LOST}\n\tat org.apache.spark.A\n"), LOST),
        (PySparkException(PYTHON), "ImportError: no fivefold"),
        (JavaError(UNREAD), "a.B: unreadable. Caused by: no codec"),
        (Py4JNetworkError("Answer from Java side is empty"), "Answer from Java side is empty"),
        (ConnectionRefusedError(), "ConnectionRefusedError"),
    ],
)
def test_what_spark_itself_ends_with_is_told_in_one_line(
    ended: Exception, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> None:
        raise ended

    monkeypatch.setattr(adapter, "_rows", lost)
    nothing: Any = None
    engine = SparkEngine(nothing, tmp_path)
    error = refusal(lambda: engine.run(MappedFile(tmp_path / "a.parquet"), nothing, nothing))
    assert str(error) == f"Spark ended with an error: {reason}"


def test_other_formats_are_refused_before_spark_reads(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("user_id\nann\n", encoding="utf-8")
    file = MappedFile(path)
    with pytest.raises(FileFormatError, match=r"rows.csv is not Parquet, and Spark reads nothing else here"):
        adapter._rows(None, file, file_reader(file, RATES), tmp_path)  # type: ignore[arg-type]  # no session is asked


@pytest.mark.parametrize(("home", "where"), [("", "on the PATH"), ("/nowhere", "under JAVA_HOME, /nowhere")])
def test_without_java_one_line_says_so(home: str, where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", home)
    with pytest.raises(ConfigError, match=f"Spark takes Java 17 or later, and there is no java {where}"):
        open_session(read_settings(), "local[2]")


@pytest.mark.parametrize("module", [adapter, kept, partitions, scoring, on_engine])
def test_nothing_is_used_that_spark_connect_lacks(module: Any) -> None:
    """A client of Spark Connect has no context, no RDDs and no objects of Java."""
    lacking = {"sparkContext", "SparkContext", "rdd", "broadcast_variable", "_sc", "_jdf", "_jvm", "_jsparkSession"}
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not names & lacking
