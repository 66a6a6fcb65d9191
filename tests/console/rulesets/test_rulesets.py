"""Rulesets in the console: from a text with a mistake to a version that decides, and back."""

import re
from typing import Any

import pytest

from fivefold.console.rulesets import drafting, editor
from fivefold.console.rulesets import overview as rulesets_pages
from fivefold.console.rulesets.text import typed_document
from fivefold.console.visit import Visit
from fivefold.usecases.changes.backtests import cancel_backtest
from fivefold.usecases.portfolio_files.bundled import bundled_text
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import DraftSaved, save_draft
from fivefold.usecases.rulesets.text_forms import outline_of
from fivefold.usecases.shared.context import Context
from tests.console.visitors import ORIGIN, Visitor, send_text
from tests.serving.v1.places import THEIRS, Place
from tests.serving.v1.rulesets.bank_rulesets import SECRETS, document

EDIT = "/console/rulesets/retail/edit"
VERSION = "/console/rulesets/retail/versions/2"
MARKUP = "<script>alert('x')</script>"


def test_the_list_says_what_decides_who_committed_and_who_activated(place: Place) -> None:
    text = Visitor(place).sign_in("publisher").go("/console/rulesets").text
    assert "retail customer, 1. version 1 newest: 2 maker" in text.replace(" :", ":")
    assert "the publisher" in text
    assert "drafted customer, 3. nothing yet" in text
    assert "revision 1" in text


def test_a_version_shows_its_text_its_changes_its_examples_and_its_backtest(place: Place) -> None:
    visitor = Visitor(place).sign_in("publisher").go(VERSION)
    assert "It does not decide yet." in visitor.text
    assert "It is for: against money laundering (aml)." in visitor.text
    assert "What changes from version 1" in visitor.text
    assert "Sekret appetite, a." in visitor.text
    assert "a neighbour" in visitor.text
    assert "Of 1 checked, 0 would move" in visitor.text
    assert 'id="line-1"' in visitor.page.text
    assert "It decides since" in visitor.go("/console/rulesets/retail/versions/1").text
    assert "It is the first version." in visitor.text


def test_nobody_without_the_right_sees_a_threshold(place: Place) -> None:
    investigator = Visitor(place).sign_in("investigator")
    assert "/console/rulesets" not in investigator.go("/console/queue").links()
    for address in ("/console/rulesets", EDIT, VERSION, "/console/backtests/1", "/console/new-ruleset"):
        investigator.go(address)
        assert investigator.page.status_code == 403
        assert not [secret for secret in SECRETS if secret in investigator.text]


def test_a_mistake_is_shown_at_its_line_and_nothing_is_stored(place: Place, author: Visitor) -> None:
    author.go(EDIT)
    text = "ruleset: retail\nentity_type: customer\nrationale: Payments: risky\n"
    send_text(author, "check", text)
    assert author.page.status_code == 200
    assert "Faults: 1. Doubts: 0." in author.text
    assert "line 3, column 20" in author.text
    assert 'href="#line-3"' in author.page.text
    assert place.good("GET", "/v1/rulesets", role="publisher")[0]["draft_revision"] is None


def test_changes_that_no_example_notices_are_shown_and_nothing_is_stored(place: Place, author: Visitor) -> None:
    send_text(author.go(EDIT), "mutate", document("retail", remark="new"))
    assert author.page.status_code == 200
    assert "Changes by one step" in author.text
    assert "An example that would notice it" in author.text
    assert place.good("GET", "/v1/rulesets", role="publisher")[0]["draft_revision"] is None
    send_text(author, "mutate", document("retail", examples=[]))
    assert "No change was tried" in author.text


def test_a_text_is_checked_saved_committed_tested_and_activated_by_another_person(
    place: Place, author: Visitor
) -> None:
    text = document("retail", remark="new")
    send_text(author.go(EDIT), "check", text, customer="c/1 ä")
    assert "Faults: 0." in author.text
    assert "Changes from version 1" in author.text
    assert "Version 1: Medium · this text: Medium" in author.text
    send_text(author, "save", text)
    assert "The draft is saved." in author.text
    send_text(author, "commit", text)
    assert author.page.status_code == 422
    assert "the text has doubts, shown below" in author.text
    send_text(author, "commit", text, accept_warnings="looked at")
    assert "The version is committed." in author.text
    assert "You cannot activate it now" in author.text
    assert "writer edited or committed version 3 of retail: another person activates" in author.text
    assert "looked at" in author.text
    author.submit("/backtest")
    assert "The backtest is requested." in author.text
    place.run_backtests()
    other = Visitor(place).sign_in("publisher").go("/console/rulesets/retail/versions/3")
    other.submit("/activate", reason="agreed", confirmed="yes")
    assert other.page.status_code == 200
    assert "The version decides from now on." in other.text
    assert "the publisher activated it: agreed" in other.text


