"""Decision tables as files: what spreadsheets do to them is read exactly or refused by its cell."""

import io
import json
import zipfile
from contextlib import suppress
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from openpyxl.worksheet.worksheet import Worksheet

from fivefold.domain.errors import ConfigError, FivefoldError, InvalidRulesetError
from fivefold.risk.governance.tables.read import read_table
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset
from fivefold.usecases.portfolio_files import decision_tables, spreadsheets
from fivefold.usecases.portfolio_files.bundled import bundled_ruleset, bundled_rulesets
from fivefold.usecases.portfolio_files.decision_tables import (
    Foreign,
    draft_from_bytes,
    draft_from_table,
    format_of,
    table_bytes,
)
from fivefold.usecases.portfolio_files.sent_tables import TableSent, import_table
from tests.risk.governance.tables.foreign.test_dmn import model
from tests.risk.governance.tables.foreign.test_jdm import graph
from tests.risk.governance.tables.test_round_trip import SMALL, awkward_rulesets

CSV = "case,word,amount,points\r\n1,a,> 5,10\r\n2,b,,20\r\n"


def drafted(content: bytes | str, format_: str = "csv") -> Any:
    """Give the rule of the draft that is made from a file."""
    given_bytes = content.encode() if isinstance(content, str) else content
    draft = draft_from_bytes(SMALL, "small", "first", given_bytes, f"t.{format_}", format_)
    return read_ruleset(draft.text).rule("first")


def sheet_bytes(*rows: tuple[Any, ...], change: Any = None) -> bytes:
    """Write a workbook as a spreadsheet would."""
    workbook = Workbook()
    sheet = workbook.active
    assert isinstance(sheet, Worksheet)
    for row in rows:
        sheet.append(row)
    if change is not None:
        change(workbook, sheet)
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


ROWS = (("case", "word", "amount", "born", "points"), (1, "a", 5, None, 10), (2, "b", None, date(2024, 3, 1), 0.1))
WHOLE = sheet_bytes(*ROWS)


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_every_rule_that_ships_comes_back_from_a_file(format_: str) -> None:
    read = {"csv": decision_tables.read_csv, "xlsx": spreadsheets.read_workbook}[format_]
    for name in bundled_rulesets():
        ruleset = bundled_ruleset(name)
        for rule in ruleset.rules:
            grid = read(table_bytes(ruleset, rule.id, format_), "t")
            assert read_table(grid, ruleset, rule.id, "t").content_hash == ruleset.content_hash


@given(awkward_rulesets())
def test_awkward_texts_come_back_from_files(ruleset: Ruleset) -> None:
    for format_ in ("csv", "xlsx"):
        content = table_bytes(ruleset, "a", format_)
        assert draft_from_bytes(ruleset.canonical, "t", "a", content, "t", format_).is_same


def test_no_cell_of_a_file_is_run_as_a_formula() -> None:
    text = SMALL.replace("equals: b", 'equals: "=1+1"').replace("points: 2,", 'points: 2, title: "@SUM(A1)",')
    ruleset = read_ruleset(text)
    lines = table_bytes(ruleset, "first", "csv").decode("utf-8-sig").splitlines()
    assert not any(cell.startswith(("=", "+", "@")) for line in lines for cell in line.split(","))
    sheet = load_workbook(io.BytesIO(table_bytes(ruleset, "first", "xlsx")))["cases"]
    assert "f" not in {cell.data_type for row in sheet.iter_rows() for cell in row}
    assert {cell.number_format for cell in sheet["B"]} == {"@"}


@pytest.mark.parametrize(
    "content",
    [
        CSV.replace(",", ";"),
        CSV.replace(",", "\t"),
        "\ufeff" + CSV + ",,,\r\n,,,\r\n",
        "sep=;\n" + CSV.replace(",", ";"),
        CSV.replace("\r\n", "\n").rstrip(),
        CSV.encode("utf-16"),
        CSV.replace("1,a,", "1,'= a,"),
    ],
)
def test_the_forms_in_which_spreadsheets_write_csv_are_read(content: bytes | str) -> None:
    rule = drafted(content)
    assert [case.points for case in rule.cases] == [10, 20]
    assert rule.cases[0].when.all[0].equals == "a"


