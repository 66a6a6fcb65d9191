"""Records found by subject, person and time: overrides, changes, failures, and the audit log."""

from html import unescape

import pytest

from fivefold.domain.paging import cursor_of
from tests.console.test_queries import count
from tests.console.visitors import Visitor
from tests.serving.v1.more_rows import MORE
from tests.serving.v1.places import THEIRS, Place

ACME = "/console/entities/company/acme"
OVERRIDES, CHANGES = "/console/queue/overrides", "/console/queue/changes"
FAILURES, LOG = "/console/operations/failures", "/console/operations/audit"
CHALLENGES, RUNS, DECISIONS = "/console/queue/challenges", "/console/flow-runs", "/console/decisions"


def test_overrides_are_found_by_state_customer_person_and_time(place: Place) -> None:
    body = {"level": "high", "reason": "<b>because</b>"}
    place.good("POST", "/v1/entities/company/acme/overrides", body, role="investigator")
    visitor = Visitor(place).sign_in("investigator").go("/console/queue")
    assert OVERRIDES in visitor.links()
    assert CHANGES in visitor.links()
    of_acme = f"{OVERRIDES}?state=requested&type=company&external_id=acme&by=the+investigator&since=2026-01-01"
    visitor.go(of_acme)
    assert "&lt;b&gt;because&lt;/b&gt;" in visitor.page.text
    assert "Requested by the investigator" in visitor.text
    assert "/console/entities/company/acme" in visitor.links()
    assert "No override matches" in visitor.go(f"{of_acme}&until=2026-01-02").text
    assert visitor.go(f"{OVERRIDES}?state=perhaps").page.status_code == 422
    assert visitor.go(f"{OVERRIDES}?type=company&external_id=nobody").page.status_code == 404
    assert "There is no override" in Visitor(place).sign_in("admin", THEIRS).go(OVERRIDES).text


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (OVERRIDES, "There is no override yet."),
        (CHALLENGES, "There is no challenge yet."),
        (CHANGES, "that your role may see."),
        (RUNS, "No flow has run yet."),
        (DECISIONS, "There are no decisions yet."),
    ],
)
def test_an_empty_list_speaks_of_filters_where_there_are_some(place: Place, page: str, said: str) -> None:
    visitor = Visitor(place).sign_in("admin", THEIRS).go(page)
    assert said in visitor.text
    assert "these filters" not in visitor.text
    name, value = ("due_before", "2001-01-01") if page == CHALLENGES else ("until", "2001-01-01")
    assert "these filters" in visitor.go(f"{page}?{name}={value}").text


@pytest.mark.parametrize(
    ("page", "name", "key"),
    [
        (OVERRIDES, "overrides", (1, 1)),
        (CHALLENGES, "challenges", (1, 1)),
        (CHANGES, "changes", (1, 1)),
        (RUNS, "flow-runs", (1,)),
        (DECISIONS, "decisions", (1, 1)),
        (FAILURES, "failures", (1, 1)),
        (LOG, "entries", (1, 1)),
    ],
)
def test_a_page_behind_the_last_row_says_that_no_more_follow(
    place: Place, page: str, name: str, key: tuple[int, ...]
) -> None:
    behind = cursor_of(f"{place.organisations[THEIRS]} {page} {name} []", key)
    visitor = Visitor(place).sign_in("admin", THEIRS).go(f"{page}?after={behind}")
    assert "No more rows follow. From the beginning" in visitor.text


@pytest.mark.parametrize("page", [CHALLENGES, FAILURES])
def test_the_type_of_a_filter_is_chosen_among_those_there_are(place: Place, page: str) -> None:
    visitor = Visitor(place).sign_in("admin").go(f"{page}?type=company")
    assert "<option selected>company</option>" in visitor.page.text
    assert "<option>customer</option>" in visitor.page.text
    assert visitor.page.status_code == 200


def test_a_filter_by_an_unknown_type_is_shown(place: Place) -> None:
    shown = Visitor(place).sign_in("admin").go(f"{FAILURES}?type=ghost").page.text
    assert "<option selected>ghost</option>" in shown


