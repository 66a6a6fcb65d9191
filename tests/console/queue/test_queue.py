"""The queue's pages: what waits, who works on it, and the way from one item to the next."""

import re
from html import unescape
from urllib.parse import quote

import pytest
from sqlalchemy import text

from tests.console.customers import fail_assessment
from tests.console.visitors import Visitor
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.places import OURS, Place

ACME = "/console/entities/company/acme"


@pytest.fixture
def two(place: Place) -> Place:
    """Two overrides wait and nothing else: of acme, and a moment later of another company."""
    with place.engine.begin() as connection:
        connection.execute(text("UPDATE overrides SET state = 'refused', decided_by = 'x' WHERE state = 'requested'"))
    place.good("PUT", "/v1/entities/company/second", {}, role="app")
    for company in ("acme", "second"):
        body = {"level": "high", "reason": f"Asked for {company}"}
        place.good("POST", f"/v1/entities/company/{company}/overrides", body, role="investigator")
    return place


def start(visitor: Visitor, filters: str = "") -> Visitor:
    visitor.go(f"/console/queue{filters}")
    return visitor.go(next(link for link in visitor.links() if "/queue/next" in link))


def onwards(visitor: Visitor) -> Visitor:
    return visitor.go(next(link for link in visitor.links() if "/queue/next" in link))


def shown(visitor: Visitor) -> str:
    """The customer of the page."""
    found = re.search(r"<h1>(.*?) ?<", visitor.page.text)
    assert found is not None
    return found[1]


def test_the_queue_says_what_waits_and_leads_from_item_to_item(two: Place) -> None:
    visitor = Visitor(two).sign_in("investigator").go("/console/queue?kind=override")
    assert "2 in the queue: 0 overdue, 0 due within a day, 2 later." in visitor.text
    assert "due in 2 days" in visitor.text
    assert "Asked for second" in visitor.text
    caption = "<caption>{}</caption>".format
    assert (
        0 < visitor.page.text.index(caption("Waiting")) < visitor.page.text.index(caption("Waiting items by due date"))
    )
    start(visitor, "?kind=override")
    assert shown(visitor) == "acme"
    assert "Override to decide" in visitor.text
    assert shown(onwards(visitor)) == "second"
    onwards(visitor)
    assert visitor.page.url.path == "/console/queue"
    assert visitor.page.url.params["kind"] == "override"
    assert "That was the last item." in visitor.text


def test_what_is_done_on_the_page_keeps_the_way_on(two: Place) -> None:
    visitor = start(Visitor(two).sign_in("investigator"), "?kind=override&order=newest")
    assert shown(visitor) == "second"
    visitor.submit("/assess").submit("/tag", tag="watch")
    assert "The tag is set." in visitor.text
    visitor.submit("/override", level="huge", reason="x")
    assert visitor.page.status_code == 422
    assert shown(onwards(visitor)) == "acme"


def test_an_item_is_assigned_to_me_and_given_back(two: Place) -> None:
    visitor = start(Visitor(two).sign_in("investigator"), "?kind=override")
    visitor.submit("/assign")
    assert "The item is assigned." in visitor.text
    assert "assigned to the investigator" in visitor.text
    assert "1 in the queue" in visitor.go("/console/queue?kind=override&assigned=mine").text
    assert "acme" not in visitor.go("/console/queue?kind=override&assigned=unassigned").text
    start(visitor, "?kind=override&assigned=mine")
    visitor.submit("/assign")
    assert "not assigned" in visitor.text
    assert "Nothing is waiting here." in visitor.go("/console/queue?kind=override&assigned=mine").text


def test_two_people_who_take_the_same_item_do_not_overwrite_each_other(two: Place) -> None:
    first, second = (start(Visitor(two).sign_in(role), "?kind=override") for role in ("investigator", "approver"))
    first.submit("/assign")
    second.submit("/assign")
    assert second.page.status_code == 409
    assert "another person changed item" in second.text
    assert "it is assigned to the investigator now" in second.text
    assert "Nothing was changed:" in second.text
    second.submit("/assign")
    assert "The item is assigned." in second.text, "once they saw it, they may take it over"


def test_an_item_that_leaves_the_queue_while_it_is_read_is_said_and_leads_on(two: Place) -> None:
    visitor = start(Visitor(two).sign_in("investigator"), "?kind=override")
    number = two.good("GET", "/v1/overrides", role="approver")[1]["id"]
    two.good("POST", f"/v1/overrides/{number}/refuse", {"reason": "no"}, role="approver")
    visitor.submit("/assign")
    assert visitor.page.status_code == 409
    assert "has left the queue" in visitor.text
    assert shown(onwards(visitor)) == "second"
    assert (
        "This item has left the queue" in visitor.go(visitor.place and f"/console/queue/items/override-{number}-0").text
    )


