"""Flows in the console: from a text with a mistake to a version that acts, a shadow beside it, and off again."""

import pytest

from tests.console.visitors import Visitor
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.places import THEIRS, Place
from tests.usecases.flow_documents import flow_document

FLOWS, NEW = "/console/flows", "/console/new-flow"
MINE = f"{FLOWS}/mine"
EDIT = f"{MINE}/edit"
WHY = {"reason": "Because of the test."}
MARKUP = "<script>alert('x')</script>"


@pytest.fixture
def publisher(place: Place) -> Visitor:
    """A publisher of the bank, signed in."""
    return Visitor(place).sign_in("publisher")


def sent(visitor: Visitor, action: str, text: str, **typed: str) -> Visitor:
    """Send the editor's form by one of its buttons."""
    form = next(form for form in visitor.forms() if form.action.endswith("/check"))
    return visitor.post(form.action.removesuffix("check") + action, {**form.fields, "document": text, **typed})


def committed(visitor: Visitor, text: str) -> Visitor:
    """Write a version, from the draft to the commit."""
    if visitor.go(EDIT).page.status_code == 404:
        visitor.go(NEW)
    sent(visitor, "save", text)
    return sent(visitor, "commit", text, accept_warnings="known")


def test_a_flow_is_written_committed_and_activated_by_another_person(place: Place, publisher: Visitor) -> None:
    committed(publisher, flow_document("mine"))
    assert "The version is committed." in publisher.text
    assert publisher.page.url.path == f"{MINE}/versions/1"
    assert "another person activates" in publisher.text
    assert 'aria-labelledby="graph-title graph-text"' in publisher.page.text
    assert "3 examples, all as expected" in publisher.text
    other = Visitor(place).sign_in("admin").go(f"{MINE}/versions/1")
    other.submit("/activate", **WHY)
    assert (other.page.status_code, "confirm that you looked at what changes" in other.text) == (422, True)
    other.submit("/activate", **WHY, confirmed="yes")
    assert "The version acts from now on." in other.text
    assert "It acts." in other.text
    assert "Version 1 acts." in publisher.go(MINE).text
    assert "acts, version 1" in publisher.text
    assert {f"{MINE}/versions/1", EDIT} <= {*publisher.links()}
    assert MINE in publisher.go(FLOWS).links()


def test_changes_that_no_example_of_a_flow_notices_are_shown_and_nothing_is_stored(
    place: Place, publisher: Visitor
) -> None:
    sent(publisher.go(NEW), "mutate", flow_document("mine"))
    assert publisher.page.status_code == 200
    assert "Changes by one step" in publisher.text
    assert "of the changes that can be noticed" in publisher.text
    assert "mine" not in {each["name"] for each in place.good("GET", "/v1/flows", role="publisher")}
    sent(publisher, "mutate", flow_document("mine", examples=[]))
    assert "No change was tried" in publisher.text
    sent(publisher, "mutate", flow_document("mine", entity_type="ship"))
    assert "No change was tried" in publisher.text


def test_a_shadow_begins_and_ends_and_the_flow_is_switched_off_and_on_again(place: Place, publisher: Visitor) -> None:
    committed(publisher, flow_document("mine"))
    other = Visitor(place).sign_in("admin").go(f"{MINE}/versions/1").submit("/activate", **WHY, confirmed="yes")
    committed(publisher, flow_document("mine", title="More care"))
    assert "&#34;title&#34;: &#34;More care&#34;" in publisher.page.text.partition("Its examples")[0]
    publisher.submit("/shadow", **WHY)
    assert "It runs as a shadow, and acts on nothing." in publisher.text
    assert "Version 2 runs as a shadow" in publisher.go(MINE).text
    publisher.submit("/end-shadow", **WHY)
    assert "No version runs as a shadow any more." in publisher.text
    other.go(f"{MINE}/versions/2").submit("/activate", **WHY, confirmed="yes")
    other.go(MINE).submit("/roll-back", **WHY, version="1")
    assert "The version acts again." in other.text
    publisher.go(MINE).submit("/off", reason="")
    assert (publisher.page.status_code, "Reason is empty" in publisher.text) == (422, True)
    publisher.submit("/off", **WHY)
    assert "The flow is switched off." in publisher.text
    assert "No version acts." in publisher.text


def test_a_mistake_is_shown_at_its_line_and_nothing_is_stored(publisher: Visitor) -> None:
    wrong = flow_document("mine").replace('"nothing"', '"nowhere"', 1)
    sent(publisher.go(NEW), "check", wrong)
    assert "With faults it cannot be committed." in publisher.text
    assert 'href="#line-' in publisher.page.text
    assert publisher.go(MINE).page.status_code == 404
    sent(publisher.go(NEW), "check", "a: [")
    assert "Faults: 1." in publisher.text
    assert "graph-title" not in publisher.page.text
    assert "&lt;script&gt;" in sent(publisher.go(NEW), "check", flow_document("mine", title=MARKUP)).page.text
    assert MARKUP not in publisher.page.text