def test_changes_are_found_and_lead_to_what_was_proposed(place: Place) -> None:
    visitor = Visitor(place).sign_in("publisher").go(f"{CHANGES}?state=proposed")
    changes = [link for link in visitor.links() if link.startswith("/console/proposals/")]
    assert changes
    assert "Proposed by" in visitor.text
    assert visitor.go(changes[0]).page.status_code == 200
    assert "No change matches" in visitor.go(f"{CHANGES}?since=2001-01-01&until=2001-01-02").text
    assert visitor.go(f"{CHANGES}?since=then").page.status_code == 422
    assert "There is no change" in Visitor(place).sign_in("admin", THEIRS).go(CHANGES).text


def test_an_investigator_finds_what_they_proposed_and_withdraws_it(place: Place) -> None:
    visitor = Visitor(place).sign_in("investigator").go(ACME)
    assert "You proposed it, so another person has to approve it." in visitor.text
    own = [link for link in visitor.go(CHANGES).links() if link.startswith("/console/proposals/")]
    assert len(own) == 1
    assert (
        f"A proposed change is waiting for another person: change {own[0].rpartition('/')[2]}" in visitor.go(ACME).text
    )
    assert "End disputed" not in visitor.text
    assert visitor.go("/console/proposals/4").page.status_code == 404
    assert "Withdraw it" in visitor.go(own[0]).text
    assert "You withdrew the change." in visitor.submit("/refuse", reason="I erred").text
    assert "Withdrawn by the investigator" in visitor.go(CHANGES).text
    assert "End disputed" in visitor.go(ACME).text


def test_the_end_of_an_override_is_found_by_the_customer_and_leads_there(place: Place) -> None:
    body = {"level": "high", "reason": "A court asked for it"}
    number = place.good("POST", "/v1/entities/company/acme/overrides", body, role="investigator")["id"]
    place.good("POST", f"/v1/overrides/{number}/approve", {}, role="approver")
    place.good("POST", f"/v1/overrides/{number}/revoke", {"reason": "It was lifted"}, role="approver")
    visitor = Visitor(place).sign_in("admin").go(f"{CHANGES}?type=company&external_id=acme&state=proposed")
    change = next(link for link in visitor.links() if link.startswith("/console/proposals/"))
    assert f"end of override {number}" in visitor.text
    assert "/console/entities/company/acme" in visitor.links(), "the list itself leads to whom a change is about"
    assert "/console/entities/company/acme" in visitor.go(change).links()
    place.good("PUT", "/v1/entities/company/second", {}, role="app")
    visitor.go(f"{CHANGES}?type=company&external_id=second")
    assert "No change matches" in visitor.text


def test_failures_are_found_by_customer_and_time(place: Place) -> None:
    MORE["list_failures"](place, 5)
    visitor = Visitor(place).sign_in("publisher")
    assert "quarantined after 6 attempts: it broke" in visitor.go(f"{FAILURES}?type=company&external_id=failed+5").text
    assert "No failure matches these filters." in visitor.go(f"{FAILURES}?type=company&external_id=acme").text
    assert "No failure matches these filters." in visitor.go(f"{FAILURES}?until=2001-01-01").text
    asked = {"type": "company", "external_id": "failed 5", "since": "2026-01-01"}
    found = place.good("GET", "/v1/failures/search", params=asked, role="admin")
    assert {each["quarantined"] for each in found} == {True, False}
    assert {each["external_id"] for each in found} == {"failed 5"}
    assert place.good("GET", "/v1/failures/search", params={"until": "2001-01-01"}, role="admin") == []


def test_more_rows_take_no_more_statements(place: Place) -> None:
    visitor = Visitor(place).sign_in("admin")
    addresses = (OVERRIDES, CHANGES, FAILURES)
    few = [count(visitor, address) for address in addresses]
    for number in range(4):
        for name in ("search_overrides", "search_proposals", "list_failures"):
            MORE[name](place, number)
    assert [count(visitor, address) for address in addresses] == few