@pytest.mark.parametrize("sign", ";\t")
def test_inputs_with_commas_are_read_from_a_table_that_a_spreadsheet_saved_with_another_delimiter(sign: str) -> None:
    """It puts no cell in quotes for a comma."""
    whole = "sum: amount, where: {field: direction, in: [deposit, withdrawal]}, over: 30 days, in_currency: USD"
    content = f'case,word,points,"{whole}"\r\n1,a,10,> 5\r\n'
    wanted = drafted(content)
    assert drafted(f"case;word;points;{whole}\r\n1;a;10;> 5\r\n".replace(";", sign)) == wanted


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (CSV.replace("> 5", '"> 5,5"'), "cell C2 "),
        (CSV.replace(",", ";").replace("> 5", "> 5,5"), "cell C2 "),
        (CSV.replace(",", ";").replace("> 5", "> 5.000"), "cell C2 "),
        (CSV.replace(",", "\t").replace("> 5", "> 5.000"), "cell C2 "),
        (CSV.replace("1,a", "1,in a, b"), "row 2 "),
        (CSV.replace("10", "10%"), "cell D2 "),
        (CSV.replace("1,a", '1,"a'), "begins in line 2: .*quotation mark"),
        (CSV.replace("1,a", "1,a,b") + "3,c,x,1\r\n", r"cell E2: row 2 has 5[^|]*\ncell C4 "),
        (CSV.replace("a", "ä").encode("cp1252"), "line 1"),
        (b"PK\x03\x04\x00", "t.csv"),
        ("case,word\rpoints", "not CSV"),
        ("", "the table"),
        ("case,word,points\n" + "x" * 200_000, "not CSV"),
    ],
)
def test_a_csv_that_is_not_exact_is_refused_by_its_place(content: bytes | str, place: str) -> None:
    with pytest.raises(FivefoldError, match=place):
        drafted(content)


def test_numbers_and_dates_of_a_spreadsheet_are_exact() -> None:
    rule = drafted(sheet_bytes(*ROWS, (None, None), (None, "")), "xlsx")
    assert str(rule.cases[1].points) == "0.1"
    assert rule.cases[1].when.all[1].equals == "2024-03-01"
    assert rule.cases[0].when.all[1].equals == 5


def test_a_number_is_what_a_spreadsheet_shows_of_it() -> None:
    """A workbook keeps 0.1 + 0.2 with 17 digits, and shows 15, which is as many as people can type."""
    whole = sheet_bytes(*ROWS)
    with zipfile.ZipFile(io.BytesIO(whole)) as packed:
        parts = {part.filename: packed.read(part) for part in packed.infolist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(b"<v>0.1</v>", b"<v>0.30000000000000004</v>")
    assert parts["xl/worksheets/sheet1.xml"] != sheet
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
    assert str(drafted(file.getvalue(), "xlsx").cases[1].points) == "0.3"


def _cell(address: str, value: Any, number_format: str | None = None) -> Any:
    def change(_: Workbook, sheet: Worksheet) -> None:
        cell: Any = sheet[address]
        cell.value = value
        if number_format is not None:
            cell.number_format = number_format

    return change


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ('<row r="2">', '<row r="2" ht="0" customHeight="1">', "Sheet!A2: begins a hidden row"),
        ("<sheetData>", '<cols><col min="3" max="3" width="0"/></cols><sheetData>', "Sheet!C1: begins a hidden column"),
    ],
)
def test_what_has_no_height_or_width_is_hidden(before: str, after: str, place: str) -> None:
    name, whole = "xl/worksheets/sheet1.xml", sheet_bytes(*ROWS)
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as packed, zipfile.ZipFile(file, "w") as changed:
        for part in packed.namelist():
            content = packed.read(part)
            changed.writestr(part, content.replace(before.encode(), after.encode()) if part == name else content)
    with pytest.raises(FivefoldError, match=place):
        drafted(file.getvalue(), "xlsx")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (12.5, "General"),
        (12.5, "0.00"),
        (12.5, "0.0#"),
        (1250, "#,##0"),
        (5, "@"),
        (5, "000"),
        (-5, "#,##0_);[Red](#,##0)"),
        (-5, "0.00;-0.00"),
        (12.5, "[$€-407] #,##0.00"),
        (12.5, '_("$"* #,##0.00_)'),
    ],
)
def test_a_number_whose_format_shows_it_in_full_is_read(value: float, shown: str) -> None:
    rule = drafted(sheet_bytes(*ROWS, change=_cell("E3", value, shown)), "xlsx")
    assert value in [case.points for case in rule.cases]


