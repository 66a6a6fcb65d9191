"""Policies in the console: from a text with a mistake to a version that decides, and what was decided."""

import re

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from fivefold.store.tables.levels import Standing
from tests.console.customers import fail_assessment
from tests.console.test_queries import count
from tests.console.visitors import Visitor, send_text
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.more_rows import MORE
from tests.serving.v1.places import THEIRS, Place
from tests.usecases.decisions.deciding import CASH, WORTH, cash, document

POLICIES, DECISIONS = "/console/policies", "/console/decisions"
FIRST, SECOND = (f"{POLICIES}/payments/versions/{number}" for number in (1, 2))
EDIT = f"{POLICIES}/payments/edit"
MARKUP = "<script>alert('x')</script>"
LOOKED_AT = {"reason": "a new threshold", "accept_warnings": "known"}


def test_the_versions_say_which_one_decides_and_who_approved_it(publisher: Visitor) -> None:
    text = publisher.go(POLICIES).text
    assert "payments version 2 is waiting for approval customer maker" in text
    assert "payments version 1 decides customer maker" in text
    assert "the publisher," in text
    assert "Versions of payments" in publisher.go(f"{POLICIES}?policy=payments").text
    assert {EDIT, FIRST, SECOND} <= {*publisher.links()}
    assert "There is no policy with that name." in publisher.go(f"{POLICIES}?policy=none").text


def test_a_version_shows_its_text_its_doubts_and_the_lines_that_it_changes(publisher: Visitor) -> None:
    text = publisher.go(SECOND).text
    assert "It does not decide yet" in text
    assert "What changes from version 1" in text
    assert "&#34;id&#34;: &#34;worth&#34;" in text.partition("Its text")[0]
    assert "Doubts" in text
    assert "&#34;policy&#34;: &#34;payments&#34;" in text
    text = publisher.go(FIRST).text
    assert "It has decided about transactions of the type customer since" in text
    assert "It is the first version." in text
    assert publisher.go(f"{POLICIES}/payments/versions/9").page.status_code == 404
    assert publisher.go(f"{POLICIES}/none/edit").page.status_code == 404


def test_a_decision_by_a_level_that_had_failed_is_listed_as_such(place: Place, publisher: Visitor) -> None:
    words = "last assessment: failed"
    assert words not in publisher.go(DECISIONS).text
    fail_assessment(place)
    asked = {"policy": "payments", "external_id": CUSTOMER, "transaction": cash()}
    place.good("POST", "/v1/decisions", asked, role="app")
    assert publisher.go(DECISIONS).text.count(words) == 1


def test_a_mistake_is_shown_at_its_line_and_nothing_is_stored(place: Place, publisher: Visitor) -> None:
    publisher.go(EDIT)
    assert "The text starts from version 1." in publisher.text
    send_text(publisher, "check", document([CASH]).replace("10000", '"many"'))
    assert "Faults: 1." in publisher.text
    assert "A text with faults cannot be proposed." in publisher.text
    assert 'href="#line-' in publisher.page.text
    send_text(publisher, "propose", document([CASH]).replace("10000", '"many"'), **LOOKED_AT)
    assert (publisher.page.status_code, "the text has faults, shown below: 1" in publisher.text) == (422, True)
    send_text(publisher, "check", document([CASH], entity_type="unheard"))
    assert "Faults: 1." in publisher.text
    assert "unheard" in publisher.text.partition("The text, line by line")[0]
    assert len(place.good("GET", "/v1/policies?policy=payments", role="publisher")) == 2


def test_what_commerce_may_not_read_is_shown_at_its_line_with_the_path(place: Place, publisher: Visitor) -> None:
    assert "Purpose: against money laundering (aml)." in publisher.go(FIRST).text
    offer = {"id": "offer", "when": {"level": "in_force", "equals": "low"}, "action": "note"}
    send_text(publisher.go(EDIT), "check", document([offer], purpose="commercial"))
    assert "Faults: 1." in publisher.text
    assert "policy payments → action note → rule offer → level in_force" in publisher.text
    assert 'href="#line-' in publisher.page.text
    send_text(publisher, "propose", document([offer], purpose="commercial"), **LOOKED_AT)
    assert publisher.page.status_code == 422
    send_text(publisher, "propose", document([WORTH], purpose="commercial"), **LOOKED_AT)
    assert "Purpose: commerce." in publisher.text
    assert len(place.good("GET", "/v1/policies?policy=payments", role="publisher")) == 3