LOG = "/console/operations/audit"


def test_entries_are_found_by_who_did_what_to_what(place: Place, admin: Visitor) -> None:
    made = place.good("POST", "/v1/members", {"name": "<i>Zoë</i>", "roles": ["admin"]}, role="admin")
    for query in (
        f"actor=the+admin&action=member.added&subject_kind=member&subject_id={made['id']}",
        f"actor=member%3A{place.members['bank', 'admin']}&subject_kind=member&subject_id={made['id']}",
    ):
        text = admin.go(f"{LOG}?{query}").text
        assert "Member &lt;i&gt;Zoë&lt;/i&gt;" in text
        assert "the admin" in text
        assert "<i>" not in admin.page.text
    assert "No entry matches these filters." in admin.go(f"{LOG}?until=2020-01-01").text
    assert "No entry matches" not in admin.go(f"{LOG}?since=2020-01-01").text
    assert "No entry matches" in admin.go(f"{LOG}?actor=nobody").text


def test_an_entity_is_named_and_linked(admin: Visitor) -> None:
    admin.go(f"{LOG}?subject_kind=entity")
    assert "/console/entities/company/acme" in admin.links()
    assert "Company acme" in admin.text
    assert "Entity 1" not in admin.text


def test_a_date_that_is_none_is_refused_in_words(admin: Visitor) -> None:
    assert admin.go(f"{LOG}?since=yesterday").page.status_code == 422
    assert "From" in admin.text


def test_pages_go_on_with_the_filters_and_ask_as_often(place: Place, admin: Visitor) -> None:
    few = count(admin, LOG)
    for number in range(60):
        MORE["search_entries"](place, number)
    assert count(admin, f"{LOG}?action=member.added") == few
    (following,) = [link for link in admin.links() if "after=" in link]
    assert "action=member.added" in following
    assert "member.added" in admin.go(following).text
    assert admin.page.status_code == 200


def test_another_organisation_has_its_own_log(place: Place) -> None:
    text = Visitor(place).sign_in("admin", THEIRS).go(f"{LOG}?action=ruleset.committed").text
    assert "No entry matches" in text


@pytest.mark.parametrize(
    ("role", "asked", "status", "problem"),
    [
        ("investigator", f"{OVERRIDES}?by=ida&type=company&external_id=nobody", 404, "no company 'nobody'"),
        ("investigator", f"{OVERRIDES}?by=ida&since=then", 422, "From is 'then'; it must be an ISO 8601 date"),
        ("investigator", f"{CHANGES}?by=ida&state=perhaps", 422, "no state 'perhaps'; there are proposed"),
        ("investigator", f"{CHALLENGES}?external_id=ida&type=compny", 404, "perhaps company was meant"),
        ("investigator", f"{RUNS}?at=ida&type=company&external_id=nobody", 404, "no company 'nobody'"),
        ("investigator", f"{RUNS}?at=ida&acting=perhaps", 422, "acting is 'perhaps'; it must be one of acts, shadow"),
        ("investigator", f"{DECISIONS}?actor=ida&until=then", 422, "Before is 'then'; it must be an ISO 8601 date"),
        ("admin", f"{LOG}?actor=ida&since=then", 422, "From is 'then'; it must be an ISO 8601 date"),
        ("admin", f"{LOG}?actor=ida&subject_id=3", 422, "the number '3' is given without a kind; say of what"),
        ("admin", f"{FAILURES}?external_id=ida&type=compny", 404, "perhaps company was meant"),
    ],
)
def test_a_wrong_filter_is_refused_beside_what_else_was_chosen(
    furnished: Place, role: str, asked: str, status: int, problem: str
) -> None:
    visitor = Visitor(furnished).sign_in(role).go(asked)
    assert visitor.page.status_code == status
    assert problem in unescape(visitor.text)
    assert 'value="ida"' in visitor.page.text
    assert "matches these filters" not in visitor.text
