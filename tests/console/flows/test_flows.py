"""Flows in the console: from a text with a mistake to a version that acts, a shadow beside it, and off again."""

import re

import pytest

from fivefold.console.flows import overview
from fivefold.risk.language.documents import Document
from tests.console.test_queries import statements
from tests.console.visitors import Visitor, send_text
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.places import THEIRS, Place
from tests.usecases.flows.documents import flow_document

FLOWS, NEW = "/console/flows", "/console/new-flow"
MINE = f"{FLOWS}/mine"
EDIT = f"{MINE}/edit"
WHY = {"reason": "Because of the test."}
MARKUP = "<script>alert('x')</script>"


def committed(visitor: Visitor, text: str) -> Visitor:
    """Write a version, from the draft to the commit."""
    if visitor.go(EDIT).page.status_code == 404:
        visitor.go(NEW)
    send_text(visitor, "save", text)
    return send_text(visitor, "commit", text, accept_warnings="known")


def test_a_flow_is_written_committed_and_activated_by_another_person(place: Place, publisher: Visitor) -> None:
    committed(publisher, flow_document("mine"))
    assert "The version is committed." in publisher.text
    assert publisher.page.url.path == f"{MINE}/versions/1"
    assert "another person activates" in publisher.text
    assert 'aria-labelledby="graph-title graph-text"' in publisher.page.text
    assert "3 examples, all as expected" in publisher.text
    other = Visitor(place).sign_in("admin").go(f"{MINE}/versions/1")
    other.submit("/activate", **WHY)
    assert (other.page.status_code, "confirm that you have checked what changes" in other.text) == (422, True)
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
    send_text(publisher.go(NEW), "mutate", flow_document("mine"))
    assert publisher.page.status_code == 200
    assert "Changes by one step" in publisher.text
    assert "of the changes that can be noticed" in publisher.text
    assert "mine" not in {each["name"] for each in place.good("GET", "/v1/flows", role="publisher")}
    send_text(publisher, "mutate", flow_document("mine", examples=[]))
    assert "No change was tried" in publisher.text
    send_text(publisher, "mutate", flow_document("mine", entity_type="ship"))
    assert "No change was tried" in publisher.text


def test_a_shadow_begins_and_ends_and_the_flow_is_switched_off_and_on_again(place: Place, publisher: Visitor) -> None:
    committed(publisher, flow_document("mine"))
    other = Visitor(place).sign_in("admin").go(f"{MINE}/versions/1").submit("/activate", **WHY, confirmed="yes")
    committed(publisher, flow_document("mine", title="More care"))
    assert "&#34;title&#34;: &#34;More care&#34;" in publisher.page.text.partition("Its examples")[0]
    publisher.submit("/shadow", **WHY)
    assert "It runs as a shadow, and takes no actions." in publisher.text
    assert "Version 2 runs as a shadow" in publisher.go(MINE).text
    publisher.submit("/end-shadow", **WHY)
    assert "No version runs as a shadow now." in publisher.text
    other.go(f"{MINE}/versions/2").submit("/activate", **WHY, confirmed="yes")
    other.go(MINE).submit("/roll-back", **WHY, version="1")
    assert "The version acts again." in other.text
    publisher.go(MINE).submit("/off", reason="")
    assert (publisher.page.status_code, "Reason is empty" in publisher.text) == (422, True)
    publisher.submit("/off", **WHY)
    assert "The flow is switched off." in publisher.text
    assert "No version acts." in publisher.text
    text = publisher.go(f"{MINE}/versions/1").text
    assert re.search(r"It acted from \S+ \S+ UTC to \S+ \S+ UTC ?\. It was ended by the publisher:", text)
    text = publisher.go(f"{MINE}/versions/2").text
    assert "Replaced by version 1, by the admin:" in text