def test_a_filter_whose_member_has_left_says_so_and_the_items_are_unassigned(two: Place) -> None:
    token = two.join("leaver", "investigator")[0]
    leaver = Visitor(two).go("/console/sign-in").submit("/sign-in", token=token)
    start(leaver, "?kind=override").submit("/assign")
    number = two.good("GET", "/v1/members", role="admin")[-1]["id"]
    two.good("POST", f"/v1/members/{number}/leave", {}, role="admin")
    visitor = Visitor(two).sign_in("investigator").go(f"/console/queue?assigned={number}")
    assert "leaver has left. Their items are also listed as unassigned." in visitor.text
    assert "leaver (who has left)" in visitor.text
    assert "acme" in visitor.go("/console/queue?kind=override&assigned=unassigned").text
    start(visitor, "?kind=override")
    visitor.go(next(link for link in visitor.links() if "/queue/items/" in link))
    assert visitor.text.count("Override to decide") == 1
    visitor.submit("/assign", assigned_to=str(number))
    assert visitor.page.status_code == 409
    assert "leaver has left; assign it to another person" in visitor.text


def test_a_rise_is_put_away_and_leaves_the_queue(two: Place) -> None:
    customer = "/v1/entities/customer/c%2F1%20%C3%A4"
    for country in ("NO", "KP"):
        two.good("PUT", customer, {"attributes": {"country": country}}, role="app")
        two.good("GET", f"{customer}/risk", params={"freshness": "now"}, role="investigator")
    visitor = start(Visitor(two).sign_in("investigator"), "?kind=rise")
    assert "Level rose" in visitor.text
    assert shown(visitor) == "c/1 ä"
    stale = next(form for form in visitor.forms() if "/put-away" in form.action)
    visitor.submit("/put-away")
    assert "That item is put away. That was the last item." in visitor.text
    assert "Nothing is waiting here." in visitor.text
    visitor.post(stale.action, stale.fields)
    assert visitor.page.status_code == 409
    assert "has left the queue" in visitor.text
    entries = two.good("GET", "/v1/audit", role="admin", params={"limit": "1000"})
    assert [entry["action"] for entry in entries].count("queue.done") == 1


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/console/queue?kind=none", 422, "there is no kind"),
        ("/console/queue?assigned=99", 404, "there is no member"),
        ("/console/queue?assigned=x%00", 404, "there is no member"),
        ("/console/queue?order=odd", 422, "order is"),
        ("/console/queue?days=0x1", 422, "days is"),
        ("/console/queue?level=huge", 422, "there is no level"),
        ("/console/queue?type=none", 404, "there is no entity type"),
        ("/console/queue/next?queue=kind%3Dnone", 422, "there is no kind"),
        ("/console/queue/next?queue=&place=x", 422, "after must be"),
        (f"{ACME}?queue=&place=x", 422, "after must be"),
        ("/console/queue/items/rise-1", 404, "there is no item"),
        ("/console/queue/items/rise-1-99999999999999999999", 404, "there is no item"),
        ("/console/queue/items/override-999-0", 404, "there is no item"),
    ],
)
def test_what_cannot_be_read_is_said(furnished: Place, address: str, status: int, words: str) -> None:
    visitor = Visitor(furnished).sign_in("investigator").go(address)
    assert visitor.page.status_code == status
    assert words in visitor.page.text.replace("&#39;", "'")


def test_a_wrong_filter_keeps_what_was_chosen_beside_it(furnished: Place) -> None:
    page = Visitor(furnished).sign_in("investigator").go("/console/queue?kind=review&order=newest&level=huge").page.text
    assert re.search(r'<option value="review" selected>', page)
    assert re.search(r'<option value="newest" selected>', page)
    assert re.search(r'<p class="problem" role="alert">[Tt]here is no level', page)
    assert "Nothing is waiting here." not in page
    assert "This cannot be read" not in page


def test_what_a_role_does_not_see_is_not_in_its_queue(two: Place) -> None:
    kinds = {"investigator": 3, "approver": 4, "publisher": 6, "admin": 6}
    for role, count in kinds.items():
        page = Visitor(two).sign_in(role).go("/console/queue").page.text
        assert len(re.findall(r'<option value="(?:override|change|failure|quarantine|rise|review)"', page)) == count
    number = two.members[OURS, "investigator"]
    for item in ("change-1-0", "failure-1-1"):
        answer = two.ask("PUT", f"/v1/queue/{item}", {"revision": 0, "assigned_to": number}, role="investigator")
        assert answer.status_code == 404


