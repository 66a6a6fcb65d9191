"""Evidence: one page that needs nothing else, and nothing from outside that acts."""

import json
import re
from typing import Any

import polars as pl
import pytest

from fivefold.charts.backtests import levels
from fivefold.risk.governance.reports.lint import report_json
from fivefold.risk.governance.reports.page import ReportPage, ReportSection, ReportTable, as_html
from tests.pages import read

NASTY = '<script>alert("1")</script> & \x00\x1b[31m "quoted" {{ 7 * 7 }}'


def picture() -> Any:
    return levels(pl.DataFrame({"group": [NASTY, "low"], "series": ["a", "a"], "entities": [1, 2]}))


def page() -> ReportPage:
    table = ReportTable(["name", NASTY], [[NASTY, "1"], ["b", "2"]])
    sections = [
        ReportSection(NASTY, NASTY, table, picture()),
        ReportSection("second", picture=picture()),
        ReportSection("third"),
    ]
    return ReportPage(f"Title {NASTY}", [("fact", NASTY)], [NASTY], sections)


def test_a_page_is_whole_and_asks_for_nothing() -> None:
    tree = read(as_html(page()))
    assert not {"script", "link", "iframe", "object", "img"} & set(tree.tags)
    assert tree.asked == []
    assert tree.tags.count("svg") == 2
    assert not re.search(r"@import|url\((?!#)", as_html(page()))
    assert "default-src 'none'" in as_html(page())


def test_text_from_outside_is_shown_as_it_is() -> None:
    tree = read(as_html(page()))
    assert tree.text.count('<script>alert("1")</script>') >= 6
    assert "{{ 7 * 7 }}" in tree.text


def test_pictures_of_one_page_do_not_share_names() -> None:
    drawn = as_html(page())
    names = read(drawn).identifiers
    assert names
    assert len(set(names)) == len(names)
    assert set(re.findall(r"url\(#([^)]+)\)", drawn)) <= set(names)


def test_what_was_left_out_is_not_there() -> None:
    tree = read(as_html(ReportPage("t", [], [], [ReportSection("only", "words")])))
    assert not {"table", "svg"} & set(tree.tags)
    assert "To be known beforehand" not in tree.text


class Finding:
    def __init__(self, value: Any) -> None:
        self.value = value

    def to_dict(self) -> dict[str, Any]:
        return {"value": self.value}


def test_json_says_what_it_is_and_holds_no_numbers_that_json_lacks() -> None:
    assert json.loads(report_json("backtest", Finding("é"))) == {"kind": "backtest", "form": 1, "value": "é"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        report_json("backtest", Finding(float("nan")))
