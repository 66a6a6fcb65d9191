"""Members and tokens: added, changed, asked for, approved, shown once, revoked."""

import re

import pytest
from sqlalchemy import Engine

from fivefold.usecases.accounts.organisations import end_membership, list_members, read_member, set_roles
from fivefold.usecases.accounts.sessions import MemberSession, find_session
from fivefold.usecases.shared.context import Context
from tests.console.visitors import Visitor
from tests.serving.v1.places import OURS, THEIRS, Place

TOKENS = "/console/administration/tokens"


def other_admin(place: Place) -> Visitor:
    """Another one."""
    (token,) = place.join("the deputy", "admin")
    return Visitor(place).go("/console/sign-in").submit("/sign-in", token=token)


def half(visitor: Visitor) -> str:
    """The half of a secret that the page shows."""
    found = re.search(r'id="half"[^>]* value="([^"]+)"', visitor.page.text)
    assert found, visitor.text
    return found[1]


def test_two_administrators_make_a_token_and_its_person_signs_in(place: Place, admin: Visitor) -> None:
    admin.go("/console/administration").submit("/add-member", name="Zoë <b>", role_investigator="1")
    assert "The member is added" in admin.text
    assert "<b>" not in admin.page.text
    member = admin.page.url.path.rpartition("/")[2]
    admin.go(TOKENS).submit("/ask", member=member, role="investigator", plan="standard", label="notebook")
    first = half(admin)
    assert admin.page.headers["cache-control"] == "no-store"
    assert admin.page.url.path == f"{TOKENS}/ask"
    assert first not in str(admin.page.url)
    assert first not in admin.go(TOKENS).page.text
    assert "You requested it" in admin.text
    deputy = other_admin(place).go(TOKENS)
    assert "requested by the admin" in deputy.text
    second = half(deputy.post(f"{TOKENS}/approve", fields_of(deputy, "/approve", request="3")))
    zoe = Visitor(place).go("/console/sign-in").submit("/sign-in", token=f"{first}.{second}")
    assert zoe.page.url.path == "/console/queue"
    newest = re.search(r"<th scope=\"row\">(\d+)</th>", admin.go(TOKENS).page.text.partition('id="all"')[2])
    assert newest
    admin.submit("/revoke", token=newest[1])
    assert "The token is revoked" in admin.text
    assert zoe.go("/console/queue").page.url.path == "/console/sign-in"


def test_who_approves_a_token_sees_that_an_agent_may_change_things_with_it(place: Place, admin: Visitor) -> None:
    admin.go(TOKENS).submit("/ask", member="", role="app", plan="standard", label="quiet")
    admin.go(TOKENS).submit("/ask", member="", role="app", plan="standard", label="busy", mcp_changes="1")
    deputy = other_admin(place).go(TOKENS)
    waiting = deputy.page.text.partition('id="waiting"')[2].partition('id="all"')[0].split("<article")
    told = {
        label: "an agent may make changes" in each for each in waiting for label in ("quiet", "busy") if label in each
    }
    assert told == {"quiet": False, "busy": True}
    for request in ("3", "4"):
        deputy.go(TOKENS).post(f"{TOKENS}/approve", fields_of(deputy, "/approve", request=request))
    rows = admin.go(TOKENS).page.text.partition('id="all"')[2].split("<tr>")
    told = {label: "may make changes" in row for row in rows for label in ("quiet", "busy") if label in row}
    assert told == {"quiet": False, "busy": True}


def fields_of(visitor: Visitor, action: str, *, request: str) -> dict[str, str]:
    """The fields of the form of a request for a token."""
    forms = [form for form in visitor.forms() if form.action.endswith(action)]
    (fields,) = [form.fields for form in forms if form.fields["request"] == request]
    return fields


def test_a_form_that_is_sent_twice_asks_for_one_token(admin: Visitor) -> None:
    form = next(form for form in admin.go(TOKENS).forms() if form.action.endswith("/ask"))
    typed = {**form.fields, "member": "", "role": "app", "plan": "trial", "label": "hall 3"}
    half(admin.post(form.action, typed))
    admin.post(form.action, typed)
    assert admin.page.status_code == 409
    assert "this form was already sent" in admin.text
    assert admin.go(TOKENS).text.count(", hall 3 (") == 1
    admin.submit("/ask", member="", role="app", plan="none", label="till")
    assert admin.page.status_code == 422
    admin.submit("/ask", member="", role="app", plan="trial", label="till", expires_days="soon")
    assert 'value="soon" aria-invalid="true"' in admin.page.text
    admin.submit("/ask", member="", role="app", plan="trial", label="second till", expires_days="")
    assert half(admin), "a form that was refused is corrected and sent again"


def test_who_asked_cannot_approve_and_is_told_why(admin: Visitor) -> None:
    admin.go(TOKENS).submit("/ask", member="", role="app", plan="trial", label="till")
    admin.go(TOKENS)
    admin.post(f"{TOKENS}/approve", fields_of(admin, "/refuse", request="3"))
    assert admin.page.status_code == 409
    assert "requested it, so another administrator approves it. The page shows the present state." in admin.text


def test_a_request_that_the_page_did_not_show_is_not_decided(place: Place, admin: Visitor) -> None:
    """After a restore another request may have its number."""
    admin.go(TOKENS).submit("/ask", member="", role="app", plan="trial", label="till")
    deputy = other_admin(place)
    for action in ("/approve", "/refuse"):
        deputy.go(TOKENS).submit(action, seen_asked="2026-01-01T00:00:00.000001Z")
        assert deputy.page.status_code == 409
        assert "is another one now" in deputy.text
    assert half(deputy.go(TOKENS).submit("/approve"))