def test_what_waits_for_a_second_person_leads_to_its_page_and_is_offered_to_those_who_take_it(place: Place) -> None:
    visitor = Visitor(place).sign_in("publisher").go("/console/queue?kind=policy")
    assert "payments version 2" in visitor.text
    assert "Policy to approve" in visitor.text
    offered = visitor.page.text.partition('name="assigned_to"')[2].partition("</select>")[0]
    assert "the admin" in offered
    assert "the investigator" not in offered, "nobody of that role sees a policy"
    start(visitor, "?kind=policy")
    assert visitor.page.url.path == "/console/policies/payments/versions/2"
    assert "Policy to approve" in visitor.text
    visitor.submit("/approve", reason="agreed", confirmed="yes")
    assert "The version decides from now on." in visitor.text
    assert "This item has left the queue" in visitor.text
    visitor.go("/console/queue?kind=group")
    assert "high-ones version 2" in visitor.text
    other = Visitor(place).sign_in("admin").go("/console/queue?kind=validation")
    start(other, "?kind=validation")
    assert "Validation to sign off" in other.text
    assert "/console/validation/1" in {link.partition("?")[0] for link in other.links()}
    other.submit("/put-away")
    assert "Validation to sign off" not in other.go("/console/queue?kind=validation").text.partition("How long")[2]


def test_changes_are_named_in_words(place: Place) -> None:
    place.good("PATCH", "/v1/settings", {"challenge_days": 20, "reason": "shorter"}, role="admin")
    visitor = Visitor(place).sign_in("publisher").go("/console/queue?kind=change&order=newest")
    assert "challenge days" in visitor.text
    assert "Change to approve new settings" in visitor.text
    number = next(link for link in visitor.links() if link.startswith("/console/proposals/"))
    assert "New settings challenge days" in visitor.go("/console/queue/changes").text
    for code in ("settings.change", "challenge_days", "ruleset.switch", "override.revoke", "list.versions"):
        assert code not in visitor.text
        assert code not in visitor.go("/console/queue").text
    visitor.go(number)
    assert "Days within which a challenge of an assessment has to be settled from 30 to 20" in visitor.text
    assert "Retention" not in visitor.text, "no setting that stays"


def chosen(visitor: Visitor) -> tuple[str, dict[str, str]]:
    """The form of the check boxes with all of them chosen: its action, and its fields."""
    form = next(form for form in visitor.forms() if form.action.startswith("/console/queue/assign-many"))
    boxes = re.findall(r'name="(item-[a-z0-9-]+)" value="([0-9]+)"', visitor.page.text)
    return form.action, {**form.fields, **dict(boxes)}


def test_many_items_are_assigned_at_once_and_those_that_another_person_changed_are_told(two: Place) -> None:
    visitor = Visitor(two).sign_in("investigator").go("/console/queue?kind=override")
    action, fields = chosen(visitor)
    start(Visitor(two).sign_in("approver"), "?kind=override").submit("/assign")
    visitor.post(action, {**fields, "assigned_to": str(two.members[OURS, "investigator"])})
    assert visitor.page.status_code == 200
    assert "1 done, 1 not done." in visitor.text
    assert "another person changed item" in visitor.text
    assert "?kind=override" in visitor.page.text
    assert "Nothing was changed" not in visitor.text


def test_many_customers_are_tagged_and_computed_again(two: Place) -> None:
    visitor = Visitor(two).sign_in("investigator").go("/console/queue?kind=override")
    _, fields = chosen(visitor)
    visitor.post("/console/queue/tag-many", {**fields, "tag": "watch"})
    assert "2 done, 0 not done." in visitor.text
    assert [tag["tag"] for tag in two.good("GET", "/v1/entities/company/second/tags", role="investigator")] == ["watch"]
    assert not re.search(r'name="item-[^>]* checked', visitor.page.text)
    visitor.post("/console/queue/tag-many", {**fields, "tag": ""})
    assert "Tag is empty" in visitor.text
    assert len(re.findall(r'name="item-[^>]* checked', visitor.page.text)) == 2
    visitor.post("/console/queue/tag-many", {**fields, "tag": "x" * 300})
    assert "0 done, 2 not done." in visitor.text
    visitor.post("/console/queue/compute-many", fields)
    assert "2 done, 0 not done." in visitor.text


def test_who_could_not_be_assessed_in_full_again_is_listed_as_not_done(two: Place) -> None:
    fail_assessment(two)
    body = {"level": "high", "reason": "because"}
    two.good("POST", f"/v1/entities/customer/{quote(CUSTOMER, safe='')}/overrides", body, role="investigator")
    visitor = Visitor(two).sign_in("investigator").go("/console/queue?kind=override")
    visitor.post("/console/queue/compute-many", chosen(visitor)[1])
    assert "2 done, 1 not done." in visitor.text
    refused = visitor.text.rpartition("Why not")[2].partition(" Done ")[0]
    assert CUSTOMER in refused
    assert refused.endswith("it could not be assessed in full: failed")


