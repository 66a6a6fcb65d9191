"""Decision tables that are sent: the same reader as at a terminal, with bounds for a service."""

import io
import sys
import zipfile

import pytest

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.usecases.portfolio_files import sent_tables
from fivefold.usecases.portfolio_files.bundled import bundled_text
from fivefold.usecases.portfolio_files.sent_tables import TableSent, export_table, foreign_of, import_table

TEXT = bundled_text("fatf-retail")
RULE = "country-of-residence"


def packed(**parts: bytes) -> bytes:
    """Pack parts as a workbook does."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(f"xl/{name}.xml", content)
    return file.getvalue()


def without_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the extra brings."""
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    monkeypatch.delitem(sys.modules, "fivefold.usecases.portfolio_files.spreadsheets", raising=False)


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_a_rule_that_goes_out_and_comes_back_is_the_same(format_: str) -> None:
    made = export_table(TEXT, RULE, format_)
    assert made.name == f"{RULE}.{format_}"
    back = import_table(TEXT, RULE, TableSent(name=f"C:\\files\\{made.name.upper()}", content=made.content))
    assert back.is_same
    assert analyse_text(back.text, "t").ruleset.content_hash == analyse_text(TEXT, "t").ruleset.content_hash


def test_what_unpacks_to_very_much_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = packed(large=b" " * (sent_tables.MOST_UNPACKED_BYTES + 1))
    assert len(bomb) < 10_000
    monkeypatch.setattr(sent_tables, "draft_from_bytes", lambda *_: pytest.fail("it was read"))
    with pytest.raises(ConfigError, match=r"unpacks to 4,000,001 bytes"):
        import_table(TEXT, RULE, TableSent(name="t.xlsx", content=bomb))


@pytest.mark.parametrize("name", ["t.xlsx", "t.dmn"])
def test_entities_are_refused(name: str) -> None:
    evil = b'<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;">]><definitions>&c;</definitions>'
    content = packed(workbook=evil) if name == "t.xlsx" else evil
    with pytest.raises(ConfigError):
        import_table(TEXT, RULE, TableSent(name=name, content=content))


@pytest.mark.parametrize("name", ["t.xlsx", "t.csv", "t.json", "t.dmn", "t.ods", "t"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe\x00", b"PK\x03\x04 torn", b"{", b"[" * 50_000])
def test_what_is_no_table_is_refused_with_a_reason(name: str, content: bytes) -> None:
    with pytest.raises((ConfigError, InvalidRulesetError)):
        import_table(TEXT, RULE, TableSent(name=name, content=content))


def test_without_the_extra_workbooks_are_refused_by_its_name_and_csv_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    workbook = export_table(TEXT, RULE, "xlsx").content
    without_tables(monkeypatch)
    with pytest.raises(ConfigError, match=r"openpyxl.*fivefold\[tables\]"):
        export_table(TEXT, RULE, "xlsx")
    with pytest.raises(ConfigError, match=r"openpyxl.*fivefold\[tables\]"):
        import_table(TEXT, RULE, TableSent(name="t.xlsx", content=workbook))
    made = export_table(TEXT, RULE, "csv")
    assert import_table(TEXT, RULE, TableSent(name=made.name, content=made.content)).is_same


def test_columns_of_another_system_are_named_a_line_each() -> None:
    foreign = foreign_of(" prices ", "customer.land = country\n\nrisk=points\n")
    assert (foreign.table, foreign.names) == ("prices", {"customer.land": "country", "risk": "points"})
    assert foreign_of("", "").table is None
    for lines in ("customer.land", "=country", "customer.land=", "a=b\n" * 101):
        with pytest.raises(ConfigError):
            foreign_of("", lines)