@pytest.mark.parametrize(
    "shown",
    ["yyyy-mm-dd", "mm-dd-yy", "D-MMM-YY", "[$-F800]dddd\\, mmmm dd\\, yyyy", 'gge"年"m"月"d"日"', "dd/mm/yyyy;@"],
)
def test_a_date_whose_format_shows_it_in_full_is_read(shown: str) -> None:
    drafted(sheet_bytes(*ROWS, change=_cell("D2", date(2024, 3, 1), shown)), "xlsx")


def test_a_date_that_a_workbook_keeps_as_text_of_iso_is_read() -> None:
    def keep_as_text(workbook: Workbook, _: Worksheet) -> None:
        workbook.iso_dates = True

    assert drafted(sheet_bytes(*ROWS, change=keep_as_text), "xlsx") == drafted(WHOLE, "xlsx")


def _hide(what: str) -> Any:
    def change(workbook: Workbook, sheet: Worksheet) -> None:
        if what == "row":
            sheet.row_dimensions[2].hidden = True
        elif what == "column":
            sheet.column_dimensions["C"].hidden = True
        else:
            workbook.create_sheet("cases").sheet_state = "hidden"

    return change


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (_cell("C2", "=1+1"), "Sheet!C2"),
        (_cell("E3", 0.25, "0.00%"), "Sheet!E3"),
        *(
            (_cell("E3", value, shown), r"Sheet!E3: is kept as .*, and its format .* shows something else")
            for value, shown in [
                (12.5, "0"),
                (12.25, "#,##0.0"),
                (5, "-0"),
                (-5, "0;0"),
                (-5, "0;[Red]0"),
                (0, "#"),
                (1500, '0.0,"k"'),
                (1500, "#,##0,"),
                (5, '0"0"'),
                (0.5, "# ?/?"),
                (12345, "0.00E+00"),
                (5, '"high"'),
            ]
        ),
        (_cell("B2", 7), "Sheet!B2 "),
        (_cell("B2", date(2024, 3, 1)), "Sheet!B2 "),
        (_cell("D2", datetime(2024, 3, 1, 12, 30)), "Sheet!D2"),  # noqa: DTZ001 (sheets know no zones)
        *(
            (_cell("D2", date(2024, 3, 1), shown), "Sheet!D2: is kept as 2024-03-01, and its format .* does not show")
            for shown in ("mmm-yy", "d-mmm", "yyyy", "dddd mmmm yyyy", 'd"y"mmm', "[$-409]mmm d")
        ),
        *((_cell("D2", day, "yyyy-mm-dd"), "Sheet!D2: .*the 29th never was: .* type it as") for day in (59, 60)),
        (_cell("C2", time(12, 30)), "Sheet!C2"),
        (_cell("C2", "#N/A"), "Sheet!C2"),
        (_cell("E3", 0.125), "Sheet!E3 "),
        (_cell("A400", 1), "row 400"),
        (_cell("DA2", 1), "column DA"),
        (_hide("row"), "Sheet!A2"),
        (_hide("column"), "Sheet!C1"),
        (_hide("sheet"), "cases is hidden"),
        (lambda _, sheet: sheet.merge_cells("B2:B3"), "Sheet!B2"),
        (lambda workbook, _: workbook.create_sheet("other"), "Sheet, other"),
    ],
)
def test_a_sheet_that_is_not_exact_is_refused_by_its_cell(change: Any, place: str) -> None:
    with pytest.raises(FivefoldError, match=place):
        drafted(sheet_bytes(*ROWS, change=change), "xlsx")