def test_a_form_that_is_refused_keeps_the_filter_and_the_ways_on_from_its_page(two: Place) -> None:
    visitor = Visitor(two).sign_in("investigator").go("/console/queue?kind=override&order=newest")
    _, fields = chosen(visitor)
    tag = re.search(r'formaction="([^"]*tag-many[^"]*)"', visitor.page.text)
    assert tag is not None
    visitor.post(unescape(tag[1]), {**fields, "tag": " "})
    assert visitor.page.status_code == 422
    assert len(re.findall(r'name="item-[^>]* checked', visitor.page.text)) == 2
    assert re.search(r'<option value="newest" selected>', visitor.page.text)
    visitor.submit("/save-filter", name=" ").submit("/save-filter", name="Newest overrides")
    assert "/console/queue?kind=override&order=newest" in visitor.links(), "the filter of the page, not everything"
    visitor.go("/console/queue/tag-many?assigned=mine")
    assert (visitor.page.url.path, visitor.page.url.params["assigned"]) == ("/console/queue", "mine")


def test_an_address_of_an_action_leads_to_its_page(two: Place) -> None:
    visitor = Visitor(two).sign_in("investigator").go(f"{ACME}/override")
    assert visitor.page.url.path == ACME
    assert Visitor(two).go(f"{ACME}/override?all=tags").page.url.params["next"] == f"{ACME}?all=tags"


@pytest.mark.parametrize("count", [0, 51])
def test_only_so_many_are_done_at_once(two: Place, count: int) -> None:
    visitor = Visitor(two).sign_in("investigator").go("/console/queue")
    _, fields = chosen(visitor)
    boxes = {f"item-rise-{number}-1": "0" for number in range(count)}
    plain = {name: value for name, value in fields.items() if not name.startswith("item-")}
    visitor.post("/console/queue/compute-many", {**plain, **boxes})
    assert visitor.page.status_code == 422
    assert ("51 are selected; select 1 to 50" if count else "select at least one") in visitor.text


def test_no_form_of_the_queue_overrides_many(furnished: Place) -> None:
    visitor = Visitor(furnished).sign_in("admin").go("/console/queue")
    assert not [form.action for form in visitor.forms() if "override" in form.action]
    assert set(re.findall(r'formaction="/console/queue/([a-z-]+)"', visitor.page.text)) == {
        "assign-many",
        "tag-many",
        "compute-many",
    }


def test_a_filter_is_kept_under_a_name_for_a_person_and_for_the_organisation(two: Place) -> None:
    visitor = Visitor(two).sign_in("investigator").go("/console/queue?kind=override&days=7")
    visitor.submit("/save-filter", name="Mine alone")
    assert "The filter is saved under its name." in visitor.text
    visitor.submit("/save-filter", name="Mine alone")
    assert "The filter is saved under its name, in place of the earlier one." in visitor.text
    visitor.go("/console/queue?kind=rise&days=1").submit("/save-filter", name="Rose <today>", shared="yes")
    assert "<today>" not in visitor.page.text
    other = Visitor(two).sign_in("approver").go("/console/queue")
    assert "Mine alone" not in other.text
    assert "/console/queue?kind=rise&days=1" in other.links()
    removable = [form.fields["name"] for form in other.forms() if "/remove-filter" in form.action]
    assert removable == ["kept"], "their own"
    form = next(form for form in visitor.forms() if "/remove-filter" in form.action)
    token = next(form for form in other.forms() if "/save-filter" in form.action).fields["form_token"]
    other.post(form.action, {"form_token": token, "name": "Rose <today>", "shared": "yes"})
    assert other.page.status_code == 409
    assert "saved by another member" in other.text
    other.go("/console/queue?kind=review").submit("/save-filter", name="Rose <today>", shared="yes")
    assert other.page.status_code == 409, "it is not replaced either"
    admin = Visitor(two).sign_in("admin").go("/console/queue")
    admin.submit("/remove-filter", name="Rose <today>", shared="yes")
    assert "The filter is removed." in admin.text
    assert "Mine alone" in visitor.go("/console/queue").text
    visitor.submit("/save-filter", name="  ")
    assert visitor.page.status_code == 422
    visitor.submit("/remove-filter", name="none")
    assert visitor.page.status_code == 404


def test_a_change_is_decided_on_its_own_page_and_leads_on(two: Place) -> None:
    visitor = start(Visitor(two).sign_in("admin"), "?kind=change")
    assert visitor.page.url.path.startswith("/console/proposals/")
    assert "Change to approve" in visitor.text
    visitor.submit("/assign")
    assert "assigned to the admin" in visitor.text
    first = visitor.page.url.path
    assert onwards(visitor).page.url.path not in {first, "/console/queue"}
