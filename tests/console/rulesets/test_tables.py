"""Decision tables in the editor: out as a file, back into the text with what changes, and nothing stored by that."""

import html
import json
from typing import Any

import pytest

from tests.console.visitors import ORIGIN, Visitor, send_text
from tests.serving.v1.places import Place
from tests.serving.v1.rulesets.bank_rulesets import document

EDIT, NEW = "/console/rulesets/retail/edit", "/console/new-ruleset"
TEXT = document("retail", remark="new")


@pytest.fixture
def author(place: Place) -> Visitor:
    return Visitor(place).sign_in("publisher").go(EDIT)


def take(visitor: Visitor, file: tuple[str, bytes] | None, text: str = TEXT, **typed: str) -> Visitor:
    """Send the editor's form with a file, by the button that reads it."""
    form = next(form for form in visitor.forms() if form.action.endswith("/check"))
    address = f"{form.action.removesuffix('check')}table-import"
    parts: dict[str, Any] = {"table": ("", b"") if file is None else file}
    fields = {**form.fields, "document": text, "table_of": "country", **typed}
    fields.pop("table", None)
    return visitor.send("POST", address, data=fields, files=parts, headers={"origin": ORIGIN})


def drafted(place: Place) -> Any:
    return place.good("GET", "/v1/rulesets", role="publisher")[0]["draft_revision"]


def test_a_table_goes_out_is_changed_comes_back_and_is_saved_as_a_draft(place: Place, author: Visitor) -> None:
    send_text(author, "table-csv", TEXT, table_of="country")
    assert author.page.headers["content-type"].startswith("text/csv")
    assert 'filename="country.csv"' in author.page.headers["content-disposition"]
    table = author.page.content
    assert b"in NO, SE" in table
    take(author.go(EDIT), ("country.csv", table.replace(b"in NO, SE", b"in NO, DE")))
    assert author.page.status_code == 200
    assert "The text now has the cases of the file in country. Nothing is saved yet." in author.text
    assert "DE" in author.text
    assert drafted(place) is None
    form = next(form for form in author.forms() if form.action.endswith("/check"))
    assert form.fields["revision"] == "0"
    written = author.page.text.partition('<textarea id="document"')[2].partition(">")[2].partition("</textarea>")[0]
    author.post(f"{EDIT}/save", {**form.fields, "document": html.unescape(written).removeprefix("\n")})
    assert "The draft is saved." in author.text
    saved = place.good("GET", "/v1/rulesets/retail/draft", role="publisher")["document"]
    plain = "\n".join(line for line in saved.splitlines() if not line.startswith("#"))
    assert json.loads(plain)["rules"][0]["cases"][1]["when"] == {"in": ["NO", "DE"]}


def test_a_workbook_that_was_not_changed_is_the_same_content(author: Visitor) -> None:
    workbook = send_text(author, "table-xlsx", TEXT, table_of="country").page
    assert workbook.content.startswith(b"PK")
    take(author.go(EDIT), ("country.xlsx", workbook.content))
    assert "The file and the text have the same content for country." in author.text


def test_what_does_not_fit_is_named_by_its_cell_and_the_text_stays(place: Place, author: Visitor) -> None:
    take(author, ("mine.csv", b"case,country,points\n1,NO,many\n2,SE,1;5\n"))
    assert author.page.status_code == 422
    assert "Nothing was imported: 2 places" in author.text
    assert "C2" in author.text
    assert "C3" in author.text
    assert "A neighbour" in author.page.text
    for file in (None, ("mine.ods", b"x"), ("mine.csv", b"")):
        take(author.go(EDIT), file)
        assert author.page.status_code == 422
        assert "Nothing was changed:" in author.text
    take(author.go(EDIT), ("t.csv", b"case,country,points\n"), table_of="none")
    assert "has no rule none" in author.text
    take(author.go(EDIT), ("t.csv", b"case,country,points\n"), text="ruleset: [")
    assert author.page.status_code == 422
    assert drafted(place) is None


def test_a_file_that_is_too_large_is_refused_before_it_is_read(author: Visitor) -> None:
    take(author, ("large.csv", b"a" * 1_000_000))
    assert author.page.status_code == 413


def test_a_new_ruleset_takes_tables_too(author: Visitor) -> None:
    take(author.go(f"{NEW}?start=fatf-retail"), ("t.csv", b"case,country,points\n1,NO,5\n"))
    assert "The text now has the cases of the file" in author.text
    send_text(author.go(NEW), "table-csv", TEXT, table_of="country")
    assert author.page.headers["content-type"].startswith("text/csv")
