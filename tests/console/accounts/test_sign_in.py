"""Signing in: the cookie, forms of other sites, addresses that are shared, and the end of a session."""

import re
from urllib.parse import urlencode

import pytest

from fivefold.serving import console
from fivefold.serving.console import SCRIPTS
from fivefold.usecases.accounts.tokens import revoke_token
from tests.console.visitors import ORIGIN, Visitor
from tests.serving.v1.places import OURS, Place

CUSTOMER = "/console/entities/company/acme"
EVIDENCE = "/console/validation/evidence"
HISTORY = "/console/entities/customer/c%2F1%20%C3%A4/history"


def test_a_member_signs_in_and_comes_to_the_page_that_they_asked_for(place: Place) -> None:
    visitor = Visitor(place).go(CUSTOMER)
    assert "Your token" in visitor.text
    visitor.submit("/sign-in", token=place.tokens[OURS, "investigator"])
    assert visitor.page.url.path == CUSTOMER
    assert "acme" in visitor.text


def test_the_cookie_is_for_this_host_alone_and_out_of_reach_of_scripts(place: Place) -> None:
    visitor = Visitor(place).go("/console/sign-in")
    token = place.tokens[OURS, "investigator"]
    answer = visitor.send("POST", "/console/sign-in", data={"token": token}, headers={"origin": ORIGIN}).page
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-fivefold=")
    for flag in ("HttpOnly", "Secure", "SameSite=strict", "Path=/"):
        assert flag in cookie
    assert "Domain" not in cookie
    assert token not in cookie


def test_a_form_that_another_session_wrote_says_who_is_signed_in_now_and_leads_back(place: Place) -> None:
    visitor = Visitor(place).sign_in("investigator").go(f"{CUSTOMER}?clock=known")
    form = next(each for each in visitor.forms() if "/override?" in each.action)
    visitor.sign_in("approver").post(form.action, {**form.fields, "level": "high", "reason": "A court did."})
    assert visitor.page.status_code == 403
    said = "You are signed in as the approver now; this form was written by another session. Nothing was changed."
    assert f'role="alert" tabindex="-1" autofocus>{said}' in visitor.page.text
    assert "A court did.</textarea>" in visitor.page.text
    assert {f"{CUSTOMER}?clock=known", "/console/queue", "/console/session"} <= {*visitor.links()}
    assert f"/console/sign-in?{urlencode({'next': f'{CUSTOMER}?clock=known'})}" in visitor.links()
    visitor.go(f"{CUSTOMER}?clock=known")
    assert visitor.page.status_code == 200
    assert "A court did." not in visitor.text


@pytest.mark.parametrize("token", ["", "unknown", "é\x00"])
def test_a_token_that_is_none_is_refused_in_words(place: Place, token: str) -> None:
    visitor = Visitor(place).go("/console/sign-in").submit("/sign-in", token=token)
    assert visitor.page.status_code == 403
    assert "This token cannot be used here" in visitor.text
    assert place.watching.sign_ins[-1] == ("not valid" if token else "no token")


def test_the_token_of_a_program_signs_nobody_in(place: Place) -> None:
    visitor = Visitor(place).go("/console/sign-in").submit("/sign-in", token=place.tokens[OURS, "app"])
    assert visitor.page.status_code == 403
    assert place.watching.sign_ins[-1] == "not valid"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://bank.example.evil.example", ""])
def test_a_form_of_another_site_signs_nobody_in(place: Place, origin: str) -> None:
    visitor = Visitor(place).go("/console/sign-in")
    visitor.post("/console/sign-in", {"token": place.tokens[OURS, "investigator"]}, origin)
    assert visitor.page.status_code == 403
    assert "set-cookie" not in visitor.page.headers
    assert place.watching.sign_ins[-1] == "sent by another site"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
def test_a_form_of_another_site_changes_nothing(investigator: Visitor, origin: str) -> None:
    fields = investigator.go(CUSTOMER).forms()[0].fields
    investigator.post(f"{CUSTOMER}/tag", {**fields, "tag": "forged"}, origin)
    assert investigator.page.status_code == 403
    assert "forged" not in investigator.go(CUSTOMER).text


def test_a_form_without_the_token_of_this_session_changes_nothing(place: Place, investigator: Visitor) -> None:
    other = Visitor(place).sign_in("admin").go(CUSTOMER).forms()[0].fields["form_token"]
    for token in ("", "x", other):
        investigator.post(f"{CUSTOMER}/tag", {"form_token": token, "tag": "forged"})
        assert investigator.page.status_code == 403
        assert "this form was written by another session. Nothing was changed." in investigator.text
    assert "forged" not in investigator.go(CUSTOMER).text


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/console\\evil", "/v1/x", "/console/\r\nx"]
)
def test_the_sign_in_leads_nowhere_else(place: Place, target: str) -> None:
    visitor = Visitor(place).go("/console/sign-in")
    fields = {"token": place.tokens[OURS, "investigator"], "next": target}
    answer = visitor.send("POST", "/console/sign-in", data=fields, headers={"origin": ORIGIN}).page
    assert answer.headers["location"] == "/console"


def test_a_link_from_another_site_is_tried_again_from_here_with_the_cookie(place: Place) -> None:
    headers = {"sec-fetch-site": "cross-site"}
    answer = Visitor(place).send("GET", f"{CUSTOMER}?a=%C3%A4%0D", headers=headers).page
    assert (answer.status_code, answer.headers["refresh"]) == (200, f"0; url={CUSTOMER}?a=%C3%A4%0D")