def _packed(**parts: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in parts.items():
            packed.writestr(f"{name}.xml", content)
    return file.getvalue()


def damaged() -> bytes:
    """Give a workbook whose style has a number that the library cannot hold."""
    whole = sheet_bytes(*ROWS)
    with zipfile.ZipFile(io.BytesIO(whole)) as packed:
        parts = {part.filename.removesuffix(".xml"): packed.read(part) for part in packed.infolist()}
    parts["xl/styles"] = parts["xl/styles"].replace(b'numFmtId="0"', b'numFmtId="99999999999"')
    relations = {name: parts.pop(name) for name in list(parts) if name.endswith(".rels")}
    file = io.BytesIO(_packed(**parts))
    with zipfile.ZipFile(file, "a") as packed:
        for name, content in relations.items():
            packed.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"case,word\n",
        b"\xd0\xcf\x11\xe0" + bytes(600),
        _packed(a=b"<a/>"),
        _packed(a=bytes(spreadsheets.MOST_BYTES + 1)),
        _packed(a=b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        _packed(a=b"<a>"),
        damaged(),
        _packed(**{f"a{number}": b"<a/>" for number in range(spreadsheets.MOST_PARTS + 1)}),
    ],
)
def test_what_is_no_workbook_or_unpacks_to_too_much_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"t\.xlsx"):
        drafted(content, "xlsx")


@given(place=st.integers(0, 10**6), signs=st.binary(min_size=1, max_size=4))
def test_a_workbook_with_damaged_bytes_is_read_or_refused(place: int, signs: bytes) -> None:
    content = bytearray(WHOLE)
    place %= len(content) - len(signs)
    content[place : place + len(signs)] = signs
    with suppress(FivefoldError):
        import_table(SMALL, "first", TableSent(name="t.xlsx", content=bytes(content)))


def _changed(content: bytes, *changes: tuple[int, int]) -> bytes:
    damaged = bytearray(content)
    for place, sign in changes:
        damaged[place] = sign
    return bytes(damaged)


INDEX, END = WHOLE.index(b"PK\x01\x02"), WHOLE.rindex(b"PK\x05\x06")


@pytest.mark.parametrize(
    "content",
    [
        _changed(WHOLE, (END + 17, 0xFF)),
        _changed(WHOLE, (INDEX + 9, 0x08), (INDEX + 46, 0xFF)),
        _changed(WHOLE, *((place, 0) for place in range(60, 100))),
    ],
    ids=["place of the index", "name in no encoding", "packed bytes"],
)
def test_a_damaged_workbook_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"t\.xlsx is not a workbook"):
        import_table(SMALL, "first", TableSent(name="t.xlsx", content=content))


@pytest.mark.parametrize("encoding", ["gbk", "idna", "nothing"])
def test_a_workbook_in_another_encoding_is_refused_by_name(encoding: str) -> None:
    with pytest.raises(ConfigError, match=r"t\.xlsx is not a workbook"):
        drafted(_packed(a=f'<?xml version="1.0" encoding="{encoding}"?><a/>'.encode()), "xlsx")


def _with_sheet(content: bytes) -> bytes:
    """Give a workbook with other content of its sheet."""
    name, whole, file = "xl/worksheets/sheet1.xml", sheet_bytes(*ROWS), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as packed, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as changed:
        for part in packed.namelist():
            changed.writestr(part, content if part == name else packed.read(part))
    return file.getvalue()


CELL = b"<c><v>1</v></c>"


