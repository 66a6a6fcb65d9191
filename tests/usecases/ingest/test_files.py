"""Imports go on where they were stopped, name rows of the whole file, and take nothing by halves."""

import errno
import gzip
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, text

from fivefold.domain.errors import ConfigError, ConflictError, FileFormatError, StoreError, UnknownOutcomeError
from fivefold.domain.files import naming
from fivefold.features.reading.text_files import ColumnMap
from fivefold.usecases.ingest import file_parts
from fivefold.usecases.ingest import files as importing
from fivefold.usecases.ingest.file_parts import parts
from fivefold.usecases.ingest.files import ImportFile, Progress, import_table
from fivefold.usecases.ingest.import_progress import list_imports
from fivefold.usecases.shared.context import Context
from tests.store import databases
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank
from tests.usecases.erasure.test_erase import backup, restore

COUNT = 25
Tell = Callable[[Progress], None]


@pytest.fixture
def bank(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.setattr(importing, "ROWS", {"entities": 10, "transactions": 10})
    return Bank(engine)


def entities(path: Path, **changed: list[str]) -> Path:
    columns = {"entity_id": [f"c{number}" for number in range(COUNT)], "income": ["5"] * COUNT, **changed}
    pl.DataFrame(columns).write_csv(path)
    return path


def count(bank: Bank, table: str) -> int:
    with bank.engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def take(bank: Bank, path: Path, table: str = "entities", *, tell: Tell | None = None, **more: Any) -> Progress:
    """Import a file of customers, or of rows about them."""
    context = Context(bank.engine, bank.actor, lambda: bank.now)
    return import_table(context, table, "customer", ImportFile(path, **more), *([] if tell is None else [tell]))


class StoppedError(Exception):
    """Somebody pulled the plug."""


def stopped(bank: Bank, path: Path, rows: int) -> None:
    """Begin to import customers, and pull the plug as soon as so many rows are stored."""

    def stop(progress: Progress) -> None:
        if progress.rows >= rows:
            raise StoppedError

    with pytest.raises(StoppedError):
        take(bank, path, tell=stop)


def test_one_that_was_stopped_goes_on_where_it_was(bank: Bank, tmp_path: Path) -> None:
    path = entities(tmp_path / "e.csv")

    stopped(bank, path, 20)
    assert count(bank, "entities") == 20
    told: list[Progress] = []
    done = take(bank, path, tell=told.append)
    assert done == Progress(rows=COUNT, new=COUNT, changed=0, same=0, finished=True)
    assert [progress.rows for progress in told] == [20, 25, 25], "what was stored is not read again"
    assert count(bank, "entities") == COUNT


@pytest.mark.postgresql
@pytest.mark.parametrize("stored", [0, 10])
def test_after_a_restore_one_that_was_stopped_goes_on_behind_the_rows_that_are_there(
    bank: Bank, kind: str, tmp_path: Path, stored: int
) -> None:
    path = entities(tmp_path / "e.csv", income=["much"] + ["5"] * 23 + ["much"])
    kept: list[Path] = []

    def stop(progress: Progress) -> None:
        if progress.rows == stored:
            kept.append(backup(bank, kind, tmp_path))
        if progress.rows == 20:
            raise StoppedError

    with pytest.raises(StoppedError):
        import_table(Context(bank.engine, bank.actor), "entities", "customer", ImportFile(path), stop)
    told: list[Progress] = []
    with databases.opened(restore(bank, kind, kept[0], tmp_path)) as restored:
        bank.engine = restored
        done = take(bank, path, tell=told.append)
        assert [progress.rows for progress in told] == [*range(stored, 21, 10), COUNT, COUNT]
        assert (done.new, done.same, done.refused, count(bank, "entities")) == (COUNT - 2, 0, 2, COUNT - 2)
    assert done.refused_path == tmp_path / ("e.refused.csv" if stored else "e.refused-2.csv")
    assert pl.read_csv(done.refused_path)["refused_row"].to_list() == [2, COUNT + 1]


@pytest.mark.postgresql
def test_a_part_and_the_position_behind_it_are_stored_together(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plug is pulled between the rows of the second part and its position: neither is there."""
    real = importing.refused_rows
    taken: list[object] = []

    def stop(*arguments: Any) -> Any:
        taken.append(arguments)
        if len(taken) == 2:
            raise StoppedError
        return real(*arguments)

    path = entities(tmp_path / "e.csv", income=["much", *["5"] * 9, "much", *["5"] * 14])
    monkeypatch.setattr(importing, "refused_rows", stop)
    with pytest.raises(StoppedError):
        take(bank, path)
    assert (count(bank, "entities"), [line.rows for line in list_imports(bank.context)]) == (9, [10])
    done = take(bank, path)
    assert (done.new, done.same, done.refused, count(bank, "entities")) == (COUNT - 2, 0, 2, COUNT - 2)


@pytest.mark.postgresql
def test_of_two_imports_of_a_file_at_once_one_goes_on(bank: Bank, tmp_path: Path) -> None:
    path = entities(tmp_path / "e.csv", income=["much"] * COUNT)
    others: list[Progress] = []

    def other(progress: Progress) -> None:
        if progress.rows == 10 and not others:
            others.append(take(bank, path))

    with pytest.raises(
        ConflictError, match=r"e\.csv is imported by another process too, which has stored 25 rows of it"
    ):
        take(bank, path, tell=other)
    assert [one.refused for one in others] == [COUNT]
    assert pl.read_csv(tmp_path / "e.refused.csv")["refused_row"].to_list() == list(range(2, COUNT + 2))


def test_what_was_taken_away_from_the_refused_rows_is_not_written_into(bank: Bank, tmp_path: Path) -> None:
    path, mended = entities(tmp_path / "e.csv", income=["much"] * COUNT), tmp_path / "e.refused.csv"

    stopped(bank, path, 10)
    mended.write_text("entity_id,income\nc1,5\n")
    done = take(bank, path)
    assert (done.refused, done.refused_path) == (COUNT, tmp_path / "e.refused-2.csv")
    assert mended.read_text() == "entity_id,income\nc1,5\n"


def rows_refused(done: Progress) -> list[int]:
    assert done.refused_path is not None
    return pl.read_csv(done.refused_path, infer_schema_length=None)["refused_row"].to_list()


@pytest.mark.parametrize("other", ["other rows", "other organisation", "other content"])
def test_one_that_goes_on_leaves_what_another_import_of_the_file_refused(
    bank: Bank, tmp_path: Path, other: str
) -> None:
    path = entities(tmp_path / "e.csv", income=["5"] * 24 + ["much"])
    first, stamp = path.read_bytes(), path.stat()

    stopped(bank, path, 10)
    if other == "other rows":
        done = take(bank, path, "tags", names=ColumnMap.read(["income=tag"]))
    elif other == "other organisation":
        done = take(Bank(bank.engine, "other"), path)
    else:
        done = take(bank, entities(path, income=["much"] * 3 + ["5"] * 22))
    refused = rows_refused(done)
    assert len(refused) == done.refused > 0
    path.write_bytes(first)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    continued = take(bank, path)
    assert (continued.rows, continued.refused, rows_refused(continued)) == (COUNT, 1, [COUNT + 1])
    assert (rows_refused(done), continued.refused_path) == (refused, tmp_path / "e.refused-2.csv")


def test_two_imports_of_one_file_at_once_write_refused_rows_into_files_of_their_own(bank: Bank, tmp_path: Path) -> None:
    path, done = entities(tmp_path / "e.csv", income=["much"] * COUNT), {}
    banks_at_once = [Bank(bank.engine, "one"), Bank(bank.engine, "two")]

    def nested(progress: Progress) -> None:
        if not progress.rows:  # both have begun before a row of either is refused
            done["two"] = take(banks_at_once[1], path)

    done["one"] = take(banks_at_once[0], path, tell=nested)
    assert [rows_refused(done[name]) for name in ("one", "two")] == [list(range(2, COUNT + 2))] * 2
    assert {each.refused_path for each in done.values()} == {tmp_path / "e.refused.csv", tmp_path / "e.refused-2.csv"}


@pytest.mark.parametrize(("error", "left"), [(StoreError, []), (UnknownOutcomeError, ["e.refused.csv"])])
def test_a_part_that_was_not_stored_leaves_no_file_of_refused_rows(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[StoreError], left: list[str]
) -> None:
    """The first rows of the file are sound, so that it is the second part which makes the file of refused rows."""
    path = entities(tmp_path / "e.csv", income=[*["5"] * 12, "much", *["5"] * 12])
    real = importing.import_part

    @contextmanager
    def lost(*arguments: Any) -> Iterator[Any]:
        with real(*arguments) as opened:
            yield opened
            if list(tmp_path.glob("*.refused*")):
                raise error("the database cannot be reached")

    monkeypatch.setattr(importing, "import_part", lost)
    with pytest.raises(error):
        take(bank, path)
    assert [each.name for each in tmp_path.glob("*.refused*")] == left
    monkeypatch.setattr(importing, "import_part", real)
    done = take(bank, path)
    assert (done.refused, rows_refused(done)) == (1, [14])
    assert done.refused_path == tmp_path / ("e.refused-2.csv" if left else "e.refused.csv")


def test_a_file_of_refused_rows_that_could_not_be_written_leaves_its_name(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = entities(tmp_path / "e.csv", income=["much"] * COUNT)

    def full(_: object) -> Any:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(file_parts, "naming", full)
    with pytest.raises(OSError, match="full"):
        take(bank, path)
    monkeypatch.setattr(file_parts, "naming", naming)
    assert [each.name for each in tmp_path.glob("*.refused*")] == []
    done = take(bank, path)
    assert (done.refused_path, rows_refused(done)) == (tmp_path / "e.refused.csv", list(range(2, COUNT + 2)))


def test_where_no_file_of_refused_rows_can_be_beside_the_import_the_error_says_what_to_do(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows before the first that is refused stay, and the import goes on behind them; without one nothing is asked."""
    path = entities(tmp_path / "e.csv", income=[*["5"] * 12, "much", *["5"] * 12])
    opening = Path.open

    def read_only(self: Path, mode: str = "r", **options: Any) -> Any:
        if mode == "xb":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return opening(self, mode, **options)

    monkeypatch.setattr(Path, "open", read_only)
    with pytest.raises(OSError, match="Permission denied; name another file by --refused") as refused:
        take(bank, path)
    assert refused.value.filename == str(tmp_path / "e.refused.csv")
    done = import_table(bank.context, "entities", "customer", ImportFile(path, refused=tmp_path / "other.csv"))
    assert (done.rows, done.refused, rows_refused(done)) == (COUNT, 1, [14])


@pytest.mark.parametrize("income", ["77", "7"])
def test_another_file_of_that_name_begins_anew_whatever_its_size(bank: Bank, tmp_path: Path, income: str) -> None:
    path = entities(tmp_path / "e.csv")
    stamp = path.stat()

    stopped(bank, path, 10)
    entities(path, income=[income] * COUNT)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1_000_000_000))
    assert take(bank, path).changed == 10