def test_an_activation_is_confirmed_and_has_a_reason(place: Place) -> None:
    visitor = Visitor(place).sign_in("publisher").go(VERSION)
    form = next(form for form in visitor.forms() if form.action.endswith("/activate"))
    token = {name: value for name, value in form.fields.items() if name.startswith(("form_", "seen_"))}
    assert "confirm that you have checked" in visitor.post(form.action, {**token, "reason": "agreed"}).text
    assert "Reason is empty" in visitor.post(form.action, {**token, "confirmed": "yes"}).text
    assert visitor.page.status_code == 422
    visitor.post(form.action, {**token, "confirmed": "yes", "reason": "agreed"})
    assert "The version decides from now on." in visitor.text
    visitor.post(form.action, {**token, "confirmed": "yes", "reason": "agreed"})
    assert visitor.page.status_code == 409
    assert "is active already" in visitor.text


def test_a_page_with_an_older_backtest_or_another_version_beside_it_activates_nothing(place: Place) -> None:
    visitor, other = Visitor(place).sign_in("publisher").go(VERSION), Visitor(place).sign_in("admin")
    assert "I have checked what changes and the backtest" in visitor.text
    other.go(VERSION).submit("/backtest")
    assert "Customers that would move Of 1 checked" in visitor.go(VERSION).text, "one that runs hides none that is done"
    place.run_backtests()
    visitor.submit("/activate", reason="agreed", confirmed="yes")
    assert visitor.page.status_code == 409
    assert "the newest backtest of version 2 of retail is" in visitor.text
    form = next(form for form in visitor.forms() if form.action.endswith("/activate"))
    visitor.post(form.action, {**form.fields, "seen_active": "7", "reason": "agreed", "confirmed": "yes"})
    assert (visitor.page.status_code, "that decides is" in visitor.text) == (409, True)
    form = next(form for form in visitor.forms() if form.action.endswith("/activate"))
    visitor.post(form.action, {**form.fields, "seen_content": "0" * 64, "reason": "agreed", "confirmed": "yes"})
    assert (visitor.page.status_code, "version 2 of retail says something else now" in visitor.text) == (409, True)
    visitor.submit("/activate", reason="agreed", confirmed="yes")
    assert "The version decides from now on." in visitor.text


def test_two_who_edit_at_once_do_not_overwrite_each_other(place: Place, author: Visitor) -> None:
    other = Visitor(place).sign_in("publisher").go(EDIT)
    author.go(EDIT)
    theirs, mine = document("retail", remark="theirs"), document("retail", remark="mine")
    send_text(other, "save", theirs)
    send_text(author, "save", mine)
    assert author.page.status_code == 409
    assert "Another person changed this." in author.text
    assert "the publisher saved revision 3 now" in author.text
    assert "appetite, theirs." in author.text
    assert "appetite, mine." in author.text
    send_text(author, "save", mine)
    assert author.page.status_code == 409, "looking at it is not agreeing to it"
    send_text(author, "save", mine, over="3")
    assert author.page.status_code == 200
    assert "Sekret appetite, mine." in author.text


def test_a_text_is_compared_with_the_version_that_another_person_committed_meanwhile(
    place: Place, author: Visitor
) -> None:
    send_text(author.go(EDIT), "save", document("retail", remark="begun"))
    other = Visitor(place).sign_in("publisher").go(EDIT)
    send_text(other, "save", document("retail", remark="theirs"))
    send_text(other, "commit", document("retail", remark="theirs"), accept_warnings="known")
    send_text(author, "save", document("retail", remark="mine"))
    assert author.page.status_code == 409
    assert "The newest version is 3, committed by the publisher now." in author.text
    differs = author.text.partition("Lines that differ")[2].partition("Save my text in place of theirs")[0]
    assert "Sekret appetite, theirs." in differs
    assert "Sekret appetite, mine." in differs


