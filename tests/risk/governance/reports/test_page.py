"""Evidence: one page that needs nothing else, and nothing from outside that acts."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest

from fivefold.charts.backtests import levels
from fivefold.risk.governance.reports.json_text import report_json
from fivefold.risk.governance.reports.page import ReportPage, Section, Table, as_html

NASTY = '<script>alert("1")</script> & \x00\x1b[31m "quoted" {{ 7 * 7 }}'
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Tree(HTMLParser):
    """Checks that tags are closed in order, and collects what they say and ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.asked: list[str] = []
        self.identifiers: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.asked += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "action", "data"}]
        self.asked += [name for name, _ in attrs if name.startswith("on")]
        self.identifiers += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Tree:
    tree = Tree()
    tree.feed(page)
    assert tree.open == []
    return tree


def picture() -> Any:
    return levels(pl.DataFrame({"group": [NASTY, "low"], "series": ["a", "a"], "entities": [1, 2]}))


def page() -> ReportPage:
    table = Table(["name", NASTY], [[NASTY, "1"], ["b", "2"]])
    sections = [Section(NASTY, NASTY, table, picture()), Section("second", picture=picture()), Section("third")]
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
    tree = read(as_html(ReportPage("t", [], [], [Section("only", "words")])))
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
