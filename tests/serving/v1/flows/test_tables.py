"""Files of flows over HTTP: decision tables out of a draft and back, and graphs of JDM as a text."""

import base64

import pytest

from fivefold.serving.v1.examples import BODY_EXAMPLES
from tests.serving.v1.places import THEIRS, Place
from tests.usecases.flows.documents import BY_COUNTRY, TABLE, flow_document

AT = "/v1/flows/tabled"
TABLED = flow_document("tabled", [TABLE, BY_COUNTRY])
CSV = "row,country,give amount\n1,IR,0\n2,NO,20\notherwise,,5\n"


def saved(place: Place) -> None:
    place.good("PUT", f"{AT}/draft", {"document": TABLED}, role="publisher")


def test_a_table_of_the_draft_comes_back_as_it_was_in_either_format(place: Place) -> None:
    saved(place)
    for format_ in ("csv", "xlsx"):
        asked = {"step": "how-much", "format": format_}
        made = place.good("POST", f"{AT}/tables/export", asked, role="publisher")
        assert (made["step"], made["file"]) == ("how-much", f"how-much.{format_}")
        back = place.good("POST", f"{AT}/tables/import", {**asked, "content": made["content"]}, role="publisher")
        assert (back["is_same"], back["changes"]) == (True, [])
        assert back["before_hash"] == back["after_hash"]
    assert base64.b64decode(made["content"]).startswith(b"PK")


def test_a_changed_table_says_what_it_changes_and_nothing_is_stored(place: Place) -> None:
    saved(place)
    table = {"step": "how-much", "format": "csv", "content": CSV}
    back = place.good("POST", f"{AT}/tables/import", table, role="publisher")
    assert back["is_same"] is False
    assert back["changes"]
    draft = place.good("GET", f"{AT}/draft", role="publisher")
    assert (draft["document"], draft["revision"]) == (TABLED, 1), "nothing is stored"
    good = place.good("POST", f"{AT}/tables/import", {**table, "document": back["document"]}, role="publisher")
    assert good["is_same"] is True
    place.good("PUT", f"{AT}/draft", {"document": back["document"], "revision": 1}, role="publisher")
    assert "NO,20" in place.good("POST", f"{AT}/tables/export", {"step": "how-much"}, role="publisher")["content"]


def test_what_cannot_be_read_is_named_by_its_cell(place: Place) -> None:
    saved(place)
    asked = {"step": "how-much", "format": "csv", "content": CSV.replace("2,NO,20", "2,NO,many")}
    answer = place.ask("POST", f"{AT}/tables/import", asked, role="publisher")
    assert answer.status_code == 422
    (found,) = answer.json()[0]["errors"]
    assert "C3" in found["where"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"content": "x", "format": "xlsx"},
        {"content": "Ünreadable", "format": "xlsx"},
        {"content": "UEsDBA==", "format": "xlsx"},
        {"step": "none"},
        {"step": "home"},
        {"content": ""},
        {"format": "jdm"},
        {"document": "flow: tabled"},
        {"document": flow_document("other")},
    ],
)
def test_what_is_no_table_is_refused(place: Place, wrong: dict[str, str]) -> None:
    saved(place)
    asked = {"step": "how-much", "format": "csv", "content": CSV}
    assert place.ask("POST", f"{AT}/tables/import", {**asked, **wrong}, role="publisher").status_code == 422


def test_a_text_about_another_type_than_the_flow_is_refused_as_a_try_refuses_it(place: Place) -> None:
    saved(place)
    other = TABLED.replace('"entity_type": "customer"', '"entity_type": "account"')
    assert other != TABLED
    asked = {"step": "how-much", "format": "csv", "content": CSV, "document": other}
    answer = place.ask("POST", f"{AT}/tables/import", asked, role="publisher")
    assert answer.status_code == 409
    assert "is about customer; the text is about account" in answer.text


def test_only_authors_of_the_organisation_have_tables(place: Place) -> None:
    saved(place)
    body = {"step": "how-much", "document": TABLED}
    assert place.ask("POST", f"{AT}/tables/export", body, role="investigator").status_code == 403
    theirs = place.ask("POST", f"{AT}/tables/export", body, token=place.tokens[THEIRS, "publisher"])
    assert theirs.status_code == 404
    for path in ("export", "import"):
        body = {"step": "how-much", "format": "csv", **({"content": CSV} if path == "import" else {})}
        assert place.ask("POST", f"/v1/flows/none/tables/{path}", body, role="publisher").status_code == 404


IMPORT, GRAPH = "/v1/flows/import", BODY_EXAMPLES["import_graph"]


def test_a_graph_becomes_a_text_that_can_be_saved_and_nothing_is_stored(place: Place) -> None:
    made = place.good("POST", IMPORT, GRAPH, role="publisher")
    assert (made["flow"], made["inputs"]) == ("daily-amount", {"customer.country": "country"})
    assert (made["steps"], any("JDM answers values" in note for note in made["notes"])) == (2, True)
    checked = place.good("POST", "/v1/flows/check", {"document": made["document"]}, role="publisher")
    assert [checked[name] for name in ("content_hash", "errors", "warnings")] == [
        made[name] for name in ("content_hash", "errors", "warnings")
    ]
    assert "daily-amount" not in {each["name"] for each in place.good("GET", "/v1/flows", role="publisher")}
    saved = place.good("PUT", "/v1/flows/daily-amount/draft", {"document": made["document"]}, role="publisher")
    assert saved["revision"] == 1


def test_what_flows_cannot_say_of_a_graph_is_named_by_its_node(place: Place) -> None:
    nodes = {**GRAPH, "content": GRAPH["content"].replace('"first"', '"collect"')}
    answer = place.ask("POST", IMPORT, nodes, role="publisher")
    assert answer.status_code == 422
    assert any("node amount (How much)" in each["where"] for each in answer.json()[0]["errors"])
    for wrong in ({"content": "[]"}, {"content": ""}, {"entity_type": "ship"}, {"flow": "No name!"}):
        assert place.ask("POST", IMPORT, {**GRAPH, **wrong}, role="publisher").status_code == 422, wrong
    kinds = place.ask("POST", IMPORT, {**GRAPH, "kinds": {"a": "money"}}, role="publisher")
    assert kinds.status_code == 422


def test_only_authors_import_graphs(place: Place) -> None:
    assert place.ask("POST", IMPORT, GRAPH, role="investigator").status_code == 403