def test_who_began_without_a_draft_is_told_of_a_version_that_was_committed_meanwhile(
    place: Place, author: Visitor
) -> None:
    author.go(EDIT)
    other = Visitor(place).sign_in("publisher").go(EDIT)
    theirs, mine = document("retail", remark="theirs"), document("retail", remark="mine")
    send_text(send_text(other, "save", theirs), "commit", theirs, accept_warnings="known")
    for action, status in (("check", 200), ("save", 409), ("save", 409)):
        send_text(author, action, mine)
        assert author.page.status_code == status, "looking at it is not agreeing to it"
        assert "Another person changed this. The newest version is 3, committed by the publisher now." in author.text
        first = "<p><strong>Another person changed this." if action == "check" else "Nothing was changed"
        assert author.page.text.partition("autofocus>")[2].startswith(first)
        assert "appetite, theirs." in author.text.partition("Save my text")[0]
    send_text(author, "save", mine, over="0")
    assert "The draft is saved." in author.text
    assert "Another person changed this." not in author.text


def test_a_version_that_is_committed_while_a_text_is_being_saved_is_not_passed_over(
    place: Place, author: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit_meanwhile(visit: Visit) -> str:
        other = Context(place.engine, place.actor("publisher"))
        saved = save_draft(other, document("retail", remark="theirs"))
        commit(other, "retail", saved.revision, "known")
        return typed_document(visit)

    author.go(EDIT)
    monkeypatch.setattr(drafting, "typed_document", commit_meanwhile)
    send_text(author, "save", document("retail", remark="mine"))
    assert author.page.status_code == 409
    assert "version 3 of retail was committed meanwhile" in author.text


@pytest.mark.parametrize(("action", "outcome"), [("check", "Faults: 0. Doubts: 2."), ("mutate", "Examples notice")])
def test_what_an_action_came_to_has_the_focus_unless_a_script_asks(author: Visitor, action: str, outcome: str) -> None:
    text = document("retail", remark="new")
    send_text(author.go(EDIT), action, text)
    assert author.page.text.count("autofocus") == 1
    assert f'tabindex="-1" autofocus>{outcome}' in author.page.text
    form = next(form for form in author.forms() if form.action.endswith("/check"))
    by_script = {"origin": ORIGIN, "hx-request": "true"}
    author.send("POST", form.action, data={**form.fields, "document": text}, headers=by_script)
    assert (author.page.status_code, "autofocus" in author.page.text) == (200, False)


def test_a_ruleset_that_another_person_commits_while_a_new_one_is_saved_is_not_drafted_anew(
    place: Place, author: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_after_another(visit: Visit, *args: Any, **more: Any) -> DraftSaved:
        other = Context(place.engine, place.actor("publisher"))
        saved = save_draft(other, document("novel", remark="theirs"))
        commit(other, "novel", saved.revision, "known")
        return save_draft(visit, *args, **more)

    author.go("/console/new-ruleset")
    monkeypatch.setitem(vars(editor.DRAFTS), "save_draft", save_after_another)
    send_text(author, "save", document("novel", remark="mine"))
    assert author.page.status_code == 409
    assert "version 1 of novel was committed meanwhile" in author.text


def test_what_is_not_saved_is_not_committed(place: Place, author: Visitor) -> None:
    send_text(author.go(EDIT), "save", document("retail", remark="one"))
    send_text(author, "commit", document("retail", remark="two"))
    assert author.page.status_code == 422
    assert "the text differs from the saved draft" in author.text
    assert "appetite, two." in author.text


def test_a_draft_is_discarded_only_as_it_was_seen(place: Place, author: Visitor) -> None:
    other = Visitor(place).sign_in("publisher").go(EDIT)
    send_text(author.go(EDIT), "save", document("retail", remark="mine"))
    send_text(other, "save", document("retail", remark="theirs"), over="3")
    assert "Sekret appetite, theirs." in other.text
    send_text(author, "discard", document("retail", remark="mine, and more"))
    assert author.page.status_code == 409
    assert "has a draft of revision 4, not 3: it was changed meanwhile" in author.text
    assert "appetite, mine, and more." in author.text, "what was typed is not lost"
    send_text(other.go(EDIT), "discard", document("retail"))
    assert "The draft is discarded." in other.text
    assert "Start a draft" in other.text
    assert "Discard" not in author.go(EDIT).text
    assert "There is no draft." in author.text


def test_a_roll_back_says_what_each_version_is_and_sends_what_was_looked_at(author: Visitor) -> None:
    author.go("/console/rulesets/second")
    assert re.search(r"1: committed \d+ \w+ \d+ by maker, last activated \d+ \w+ \d+ by \w+", author.text)
    form = next(form for form in author.forms() if form.action.endswith("/roll-back"))
    for other in ({"seen_content_1": "0" * 64}, {"seen_active": "7"}):
        author.post(form.action, {**form.fields, **other, "version": "1", "reason": "too many rose"})
        assert (author.page.status_code, "when this was looked at" in author.text) == (409, "seen_active" in other)


def test_a_roll_back_is_offered_also_to_a_version_that_is_not_on_the_page(
    author: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rulesets_pages, "LONG_LIST", 1)
    author.go("/console/rulesets/second")
    assert "Older versions" in author.text
    assert "1: committed" in author.text


def test_a_roll_back_is_proposed_by_one_person_and_approved_by_another(place: Place, author: Visitor) -> None:
    author.go("/console/rulesets/second").submit("/roll-back", version="1", reason="too many rose")
    assert author.page.status_code == 200
    assert "The roll-back is proposed." in author.text
    assert "You proposed it, so another person has to approve it." in author.text
    address = author.page.url.path
    other = Visitor(place).sign_in("publisher").go(address)
    assert "It can be approved once its backtests are done" in other.text
    place.run_backtests()
    for said in ("Ruleset second goes from version 2 back to version 1 .", "1 of the type customer are assessed again"):
        assert said in other.go(address).text
    assert "Of 1 checked, 0 would move by the rules alone" in other.text
    assert "The cooldown continues to hold levels" in other.text
    assert "Ruleset.rollback" not in other.text
    author.go(address).submit("/backtests")
    (queued,) = re.findall(r"(\d+) customer queued", author.text)
    cancel_backtest(Context(place.engine, place.actor("admin")), int(queued), "the first one says it")
    assert "cancelled" in other.go(address).text
    assert "Of 1 checked, 0 would move by the rules alone" in other.text, "the newest that is done counts"
    other.submit("/approve", reason="it is true")
    assert (other.page.status_code, "confirm that you have checked who moves" in other.text) == (422, True)
    other.go(address).submit("/approve", reason="it is true", confirmed="yes")
    assert "The change is approved and carried out." in other.text
    assert "Version 1 decides" in other.go("/console/rulesets/second").text
    assert "Ruleset second goes from version 2 back to version 1 ." in other.go(address).text
    (number,) = {link for link in other.links() if "/backtests/" in link}
    assert other.go(number).page.status_code == 200
    assert {address, "/console/rulesets/second/versions/1", "/console/rulesets/second/versions/2"} <= {*other.links()}


def test_a_new_ruleset_begins_with_one_that_ships(place: Place, author: Visitor) -> None:
    author.go("/console/new-ruleset?start=fatf-retail")
    assert "ruleset: fatf-retail" in author.page.text
    send_text(author, "save", document("retail"))
    assert author.page.status_code == 409
    assert "there is already a ruleset retail" in author.text
    send_text(author, "check", document("fresh"))
    assert "Faults: 0." in author.text
    send_text(author, "save", document("fresh"))
    assert author.page.url.path == "/console/rulesets/fresh/edit"
    assert "Draft revision 1" in author.text


@pytest.mark.parametrize(
    ("action", "typed", "status", "said"),
    [
        ("check", {"document": " "}, 422, "the text is empty"),
        ("check", {"document": "a" * 257_000}, 422, "more than 256,000 bytes"),
        ("save", {"document": "ruleset: other\nentity_type: customer"}, 422, "here it must be retail"),
        ("save", {"document": "ruleset: retail\nentity_type: customer", "revision": "x"}, 404, "there is no revision"),
        ("commit", {"document": "ruleset: retail"}, 404, "there is no draft of retail"),
        ("discard", {"document": "ruleset: retail"}, 404, "there is no draft of retail"),
    ],
)
def test_what_cannot_be_taken_is_said(
    author: Visitor, action: str, typed: dict[str, str], status: int, said: str
) -> None:
    author.go(EDIT)
    form = next(form for form in author.forms() if form.action.endswith("/check"))
    author.post(form.action.removesuffix("check") + action, {**form.fields, **typed})
    assert (author.page.status_code, said in author.text) == (status, True), author.text


@pytest.mark.parametrize("number", ["0", "x", "99", "1.5", "9" * 30])
def test_a_number_that_is_none_is_not_there(place: Place, number: str) -> None:
    visitor = Visitor(place).sign_in("publisher")
    for address in (f"/console/rulesets/retail/versions/{number}", f"/console/backtests/{number}"):
        assert visitor.go(address).page.status_code == 404
    assert visitor.go(f"/console/proposals/{number}").page.status_code == 404


def test_an_example_customer_that_is_not_there_and_a_text_with_faults_are_said(author: Visitor) -> None:
    send_text(author.go(EDIT), "check", document("retail"), customer="nobody")
    assert "Example customer nobody" in author.text
    assert "nobody" in author.text.partition("Example customer nobody")[2]
    send_text(author, "check", document("retail", levels=["low", "high"]), customer="c/1 ä")
    assert "The text has faults, so it cannot assess a customer." in author.text


def test_stored_text_of_rulesets_is_never_markup(place: Place, author: Visitor) -> None:
    text = document("retail", remark=MARKUP)
    send_text(author.go(EDIT), "save", text)
    send_text(author, "check", text, customer=MARKUP)
    assert "<script>alert" not in author.page.text
    send_text(author, "commit", text, accept_warnings=MARKUP)
    assert "The version is committed." in author.text
    assert "<script>alert" not in author.page.text
    assert "<script>alert" not in author.go("/console/rulesets/retail").page.text


def test_an_organisation_without_rulesets_is_told_so(furnished: Place) -> None:
    visitor = Visitor(furnished).sign_in("publisher", THEIRS).go("/console/rulesets")
    assert "There is no ruleset yet" in visitor.text


def test_the_order_is_proposed_by_one_person_and_approved_by_another(place: Place, author: Visitor) -> None:
    other = Visitor(place).sign_in("publisher").go("/console/rulesets")
    author.go("/console/rulesets")
    (form,) = [form for form in author.forms() if form.action.endswith("/order")]
    assert form.fields["seen"] == "retail,second,drafted"
    places = {"place-retail": "2", "place-second": "1", "place-drafted": "3"}
    author.submit("/order", reason="narrow first")
    assert "the order has not changed" in author.text
    author.submit("/order", **{**places, "place-second": "2"}, reason="narrow first")
    assert (author.page.status_code, "the same place" in author.text) == (422, True)
    author.submit("/order", **{**places, "place-second": "x"}, reason="narrow first")
    assert "Place of second is &#39;x&#39;" in author.text
    author.submit("/order", **places, reason="narrow first")
    assert "The order is proposed." in author.text
    address = author.page.url.path
    assert "order of the rulesets of customer" in author.text
    place.run_backtests()
    Visitor(place).sign_in("admin").go(address).submit("/approve", reason="it is so")
    text = author.go("/console/rulesets").text
    assert text.index("second customer, 1.") < text.index("retail customer, 2.")
    other.submit("/order", **places, reason="as I saw it")
    assert (other.page.status_code, "another person changed the order" in other.text) == (409, True)


def test_an_order_that_reaches_nobody_says_so(place: Place, author: Visitor) -> None:
    places = {"place-retail": "1", "place-drafted": "2", "place-second": "3"}
    author.go("/console/rulesets").submit("/order", **places, reason="for later")
    assert "The order is proposed." in author.text
    assert "Assessed again no customer" in author.text


def test_a_ruleset_is_switched_off_and_on_by_two_people(place: Place, author: Visitor) -> None:
    other = Visitor(place).sign_in("admin")
    for said in ("It is switched off.", "Switch it off"):
        author.go("/console/rulesets/second").submit("/switch", reason="a pause")
        assert "The change is proposed." in author.text
        address = author.page.url.path
        place.run_backtests()
        other.go(address).submit("/approve", reason="it is so")
        assert said in author.go("/console/rulesets/second").text


def test_forms_write_a_rule_a_case_and_thresholds_into_the_text(place: Place, author: Visitor) -> None:
    text = document("retail")
    rule = {
        "rule_field": "pep",
        "rule_operator": "equals",
        "rule_value": "true",
        "rule_points": "50",
        "rule_floor": "high",
        "rule_id": "pep",
        "rule_title": "Politically exposed",
        "rule_category": "other",
    }
    send_text(author.go(EDIT), "write", text, write="rule", **rule)
    assert "The rule is written into the text after the others." in author.text
    assert "rule pep added" in author.text
    case = {"case_rule": "income", "case_operator": "below", "case_value": "10", "case_points": "1", "case_floor": ""}
    send_text(author, "write", text, write="case", **case)
    assert "The case is written into the text" in author.text
    assert "it is below 10: 1 point" in author.text
    send_text(author, "write", text, write="thresholds", thresholds="300, 700")
    assert "314.15, 772.01 300, 700" in author.text
    send_text(author, "write", text, write="thresholds", thresholds="300, many")
    assert author.page.status_code == 422
    assert "is not a number" in author.text
    send_text(author, "write", text, write="rule", **{**rule, "rule_title": ""})
    assert "Title is empty" in author.text
    assert place.good("GET", "/v1/rulesets", role="publisher")[0]["draft_revision"] is None


@pytest.mark.full
def test_forms_write_tiers_and_weights_into_texts_that_ship(author: Visitor) -> None:
    author.go("/console/new-ruleset?start=session-verification")
    fields = next(form for form in author.forms() if form.action.endswith("/check")).fields
    shipped = bundled_text("session-verification")
    tiers = {name: value for name, value in fields.items() if name.startswith("tier_")}
    count = len(outline_of(shipped).tiers)
    assert len(tiers) == 3 * (count + 1), "and a level for each, to be chosen"
    levels = {f"tier_{number}_level": tier.level for number, tier in enumerate(outline_of(shipped).tiers)}
    send_text(author, "write", shipped, write="tiers", **{**tiers, **levels, "tier_0_title": "Quiet"})
    assert "The tiers are written into the text. Nothing is saved yet." in author.text
    assert "{&#34;title&#34;: &#34;Quiet&#34;" in author.page.text
    send_text(author, "write", shipped, write="tiers", **{**tiers, **levels, "tier_0_title": ""})
    assert (author.page.status_code, "a tier needs a title" in author.text) == (422, True)
    weighted = bundled_text("eu-bank-weighted")
    weights = {f"weights_{name}": lines for name, lines in outline_of(weighted).weights.items()}
    send_text(author, "write", weighted, write="weights", **weights)
    assert "The weights are written into the text. Nothing is saved yet." in author.text
    send_text(author, "write", weighted, write="weights", **dict.fromkeys(weights, "none: 100"))
    assert (author.page.status_code, "there is no rule &#39;none&#39;" in author.text) == (422, True)


def test_the_editor_says_what_a_ruleset_is_for_and_which_inputs_it_may_read(place: Place, author: Visitor) -> None:
    """Its purpose is typed, then what its type says of a field: the page follows, while nothing is stored."""

    def row(source: str) -> str:
        rows = author.page.text.partition('id="purposes"')[2].partition("</section>")[0].split("<tr>")
        (found,) = [each for each in rows if f">{source}</th>" in each and "rule country" in each]
        return found

    send_text(author.go(EDIT), "check", document("retail", remark="new"))
    assert "against money laundering (aml). It may read all its inputs." in author.text
    assert "<td>aml" in row("field country")
    assert "rule country → field country" in row("field country")
    offered = {"purpose": "commercial", "purposes": {"fields": {"country": "both"}}}
    send_text(author, "check", document("retail", remark="new", **offered))
    assert "It is for : commerce." in author.text.replace("for:", "for :")
    assert "not allowed" in row("field country")
    assert "nothing is said of it under purposes, fields of the entity type" in row("field country")
    said = {"fields": {}, "purposes": {"fields": {"country": "both"}}}
    place.good("PUT", "/v1/entity-types/customer", said, role="admin")
    send_text(author, "check", document("retail", remark="new", **offered))
    assert "<td>both</td>" in row("field country")
    assert "screening" not in row("field country")
    assert "Inputs that it may not read: " in author.text, (
        "its other rules read what was gathered against money laundering"
    )
    send_text(author, "check", "ruleset: [")
    assert 'id="purposes"' not in author.page.text
    checked = place.good("POST", "/v1/rulesets/check", {"document": document("retail", **offered)}, role="publisher")
    assert checked["purpose"] == "commercial"
    (country,) = [each for each in checked["readings"] if each["path"][-1] == "field country"]
    assert (country["purpose"], country["allowed"]) == ("both", True)
    assert country["path"] == ["ruleset retail", "rule country", "field country"]