def test_a_request_that_cannot_be_approved_any_more_is_offered_to_be_refused_alone(
    place: Place, admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"role": "approver", "plan": "standard", "member": place.members[OURS, "approver"]}
    place.good("POST", "/v1/token-requests", wanted, role="admin")
    deputy = other_admin(place).go(TOKENS)
    assert [form.action for form in deputy.forms() if form.action.endswith("/approve")]
    end_membership(Context(place.engine, place.actor("admin")), place.members[OURS, "approver"])
    assert "The member no longer has this role, so it cannot be approved." in deputy.go(TOKENS).text
    monkeypatch.setattr("fivefold.console.accounts.members.LONGEST_DAYS", 0)
    for visitor in (admin, deputy):
        assert "It is older than 0 days, so it cannot be approved: request the token again." in visitor.go(TOKENS).text
        assert "You requested it" not in visitor.text
    assert [form.action for form in deputy.forms() if form.action.endswith("/approve")] == []
    assert "The token will not be issued." in deputy.submit("/refuse").text


def test_requests_that_wait_stand_the_oldest_first_and_the_later_ones_on_the_next_page(place: Place) -> None:
    for number in range(30):
        wanted = {"role": "app", "plan": "trial", "label": f"till {number};"}
        place.good("POST", "/v1/token-requests", wanted, role="admin")
    deputy = other_admin(place).go(TOKENS)
    waiting = re.findall(r"till (\d+);", deputy.text)
    assert waiting == [str(number) for number in range(len(waiting))]
    (later,) = [link for link in deputy.links() if "after_waiting=" in link]
    later = later.replace("&amp;", "&")
    waiting += re.findall(r"till (\d+);", deputy.go(later).text)
    assert waiting == [str(number) for number in range(30)]
    assert not re.search(r"Waiting for another administrator \(", deputy.text), "it would be the number of this page"
    while "till" in deputy.go(later).text:
        deputy.submit("/refuse")
    assert "Nothing is waiting." not in deputy.text
    assert "No more rows follow. From the beginning" in deputy.text
    assert "Waiting for another administrator (20)" in deputy.go(TOKENS).text


@pytest.mark.parametrize("action", ["approve", "refuse", "revoke"])
def test_a_number_of_another_organisation_or_of_nothing_is_not_there(furnished: Place, action: str) -> None:
    visitor = Visitor(furnished).sign_in("admin", THEIRS).go(TOKENS)
    token = visitor.forms()[0].fields["form_token"]
    for number, status in (("1", 404), ("999999999", 404), ("9999999999", 422), ("x", 422), ("", 422)):
        asked = {"request": number, "seen_asked": "2026-01-01", "token": number, "seen_created": "2026-01-01"}
        visitor.post(f"{TOKENS}/{action}", {"form_token": token, **asked})
        assert visitor.page.status_code == status, number


def test_a_wrong_form_is_shown_again_as_it_was_typed(admin: Visitor) -> None:
    admin.go(TOKENS).submit("/ask", member="1", role="admin", plan="standard", label="my own")
    assert admin.page.status_code == 422
    assert "does not have the role admin" in admin.text
    assert 'value="my own"' in admin.page.text
    admin.go("/console/administration").submit("/add-member", name=" ", role_admin="1")
    assert "Name is empty" in admin.text
    assert re.findall(r'name="role_(\w+)" value="1" checked', admin.page.text) == ["admin"]
    admin.go("/console/administration").submit("/add-member", name="Kim")
    assert "a member has one or more of" in admin.text
    assert 'value="Kim"' in admin.page.text


def test_roles_are_not_overwritten_that_somebody_else_changed(place: Place, admin: Visitor) -> None:
    admin.go("/console/administration/members/1")
    set_roles(Context(place.engine, place.actor("admin")), 1, ["publisher", "approver"])
    admin.submit("/set-roles", role_admin="1")
    assert admin.page.status_code == 409
    assert "another person changed the roles" in admin.text
    admin.submit("/set-roles", role_admin="1")
    assert "The roles are set" in admin.text
    admin.submit("/leave")
    assert "The member has left" in admin.text
    assert [form.action for form in admin.forms() if "administration" in form.action] == []


def test_of_two_administrators_who_end_each_others_membership_at_once_one_remains(
    place: Place, admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second form waited while the first was written: its sender is no member any more, and is signed out."""
    deputy = other_admin(place)
    number = place.members[OURS, "admin"]
    (deputy_number,) = (each.id for each in list_members(Context(place.engine, place.actor("admin"))) if
                        each.name == "the deputy")  # fmt: skip
    deputy.go(f"/console/administration/members/{number}")
    looked_up = []

    def find_session_then_leave(engine: Engine, secret: str) -> MemberSession | None:
        session = find_session(engine, secret)
        looked_up.append(session)
        if len(looked_up) == 2:
            end_membership(Context(place.engine, place.actor("admin")), deputy_number)
        return session

    monkeypatch.setattr("fivefold.serving.console.find_session", find_session_then_leave)
    deputy.submit("/leave")
    assert "Your session has ended" in deputy.text
    assert [each is None for each in looked_up] == [False, False, True]
    assert read_member(Context(place.engine, place.actor("admin")), number).left_us is None


def test_what_is_no_number_of_a_member_is_not_there(admin: Visitor) -> None:
    for number in ("0", "99999999999999999999", "x", "٣", "-1"):
        assert admin.go(f"/console/administration/members/{number}").page.status_code == 404, number


def test_an_organisation_without_tokens_is_told_so(place: Place) -> None:
    visitor = Visitor(place).sign_in("admin", THEIRS).go(TOKENS)
    assert "Nothing is waiting." in visitor.text
    assert (OURS, "admin") in place.tokens