def test_what_acted_when_is_read_page_by_page_and_many_shadows_or_versions_hide_no_way_back(
    place: Place, publisher: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, title in enumerate(("Care", "More care"), 1):
        committed(publisher, flow_document("mine", title=title))
        Visitor(place).sign_in("admin").go(f"{MINE}/versions/{number}").submit("/activate", **WHY, confirmed="yes")
    for _ in range(10):
        place.good("POST", "/v1/flows/mine/shadow", {**WHY, "version": 1}, role="publisher")
        place.good("POST", "/v1/flows/mine/shadow/end", WHY, role="publisher")
    other = Visitor(place).sign_in("admin").go(MINE)
    assert "acts, version" not in other.text
    (earlier,) = [link for link in other.links() if "after_activations=" in link]
    other.go(earlier.replace("&amp;", "&"))
    assert ("acts, version 1" in other.text, "acts, version 2 after 1" in other.text) == (True, True)
    with statements(place.engine) as sent:
        other.go(MINE)
    assert not [each for each in sent if "ORDER BY flow_activations" in each and " LIMIT " not in each], "none is whole"
    monkeypatch.setattr(overview, "ROWS", 1)
    assert "Older versions" in other.go(MINE).text
    other.submit("/roll-back", **WHY, version="1")
    assert "The version acts again." in other.text


def test_the_version_that_acts_can_be_run_through_where_many_newer_ones_wait(
    place: Place, publisher: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "ROWS", 1)
    committed(publisher, flow_document("mine"))
    Visitor(place).sign_in("admin").go(f"{MINE}/versions/1").submit("/activate", **WHY, confirmed="yes")
    committed(publisher, flow_document("mine", title="Two"))
    choices = re.findall(r'<option value="(\d)"( selected)?>', publisher.go(MINE).page.text)
    assert choices == [("2", ""), ("1", " selected")]


def test_a_page_that_is_too_old_stops_no_other_version_than_it_shows(place: Place, publisher: Visitor) -> None:
    committed(publisher, flow_document("mine"))
    other = Visitor(place).sign_in("admin").go(f"{MINE}/versions/1").submit("/activate", **WHY, confirmed="yes")
    publisher.go(MINE)
    committed(author := Visitor(place).sign_in("publisher"), flow_document("mine", title="More care"))
    other.go(f"{MINE}/versions/2").submit("/activate", **WHY, confirmed="yes")
    publisher.submit("/off", reason="version 1 is wrong")
    assert publisher.page.status_code == 409
    assert "the version of the flow mine that acts is 2 now; it was 1 when this was looked at" in publisher.text
    publisher.go(f"{MINE}/versions/1")
    committed(author, flow_document("mine", title="Most care"))
    author.submit("/shadow", **WHY)
    publisher.submit("/shadow", **WHY)
    assert publisher.page.status_code == 409
    assert "the shadow of the flow mine is 3 now; it was none when this was looked at" in publisher.text
    publisher.go(MINE)
    author.go(f"{MINE}/versions/1").submit("/shadow", **WHY)
    publisher.submit("/end-shadow", **WHY)
    assert "the shadow of the flow mine is 1 now; it was 3 when this was looked at" in publisher.text
    publisher.submit("/end-shadow", **WHY)
    assert "No version runs as a shadow now." in publisher.text
    publisher.submit("/off", **WHY)
    assert "No version acts." in publisher.text


def test_a_mistake_is_shown_at_its_line_and_nothing_is_stored(publisher: Visitor) -> None:
    wrong = flow_document("mine").replace('"nothing"', '"nowhere"', 1)
    send_text(publisher.go(NEW), "check", wrong)
    assert "A text with faults cannot be committed." in publisher.text
    assert 'href="#line-' in publisher.page.text
    assert publisher.go(MINE).page.status_code == 404
    send_text(publisher.go(NEW), "check", "a: [")
    assert "Faults: 1." in publisher.text
    assert "graph-title" not in publisher.page.text
    assert "&lt;script&gt;" in send_text(publisher.go(NEW), "check", flow_document("mine", title=MARKUP)).page.text
    assert MARKUP not in publisher.page.text


def test_a_new_flow_begins_with_one_that_ships(publisher: Visitor) -> None:
    assert "flow: limits" in publisher.go(f"{NEW}?start=limits").page.text
    assert publisher.go(f"{NEW}?start=none").page.status_code == 422
    send_text(publisher.go(NEW), "save", flow_document("mine"))
    assert "The draft is saved." in publisher.text
    send_text(publisher.go(NEW), "save", flow_document("mine", title="Two"))
    assert (publisher.page.status_code, "there is already a flow mine" in publisher.text) == (409, True)
    send_text(publisher.go(EDIT), "save", flow_document("other"))
    assert (publisher.page.status_code, "here it must be mine" in publisher.text) == (422, True)


def test_two_who_edit_at_once_see_each_other(place: Place, publisher: Visitor) -> None:
    send_text(publisher.go(NEW), "save", flow_document("mine"))
    other = Visitor(place).sign_in("admin").go(EDIT)
    send_text(publisher, "save", flow_document("mine", title="Mine"))
    send_text(other, "save", flow_document("mine", title="Theirs"))
    assert other.page.status_code == 409
    assert "Another person changed this." in other.text
    assert "&#34;title&#34;: &#34;Theirs&#34;" in other.page.text
    send_text(other, "save", flow_document("mine", title="Theirs"), over="2")
    assert "The draft is saved." in other.text


def test_a_text_is_compared_with_the_version_that_another_person_committed_meanwhile(
    place: Place, publisher: Visitor
) -> None:
    send_text(publisher.go(NEW), "save", flow_document("mine"))
    other = Visitor(place).sign_in("admin").go(EDIT)
    committed(other, flow_document("mine", title="Theirs"))
    send_text(publisher, "save", flow_document("mine", title="Mine"))
    assert publisher.page.status_code == 409
    assert "The newest version is 1, committed by the admin now." in publisher.text
    differs = publisher.page.text.partition("Lines that differ")[2].partition("Save my text")[0]
    assert "&#34;title&#34;: &#34;Theirs&#34;" in differs
    assert "&#34;title&#34;: &#34;Mine&#34;" in differs


def test_who_began_without_a_draft_is_told_of_a_version_that_was_committed_meanwhile(
    place: Place, publisher: Visitor
) -> None:
    committed(publisher, flow_document("mine"))
    publisher.go(EDIT)
    other = Visitor(place).sign_in("admin").go(EDIT)
    theirs, mine = flow_document("mine", title="Theirs"), flow_document("mine", title="Mine")
    send_text(send_text(other, "save", theirs), "commit", theirs, accept_warnings="known")
    send_text(publisher, "save", mine)
    assert publisher.page.status_code == 409
    assert "Another person changed this. The newest version is 2, committed by the admin now." in publisher.text
    send_text(publisher, "save", mine, over="0")
    assert "The draft is saved." in publisher.text


def test_a_draft_is_discarded_and_the_flow_begins_another_one(publisher: Visitor) -> None:
    send_text(publisher.go(NEW), "save", flow_document("mine"))
    send_text(publisher, "discard", flow_document("mine"))
    assert "The draft is discarded." in publisher.text
    send_text(publisher.go(EDIT), "save", flow_document("mine", title="Another"))
    assert "The draft is saved." in publisher.text
    assert "Discard revision 2" in publisher.text


def written(visitor: Visitor, write: str, **typed: str) -> Visitor:
    """Press a button of the forms, with the text and the form that the page shows."""
    form = next(form for form in visitor.forms() if form.action.endswith("/check"))
    document = shown_document(visitor)
    address = form.action.removesuffix("check")
    return visitor.post(f"{address}write", {**form.fields, "document": document, "write": write, **typed})


def pressed(visitor: Visitor, act: str, part: str, name: str, **typed: str) -> Visitor:
    """Press a button that moves a part or takes it out, as the page shows it; the last one of that name."""
    named = re.findall(rf'value="({act}:{part}:[0-9a-f]{{64}}:{name})"', visitor.page.text)
    return written(visitor, named[-1], **typed)


def found_at(page: str, field: str) -> str:
    """Give what a page says at a field of a form."""
    return page.partition(f'id="{field}-found"')[2].partition(">")[2].partition("</div>")[0]


ASKED = {
    "field-id": "ask",
    "field-title": "Ask somebody",
    "field-person-question": "Is it so?",
    "field-person-within": "2 days",
    "field-person-otherwise": "done",
    "field-person-answers-0-name": "yes",
    "field-person-answers-0-value": "done",
    "field-person-answers-1-name": "no",
    "field-person-answers-1-value": "nothing",
}


def test_steps_are_added_changed_moved_and_taken_out_by_forms(publisher: Visitor) -> None:
    send_text(publisher.go(NEW), "check", flow_document("mine"))
    assert '<option value="home" selected>' in _field(publisher, "new_after_steps"), "the last step before the ends"
    written(publisher, "begin:steps", new_kind_steps="person", new_after_steps="home")
    assert "A new step after home" in publisher.text
    written(publisher, "put", **{**ASKED, "field-person-question": ""})
    assert (publisher.page.status_code, "Question: is empty, and is needed" in publisher.text) == (422, True)
    assert "is empty, and is needed" in found_at(publisher.page.text, "field-person-question")
    assert found_at(publisher.page.text, "field-title") == ""
    assert "Ask somebody</textarea>" in publisher.page.text, "what was typed stays"
    written(publisher, "put", **ASKED)
    assert "ask is written into the text. Nothing is saved yet." in publisher.text
    assert "Is it so?" in shown_document(publisher)
    assert "The step ask" in written(publisher, "open:steps:ask").text
    assert "ask is moved." in pressed(publisher, "down", "steps", "ask").text
    assert "ask is removed from the text." in pressed(publisher, "remove", "steps", "ask").text
    for wrong in ("unheard:steps:ask", "open:rooms:ask", "open:steps:ask", "remove:steps:ask", "put", "begin:steps"):
        assert written(publisher, wrong).page.status_code == 422
    assert publisher.go(MINE).page.status_code == 404


def test_a_flow_is_begun_by_forms_from_the_words_that_each_needs(publisher: Visitor) -> None:
    assert "Steps as forms (0)" in publisher.go(NEW).text
    begun = shown_document(publisher)
    assert list(Document(begun).data) == ["flow", "title", "entity_type", "levels"]
    text = begun.replace("flow:", "flow: mine").replace("title:", "title: Mine")
    assert "Steps as forms (0)" in send_text(publisher, "check", text).text
    assert "A new step" in send_text(publisher, "write", text, write="begin:steps", new_kind_steps="end").text
    written(publisher, "put", **{"field-id": "done", "field-title": "Done"})
    document = Document(shown_document(publisher)).data
    assert (document["title"], [step["id"] for step in document["steps"]]) == ("Mine", ["done"])
    assert 'value="">before all others</option><option value="done">Done' in _field(publisher, "new_after_steps")
    written(publisher, "begin:steps", new_kind_steps="route", new_after_steps="done")
    assert "no step follows it yet" in _field(publisher, "field-otherwise")
    written(publisher, "begin:steps", new_kind_steps="route", new_after_steps="")
    assert ">choose one</option>" in _field(publisher, "field-otherwise")
    assert '<option value="done">Done</option>' in _field(publisher, "field-otherwise")


def _field(visitor: Visitor, name: str) -> str:
    return visitor.page.text.partition(f'<select id="{name}"')[2].partition("</select>")[0]


@pytest.mark.parametrize("emptied", ["", " \n"])
def test_a_flow_whose_text_is_emptied_has_forms_again_from_the_same_words(publisher: Visitor, emptied: str) -> None:
    send_text(publisher.go(NEW), "save", flow_document("mine"))
    send_text(publisher.go(EDIT), "check", emptied)
    assert (publisher.page.status_code, "the text is empty" in publisher.text) == (422, True)
    assert list(Document(shown_document(publisher)).data) == ["flow", "title", "entity_type", "levels"]
    assert "Steps as forms (0)" in publisher.text


def test_actions_and_triggers_are_written_by_forms(publisher: Visitor) -> None:
    send_text(publisher.go(NEW), "check", flow_document("mine"))
    written(publisher, "begin:actions", new_kind_actions="status", new_after_actions="")
    status = {"field-id": "block", "field-title": "Block", "field-status": "blocked", "field-relationship": "ended"}
    written(publisher, "put", **status, **{"field-agreed_by": "publisher", "field-purpose": "aml"})
    assert "block is written into the text" in publisher.text
    document = Document(shown_document(publisher)).data
    action = {"id": "block", "title": "Block", "purpose": "aml", "relationship": "ended", "agreed_by": "publisher"}
    assert document["actions"][0] == {**action, "status": "blocked"}
    written(publisher, "begin:triggers", new_kind_triggers="schedule")
    schedule = {"field-every": "monday", "field-at": "09:00", "field-zone": "Europe/Osl"}
    written(publisher, "put", **schedule)
    zone = found_at(publisher.page.text, "field-zone")
    assert "perhaps Europe/Oslo was meant" in zone, "it is written, and its form is open still"
    written(publisher, "put", **{**schedule, "field-zone": "Europe/Oslo"})
    trigger = {"on": "schedule", "every": ["monday"], "at": ["09:00"], "zone": "Europe/Oslo"}
    assert Document(shown_document(publisher)).data["triggers"] == [trigger]
    pressed(publisher, "remove", "triggers", "1")
    assert Document(shown_document(publisher)).data["triggers"] == []
    assert publisher.go(MINE).page.status_code == 404


@pytest.mark.parametrize("act", ["up", "down", "remove"])
def test_a_button_whose_part_is_another_one_meanwhile_does_nothing(publisher: Visitor, act: str) -> None:
    """A trigger is named by its number: one that was written before it takes its place."""
    case, tag, group = {"on": "case"}, {"on": "tag", "tag": "vip"}, {"on": "group", "group": "new"}
    send_text(publisher.go(NEW), "check", flow_document("mine", triggers=[case, tag, group]))
    other = [group, case, tag]
    pressed(publisher, act, "triggers", "2", document=flow_document("mine", triggers=other))
    assert publisher.page.status_code == 422
    assert "the trigger 2 was changed in the text, or has another place, since the page showed it" in publisher.text
    assert Document(shown_document(publisher)).data["triggers"] == other
    pressed(publisher, act, "triggers", "2")
    done = {"up": [case, group, tag], "down": [group, tag, case], "remove": [group, tag]}
    assert Document(shown_document(publisher)).data["triggers"] == done[act], "now the page showed it"


def test_a_form_whose_part_is_another_one_meanwhile_writes_nothing_and_keeps_what_was_typed(publisher: Visitor) -> None:
    triggers = [{"on": "case"}, {"on": "tag", "tag": "vip"}]
    send_text(publisher.go(NEW), "check", flow_document("mine", triggers=triggers))
    written(publisher, "open:triggers:2")
    with_another = flow_document("mine", triggers=[{"on": "group", "group": "new"}, *triggers])
    written(publisher, "put", document=with_another, **{"field-tag": "typed"})
    assert publisher.page.status_code == 422
    assert "the trigger 2 was changed in the text, or has another place" in publisher.text
    assert "open a form anew" in publisher.text
    assert 'value="typed"' in publisher.page.text
    assert Document(shown_document(publisher)).data["triggers"] == [{"on": "group", "group": "new"}, *triggers]
    assert "has another place" in typing(publisher, **{"field-tag": "typed"})
    written(publisher, "open:triggers:3")
    written(publisher, "put", **{"field-tag": "typed"})
    assert Document(shown_document(publisher)).data["triggers"][2] == {"on": "tag", "tag": "typed"}
    written(publisher, "open:actions:look")
    renamed = shown_document(publisher).replace('"look"', '"peer"')
    written(publisher, "put", document=renamed, **{"field-title": "Typed"})
    assert (publisher.page.status_code, "there is no action look in the text any more" in publisher.text) == (422, True)
    assert "Typed</textarea>" in publisher.page.text
    assert "there is no action look" in send_text(publisher, "check", renamed).text
    assert send_text(publisher, "check", "a: [").page.status_code == 200


def test_a_form_leaves_the_lines_of_text_that_nobody_changed(publisher: Visitor) -> None:
    lines = "  - id: done\n    title: Done\n    rationale: |\n      First, why.\n\n      Second, who.\n    end: []\n"
    send_text(publisher.go(NEW), "check", f"flow: mine\nsteps:\n{lines}")
    written(publisher, "open:steps:done")
    written(publisher, "put", **{"field-title": "Over", "field-rationale": "First, why.\r\n\r\nSecond, who."})
    assert shown_document(publisher).endswith(lines.replace("Done", "Over"))
    written(publisher, "open:steps:done")
    written(publisher, "put", **{"field-title": "Over", "field-rationale": "First.\r\n\r\nSecond."})
    assert Document(shown_document(publisher)).data["steps"][0]["rationale"] == "First.\n\nSecond."


def typing(visitor: Visitor, **typed: str) -> str:
    """Give what the server answers to the page on which somebody types into a form, and stay on that page."""
    form, page = next(form for form in visitor.forms() if form.action.endswith("/check")), visitor.page
    fields = {**form.fields, "document": shown_document(visitor), **typed}
    answer = visitor.post(f"{form.action.removesuffix('check')}form", fields).page
    visitor.page = page
    return answer.text


def test_what_is_wrong_stands_at_its_field_while_somebody_types_and_nothing_is_stored(
    place: Place, publisher: Visitor
) -> None:
    send_text(publisher.go(NEW), "check", flow_document("mine"))
    written(publisher, "begin:steps", new_kind_steps="person", new_after_steps="home")

    def at(field: str, **typed: str) -> str:
        return found_at(typing(publisher, **typed), f"field-{field}")

    assert "<html" not in typing(publisher)
    assert "is not a duration" in at("person-within", **{"field-person-within": "soon"})
    assert at("title") == "", "what is empty comes yet"
    assert at("person-within", **ASKED) == ""
    assert "a name of its own" in at("person-answers-1-name", **{**ASKED, "field-person-answers-1-name": "yes"})
    early = at("person-answers-1-value", **{**ASKED, "field-person-answers-1-value": "home"})
    assert "home" in early
    wrong = {**ASKED, "field-person-answers-1-name": "No!"}
    assert "lower-case letters" in at("person-answers-1-name", **wrong)
    assert at("person-answers-1-value", **wrong) == ""
    assert "contry" in at("person-look_at-1", **{**ASKED, "field-person-look_at-1": "{field: contry}"})
    assert "which another step has" in at("id", **{**ASKED, "field-id": "home"})
    assert "&lt;script&gt;" in at("id", **{**ASKED, "field-id": MARKUP})
    assert "no form is open" in typing(publisher, form_part="", **ASKED)
    assert "mine" not in {each["name"] for each in place.good("GET", "/v1/flows", role="publisher")}


def test_faults_that_stand_elsewhere_are_named_in_the_form_and_not_at_its_fields(publisher: Visitor) -> None:
    send_text(publisher.go(NEW), "check", flow_document("mine", on_failure=["unheard"]))
    written(publisher, "open:actions:look")
    page = typing(publisher, **{"field-title": "Look", "field-review": "1 day"})
    assert "Faults elsewhere in the text, with this form in it: 1." in page
    assert "unheard" in page.partition('id="form-found"')[2]
    assert 'class="fault"' not in page


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
    assert "If it acted, it would do" in publisher.text
    assert 'class="box route lit' in publisher.page.text
    assert "What was seen" in publisher.text
    missing = publisher.go(f"{MINE}?through=1&customer=nobody").text
    assert "nobody" in missing
    assert "If it acted, it would do" not in missing
    assert "there is no version 9" in publisher.go(f"{MINE}?through=9&customer={CUSTOMER}").text
    assert "If it acted, it would do" not in publisher.go(f"{MINE}?through=draft&customer={CUSTOMER}").text
    send_text(publisher.go(EDIT), "save", flow_document("mine", title="Two"))
    assert "If it acted, it would do" in publisher.go(f"{MINE}?through=draft&customer={CUSTOMER}").text
