"""CSV line by line: a torn line is one row of its own, and every other row is read."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.errors import FileFormatError
from fivefold.features.reading import csv_file
from fivefold.features.reading.csv_file import CsvPart, csv_frame, csv_parts, torn_frame


def parts_of(folder: Path, text: str | bytes, size: int = 1000) -> list[CsvPart]:
    path = folder / "rows.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(csv_parts(path, size))


def read(folder: Path, text: str | bytes, size: int = 1000) -> tuple[dict[int, list[str | None]], dict[int, str]]:
    """Give the fields of the sound rows, and what is wrong with the torn ones, by the numbers of the rows."""
    sound: dict[int, list[str | None]] = {}
    torn: dict[int, str] = {}
    for part in parts_of(folder, text, size):
        fields = zip(*(column.to_pylist() for column in part.table.columns), strict=True)
        sound |= {int(row): list(each) for row, each in zip(part.rows, fields, strict=True)}
        torn |= {row.row: row.problem for row in part.torn}
    return sound, torn


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_line_too_long_and_one_too_short_are_rows_of_their_own(tmp_path: Path, size: int) -> None:
    sound, torn = read(tmp_path, "a;b;c\n1;2;3\n4;5\n\n6;7;8;9\n10;;12\n", size)
    assert sound == {2: ["1", "2", "3"], 6: ["10", None, "12"]}
    assert torn == {3: "has 2 fields", 5: "has 4 fields"}


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_row_with_a_hole_of_zeros_is_torn(tmp_path: Path, size: int) -> None:
    sound, torn = read(tmp_path, 'a,b\n1,x\ncust\0\0\0\0,5\n\0\0\n"2\0\n3",4\n5,y\n', size)
    assert sound == {2: ["1", "x"], 6: ["5", "y"]}
    assert torn == dict.fromkeys([3, 4, 5], "has the character NUL")


def test_an_identifier_that_was_taken_for_a_number_is_torn(tmp_path: Path) -> None:
    rows = ["1.23457E+11,1", "1e+16,2", "7E12,3", "13.0,4", "5,6,7", "8,1.5E+03"]
    sound, torn = read(tmp_path, "user_id,amount\n" + "\n".join(rows) + "\n")
    assert sound == {4: ["7E12", "3"], 7: ["8", "1.5E+03"]}
    lost = "has a user_id that lost digits, as a spreadsheet writes 1.23E+11"
    decimals = "has decimals in user_id, as pandas writes 901.0 where another row has none"
    assert torn == {2: lost, 3: lost, 5: decimals, 6: "has 3 fields"}


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_an_identifier_that_counts_behind_a_point_is_read_however_large_the_parts(tmp_path: Path, size: int) -> None:
    sound, torn = read(tmp_path, "transaction_id,day\n20240101.0,1.0\n20240102.0,3.0\n20240101.1,2.0\n", size)
    assert (len(sound), torn) == (3, {})


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_quoted_field_may_hold_ends_of_lines(tmp_path: Path, size: int) -> None:
    sound, torn = read(tmp_path, 'a,b\n1,"x\n\ny, ""z"""\n2,5" pipe\n', size)
    assert sound == {2: ["1", 'x\n\ny, "z"'], 3: ["2", '5" pipe']}
    assert torn == {}


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ('a,b\n1,"x\n2,y\n3,z\n', [2]),
        ('"a","b"\n"1","x\n"2","y"\n"3","z"\n', [2]),
        ('"a","b"\n"1","x\n"2","y\n"3","z"\n', [2, 3]),
        ('a,b\n5" x,"y\n2,y\n3,z\n', [2]),
    ],
)
def test_a_line_that_was_cut_inside_a_quoted_field_takes_no_other_with_it(
    tmp_path: Path, text: str, bad: list[int], size: int
) -> None:
    sound, torn = read(tmp_path, text, size)
    assert sorted(torn) == bad
    assert sorted(sound) == sorted({2, 3, 4}.difference(bad))


def test_a_quotation_mark_is_not_looked_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "MOST_LINES_OF_A_ROW", 3)
    sound, torn = read(tmp_path, 'a,b\n1,"x\n2,y\n3,z\n4,w"\n')
    assert (list(sound), list(torn)) == ([3, 4, 5], [2])


def test_a_line_that_is_not_utf_8_is_a_row_of_its_own(tmp_path: Path) -> None:
    sound, torn = read(tmp_path, "a,b\n1,Stra\xdfe\n2,x\n".encode("latin-1"))
    assert (sound, torn) == ({3: ["2", "x"]}, {2: "is not text in UTF-8"})


def test_the_fields_of_torn_rows_stand_in_their_columns_as_far_as_there_are_some(tmp_path: Path) -> None:
    (part,) = parts_of(tmp_path, b"a,b,\n1\n2,x,3,4\n5,\xff,6\n")
    assert torn_frame(part, tmp_path).rows(named=True) == [
        {"a": "1", "b": None},
        {"a": "2", "b": "x"},
        {"a": "5", "b": "\ufffd"},
    ]
    assert [row.line for row in part.torn] == ["1", "2,x,3,4", "5,\ufffd,6"]
    (twice,) = parts_of(tmp_path, "a,a\n1,2\n")
    with pytest.raises(FileFormatError, match="more than one column a"):
        csv_frame(twice.table, tmp_path)


def test_a_file_without_rows_has_one_part_and_a_column_of_one_is_read(tmp_path: Path) -> None:
    (part,) = parts_of(tmp_path, "a,b")
    assert (part.table.num_rows, part.table.column_names) == (0, ["a", "b"])
    assert read(tmp_path, "\ufeffa\n1\n\n2\n")[0] == {2: ["1"], 4: ["2"]}


def test_a_gzip_file_that_was_cut_off_is_told(tmp_path: Path) -> None:
    packed = gzip.compress("".join(f"{number},x\n" for number in range(9_000)).encode())
    (tmp_path / "rows.csv.gz").write_bytes(packed[:-2000])
    with pytest.raises(FileFormatError, match=r"rows.csv.gz cannot be unpacked"):
        list(csv_parts(tmp_path / "rows.csv.gz"))


FIELDS = st.text(alphabet='ab"\n;, ', max_size=5)


@given(st.lists(st.tuples(FIELDS, FIELDS.filter(bool)), max_size=8), st.sampled_from([1, 2, 1000]))
def test_whatever_is_quoted_by_the_letter_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], size: int
) -> None:
    lines = ["a,b", *(",".join('"' + field.replace('"', '""') + '"' for field in row) for row in rows)]
    sound, torn = read(tmp_path_factory.mktemp("rows"), "\n".join(lines) + "\n", size)
    assert torn == {}
    assert list(sound.values()) == [[field or None for field in row] for row in rows]


@pytest.mark.parametrize("line", ["sep=,", "SEP=;", "sep=\t", "sep="])
def test_a_first_line_that_is_for_excel_is_refused_with_that_reason(tmp_path: Path, line: str) -> None:
    with pytest.raises(FileFormatError, match=r"its first line, .*, is for Excel alone; delete it"):
        read(tmp_path, f"{line}\r\na;b\r\n1;2\r\n")