def test_a_row_that_cannot_be_taken_is_set_aside_and_the_others_are_stored(bank: Bank, tmp_path: Path) -> None:
    path = entities(tmp_path / "e.csv", income=["5"] * 22 + ["much"] + ["5"] * 2)
    done = take(bank, path)
    assert (done.rows, done.new, done.refused) == (COUNT, COUNT - 1, 1)
    assert count(bank, "entities") == COUNT - 1
    assert [str(problem) for problem in done.problems] == ["row 24: income is 'much'; allowed: a finite number"]
    refused = pl.read_csv(tmp_path / "e.refused.csv", infer_schema=False)
    assert refused.rows() == [("c22", "much", "24", "income is 'much' (allowed: a finite number)")]
    assert refused.columns == ["entity_id", "income", "refused_row", "refused_reason"]


def test_the_first_problems_are_named_and_every_refused_row_is_counted(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "MOST_PROBLEMS", 12)
    done = take(bank, entities(tmp_path / "e.csv", income=["much"] * COUNT))
    assert (done.refused, [problem.row for problem in done.problems]) == (COUNT, list(range(2, 14)))


def test_the_file_of_refused_rows_is_mended_and_imported_as_it_is(bank: Bank, tmp_path: Path) -> None:
    path = entities(tmp_path / "e.csv", income=["much"] * 2 + ["5"] * 21 + ["more"] * 2)
    done = take(bank, path)
    assert (done.new, done.refused) == (COUNT - 4, 4)
    mended = tmp_path / "e.refused.csv"
    assert done.refused_path == mended
    mended.write_text(mended.read_text().replace(",much,", ",7,").replace(",more,", ",8,"))
    assert take(bank, mended).new == 4
    again = take(bank, path)
    assert (again.same, again.refused, count(bank, "entities")) == (COUNT - 4, 4, COUNT)
    assert again.refused_path == tmp_path / "e.refused-2.csv", "what was mended by hand is not written over"


