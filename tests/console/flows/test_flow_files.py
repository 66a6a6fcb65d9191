"""Files in the editor of a flow: tables out and back, a graph of JDM as its text; nothing is stored by that."""

import html
import json
from typing import Any

import pytest

from fivefold.risk.language.documents import Document
from tests.console.visitors import ORIGIN, Visitor
from tests.flows.foreign.graphs import INPUT, OUTPUT, graph, node, table
from tests.serving.v1.places import Place
from tests.usecases.flows.documents import BY_COUNTRY, TABLE, flow_document

NEW, EDIT = "/console/new-flow", "/console/flows/mine/edit"
TEXT = flow_document("mine", [TABLE, BY_COUNTRY])
ROWS = [({"customer.country": "'IR'"}, {"amount": "0"}), ({}, {"amount": "500"})]
AMOUNT = table("amount", ["customer.country"], ["amount"], ROWS)
GRAPH = json.dumps(graph([INPUT, AMOUNT, OUTPUT], [("in", "amount"), ("amount", "out")])).encode()
AS_COUNTRY = {"graph_type": "customer", "graph_names": "customer.country = country"}

File = tuple[str, bytes] | None


@pytest.fixture
def publisher(place: Place) -> Visitor:
    return Visitor(place).sign_in("publisher").go(NEW)


@pytest.fixture
def editor(place: Place, publisher: Visitor) -> Visitor:
    """A publisher before the draft of a flow with a table."""
    place.good("PUT", "/v1/flows/mine/draft", {"document": TEXT}, role="publisher")
    return publisher.go(EDIT)


def sent(visitor: Visitor, action: str, table: File = None, graph: File = None, **typed: str) -> Visitor:
    """Send the editor's form as a browser does: a field of a file that was not chosen is sent empty."""
    form = next(form for form in visitor.forms() if form.action.endswith("/check"))
    fields = {**form.fields, "document": TEXT, "table_of": "how-much", **typed}
    fields = {name: value for name, value in fields.items() if name not in {"table", "graph"}}
    parts: dict[str, Any] = {"table": table or ("", b""), "graph": graph or ("", b"")}
    address = form.action.removesuffix("check") + action
    return visitor.send("POST", address, data=fields, files=parts, headers={"origin": ORIGIN})


def shown_document(visitor: Visitor) -> str:
    written = visitor.page.text.partition('<textarea id="document"')[2].partition(">")[2].partition("</textarea>")[0]
    return html.unescape(written).removeprefix("\n")


def revision(place: Place) -> int:
    return int(place.good("GET", "/v1/flows/mine/draft", role="publisher")["revision"])


def flows(place: Place) -> set[str]:
    return {each["name"] for each in place.good("GET", "/v1/flows", role="publisher")}


def test_a_table_goes_out_comes_back_shows_what_it_changes_and_is_saved(place: Place, editor: Visitor) -> None:
    csv = sent(editor, "table-csv").page
    assert 'filename="how-much.csv"' in csv.headers["content-disposition"]
    assert b"in NO, SE" in csv.content
    sent(editor.go(EDIT), "table-import", ("how-much.csv", csv.content.replace(b"in NO, SE", b"in NO, DE")))
    assert editor.page.status_code == 200
    assert "The text now has the rows of the file in how-much. Nothing is saved yet." in editor.text
    differs = editor.page.text.partition('id="table-read"')[2].partition("</section>")[0]
    assert "DE" in differs
    assert "SE" in differs
    assert revision(place) == 1
    form = next(form for form in editor.forms() if form.action.endswith("/check"))
    editor.post(f"{EDIT}/save", {**form.fields, "document": shown_document(editor)})
    assert "The draft is saved." in editor.text
    saved = Document(place.good("GET", "/v1/flows/mine/draft", role="publisher")["document"]).data
    assert saved["steps"][0]["table"]["rows"][1]["when"] == {"field": "country", "in": ["NO", "DE"]}


def test_a_workbook_that_was_not_changed_is_the_same_content(editor: Visitor) -> None:
    workbook = sent(editor, "table-xlsx").page
    assert workbook.content.startswith(b"PK")
    sent(editor.go(EDIT), "table-import", ("how-much.xlsx", workbook.content))
    assert "The file and the text have the same content for how-much." in editor.text


