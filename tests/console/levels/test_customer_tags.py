"""Tags on a customer's page: set, ended, and proposed to be."""

import re
from unittest.mock import Mock

import pytest
from sqlalchemy import text as sql

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import UntrustedClockError
from fivefold.store.sql import clocks
from fivefold.usecases.changes import reach
from fivefold.usecases.changes.contents import TagChanged
from fivefold.usecases.changes.proposals import request_change
from fivefold.usecases.ingest.facts import end_tag, set_tag
from fivefold.usecases.shared.context import Context
from tests.console.customers import ACME
from tests.console.visitors import Form, Visitor
from tests.serving.v1.places import Place

OF_ACME = {"state": "proposed", "type": "company", "external_id": "acme", "kind": "fact.tag"}


def test_a_tag_is_set_and_ended(investigator: Visitor) -> None:
    form = next(form for form in investigator.go(ACME).forms() if form.action.endswith("/tag"))
    assert "reason" in form.fields
    investigator.submit("/tag", tag="watch", reason="Seen at the airport.")
    assert "set by the investigator: Seen at the airport." in investigator.text
    assert "The tag is set. No active ruleset, policy, group or flow reads it" in investigator.text
    assert "watch" in investigator.text
    form = next(form for form in investigator.forms() if form.fields.get("tag") == "watch")
    investigator.post(form.action, {**form.fields, "reason": "over"})
    assert "The tag is ended." in investigator.text


def tag_form(visitor: Visitor) -> Form:
    return next(form for form in visitor.go(ACME).forms() if form.fields.get("tag") == "vip")


def test_a_page_that_is_late_does_not_end_the_tag_that_was_set_anew(investigator: Visitor) -> None:
    investigator.go(ACME).submit("/tag", tag="vip", reason="first")
    late = tag_form(investigator)
    investigator.post(late.action, {**late.fields, "reason": "over"})
    investigator.go(ACME).submit("/tag", tag="vip", reason="second: court order 17, keep")
    investigator.post(late.action, {**late.fields, "reason": "late words"})
    assert investigator.page.status_code == 409
    assert "is another one now, of " in investigator.text
    assert "late words" in investigator.page.text, "what was typed is not lost"
    assert "End vip" in investigator.go(ACME).text
    now = tag_form(investigator)
    investigator.post(now.action, {**now.fields, "reason": "over"})
    assert "The tag is ended." in investigator.text


def test_a_tag_that_is_there_already_is_said_and_the_words_stay(investigator: Visitor) -> None:
    investigator.go(ACME).submit("/tag", tag="vip", reason="first")
    investigator.go(ACME).submit("/tag", tag="vip", reason="second, longer words")
    assert investigator.page.status_code == 409
    assert "Nothing was changed: acme already has the tag vip." in investigator.text
    (form,) = [form for form in investigator.forms() if form.action.endswith("/tag")]
    assert form.fields["reason"] == "second, longer words"
    investigator.go(ACME).submit("/tag", tag=" vip", reason="first ")
    assert investigator.page.status_code == 200, "the first answer may have been lost"
    assert "You have already set this tag for this reason, so nothing was changed." in investigator.text


def test_each_reason_for_the_end_of_a_tag_is_described_by_its_tag(investigator: Visitor) -> None:
    for tag in ("vip", "watch"):
        investigator.go(ACME).submit("/tag", tag=tag)
    described = re.findall(r'name="reason"[^>]* aria-describedby="(tag-\d+)"', investigator.go(ACME).page.text)
    assert len(described) == len({*described}) == 2
    assert all(f'<span id="{each}"><strong>' in investigator.page.text for each in described)


def test_an_older_change_than_the_first_ten_takes_the_place_of_its_button_too(
    place: Place, investigator: Visitor
) -> None:
    with place.engine.begin() as connection:
        entity = connection.execute(sql("SELECT id FROM entities WHERE external_id = 'acme' LIMIT 1")).scalar_one()
    context = Context(place.engine, place.actor("investigator"), now_microseconds)
    for number in range(10):
        request_change(context, TagChanged(entity, f"other {number}", None, False), "newer", {})
    assert "All changes that wait" in investigator.go(ACME).text
    assert "End disputed" not in investigator.text


def test_who_asked_for_the_end_of_a_tag_stands_beside_who_approved_it(place: Place, investigator: Visitor) -> None:
    (line,) = place.good("GET", "/v1/proposals/search", role="admin", params=OF_ACME)
    place.good("POST", f"/v1/proposals/{line['id']}/approve", {"reason": "seen"}, role="admin")
    expected = f"its end by the admin, requested by the investigator: {line['reason']}"
    assert expected in investigator.go(ACME).text
    (tag,) = place.good("GET", "/v1/entities/company/acme/tags", role="investigator")
    assert (tag["end_reason"], tag["end_proposed_by"]) == (line["reason"], line["proposed_by"])


def test_a_change_whose_tag_ended_since_says_so_and_offers_no_approval(place: Place) -> None:
    (line,) = place.good("GET", "/v1/proposals/search", role="admin", params=OF_ACME)
    context = Context(place.engine, place.actor("approver"), now_microseconds)
    end_tag(context, "company", "acme", "disputed")
    admin = Visitor(place).sign_in("admin").go(f"/console/proposals/{line['id']}")
    assert "It can no longer be approved: the tag has ended since this was proposed." in admin.text
    assert not [form for form in admin.forms() if form.action.endswith("/approve")]
    investigator = Visitor(place).sign_in("investigator")
    set_tag(context, "company", "acme", "disputed")
    assert "End disputed" in investigator.go(ACME).text, "no change that waits can end this tag"


@pytest.mark.parametrize("cause", ["a writer", "the clock"])
def test_a_change_is_shown_as_of_the_proposal_while_nothing_can_be_written(
    place: Place, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    (line,) = place.good("GET", "/v1/proposals/search", role="admin", params=OF_ACME)
    admin = Visitor(place).sign_in("admin")
    monkeypatch.setattr(reach, "REHEARSAL_BUSY_SECONDS", 0.01)
    with place.engine.connect() as writer:
        if cause == "a writer":
            writer.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            wrong = UntrustedClockError("the clock is 900 seconds ahead")
            monkeypatch.setattr(clocks.DatabaseClock, "compare", Mock(side_effect=wrong))
        admin.go(f"/console/proposals/{line['id']}")
    assert admin.page.status_code == 200
    assert "Its present effect could not be computed: " in admin.text
    assert "Who is affected as of the proposal" in admin.text
    assert [form for form in admin.forms() if form.action.endswith("/approve")]


def test_what_is_wrong_with_a_tag_stands_at_its_field(investigator: Visitor) -> None:
    investigator.go(ACME).submit("/tag", tag="v" * 101)
    assert re.search(r'<p class="fault" id="tag-fault">tag is .*… of 101 characters', investigator.page.text)