@pytest.mark.parametrize(
    ("rows", "below", "problem"),
    [
        (b"<row>%b</row>" % (CELL * 1_000) * 16, b"", "15,250 rows and cells"),
        (b"<row>%b</row>" % (b"<a>" * 9_000 + b"</a>" * 9_000), b"", "inside each other"),
        (b"<row/>" * 15_251, b"", "15,250 rows and cells"),
        (b"<a/>" * 122_001, b"", "15,250 rows and cells"),
        (
            b"<row>%b</row>" % CELL,
            b'<mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>',
            "15,250 rows and cells",
        ),
        (
            b"<row>%b</row>" % CELL,
            b'<hyperlinks><hyperlink ref="A1:XFD1048576"/></hyperlinks>',
            "15,250 rows and cells",
        ),
        (b"<row>%b</row>" % CELL, b'<dataValidation sqref="%b"/>' % (b"A1 " * 15_251), "15,250 rows and cells"),
        (
            b'<row><c><f t="shared">%b</f></c>%b</row>' % (b"A1+" * 2_000, b"<c><f/></c>" * 300),
            b"",
            "15,250 rows and cells",
        ),
    ],
    ids=["cells", "depth", "rows", "elements", "merged", "linked", "ranges", "formulas"],
)
def test_a_workbook_that_takes_long_to_read_is_refused_before(
    rows: bytes, below: bytes, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spreadsheets, "load_workbook", None)  # what builds cells is not even called
    with pytest.raises(ConfigError, match=problem):
        drafted(_with_sheet(b"<worksheet><sheetData>%b</sheetData>%b</worksheet>" % (rows, below)), "xlsx")


def test_a_text_that_no_cell_holds_is_refused() -> None:
    long = SMALL.replace("equals: b", f"equals: {'b' * 40_000}")
    with pytest.raises(ConfigError, match="cell B3"):
        table_bytes(read_ruleset(long), "first", "xlsx")


def test_a_sign_that_no_cell_holds_is_refused_by_its_number() -> None:
    titled = SMALL.replace("title: First", 'title: "Fi\\vrst"')
    with pytest.raises(ConfigError, match=r"U\+000B"):
        table_bytes(read_ruleset(titled), "first", "xlsx")


def test_a_file_is_known_by_its_ending_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert format_of(Path("a.CSV")) == "csv"
    assert format_of(Path("a.dat"), "xlsx") == "xlsx"
    for name in ("a.xls", "a.dat", "a"):
        with pytest.raises(ConfigError, match=name):
            format_of(Path(name))
    monkeypatch.setattr(decision_tables, "MOST_BYTES", 10)
    (tmp_path / "t.csv").write_text(CSV)
    with pytest.raises(ConfigError, match="bytes"):
        draft_from_table(SMALL, "small", "first", tmp_path / "t.csv", "csv")


def test_a_ruleset_that_cannot_be_used_is_refused_before_its_table_is_read() -> None:
    with pytest.raises(InvalidRulesetError, match="bad"):
        draft_from_bytes("ruleset: bad\n", "bad", "first", b"", "t", "csv")


def test_what_a_table_leaves_out_is_said() -> None:
    text = SMALL.replace("otherwise: {points: 4}", "on_unknown: {points: 4}")
    content = b"case,amount,points\n1,> 3,5\n"
    notes = draft_from_bytes(text, "small", "first", content, "t.csv", "csv").notes
    assert ["on_unknown" in note for note in notes] == [True, False]
    rest = b"case,word,points\n1,a,5\non_unknown,,5\n"
    assert not draft_from_bytes(text, "small", "first", rest, "t.csv", "csv").notes


def test_tables_of_other_systems_become_drafts_with_notes() -> None:
    """Their own tests are those of `risk.governance.tables.foreign`."""
    table = json.dumps(graph({"country": "> 3", "points": "5"}))
    names = {"country": "amount", "n0": "word", "flag": "open"}
    made = draft_from_bytes(SMALL, "small", "first", table.encode(), "t.json", "jdm", Foreign(None, names))
    assert read_ruleset(made.text).rule("first").cases[0].when.above == 3
    assert f"# {made.notes[-1]}\n" in made.text
    table = model(("> 3", "5"), inputs=("amount",)).decode()
    made = draft_from_bytes(SMALL, "small", "first", table.encode(), "t.dmn", "dmn", Foreign("risk"))
    assert read_ruleset(made.text).rule("first").cases[0].when.above == 3
    with pytest.raises(ConfigError, match="--map"):
        draft_from_bytes(SMALL, "small", "first", CSV.encode(), "t.csv", "csv", Foreign(None, names))