def test_every_row_of_a_kind_is_refused_with_its_reason(bank: Bank, tmp_path: Path) -> None:
    bank.put("a")
    columns = {
        "transaction_id": [f"t{number}" for number in range(300)],
        "user_id": ["a"] * 100 + ["nobody"] * 200,
        "transaction_amount": ["1"] * 50 + ["x"] * 150 + ["1"] * 100,
        "transaction_currency": ["EUR"] * 300,
        "transaction_date": ["2026-01-01"] * 300,
    }
    pl.DataFrame(columns).write_csv(tmp_path / "t.csv")
    done = take(bank, tmp_path / "t.csv", "transactions")
    assert (done.new, done.refused) == (50, 250)
    reasons = pl.read_csv(tmp_path / "t.refused.csv")["refused_reason"].str.slice(0, 25).value_counts()
    assert dict(reasons.iter_rows()) == {"transaction_amount is 'x'": 150, "user_id is 'nobody': ther": 100}


def test_one_that_was_stopped_writes_no_refused_row_twice(bank: Bank, tmp_path: Path) -> None:
    path = entities(tmp_path / "e.csv", income=["much"] * COUNT)

    stopped(bank, path, 10)
    with (tmp_path / "e.refused.csv").open("a") as file:
        file.write("what was written before the plug was pulled\n")
    done = take(bank, path)
    assert (done.refused, [problem.row for problem in done.problems]) == (COUNT, list(range(12, COUNT + 2)))
    assert pl.read_csv(tmp_path / "e.refused.csv")["refused_row"].to_list() == list(range(2, COUNT + 2))


