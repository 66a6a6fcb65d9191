"""A flow by forms and buttons alone: no word of its text is written, no script runs, and it acts in the end."""

from fivefold.risk.language.documents import Document
from tests.console.test_flows import EDIT, MINE, NEW, WHY, found_at, sent, shown_document, written
from tests.console.visitors import Visitor
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.places import Place
from tests.usecases.flow_documents import flow_document


def test_a_flow_is_changed_tried_and_let_act_without_a_line_of_text(place: Place) -> None:
    publisher = Visitor(place).sign_in("publisher")
    sent(publisher.go(NEW), "save", flow_document("mine"))  # a colleague's
    publisher.go(EDIT)
    assert "The action look" in written(publisher, "open:actions:look").text
    look = {"field-id": "look", "field-title": "Review within the week"}
    written(publisher, "put", **look, **{"field-review": "5 dayz"})
    assert "5 dayz" in found_at(publisher.page.text, "field-review"), "what is wrong is named at its field"
    written(publisher, "put", **look, **{"field-review": "5 days"})
    assert "look is changed in the text" in publisher.text
    written(publisher, "begin:triggers", new_kind_triggers="level")
    written(publisher, "put", **{"field-direction": "up"})
    data = Document(shown_document(publisher)).data
    assert data["triggers"] == [{"on": "level", "direction": "up"}]
    assert [each["review"] for each in data["actions"] if each["id"] == "look"] == ["5 days"]
    sent(publisher, "save", shown_document(publisher))
    sent(publisher, "commit", shown_document(publisher), accept_warnings="known")
    assert "The version is committed." in publisher.text
    assert publisher.go(f"{MINE}?through=1&customer={CUSTOMER}").page.status_code == 200
    assert "Acting, it would do" in publisher.text
    other = Visitor(place).sign_in("admin").go(f"{MINE}/versions/1")
    other.submit("/activate", **WHY, confirmed="yes")
    assert "The version acts from now on." in other.text
    flows = {flow["name"]: flow["active"] for flow in place.good("GET", "/v1/flows", role="publisher")}
    assert flows["mine"] == 1