def test_a_version_is_proposed_approved_by_another_person_and_retired(place: Place, publisher: Visitor) -> None:
    text = document([CASH, {**WORTH, "action": "review"}])
    send_text(publisher.go(EDIT), "propose", text, reason="a new threshold")
    assert publisher.page.status_code == 422
    assert "say why you propose it with them" in publisher.text
    send_text(publisher, "propose", text, **LOOKED_AT)
    assert "The version is proposed. Another person has to approve it." in publisher.text
    assert "You wrote it, so another person has to approve it." in publisher.text
    address = publisher.page.url.path
    other = Visitor(place).sign_in("admin").go(address)
    other.submit("/approve", reason="it is so")
    assert (other.page.status_code, "confirm that you have checked" in other.text) == (422, True)
    other.submit("/approve", reason="it is so", confirmed="yes")
    assert "The version decides from now on." in other.text
    text = publisher.go(FIRST).text
    assert "It decided from" in text
    assert "Replaced by version 3, by the admin: it is so" in text
    publisher.go(SECOND).submit("/retire", reason="another one decides")
    assert "The version will not decide." in publisher.text
    assert "It was refused or withdrawn by the publisher," in publisher.text
    assert ": another one decides" in publisher.text
    publisher.go(address).submit("/retire", reason="no more cash")
    assert "The end of the version is proposed." in publisher.text
    other.go(publisher.page.url.path).submit("/approve", reason="it is so")
    text = other.go(address).text
    assert re.search(r"It decided from \S+ \S+ UTC to \S+ \S+ UTC ?\. It was ended by .*: no more cash", text)


def test_a_second_refusal_of_a_version_is_said_to_be_one(place: Place, publisher: Visitor) -> None:
    first, second = (Visitor(place).sign_in("admin").go(SECOND) for _ in range(2))
    first.submit("/retire", reason="Nobody checks it")
    second.submit("/retire", reason="Nobody checks it")
    assert second.page.status_code == 409
    assert "version 2 of payments was refused or retired already" in second.text


def test_a_refusal_that_comes_too_late_proposes_no_retirement(place: Place, publisher: Visitor) -> None:
    other = Visitor(place).sign_in("admin").go(SECOND)
    Visitor(place).sign_in("admin").go(SECOND).submit("/approve", reason="it is so", confirmed="yes")
    before = place.good("GET", "/v1/proposals", role="publisher")
    other.submit("/retire", reason="Nobody checks it")
    assert other.page.status_code == 409
    assert "version 2 of payments is active now; it was proposed when this was looked at" in other.text
    assert place.good("GET", "/v1/proposals", role="publisher") == before
    stale = {"reason": "Nobody checks it", "expected_state": "proposed"}
    assert place.ask("POST", "/v1/policies/payments/versions/2/retire", stale, role="publisher").status_code == 409


def test_a_page_that_is_too_old_approves_nothing(place: Place, publisher: Visitor) -> None:
    send_text(publisher.go(EDIT), "propose", document([CASH], rationale="Third."), **LOOKED_AT)
    address = publisher.page.url.path
    other = Visitor(place).sign_in("admin").go(address)
    assert "What changes from version 1" in other.text
    Visitor(place).sign_in("publisher").go(SECOND).submit("/approve", reason="it is so", confirmed="yes")
    other.submit("/approve", reason="it is so", confirmed="yes")
    assert other.page.status_code == 409
    assert "the active version of payments is 2 now; it was 1 when this was looked at" in other.text
    assert "What changes from version 2" in other.text, "the page shows what holds now"
    other.submit("/approve", reason="it is so", confirmed="yes")
    assert "The version decides from now on." in other.text


def test_a_proposed_version_does_not_wait_once_a_newer_one_decides(place: Place, publisher: Visitor) -> None:
    propose_later(place, 1)
    publisher.go(SECOND.removesuffix("2") + "3").submit("/approve", reason="it is so", confirmed="yes")
    publisher.go(SECOND)
    assert "can no longer be approved: version 3 is active and newer" in publisher.text
    assert not [form for form in publisher.forms() if form.action.endswith("/approve")]
    assert [form for form in publisher.forms() if form.action.endswith("/retire")], "it can be refused"


def propose_later(place: Place, count: int) -> None:
    """Propose as many versions more, each with the text of the second."""
    columns = "organisation_id, name, document, canonical, content_hash, state, written_by, written_us, salt"
    later = f"INSERT INTO policies ({columns}, number) SELECT {columns}, number + :more FROM policies WHERE number = 2"
    with place.engine.begin() as connection:
        connection.execute(text(later), [{"more": more} for more in range(1, count + 1)])


def test_the_version_that_decides_is_found_among_any_number_of_later_ones(place: Place, publisher: Visitor) -> None:
    """The form said that none decided once fifty were proposed, and was refused each time."""
    propose_later(place, 59)
    publisher.go(SECOND)
    (form,) = (form for form in publisher.forms() if form.action.endswith("/approve"))
    assert form.fields["seen_active"] == "1"
    assert "What changes from version 1" in publisher.text
    publisher.submit("/approve", reason="it is so", confirmed="yes")
    assert "The version decides from now on." in publisher.text