def test_columns_of_other_names_semicolons_and_gzip(bank: Bank, tmp_path: Path) -> None:
    text = "kunde;einkommen\n" + "".join(f"c{number};5\n" for number in range(24)) + "c24;viel\n"
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(text.encode()))
    names = ColumnMap.read(["kunde=entity_id", "einkommen=income"])
    done = take(bank, tmp_path / "e.csv.gz", names=names)
    assert (done.new, done.refused) == (24, 1)
    first, second = (tmp_path / "e.refused.csv").read_text().splitlines()
    assert (first, second[:12]) == ("kunde;einkommen;refused_row;refused_reason", "c24;viel;26;")


TORN = ["c1;5", "c2;5;6", "", "c3", "c4;viel", "c5;5", "c6;5"]


def test_a_line_that_is_torn_or_too_long_is_one_refused_row(bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_text("\n".join(["kunde;einkommen", *TORN]))
    done = take(bank, path, names=ColumnMap.read(["kunde=entity_id", "einkommen=income"]))
    assert (done.rows, done.new, done.refused) == (6, 3, 3)
    assert [str(problem) for problem in done.problems] == [
        "row 3: line has 3 fields; allowed: 2 fields, one for each column of the header",
        "row 5: line has 1 field; allowed: 2 fields, one for each column of the header",
        "row 6: income is 'viel'; allowed: a finite number",
    ]
    allowed = "(allowed: 2 fields, one for each column of the header)"
    refused = pl.read_csv(tmp_path / "e.refused.csv", infer_schema=False, separator=";").rows()
    assert refused[:2] == [
        ("c2", "5", "3", f"line has 3 fields {allowed}: c2;5;6"),
        ("c3", None, "5", f"line has 1 field {allowed}: c3"),
    ]
    assert (refused[2][2], refused[2][0]) == ("6", "c4")


TORN_JSON = [
    '{"kunde": "c1", "einkommen": 5}',
    "",
    '{"kunde": "c2", "einkommen": 5, "x',
    '{"kunde": "c3", "einkommen": NaN}',
    '{"kunde": "c4", "einkommen": 7}',
    "nothing",
]


def test_a_torn_line_of_json_is_one_refused_row(bank: Bank, tmp_path: Path) -> None:
    """The file that names it can be mended and imported: the values before the tear stand in their columns."""
    path = tmp_path / "e.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(TORN_JSON).encode()))
    names = ColumnMap.read(["kunde=entity_id", "einkommen=income"])
    done = take(bank, path, names=names)
    assert (done.rows, done.new, done.refused) == (5, 2, 3)
    assert [problem.row for problem in done.problems] == [3, 4, 6]
    refused = [json.loads(line) for line in (tmp_path / "e.refused.jsonl").read_text().splitlines()]
    assert [(row["kunde"], row["einkommen"], row["refused_row"]) for row in refused] == [
        ("c2", 5, 3), ("c3", None, 4), (None, None, 6),
    ]  # fmt: skip
    words = "line is not valid JSON: Unterminated string starting at at sign 33 (allowed: one JSON object, on a line of"
    assert refused[0]["refused_reason"] == f"{words} its own): {TORN_JSON[2]}"
    again = take(bank, tmp_path / "e.refused.jsonl", names=names)
    assert (again.new, again.refused) == (2, 1)


def test_what_a_torn_line_of_json_has_of_another_type_than_its_column_is_left_out(tmp_path: Path) -> None:
    kept = {"list": ["x"], "number": 3, "decimal": 3.5, "truth": True, "text": "x"}
    values = [*kept.values(), {"a": 1}, None, 2**70, [{"a": 1}]]
    torn = [json.dumps(dict.fromkeys(kept, value))[:-1] + ', "q": ' for value in values]
    path = tmp_path / "e.jsonl"
    path.write_text("\n".join([json.dumps({**kept, "list": ["x", "y"]}), *torn]))
    (part,) = parts(path, 100)
    assert (len(part.rows), len(part.torn_rows)) == (1, len(values))
    for place, (name, value) in enumerate(kept.items()):
        assert part.torn[name].to_list() == [value if at == place else None for at in range(len(values))], name


def test_a_torn_line_of_json_in_a_column_of_lists_costs_no_other_row(bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text('{"entity_id": "a", "country": ["x"]}\n{"entity_id": "b", "country": 3, "q":\n{"entity_id": "c"}')
    done = take(bank, path)
    assert (done.new, [problem.row for problem in done.problems]) == (1, [1, 2])


def test_a_file_without_any_object_is_refused_whole(bank: Bank, tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    for lines, words in (("entity_id\nc1\n", ": row 1: line is not valid JSON"), ("{}\n", "$")):
        path.write_text(lines)
        with pytest.raises(FileFormatError, match=f"e.jsonl has no line that is a JSON object with a field{words}"):
            take(bank, path)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("stop_at", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("suffix", "lines", "counts", "bad"),
    [
        (".csv", ["kunde;einkommen", *TORN], (6, 3, 3), ["3", "5", "6"]),
        (".jsonl", TORN_JSON, (5, 2, 3), [3, 4, 6]),
    ],
)
def test_torn_lines_are_counted_where_a_stopped_import_goes_on(
    bank: Bank,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    stop_at: int,
    suffix: str,
    lines: list[str],
    counts: tuple[int, int, int],
    bad: list[object],
) -> None:
    monkeypatch.setattr(importing, "ROWS", {"entities": size})
    path = tmp_path / f"e{suffix}"
    path.write_text("\n".join(lines).replace("kunde", "entity_id").replace("einkommen", "income"))
    stopped(bank, path, stop_at)
    monkeypatch.setattr(importing, "ROWS", {"entities": 2})  # as if a newer version went on
    done = take(bank, path)
    assert (done.rows, done.new, done.refused) == counts
    refused = tmp_path / f"e.refused{suffix}"
    rows = pl.read_ndjson(refused) if suffix == ".jsonl" else pl.read_csv(refused, infer_schema=False, separator=";")
    assert rows["refused_row"].to_list() == bad


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("transactions", None),
        ("tags", {"entity_id": "c1", "tag": "watch", "from": "2026-01-01"}),
        ("screenings", {"entity_id": "c1", "screening": "pep", "found": False, "at": "2026-01-01"}),
        ("cases", {"entity_id": "c1", "number": "1", "opened": "2026-01-01"}),
        ("alerts", {"entity_id": "c1", "number": "1", "opened": "2026-01-01"}),
    ],
)
def test_a_torn_line_of_json_costs_no_other_row_of_any_table(
    bank: Bank, tmp_path: Path, table: str, row: dict[str, object] | None
) -> None:
    bank.put("c1")
    good = json.dumps(platforms.transaction(1, "c1") if row is None else row)
    half_of_a_sign = good[:-1] + r', "more\ud83d": ["\ud83d"]}'
    assert imported(bank, table, tmp_path / "rows.jsonl", f"{good[:-9]}\n{half_of_a_sign}\n{good}\n") == (1, 0, 0, 2)


def test_a_row_of_json_is_taken_or_refused_by_what_it_says_whatever_stands_in_the_other_rows(
    bank: Bank, tmp_path: Path
) -> None:
    bank.put("c1")
    ids = ["y1", 170, 170.0, 9007199254740995, None, 1e20, True, 2**70, "171", 172]
    rows = [{**platforms.transaction(1, "c1"), "transaction_id": one} for one in ids]
    rows += [{**rows[0], "transaction_id": f"z{number}", "transaction_amount": one} for number, one in enumerate("x5")]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    assert imported(bank, "transactions", tmp_path / "rows.jsonl", lines) == (5, 0, 0, 7)
    with bank.engine.connect() as connection:
        stored = connection.execute(text("SELECT transaction_id FROM transactions ORDER BY 1")).scalars().all()
    assert stored == ["170", "171", "172", "9007199254740995", "y1"]
    refused = [json.loads(line) for line in (tmp_path / "rows.refused.jsonl").read_text().splitlines()]
    assert [(row["transaction_id"], row["refused_row"]) for row in refused[:5]] == [
        (170.0, 3), (None, 5), (1e20, 6), (True, 7), (2**70, 8),
    ]  # fmt: skip
    right = "(allowed: text, or a whole number without a decimal point)"
    assert refused[0]["refused_reason"] == f"transaction_id is 170.0 {right}"
    assert [row["refused_reason"].split(" (")[0] for row in refused[5:]] == [
        "transaction_amount is 'x'",
        "transaction_amount is '5'",
    ]


@pytest.mark.parametrize("table", ["entities", "owners", "tags"])
@pytest.mark.parametrize("other", ["2", 2])
def test_a_blank_identifier_is_empty_whatever_stands_in_the_other_rows(
    bank: Bank, tmp_path: Path, table: str, other: object
) -> None:
    bank.put("1")
    bank.put("2")
    beside = {"entities": {"income": 5}, "owners": {"owner_id": "1"}, "tags": {"tag": "watch"}}[table]
    lines = "".join(f"{json.dumps({'entity_id': one, **beside})}\n" for one in (" ", other))
    (tmp_path / "rows.jsonl").write_text(lines)
    (problem,) = take(bank, tmp_path / "rows.jsonl", table).problems
    assert (problem.row, problem.field, problem.problem.split(":")[0]) == (1, "entity_id", "is ''")


def test_an_identifier_that_is_none_is_named_by_its_beginning(bank: Bank, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"entity_id": ["x" * 300]}))
    (problem,) = take(bank, tmp_path / "rows.jsonl").problems
    assert len(problem.problem) < 50


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("table", ["entities", "owners", "tags"])
def test_a_number_with_a_decimal_point_names_nobody(bank: Bank, tmp_path: Path, suffix: str, table: str) -> None:
    bank.put("1")
    beside = {"entities": {}, "owners": {"owner_id": "1"}, "tags": {"tag": "watch"}}[table]
    frame = pl.DataFrame([{"entity_id": 901.0, **beside}])
    path = tmp_path / f"rows{suffix}"
    {".parquet": frame.write_parquet, ".jsonl": frame.write_ndjson}[suffix](path)
    done = take(bank, path, table)
    assert (done.new, done.refused) == (0, 1)
    (problem,) = done.problems
    assert problem.problem == "is 901.0"
    assert problem.allowed == "text, or a whole number without a decimal point"