def test_a_new_flow_begins_with_one_that_ships(publisher: Visitor) -> None:
    assert "flow: limits" in publisher.go(f"{NEW}?start=limits").page.text
    assert publisher.go(f"{NEW}?start=none").page.status_code == 422
    sent(publisher.go(NEW), "save", flow_document("mine"))
    assert "The draft is saved." in publisher.text
    sent(publisher.go(NEW), "save", flow_document("mine"))
    assert (publisher.page.status_code, "there is a flow mine already" in publisher.text) == (409, True)
    sent(publisher.go(EDIT), "save", flow_document("other"))
    assert (publisher.page.status_code, "here it must be mine" in publisher.text) == (422, True)


def test_two_who_edit_at_once_see_each_other(place: Place, publisher: Visitor) -> None:
    sent(publisher.go(NEW), "save", flow_document("mine"))
    other = Visitor(place).sign_in("admin").go(EDIT)
    sent(publisher, "save", flow_document("mine", title="Mine"))
    sent(other, "save", flow_document("mine", title="Theirs"))
    assert other.page.status_code == 409
    assert "Somebody changed this." in other.text
    assert "&#34;title&#34;: &#34;Theirs&#34;" in other.page.text
    sent(other, "save", flow_document("mine", title="Theirs"), over="2")
    assert "The draft is saved." in other.text


def test_steps_are_added_changed_moved_and_taken_out_by_forms(publisher: Visitor) -> None:
    text = flow_document("mine")
    sent(publisher.go(NEW), "write", text, write="begin:", new_kind="person", new_after="home")
    assert "A new step behind home" in publisher.text
    form = next(form for form in publisher.forms() if form.action.endswith("/check"))
    typed = {
        "write": "add:",
        "step_id": "ask",
        "step_title": "Ask somebody",
        "value_question": "Is it so?",
        "value_within": "2 days",
        "value_otherwise": "done",
        "row_0_first": "yes",
        "row_0_second": "done",
    }
    refused = publisher.post(f"{NEW}/write", {**form.fields, "document": text, **typed, "value_question": ""})
    assert (refused.page.status_code, "question is empty" in refused.text) == (422, True)
    assert 'value="Ask somebody"' in refused.page.text, "what was typed stays"
    typed |= {"row_1_first": "no", "row_1_second": "nothing"}
    publisher.post(f"{NEW}/write", {**form.fields, "document": text, **typed})
    assert "The step ask is written into the text. Nothing is saved yet." in publisher.text
    assert "Is it so?" in publisher.page.text.partition("What was found")[0]
    for write, said in (
        ("open:ask", "The step ask"),
        ("down:ask", "The step ask has another place."),
        ("remove:ask", "The step ask is taken out of the text."),
    ):
        form = next(form for form in publisher.forms() if form.action.endswith("/check"))
        document = shown_document(publisher)
        publisher.post(f"{NEW}/write", {**form.fields, "document": document, "write": write})
        assert said in publisher.text
    sent(publisher, "write", text, write="unheard:ask")
    assert publisher.page.status_code == 422


def shown_document(visitor: Visitor) -> str:
    """Give the text that stands in the editor."""
    from html import unescape

    after = visitor.page.text.partition('name="document"')[2].partition(">\n")[2]
    return unescape(after.partition("</textarea>")[0])


def test_another_organisation_sees_nothing_of_them(place: Place, publisher: Visitor) -> None:
    committed(publisher, flow_document("mine"))
    other = Visitor(place).sign_in("publisher", THEIRS)
    assert "There is no flow yet." in other.go(FLOWS).text
    assert other.go(MINE).page.status_code == 404


def test_a_customer_is_run_through_a_version_or_the_draft_and_nothing_is_done(publisher: Visitor) -> None:
    committed(publisher, flow_document("mine"))
    publisher.go(f"{MINE}?through=1&customer={CUSTOMER}")
    assert publisher.page.status_code == 200
    assert "Acting, it would do" in publisher.text
    assert 'class="box route lit' in publisher.page.text
    assert "What was seen" in publisher.text
    missing = publisher.go(f"{MINE}?through=1&customer=nobody").text
    assert "nobody" in missing
    assert "Acting, it would" not in missing
    assert "there is no version 9" in publisher.go(f"{MINE}?through=9&customer={CUSTOMER}").text
    assert "Acting, it would" not in publisher.go(f"{MINE}?through=draft&customer={CUSTOMER}").text
    sent(publisher.go(EDIT), "save", flow_document("mine", title="Two"))
    assert "Acting, it would do" in publisher.go(f"{MINE}?through=draft&customer={CUSTOMER}").text