def test_a_version_that_an_address_names_to_compare_with_is_marked_among_the_tabs(
    place: Place, publisher: Visitor
) -> None:
    propose_later(place, 3)
    marked = 'href="?against=2" aria-current="page"'
    assert marked in publisher.go(f"{POLICIES}/payments/versions/5?against=2").page.text
    assert marked not in publisher.go(f"{POLICIES}/payments/versions/5").page.text


def test_two_who_write_a_version_at_once_see_each_other(place: Place, publisher: Visitor) -> None:
    other = Visitor(place).sign_in("admin").go(EDIT)
    publisher.go(EDIT)
    send_text(other, "propose", document([CASH], rationale="Theirs."), **LOOKED_AT)
    mine = document([CASH], rationale="Mine.")
    for _ in range(2):
        send_text(publisher, "propose", mine, **LOOKED_AT)
        assert publisher.page.status_code == 409, "looking at it is not agreeing to it"
    assert "the admin proposed version 3 now" in publisher.text
    assert "&#34;rationale&#34;: &#34;Mine.&#34;" in publisher.text
    send_text(publisher, "propose", mine, over="3", **LOOKED_AT)
    assert (publisher.page.status_code, publisher.page.url.path) == (200, f"{POLICIES}/payments/versions/4")


def test_a_new_policy_begins_empty_and_keeps_to_its_name(publisher: Visitor) -> None:
    publisher.go("/console/new-policy")
    send_text(publisher, "check", " ")
    assert (publisher.page.status_code, "the text is empty" in publisher.text) == (422, True)
    send_text(publisher, "propose", document([CASH], "transfers"), **LOOKED_AT)
    assert publisher.page.url.path == f"{POLICIES}/transfers/versions/1"
    send_text(publisher.go(EDIT), "propose", document([CASH], "transfers"), **LOOKED_AT)
    assert (publisher.page.status_code, "here it must be payments" in publisher.text) == (422, True)
    send_text(publisher.go("/console/new-policy"), "propose", document([WORTH], "transfers"), **LOOKED_AT)
    assert (publisher.page.status_code, "the newest version of transfers is 1 now; it was none" in publisher.text) == (
        409,
        True,
    )
    send_text(publisher, "propose", document([WORTH], "transfers"), over="1", **LOOKED_AT)
    assert publisher.page.url.path == f"{POLICIES}/transfers/versions/2"


def decide(place: Place, key: str, amount: float = 20_000) -> int:
    """Decide on one more transaction."""
    asked = {"policy": "payments", "external_id": CUSTOMER, "transaction": cash(-amount), "decision_key": key}
    return int(place.good("POST", "/v1/decisions", asked, role="investigator")["decision"])


def test_decisions_are_found_by_policy_action_customer_actor_and_time(place: Place) -> None:
    number = decide(place, "more")
    visitor = Visitor(place).sign_in("investigator").go(DECISIONS)
    assert f"{DECISIONS}/{number}" in visitor.links()
    assert "/console/entities/customer/c%2F1%20%C3%A4" in visitor.links()
    assert DECISIONS in visitor.links()
    for query, found in (
        ("action=block", True),
        ("action=allow", False),
        ("policy=payments", True),
        ("policy=none", False),
        ("external_id=c%2F1+%C3%A4&type=customer", True),
        ("actor=the+investigator", True),
        ("actor=the+admin", False),
        ("since=2020-01-01", True),
        ("until=2020-01-01", False),
    ):
        assert (f"{DECISIONS}/{number}" in visitor.go(f"{DECISIONS}?{query}").links()) is found, query
    assert "there is no customer &#39;nobody&#39;" in visitor.go(f"{DECISIONS}?external_id=nobody&type=customer").text
    assert visitor.go(f"{DECISIONS}?since=soon").page.status_code == 422


def test_a_decision_says_why_and_its_conditions_only_to_those_who_see_policies(place: Place) -> None:
    number = decide(place, "more")
    text = Visitor(place).sign_in("investigator").go(f"{DECISIONS}/{number}").text
    assert f"Decision {number}: Block" in text
    assert "Block, by R0." in text
    assert "operation of the transaction: cash" in text
    assert "10,000" not in text
    visitor = Visitor(place).sign_in("publisher").go(f"{DECISIONS}/{number}")
    assert "amount of the transaction is above 10,000" in visitor.text
    assert {FIRST, "/console/entities/customer/c%2F1%20%C3%A4", "/console/assessments/1.1"} <= {*visitor.links()}
    for wrong in ("0", "x", "99", "9" * 30):
        assert visitor.go(f"{DECISIONS}/{wrong}").page.status_code == 404