def imported(bank: Bank, table: str, path: Path, rows: str) -> tuple[int, int, int, int]:
    path.write_text(rows)
    done = take(bank, path, table)
    return done.new, done.changed, done.same, done.refused


def test_tags_are_known_again_and_get_another_end(bank: Bank, tmp_path: Path) -> None:
    bank.put("a")
    rows = "entity_id,tag,from,until\na,vip,2020-01-01,\na,watch,,\nz,vip,,\na,,,\na,vip,soon,\n"
    assert imported(bank, "tags", tmp_path / "t.csv", rows) == (2, 0, 0, 3)
    assert imported(bank, "tags", tmp_path / "t2.csv", rows) == (0, 0, 2, 3)
    ended = "entity_id,tag,from,until\na,vip,2020-01-01,2021-01-01\na,watch,,\n"
    assert imported(bank, "tags", tmp_path / "t3.csv", ended) == (0, 1, 1, 0)
    assert count(bank, "tags") == 2


def test_screenings_are_known_again(bank: Bank, tmp_path: Path) -> None:
    bank.put("a")
    rows = "entity_id,screening,found,at\na,pep,true,2020-01-01\na,pep,perhaps,2020-01-02\na,pep,true,\n"
    assert imported(bank, "screenings", tmp_path / "s.csv", rows) == (1, 0, 0, 2)
    assert imported(bank, "screenings", tmp_path / "s2.csv", rows) == (0, 0, 1, 2)
    assert count(bank, "screenings") == 1