def test_what_does_not_fit_is_named_by_its_cell_and_the_text_stays(place: Place, editor: Visitor) -> None:
    sent(editor, "table-import", ("mine.csv", b"row,country,give amount\n1,NO,many\n2,SE,1;5\notherwise,,5\n"))
    assert editor.page.status_code == 422
    assert "Nothing was imported: 2 places" in editor.text
    assert "C2" in editor.text
    assert "C3" in editor.text
    assert shown_document(editor) == TEXT
    for file in (None, ("mine.ods", b"x"), ("mine.json", b"{}"), ("mine.csv", b"")):
        sent(editor.go(EDIT), "table-import", file)
        assert (editor.page.status_code, "Nothing was changed:" in editor.text) == (422, True)
    sent(editor.go(EDIT), "table-csv", table_of="home")
    assert "has no decision table home" in editor.text
    sent(editor.go(EDIT), "table-import", ("t.csv", b"row\n"), document="flow: [")
    assert editor.page.status_code == 422
    assert revision(place) == 1


def test_tables_of_a_flow_that_is_not_saved_yet_go_out_and_come_back(place: Place, publisher: Visitor) -> None:
    assert "Export or import the rows of a decision table" not in publisher.text
    publisher.post(f"{NEW}/check", {**publisher.forms()[-1].fields, "document": TEXT})
    assert "Export or import the rows of a decision table" in publisher.text
    csv = sent(publisher, "table-csv").page.content
    sent(publisher.go(NEW), "table-import", ("how-much.csv", csv.replace(b"IR", b"KP")))
    assert "The text now has the rows of the file" in publisher.text
    assert "KP" in shown_document(publisher)
    about = TEXT.replace('"entity_type": "customer"', '"entity_type": "ship"')
    sent(publisher.go(NEW), "table-import", ("how-much.csv", csv), document=about)
    assert (publisher.page.status_code, "is ship; the types of entities are" in publisher.text) == (422, True)
    assert "mine" not in flows(place)


def test_a_graph_becomes_the_text_of_a_new_flow(place: Place, publisher: Visitor) -> None:
    sent(publisher, "graph-import", graph=("Daily amount.json", GRAPH), document="", **AS_COUNTRY)
    assert publisher.page.status_code == 200
    assert "The graph Daily amount.json" in publisher.text
    assert "Nothing is saved yet." in publisher.text
    assert "JDM answers values; a flow acts." in publisher.text
    assert "flow: daily-amount" in shown_document(publisher)
    assert "What was found" in publisher.text
    form = next(form for form in publisher.forms() if form.action.endswith("/check"))
    assert "daily-amount" not in flows(place)
    publisher.post(f"{NEW}/save", {**form.fields, "document": shown_document(publisher)})
    assert "The draft is saved." in publisher.text
    assert "daily-amount" in flows(place)


def test_a_graph_takes_the_place_of_the_text_of_a_flow_under_its_own_name(place: Place, editor: Visitor) -> None:
    sent(editor, "graph-import", graph=("other.json", GRAPH), graph_names="customer.country=country")
    assert "flow: mine" in shown_document(editor)
    assert revision(place) == 1


def test_all_that_flows_cannot_say_is_shown_and_what_was_typed_stays(publisher: Visitor) -> None:
    script = node("f", "functionNode")
    wrong = graph([INPUT, script, AMOUNT, OUTPUT], [("in", "f"), ("f", "amount"), ("amount", "out")])
    typed = {"graph_type": "customer", "graph_kinds": "nothing=text", "graph_names": "customer.country=country"}
    sent(publisher, "graph-import", graph=("g.json", json.dumps(wrong).encode()), graph_flow="drawn", **typed)
    assert publisher.page.status_code == 422
    assert "Nothing was imported: 3 places" in publisher.text
    assert "node f : is a functionNode" in publisher.text
    assert "kinds : names nothing, which the graph does not read" in publisher.text
    assert shown_document(publisher) == TEXT
    assert 'value="drawn"' in publisher.page.text
    assert "nothing=text</textarea>" in publisher.page.text
    for file, more, problem in (
        (None, {}, "no file was chosen"),
        (("g.json", b"[]"), {}, "g.json"),
        (("g.json", GRAPH), {"graph_type": ""}, "Entity type is empty"),
        (("g.json", GRAPH), {"graph_kinds": "a=money"}, "it must be number, text or flag"),
        (("g.json", GRAPH), {"graph_names": "a"}, "write it as THEIRS=OURS"),
    ):
        sent(publisher.go(NEW), "graph-import", graph=file, **{**AS_COUNTRY, **more})
        assert (publisher.page.status_code, problem in publisher.text) == (422, True), problem


def test_each_button_reads_the_file_of_its_own_field(editor: Visitor) -> None:
    csv = sent(editor, "table-csv").page.content.replace(b"in NO, SE", b"in NO, DE")
    both: dict[str, Any] = {"table": ("how-much.csv", csv), "graph": ("other.json", GRAPH)}
    sent(editor.go(EDIT), "table-import", **both)
    assert "The text now has the rows of the file" in editor.text
    sent(editor.go(EDIT), "graph-import", **both, graph_names="customer.country=country")
    assert "The graph other.json" in editor.text
