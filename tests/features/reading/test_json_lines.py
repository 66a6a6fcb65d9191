"""JSON lines one by one: a torn line is one row of its own, and every other row is read."""

from pathlib import Path

import pytest

from fivefold.domain.errors import FileFormatError
from fivefold.features.reading.json_lines import json_lines, read_json_lines
from fivefold.features.reading.tables import read_json
from fivefold.usecases.portfolio_files.tables import TableFile, read_entities, read_linked

TORN: dict[bytes, str] = {
    b'{"a": 1, "b"': "is not valid JSON: Expecting ':' delimiter at sign 13",
    b'{"a": 1}{"a": 2}': "is not valid JSON: Extra data at sign 9",
    b"[1]": "is a JSON list",
    b"null": "is a JSON NoneType",
    b'{"a": "\xff"}': "is not text in UTF-8",
    rb'{"a": "b\ud83d"}': r"has \ud83d, which is half of a sign",
    rb'{"b\uDE00": 1}': r"has \ude00, which is half of a sign",
    rb'{"a": [{"b": "\ud83d \ude00"}]}': r"has \ud83d, which is half of a sign",
    b"[" * 100_000: "is not valid JSON: it is nested too deeply",
    b'{"a": ' + b"9" * 5000 + b"}": "is not valid JSON: it has a number of more than 4300 digits",
}


@pytest.mark.parametrize("line", TORN, ids=[words.decode(errors="replace")[:20] for words in TORN])
def test_a_torn_line_is_one_row_and_the_others_are_read(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n' + line + b'\n{"a": 2}')
    read = read_json_lines(path)
    assert (read.rows, read.numbers.tolist()) == ([{"a": 1}, {"a": 2}], [1, 4])
    (torn,) = read.torn
    assert (torn.row, torn.allowed) == (3, "one JSON object, on a line of its own")
    assert torn.problem.startswith(TORN[line])
    assert torn.line == line.decode(errors="replace")


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ('{"entity_id": "a", "tag": "wat', {"entity_id": "a"}),
        ('{"entity_id" : "a" , "n": 12', {"entity_id": "a"}),
        ('{"entity_id": "a", "n": 12} more', {"entity_id": "a", "n": 12}),
        ('{"entity_id": "a', {}),
        ('{"entity_id": "a"', {}),
        ('{"n": {"m": [1]}, oh', {"n": {"m": [1]}}),
        ("nothing", {}),
        (r'{"a": "b\ud83d", "\ud83d": 1, "c": ["\ude00"], "n": 12}', {"n": 12}),
    ],
)
def test_values_before_the_tear_can_be_read(line: str, values: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(line)
    (read,) = json_lines(tmp_path / "rows.jsonl")
    assert (read.torn is not None, read.values) == (True, values)


def test_a_pair_of_escapes_is_one_sign_and_an_escaped_backslash_begins_none(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(r'{"a": "\ud83d\ude00", "b": "\\ud83d"}')
    (read,) = json_lines(path)
    assert (read.torn, read.values) == (None, {"a": "\N{GRINNING FACE}", "b": r"\ud83d"})


def test_numbers_without_an_end_are_torn_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": NaN}\n{"a": 1e400}\n{"a": 1e40}\n')
    assert [line.torn is None for line in json_lines(path)] == [True, True, True]
    assert [line.torn is None for line in json_lines(path, finite=True)] == [False, False, True]


def test_a_file_that_cannot_be_unpacked_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(b"nothing")
    with pytest.raises(FileFormatError, match="cannot be unpacked"):
        list(json_lines(path))


def test_an_object_with_a_name_twice_is_refused_by_every_reader(tmp_path: Path) -> None:
    """Some readers of JSON take the first value, and others the last: the same file would be two sums of money."""
    row = '{"user_id": "a", "transaction_date": "2024-01-01", "transaction_amount": 1, "transaction_amount": 2}'
    lines, array = tmp_path / "rows.jsonl", tmp_path / "rows.json"
    lines.write_text(row.replace(', "transaction_amount": 2', "") + f"\n{row}\n")
    array.write_text(f"[{row}]")
    read = read_json_lines(lines)
    problem = "has the name 'transaction_amount' twice"
    assert (len(read.rows), [(torn.row, torn.problem) for torn in read.torn]) == (1, [(2, problem)])
    with pytest.raises(FileFormatError, match=rf"rows\.json {problem} in one object"):
        read_json(array)
    warnings: list[str] = []
    for reads in (read_linked, read_entities):
        with pytest.raises(FileFormatError, match=rf"rows\.json {problem} in one object"):
            reads(TableFile(array, warnings.append))
        reads(TableFile(lines, warnings.append))
        assert any(problem in words for words in warnings)
        warnings.clear()