@pytest.mark.parametrize("table", ["cases", "alerts"])
def test_cases_and_alerts_are_known_by_their_numbers(bank: Bank, tmp_path: Path, table: str) -> None:
    bank.put("a")
    bank.put("b")
    rows = (
        "entity_id,number,opened,closed,outcome\na,1,2020-01-01,,\na,2,2020-01-01,2020-02-01,confirmed\n"
        "a,3,2020-01-01,,confirmed\na,4,2020-02-01,2020-01-01,\n"
    )
    assert imported(bank, table, tmp_path / "c.csv", rows) == (2, 0, 0, 2)
    assert imported(bank, table, tmp_path / "c2.csv", rows) == (0, 0, 2, 2)
    closed = "entity_id,number,opened,closed,outcome\na,1,2020-01-01,2020-03-01,dismissed\nb,2,2020-01-01,,\n"
    assert imported(bank, table, tmp_path / "c3.csv", closed) == (0, 1, 0, 1)
    reason = pl.read_csv(tmp_path / "c3.refused.csv")["refused_reason"].item()
    assert reason.startswith("number is '2', which is about another entity")


def test_what_an_import_of_tags_changes_becomes_due(bank: Bank, tmp_path: Path) -> None:
    bank.put("a")
    bank.activate(banks.document({"watch": banks.WATCH}))
    bank.settle()
    imported(bank, "tags", tmp_path / "t.csv", "entity_id,tag\na,watch\n")
    bank.settle()
    assert bank.level("a") == 3