def test_a_session_ends_with_its_token(place: Place, investigator: Visitor) -> None:
    number = (
        place.engine.connect()
        .exec_driver_sql("SELECT token_id FROM console_sessions ORDER BY id DESC")
        .scalars()
        .first()
    )
    revoke_token(place.engine, number)
    assert "Your token" in investigator.go(CUSTOMER).text


def test_sign_out_ends_this_session_and_everywhere_ends_all(place: Place) -> None:
    here, there, third = (Visitor(place).sign_in("investigator") for _ in range(3))
    here.go("/console/session").submit("/sign-out")
    assert "Your token" in here.go(CUSTOMER).text
    assert "acme" in there.go(CUSTOMER).text
    there.go("/console/session").submit("/sign-out-everywhere")
    assert "Your token" in third.go(CUSTOMER).text


def test_a_cookie_that_was_taken_along_opens_nothing_after_the_sign_out(investigator: Visitor) -> None:
    taken = dict(investigator.cookies)
    investigator.go("/console/session").submit("/sign-out")
    investigator.cookies.update(taken)
    assert "Your token" in investigator.go(CUSTOMER).text


def test_a_page_runs_the_scripts_of_this_answer_alone(investigator: Visitor) -> None:
    nonces = set()
    for _ in range(2):
        page = investigator.go("/console/search").page
        nonce = page.headers["content-security-policy"].partition("script-src 'nonce-")[2].partition("'")[0]
        assert len(nonce) > 20
        assert page.text.count("<script") == page.text.count(f'<script nonce="{nonce}" src="/console/') == len(SCRIPTS)
        nonces.add(nonce)
    assert len(nonces) == 2
    for name in SCRIPTS:
        page = investigator.go(f"/console/{name}").page
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/javascript")


def test_a_build_without_the_scripts_has_the_same_pages(investigator: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_has_scripts", lambda: False)
    page = investigator.go("/console/search?text=acm").page
    assert "acm" in page.text
    assert "script" not in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert investigator.go("/console/htmx.min.js").page.status_code == 404


@pytest.mark.parametrize(("address", "part"), [("/console/search?text=a", "results"), (f"{EVIDENCE}/1", "job")])
def test_a_script_whose_session_ended_is_given_what_says_so_and_where_to_sign_in(
    place: Place, address: str, part: str
) -> None:
    page = Visitor(place).send("GET", address, headers={"hx-request": "true"}).page
    said = f'<div id="{part}"><p class="problem" role="alert">Your session has ended. '
    assert f'{said}<a href="/console/sign-in?{urlencode({"next": address})}">Sign in</a></p></div>' in page.text


def test_times_are_shown_in_the_zone_that_a_person_chose_with_utc_beside(place: Place, investigator: Visitor) -> None:
    assert re.search(r"\d\d:\d\d UTC", investigator.go(HISTORY).text)
    investigator.go("/console/session").submit("/choose-zone", zone="Asia/Kolkata")
    assert "Times are shown in your zone from now on." in investigator.text
    times = re.findall(r"(\d\d):(\d\d) IST (?:\d\d \w{3} )?(\d\d):(\d\d) UTC", investigator.go(HISTORY).text)
    assert times
    for hour, minute, utc_hour, utc_minute in times:
        assert (int(hour) * 60 + int(minute) - int(utc_hour) * 60 - int(utc_minute)) % 1440 == 330
    again = Visitor(place).sign_in("investigator")  # it is the person's, and not the browser's
    assert "IST" in again.go(HISTORY).text
    assert "IST" not in Visitor(place).sign_in("approver").go(HISTORY).text


def test_a_day_that_is_another_one_in_utc_says_its_zone(place: Place, investigator: Visitor) -> None:
    customer = HISTORY.removesuffix("/history")
    since = re.search(r"since (\d+) \w+ \d+", investigator.go(customer).text)
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):  # 25 hours apart: in one of them it is another day
        investigator.go("/console/session").submit("/choose-zone", zone=zone)
        there = re.search(r"since (\d+) \w+ \d+( \S+ (\d+) \w+ UTC)?", investigator.go(customer).text)
        assert since
        assert there
        assert (there[1] == since[1]) is (there[2] is None)
        assert int(there[3] or there[1]) == int(since[1])


def test_to_sign_in_is_to_use_the_token(place: Place, investigator: Visitor) -> None:
    assert investigator.go("/console/session").page.status_code == 200
    used = {token["member"]: token["last_used_at"] for token in place.good("GET", "/v1/tokens", role="admin")}
    assert any(used.values())


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "CET", "x" * 500])
def test_a_zone_that_is_none_is_refused_and_shown_again(investigator: Visitor, zone: str) -> None:
    investigator.go("/console/session").submit("/choose-zone", zone=zone)
    assert investigator.page.status_code == 422
    assert "there is no time zone" in investigator.text
    assert f'value="{zone}"' in investigator.page.text


def test_every_page_forbids_scripts_frames_and_copies(investigator: Visitor) -> None:
    for address in (
        "/console/sign-in",
        "/console/queue",
        "/console/console.css",
        CUSTOMER,
        "/console/entities/company/x",
    ):
        headers = investigator.go(address).page.headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    assert investigator.go(CUSTOMER).page.headers["cache-control"] == "no-store"