def test_a_decision_shows_what_it_saw_as_other_pages_do_and_that_the_level_was_out_of_date(place: Place) -> None:
    path = "/v1/entities/customer/c%2F1%20%C3%A4"
    place.good("GET", f"{path}/risk", params={"freshness": "now"}, role="investigator")
    visitor = Visitor(place).sign_in("investigator").go(f"{DECISIONS}/{decide(place, 'fresh')}")
    assert re.search(r"Assessed, \d{4}-\d\d-\d\d \d\d:\d\d UTC", visitor.text)
    assert "−20,000.00 EUR" in visitor.text
    assert "data had changed since then" not in visitor.text
    place.good("PUT", path, {"attributes": {"country": "DE"}}, role="app")
    assert "data had changed since then" in visitor.go(f"{DECISIONS}/{decide(place, 'later')}").text


@pytest.mark.parametrize("status", ["failed", "undetermined"])
def test_a_decision_shows_the_status_of_a_level_that_was_not_assessed_in_full(place: Place, status: str) -> None:
    with Session(place.engine) as session, session.begin():
        session.execute(update(Standing).values(status=status))
    shown = Visitor(place).sign_in("investigator").go(f"{DECISIONS}/{decide(place, status)}").text
    assert re.search(rf"{status.capitalize()}, \d{{4}}-\d\d-\d\d \d\d:\d\d UTC", shown)


def test_a_decision_says_that_there_was_no_rate_for_its_amount(place: Place) -> None:
    transaction = cash(-20_000.0, transaction_currency="QAR")
    asked = {"policy": "payments", "external_id": CUSTOMER, "transaction": transaction, "decision_key": "dirhams"}
    number = place.good("POST", "/v1/decisions", asked, role="investigator")["decision"]
    visitor = Visitor(place).sign_in("investigator").go(f"{DECISIONS}/{number}")
    assert "−20,000.00 QAR unknown in EUR: there is no rate of QAR" in visitor.text
    assert "there is no rate" not in visitor.go(f"{DECISIONS}/{decide(place, 'euros')}").text


def test_a_decision_without_a_rule_that_held_says_so(furnished: Place) -> None:
    text = Visitor(furnished).sign_in("approver").go(f"{DECISIONS}/1").text
    assert "Allow, as no rule gives an action." in text
    assert "No rule held." in text


def test_pages_of_decisions_go_on_with_the_filters_and_ask_as_often(place: Place) -> None:
    visitor = Visitor(place).sign_in("admin")
    few = {address: count(visitor, address) for address in (DECISIONS, POLICIES)}
    for number in range(51):
        MORE["search_decisions"](place, number)
    for number in range(3):
        MORE["list_policies"](place, number)
    assert {address: count(visitor, address) for address in few} == few
    (following,) = [link for link in visitor.go(f"{DECISIONS}?policy=payments").links() if "after=" in link]
    assert "policy=payments" in following
    assert visitor.go(following.replace("&amp;", "&")).page.status_code == 200
    assert f"{DECISIONS}/1" in visitor.links()


def test_stored_text_of_policies_and_decisions_is_never_markup(place: Place, publisher: Visitor) -> None:
    rule = {**CASH, "title": MARKUP, "rationale": MARKUP}
    send_text(publisher.go(EDIT), "propose", document([rule], rationale=MARKUP), reason=MARKUP, accept_warnings=MARKUP)
    address = publisher.page.url.path
    assert address.endswith("/3")
    Visitor(place).sign_in("admin").go(address).submit("/approve", reason=MARKUP, confirmed="yes")
    number = decide(place, MARKUP)
    for page in (address, EDIT, POLICIES, DECISIONS, f"{DECISIONS}/{number}"):
        assert publisher.go(page).page.status_code == 200, page
        assert "<script>alert" not in publisher.page.text, page
    assert "alert(" in publisher.text


def test_nothing_is_decided_where_there_is_no_policy(furnished: Place) -> None:
    visitor = Visitor(furnished).sign_in("publisher", THEIRS)
    assert "There is no policy yet" in visitor.go(POLICIES).text
    assert "There are no decisions yet." in visitor.go(DECISIONS).text
    investigator = Visitor(furnished).sign_in("investigator")
    assert POLICIES not in investigator.go(DECISIONS).links()


def test_a_policy_is_drawn_as_the_flow_of_one_step_that_it_is(publisher: Visitor) -> None:
    page = publisher.go(FIRST)
    assert 'aria-labelledby="graph-title graph-text"' in page.page.text
    assert "What payments decides" in page.text
    assert "By the action" in page.text