@pytest.mark.parametrize(
    ("columns", "pair"),
    [
        ("entity_id,from", "COLUMN=tag"),
        ("entity_id,Tags", "Tags=tag"),
        ("from,Tagg,entity_id", "Tagg=tag"),
        ("customer,tag", "COLUMN=entity_id"),
        ("tag,entity id", "entity id=entity_id"),
    ],
)
def test_the_map_suggested_for_a_tag_is_of_a_column_with_a_like_name_that_is_nothing_else(
    bank: Bank, tmp_path: Path, columns: str, pair: str
) -> None:
    (tmp_path / "t.csv").write_text(f"{columns}\n{','.join('x' for _ in columns.split(','))}\n")
    with pytest.raises(FileFormatError, match=f"such as --map {pair}$"):
        take(bank, tmp_path / "t.csv", "tags")


def test_a_column_that_is_nearly_a_field_of_transactions_is_refused_with_its_map(bank: Bank, tmp_path: Path) -> None:
    take(bank, entities(tmp_path / "e.csv"))
    path = tmp_path / "t.csv"
    path.write_text(
        "user_id,transaction_id,transaction_amount,transaction_currency,transaction_date,Operation,transaction_stat,note\n"
        "c1,1,5,EUR,2026-01-01,cash,FAILED,x\n"
    )
    names = {"Operation": "operation"}
    with pytest.raises(FileFormatError, match=r"has no column operation, and has Operation.*--map Operation=operation"):
        take(bank, path, "transactions")
    with pytest.raises(FileFormatError, match="--map transaction_stat=transaction_state"):
        take(bank, path, "transactions", names=ColumnMap(names))
    assert count(bank, "transactions") == 0
    names["transaction_stat"] = "status"
    with pytest.raises(FileFormatError, match="such as --map status=status_other"):
        take(bank, path, "transactions", names=ColumnMap(names))
    names["transaction_stat"] = "status_other"
    assert take(bank, path, "transactions", names=ColumnMap(names)).new == 1


