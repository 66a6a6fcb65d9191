"""Each line is taken or refused by what it says: torn ones, and values of several types in a column."""

import gzip
import json
import re
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text

from fivefold.domain.errors import FileFormatError
from fivefold.features.reading.text_files import ColumnMap
from fivefold.usecases.ingest import files as importing
from fivefold.usecases.ingest.file_parts import parts
from tests.usecases import platforms
from tests.usecases.banks import Bank
from tests.usecases.ingest.files.file_stories import (
    imported,
    stopped,
    take,
)

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
    assert imported(bank, "transactions", tmp_path / "rows.jsonl", lines) == (6, 0, 0, 6)
    with bank.engine.connect() as connection:
        stored = connection.execute(text("SELECT transaction_id FROM transactions ORDER BY 1")).scalars().all()
    assert stored == ["170", "171", "172", "9007199254740995", "y1", "z1"]
    refused = [json.loads(line) for line in (tmp_path / "rows.refused.jsonl").read_text().splitlines()]
    assert [(row["transaction_id"], row["refused_row"]) for row in refused[:5]] == [
        (170.0, 3), (None, 5), (1e20, 6), (True, 7), (2**70, 8),
    ]  # fmt: skip
    right = "(allowed: text, or a whole number without a decimal point)"
    assert refused[0]["refused_reason"] == f"transaction_id is 170.0 {right}"
    assert [row["refused_reason"].split(" (")[0] for row in refused[5:]] == ["transaction_amount is 'x'"]


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


@pytest.mark.parametrize("line", ['{"a": "one"}', '{"a": 1, "b": 2}', '{"a": 1}'])
def test_a_file_of_json_that_grows_while_it_is_read_is_refused(tmp_path: Path, line: str) -> None:
    """What came since may have another type or another column, which would be null without a word."""
    path = tmp_path / "f.jsonl"
    path.write_text('{"a": 1}\n' * 3)
    read = parts(path, 3)
    assert next(read).rows["a"].to_list() == [1, 1, 1]
    with path.open("a") as file:
        file.write(f"{line}\n")
    words = re.escape(f"{path} was changed while it was read: read it again once it is whole")
    with pytest.raises(FileFormatError, match=f"^{words}$"):
        list(read)