def test_transactions_come_in_parts_too(bank: Bank, tmp_path: Path) -> None:
    take(bank, entities(tmp_path / "e.csv"))
    rows = {
        "transaction_id": [f"t{number}" for number in range(COUNT)],
        "user_id": [f"c{number}" for number in range(COUNT)],
        "transaction_amount": ["12.5"] * COUNT,
        "transaction_currency": ["EUR"] * COUNT,
        "transaction_date": ["2026-01-01"] * COUNT,
    }
    pl.DataFrame(rows).write_csv(tmp_path / "t.csv")
    done = take(bank, tmp_path / "t.csv", "transactions")
    assert (done.rows, done.new) == (COUNT, COUNT)
    assert count(bank, "transactions") == COUNT


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_parts_together_are_the_file(tmp_path: Path, suffix: str) -> None:
    frame = pl.DataFrame({"a": [str(number) for number in range(COUNT)]})
    path = tmp_path / f"f{suffix}"
    {".csv": frame.write_csv, ".parquet": frame.write_parquet, ".jsonl": frame.write_ndjson}[suffix](path)
    read = list(parts(path, 10, 3))
    assert all(len(part) <= 10 for part in read)
    assert pl.concat([part.rows for part in read])["a"].to_list() == frame["a"].to_list()[3:]
    first = 5 if suffix == ".csv" else 4
    assert [number for part in read for number in part.numbers] == list(range(first, first + COUNT - 3))


@pytest.mark.parametrize("line", ['{"a": "one"}', '{"a": 1, "b": 2}', '{"a": 1}'])
def test_a_file_of_json_that_grows_while_it_is_read_is_refused(tmp_path: Path, line: str) -> None:
    """What came since may have another type or another column, which would be null without a word."""
    path = tmp_path / "f.jsonl"
    path.write_text('{"a": 1}\n' * 3)
    read = parts(path, 3)
    assert next(read).rows["a"].to_list() == [1, 1, 1]
    with path.open("a") as file:
        file.write(f"{line}\n")
    words = re.escape(f"{path} was changed while it was read: import it again once it is whole")
    with pytest.raises(FileFormatError, match=f"^{words}$"):
        list(read)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must end in \.parquet, \.csv"):
        list(parts(tmp_path / "f.xlsx", 10))
